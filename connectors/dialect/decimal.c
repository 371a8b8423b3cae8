// SPDX-License-Identifier: Apache-2.0
// Exact decimals on 128 bits. Debian 12 has no decimal library for C, so this is the smallest one
// that money needs: parse, multiply, add, format. Never rounds.
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/dialect/decimal.h"

// Products of two parsed numbers have 36 digits; sums of them may grow to the 38 that fit.
#define UNITS_MAX ((((__int128)INT64_MAX) << 63) + INT64_MAX)

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

int decimal_parse(const char *text, struct decimal *ret) {
    const char *at = text;
    bool negative = *at == '-';
    at += *at == '-' || *at == '+';
    struct decimal value = {0};
    unsigned digits = 0;
    bool point = false;
    for (; *at != '\0'; at++) {
        if (*at == '.' && !point && digits > 0 && is_digit(at[1])) {
            point = true;
            continue;
        }
        if (!is_digit(*at) || ++digits > DECIMAL_DIGITS_MAX) {
            return -EINVAL;
        }
        value.units = value.units * 10 + (*at - '0');
        value.places += point;
    }
    if (digits == 0 || value.places > DECIMAL_PLACES_MAX) {
        return -EINVAL;
    }
    value.units = negative ? -value.units : value.units;
    *ret = value;
    return 0;
}

int decimal_from_double(double value, struct decimal *ret) {
    if (!isfinite(value)) {
        return -EINVAL;
    }
    for (int places = 0; places <= DECIMAL_PLACES_MAX; places++) {
        char text[DECIMAL_TEXT_BYTES];
        int size = snprintf(text, sizeof(text), "%.*f", places, value);
        if (size < 0 || size >= (int)sizeof(text)) {
            return -EINVAL;
        }
        if (strtod(text, NULL) == value) {
            return decimal_parse(text, ret);
        }
    }
    return -EINVAL;
}

int decimal_multiply(struct decimal a, struct decimal b, struct decimal *ret) {
    struct decimal product = {.places = a.places + b.places};
    if (product.places > 2 * DECIMAL_PLACES_MAX ||
        __builtin_mul_overflow(a.units, b.units, &product.units)) {
        return -ERANGE;
    }
    *ret = product;
    return 0;
}

static int widen(struct decimal *value, unsigned places) {
    for (; value->places < places; value->places++) {
        if (__builtin_mul_overflow(value->units, (__int128)10, &value->units)) {
            return -ERANGE;
        }
    }
    return 0;
}

int decimal_add(struct decimal a, struct decimal b, struct decimal *ret) {
    struct decimal sum = {0};
    if (widen(&a, b.places) != 0 || widen(&b, a.places) != 0 ||
        __builtin_add_overflow(a.units, b.units, &sum.units) || sum.units > UNITS_MAX ||
        sum.units < -UNITS_MAX) {
        return -ERANGE;
    }
    sum.places = a.places;
    *ret = sum;
    return 0;
}

char *decimal_format(struct decimal value, char buffer[static DECIMAL_TEXT_BYTES]) {
    char digits[DECIMAL_TEXT_BYTES]; // from the last one on
    size_t n_digits = 0;
    unsigned __int128 rest =
        value.units < 0 ? -(unsigned __int128)value.units : (unsigned __int128)value.units;
    do {
        digits[n_digits++] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest > 0 || n_digits <= value.places);

    size_t size = 0;
    if (value.units < 0) {
        buffer[size++] = '-';
    }
    while (n_digits > 0) {
        if (n_digits == value.places) {
            buffer[size++] = '.';
        }
        buffer[size++] = digits[--n_digits];
    }
    buffer[size] = '\0';
    return buffer;
}
