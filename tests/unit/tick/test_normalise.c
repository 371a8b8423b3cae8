// SPDX-License-Identifier: Apache-2.0
// The table of keys: what is written how, and what is no key.
#include "support.h"

#include <string.h>

#include "broker/tick/normalise.h"
#include "schemas/limits.h"

static const struct {
    const char *kind, *value, *expected; // NULL: no key
} rows[] = {
    // trimmed, composed
    {"user_id", "  u-42\t", "u-42"},
    {"user_id", "\xc2\xa0u-42\xe2\x80\x8b", "u-42"},
    {"user_id", "Cafe\xcc\x81", "Caf\xc3\xa9"},
    {"user_id", "U-42", "U-42"},
    {"user_id", "a\nb", NULL},
    {"user_id", "a\x7f", NULL},
    // nobody
    {"user_id", "", NULL},
    {"user_id", "   ", NULL},
    {"user_id", "0", NULL},
    {"user_id", "00000000-0000-0000-0000-000000000000", NULL},
    {"user_id", "-1", NULL},
    {"user_id", "NULL", NULL},
    {"user_id", "None", NULL},
    {"user_id", "undefined", NULL},
    {"user_id", "NaN", NULL},
    {"user_id", "Anonymous", NULL},
    {"user_id", "guest", NULL},
    {"user_id", "true", NULL},
    {"user_id", "False", NULL},
    {"user_id", "[object Object]", NULL},
    {"user_id", "10", "10"},
    {"user_id", "nullable", "nullable"},
    // e-mail
    {"email", "Ana@Klant.Example", "ana@klant.example"},
    {"email", "ana@klant.example.", "ana@klant.example"},
    {"email", "ana@M\xc3\x9cNCHEN.example", "ana@xn--mnchen-3ya.example"},
    {"email", "\xc3\x89va@klant.example", "\xc3\xa9va@klant.example"},
    {"email", "a+b@klant.example", "a+b@klant.example"},
    {"email", "ana", NULL},
    {"email", "@klant.example", NULL},
    {"email", "ana@", NULL},
    {"email", "ana@ex ample.com", NULL},
    {"email", "ana@-x.example", NULL},
    {"email", "ana@a..b", NULL},
    {"email", "ana@ex_ample.com", NULL},
    {"email", "ana@\xef\xbc\x8e.example", NULL},
    // phone
    {"phone", "+31 6 1234 5678", "+31612345678"},
    {"phone", "0031-6-12345678", "+31612345678"},
    {"phone", "+31 (0)6 12345678", "+31612345678"},
    {"phone", "tel:+31612345678", "+31612345678"},
    {"phone", "+31612345678;ext=12", "+31612345678"},
    {"phone", "+31 20 1234567 ext. 12", "+31201234567"},
    {"phone", "06-12345678", "0612345678"},
    {"phone", "12", NULL},
    {"phone", "withheld", NULL},
    {"phone", "anonymous", NULL},
    {"phone", "+000000000", NULL},
    {"phone", "+1234567890123456", NULL},
    {"phone", "06+12345678", NULL},
    {"phone", "call me", NULL},
    {"fax", "+31 20 7654321", "+31207654321"},
    // unknown kinds keep their text
    {"shoe_size", "43", "43"},
};

static void test_each_row_of_the_table(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *value = normalise_value(NULL, rows[i].kind, rows[i].value, fixture->arena);
        if (rows[i].expected == NULL ? value != NULL
                                     : value == NULL || strcmp(value, rows[i].expected) != 0) {
            fail_msg("row %zu: %s '%s' became '%s', expected '%s'", i, rows[i].kind, rows[i].value,
                     value == NULL ? "no key" : value,
                     rows[i].expected == NULL ? "no key" : rows[i].expected);
        }
    }
}

static void test_normalised_once_is_normalised_for_good(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].expected != NULL) {
            const char *value =
                normalise_value(NULL, rows[i].kind, rows[i].expected, fixture->arena);
            assert_non_null(value);
            assert_string_equal(value, rows[i].expected);
        }
    }
}

