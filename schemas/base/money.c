// SPDX-License-Identifier: Apache-2.0
// Decimal text to millionths and back, digit by digit with checked arithmetic: no locale, no float.
#include "schemas/base/money.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { DECIMALS = 6 };

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// Takes a digit in; false where the number does not fit.
static bool take(int64_t *number, char digit, bool negative) {
    int64_t value = negative ? -(digit - '0') : digit - '0';
    return !__builtin_mul_overflow(*number, 10, number) &&
           !__builtin_add_overflow(*number, value, number);
}

// The number that text begins with; *ret_at is behind it.
static int number_parse(const char *text, size_t size, size_t *ret_at, int64_t *ret_micro) {
    size_t i = 0;
    while (i < size && is_space(text[i])) {
        i++;
    }
    bool negative = i < size && text[i] == '-';
    i += i < size && (text[i] == '-' || text[i] == '+');
    if (i == size || !is_digit(text[i])) {
        return -EINVAL;
    }
    int64_t number = 0;
    bool fits = true;
    for (; i < size && is_digit(text[i]); i++) {
        fits = fits && take(&number, text[i], negative);
    }
    int decimals = 0;
    if (i < size && text[i] == '.') {
        i++;
        if (i == size || !is_digit(text[i])) {
            return -EINVAL;
        }
        for (; i < size && is_digit(text[i]); i++, decimals += decimals < DECIMALS) {
            fits =
                fits && (decimals < DECIMALS ? take(&number, text[i], negative) : text[i] == '0');
        }
    }
    for (; decimals < DECIMALS; decimals++) {
        fits = fits && take(&number, '0', negative);
    }
    if (!fits) {
        return -ERANGE;
    }
    *ret_at = i;
    *ret_micro = number;
    return 0;
}

static size_t skip_space(const char *text, size_t size, size_t at) {
    while (at < size && is_space(text[at])) {
        at++;
    }
    return at;
}

int money_parse(const char *text, size_t size, int64_t *ret_micro) {
    size_t at;
    int64_t micro;
    int r = number_parse(text, size, &at, &micro);
    if (r != 0) {
        return r;
    }
    if (skip_space(text, size, at) != size) {
        return -EINVAL;
    }
    *ret_micro = micro;
    return 0;
}

int money_parse_currency(const char *text, size_t size, int64_t *ret_micro, char ret_currency[4]) {
    size_t at;
    int64_t micro;
    int r = number_parse(text, size, &at, &micro);
    if (r != 0) {
        return r;
    }
    at = skip_space(text, size, at);
    char currency[4] = "";
    for (size_t n = 0; at < size && n < 3 && text[at] >= 'A' && text[at] <= 'Z'; at++, n++) {
        currency[n] = text[at];
    }
    if (skip_space(text, size, at) != size || (currency[0] != '\0' && currency[2] == '\0')) {
        return -EINVAL;
    }
    *ret_micro = micro;
    memcpy(ret_currency, currency, sizeof(currency));
    return 0;
}

char *money_format(int64_t micro, char buffer[static MONEY_TEXT_BYTES]) {
    uint64_t size = micro < 0 ? -(uint64_t)micro : (uint64_t)micro;
    int n = snprintf(buffer, MONEY_TEXT_BYTES, "%s%" PRIu64 ".%06" PRIu64, micro < 0 ? "-" : "",
                     size / (uint64_t)MONEY_UNIT, size % (uint64_t)MONEY_UNIT);
    for (int cut = 0; cut < DECIMALS - 2 && buffer[n - 1] == '0'; cut++) {
        buffer[--n] = '\0';
    }
    return buffer;
}

char *money_format_cents(int64_t micro, char buffer[static MONEY_TEXT_BYTES]) {
    uint64_t size = micro < 0 ? -(uint64_t)micro : (uint64_t)micro;
    uint64_t cents = size / 10000 + (size % 10000 >= 5000);
    snprintf(buffer, MONEY_TEXT_BYTES, "%s%" PRIu64 ".%02" PRIu64,
             micro < 0 && cents > 0 ? "-" : "", cents / 100, cents % 100);
    return buffer;
}

int money_times(int64_t number_micro, int64_t amount_micro, int64_t *ret_micro) {
    __int128 product = (__int128)number_micro * amount_micro;
    __int128 half = product < 0 ? -MONEY_UNIT / 2 : MONEY_UNIT / 2;
    __int128 rounded = (product + half) / MONEY_UNIT;
    if (rounded > INT64_MAX || rounded < INT64_MIN) {
        return -ERANGE;
    }
    *ret_micro = (int64_t)rounded;
    return 0;
}

void money_add(int64_t *sum, int64_t micro) {
    if (__builtin_add_overflow(*sum, micro, sum)) {
        *sum = micro < 0 ? INT64_MIN : INT64_MAX;
    }
}
