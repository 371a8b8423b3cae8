// SPDX-License-Identifier: Apache-2.0
// Amounts of money: decimal text outside ("12.34"), a whole number of millionths inside. Never a
// float, so that sums agree to the cent whatever the order of adding.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { MONEY_TEXT_BYTES = 32 };
#define MONEY_UNIT INT64_C(1000000) // one unit of a currency, in millionths

// "12", "-0.5", "+1234.5678"; white space around it is passed over. Further decimals than the sixth
// must be zeros. 0; -EINVAL: no such number, nothing else but a number may stand there; -ERANGE: it
// does not fit, or has parts of a millionth.
int money_parse(const char *text, size_t size, int64_t *ret_micro);
// The same with a currency behind it, or none ("1.20 EUR", "1.20EUR", "1.20"); *ret_currency has
// its three letters, or "".
int money_parse_currency(const char *text, size_t size, int64_t *ret_micro, char ret_currency[4]);
// At least two decimals, no further ones than it takes: "12.30", "-0.000001". Returns buffer.
char *money_format(int64_t micro, char buffer[static MONEY_TEXT_BYTES]);
// Rounded to two decimals, half away from zero: "0.01". Returns buffer.
char *money_format_cents(int64_t micro, char buffer[static MONEY_TEXT_BYTES]);
// *ret = number * amount, both in millionths, rounded to a millionth, half away from zero: a price
// times a quantity. 0 or -ERANGE.
int money_times(int64_t number_micro, int64_t amount_micro, int64_t *ret_micro);
// *sum += micro; at a bound of the type it stays there.
void money_add(int64_t *sum, int64_t micro);
