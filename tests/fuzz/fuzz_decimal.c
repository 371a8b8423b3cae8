// SPDX-License-Identifier: Apache-2.0
// Decimals: what is read is written back as the same number, sums and products are refused or
// exact. Two texts, parted by a zero byte.
#include <stdbool.h>
#include <string.h>

#include "connectors/dialect/decimal.h"
#include "schemas/base/cleanup.h"
#include "tests/fuzz/fuzz.h"

static bool is_same(struct decimal a, struct decimal b) {
    return a.units == b.units && a.places == b.places;
}

static void check(struct decimal value) {
    char text[DECIMAL_TEXT_BYTES];
    struct decimal back;
    REQUIRE(decimal_format(value, text) == text && strlen(text) < sizeof(text));
    if (decimal_parse(text, &back) == 0) { // sums and products may have more digits than are read
        REQUIRE(is_same(value, back));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_free_ char *text = malloc(size + 2);
    REQUIRE(text != NULL);
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = text[size + 1] = '\0';
    struct decimal a, b, sum, product;
    double real;
    if (size >= sizeof(real)) {
        memcpy(&real, data, sizeof(real));
        if (decimal_from_double(real, &a) == 0) {
            check(a);
        }
    }
    if (decimal_parse(text, &a) != 0) {
        return 0;
    }
    check(a);
    if (decimal_parse(text + strlen(text) + 1, &b) != 0) {
        return 0;
    }
    if (decimal_add(a, b, &sum) == 0) {
        struct decimal other;
        check(sum);
        REQUIRE(decimal_add(b, a, &other) == 0 && is_same(sum, other));
    }
    if (decimal_multiply(a, b, &product) == 0) {
        check(product);
        REQUIRE(product.places == a.places + b.places && product.units == a.units * b.units);
    }
    return 0;
}
