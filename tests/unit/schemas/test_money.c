// SPDX-License-Identifier: Apache-2.0
// The rules of money: what is a number, what does not fit, and that text comes back as it went in.
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "schemas/base/money.h"
#include "tests/unit/schemas/cmocka_all.h"

static const struct {
    const char *text;
    int r;
    int64_t micro;
    const char *back;
} NUMBERS[] = {
    {"0", 0, 0, "0.00"},
    {"12.34", 0, 12340000, "12.34"},
    {"-0.5", 0, -500000, "-0.50"},
    {"+1234.5678", 0, 1234567800, "1234.5678"},
    {" 7 ", 0, 7000000, "7.00"},
    {"0.000001", 0, 1, "0.000001"},
    {"-0.000001", 0, -1, "-0.000001"},
    {"1.2300000000", 0, 1230000, "1.23"},
    {"9223372036854.775807", 0, INT64_MAX, "9223372036854.775807"},
    {"-9223372036854.775808", 0, INT64_MIN, "-9223372036854.775808"},
    {"9223372036854.775808", -ERANGE, 0, NULL},
    {"99999999999999999999999999", -ERANGE, 0, NULL},
    {"0.0000001", -ERANGE, 0, NULL},
    {"", -EINVAL, 0, NULL},
    {"-", -EINVAL, 0, NULL},
    {".5", -EINVAL, 0, NULL},
    {"5.", -EINVAL, 0, NULL},
    {"1,5", -EINVAL, 0, NULL},
    {"1.5 EUR", -EINVAL, 0, NULL},
    {"1e3", -EINVAL, 0, NULL},
    {"0x10", -EINVAL, 0, NULL},
    {"--1", -EINVAL, 0, NULL},
    {"1.2.3", -EINVAL, 0, NULL},
};

static void test_text_becomes_millionths_and_text_again(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(NUMBERS[0]); i++) {
        int64_t micro = 4711;
        char buffer[MONEY_TEXT_BYTES];
        assert_int_equal(money_parse(NUMBERS[i].text, strlen(NUMBERS[i].text), &micro),
                         NUMBERS[i].r);
        assert_int_equal(micro, NUMBERS[i].r == 0 ? NUMBERS[i].micro : 4711);
        if (NUMBERS[i].r == 0) {
            assert_string_equal(money_format(micro, buffer), NUMBERS[i].back);
        }
    }
}

static void test_text_ends_where_its_size_says(void **state) {
    (void)state;
    int64_t micro;
    assert_int_equal(money_parse("12.345", 4, &micro), 0);
    assert_int_equal(micro, 12300000);
    assert_int_equal(money_parse("12.345", 3, &micro), -EINVAL);
}

static void test_a_currency_may_stand_behind_it(void **state) {
    (void)state;
    int64_t micro;
    char currency[4];
    assert_int_equal(money_parse_currency("1.20 EUR", 8, &micro, currency), 0);
    assert_int_equal(micro, 1200000);
    assert_string_equal(currency, "EUR");
    assert_int_equal(money_parse_currency("1.20EUR ", 8, &micro, currency), 0);
    assert_string_equal(currency, "EUR");
    assert_int_equal(money_parse_currency("1.20", 4, &micro, currency), 0);
    assert_string_equal(currency, "");
    assert_int_equal(money_parse_currency("1.20 EU", 7, &micro, currency), -EINVAL);
    assert_int_equal(money_parse_currency("1.20 EURO", 9, &micro, currency), -EINVAL);
    assert_int_equal(money_parse_currency("1.20 eur", 8, &micro, currency), -EINVAL);
    assert_int_equal(money_parse_currency("EUR", 3, &micro, currency), -EINVAL);
}

static void test_cents_round_half_away_from_zero(void **state) {
    (void)state;
    char buffer[MONEY_TEXT_BYTES];
    assert_string_equal(money_format_cents(4999, buffer), "0.00");
    assert_string_equal(money_format_cents(-4999, buffer), "0.00");
    assert_string_equal(money_format_cents(5000, buffer), "0.01");
    assert_string_equal(money_format_cents(-5000, buffer), "-0.01");
    assert_string_equal(money_format_cents(1995000, buffer), "2.00");
    assert_string_equal(money_format_cents(INT64_MIN, buffer), "-9223372036854.78");
}

static void test_times_rounds_and_refuses_what_does_not_fit(void **state) {
    (void)state;
    int64_t product = 0;
    assert_int_equal(money_times(3 * MONEY_UNIT, 19900000, &product), 0);
    assert_int_equal(product, 59700000);
    assert_int_equal(money_times(500000, 1, &product), 0);
    assert_int_equal(product, 1);
    assert_int_equal(money_times(-500000, 1, &product), 0);
    assert_int_equal(product, -1);
    assert_int_equal(money_times(INT64_MAX, 2 * MONEY_UNIT, &product), -ERANGE);
    assert_int_equal(money_times(INT64_MIN, -MONEY_UNIT, &product), -ERANGE);
    assert_int_equal(product, -1);
}

static void test_a_sum_stays_at_its_bounds(void **state) {
    (void)state;
    int64_t sum = INT64_MAX - 1;
    money_add(&sum, 5);
    assert_int_equal(sum, INT64_MAX);
    sum = INT64_MIN + 1;
    money_add(&sum, -5);
    assert_int_equal(sum, INT64_MIN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_becomes_millionths_and_text_again),
        cmocka_unit_test(test_text_ends_where_its_size_says),
        cmocka_unit_test(test_a_currency_may_stand_behind_it),
        cmocka_unit_test(test_cents_round_half_away_from_zero),
        cmocka_unit_test(test_times_rounds_and_refuses_what_does_not_fit),
        cmocka_unit_test(test_a_sum_stays_at_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