static void test_long_values_are_no_keys(void **state) {
    struct fixture *fixture = *state;
    char text[4096];
    memset(text, 'x', sizeof(text));
    text[IDENTITY_VALUE_BYTES_MAX] = '\0';
    assert_non_null(normalise_value(NULL, "user_id", text, fixture->arena));
    text[IDENTITY_VALUE_BYTES_MAX] = 'x';
    text[IDENTITY_VALUE_BYTES_MAX + 1] = '\0';
    assert_null(normalise_value(NULL, "user_id", text, fixture->arena));
    text[IDENTITY_VALUE_BYTES_MAX + 1] = 'x';
    text[sizeof(text) - 1] = '\0';
    assert_null(normalise_value(NULL, "user_id", text, fixture->arena));
}

static void test_bytes_that_are_no_text_are_no_key(void **state) {
    struct fixture *fixture = *state;
    assert_null(normalise_value(NULL, "user_id", "\xff\xfe", fixture->arena));
    assert_null(normalise_value(NULL, "email", "a@\xc3", fixture->arena));
}

static void test_numbers_without_a_country_are_the_region_s(void **state) {
    struct fixture *fixture = *state;
    struct policy policy = {.organisation.region = (char[]){"NL"}};
    static const struct {
        const char *region, *value, *expected;
    } numbers[] = {
        {"NL", "06-12345678", "+31612345678"},
        {"NL", "020 123 4567", "+31201234567"},
        {"NL", "+49 30 901820", "+4930901820"},
        {"NL", "0049 (30) 901820", "+4930901820"},
        {"NL", "+31 (0)6 12345678 ext. 12", "+31612345678"},
        {"NL", "12345", "12345"}, // an extension of the house
        {"DE", "030 901820", "+4930901820"},
        {"IT", "02 1234 5678", "+390212345678"}, // there the zero is dialled from abroad, too
        {"US", "(202) 456-1111", "+12024561111"},
        {"ZZ", "06-12345678", "0612345678"},
        {"US", "call me", NULL},
    };
    for (int round = 0; round < 2; round++) { // the second from memory
        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
            policy.organisation.region = (char *)(uintptr_t)numbers[i].region;
            const char *value = normalise_value(&policy, "phone", numbers[i].value, fixture->arena);
            if (numbers[i].expected == NULL) {
                assert_null(value);
            } else {
                assert_non_null(value);
                assert_string_equal(value, numbers[i].expected);
            }
        }
    }
}

static void test_an_operator_names_what_else_is_nobody(void **state) {
    struct fixture *fixture = *state;
    char *nobody[] = {(char[]){"test-*"}, (char[]){"email=*@example.org"},
                      (char[]){"phone=+4930*"}};
    struct policy policy = {.organisation.region = (char[]){"DE"},
                            .identity = {.nobody = nobody, .n_nobody = 3}};
    assert_null(normalise_value(&policy, "user_id", "test-7", fixture->arena));
    assert_null(normalise_value(&policy, "email", "Ana@Example.org", fixture->arena));
    assert_null(normalise_value(&policy, "phone", "030 901820", fixture->arena));
    assert_non_null(normalise_value(&policy, "user_id", "ana@example.org", fixture->arena));
    assert_non_null(normalise_value(&policy, "phone", "+31612345678", fixture->arena));
}

static void test_classes_follow_the_table_of_kinds(void **state) {
    (void)state;
    assert_int_equal(normalise_class(NULL, "user_id"), KEY_STRONG);
    assert_int_equal(normalise_class(NULL, "email"), KEY_MEDIUM);
    assert_int_equal(normalise_class(NULL, "cookie"), KEY_WEAK);
    assert_int_equal(normalise_class(NULL, "user_id.shop"), KEY_STRONG);
    assert_int_equal(normalise_class(NULL, "user_ids"), KEY_WEAK);
    assert_int_equal(normalise_class(NULL, "gln"), KEY_PARTNER);
    assert_int_equal(normalise_class(NULL, "kiosk"), KEY_SHARED);
    assert_int_equal(normalise_class(NULL, "anything else"), KEY_WEAK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_row_of_the_table),
        cmocka_unit_test(test_normalised_once_is_normalised_for_good),
        cmocka_unit_test(test_long_values_are_no_keys),
        cmocka_unit_test(test_bytes_that_are_no_text_are_no_key),
        cmocka_unit_test(test_numbers_without_a_country_are_the_region_s),
        cmocka_unit_test(test_an_operator_names_what_else_is_nobody),
        cmocka_unit_test(test_classes_follow_the_table_of_kinds),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
