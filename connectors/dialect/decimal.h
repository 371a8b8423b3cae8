// SPDX-License-Identifier: Apache-2.0
// Exact decimals for money and quantities: a whole number and a count of decimal places. Texts in,
// texts out; nothing here rounds, a result that does not fit is refused.
#pragma once

#include <stdint.h>

enum {
    DECIMAL_DIGITS_MAX = 18, // of a parsed number
    DECIMAL_PLACES_MAX = 9,  // of a parsed number
    DECIMAL_TEXT_BYTES = 48, // any decimal as text, with its end
};

struct decimal {
    __int128 units; // value * 10^places
    unsigned places;
};

// "19.90", "-3", "0.5": an optional sign, digits, optionally a point and digits. 0 or -EINVAL.
int decimal_parse(const char *text, struct decimal *ret);
// A double as the shortest decimal that reads back as the same double. 0 or -EINVAL (not finite,
// too large, too fine).
int decimal_from_double(double value, struct decimal *ret);
// 0 or -ERANGE. The places of a product add up, those of a sum are the larger.
int decimal_multiply(struct decimal a, struct decimal b, struct decimal *ret);
int decimal_add(struct decimal a, struct decimal b, struct decimal *ret);
// Keeps the places: 39.80 stays "39.80". Returns buffer.
char *decimal_format(struct decimal value, char buffer[static DECIMAL_TEXT_BYTES]);
