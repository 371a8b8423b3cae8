// SPDX-License-Identifier: Apache-2.0
// Rows of the quarantine as bytes: those of today, those from before they said whose they are, and
// what is neither.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#include <errno.h>

#include "broker/tick/quarantine.h"

static const uint8_t texts[] = "order.placed\0/web\0shop\0no lines\0sixteen bytes of seal";

// received, customer where it is given, run, texts and sealed bytes.
static size_t make(uint8_t *ret, uint64_t received, const uint64_t *customer) {
    uint8_t *at = mempcpy(ret, &received, sizeof(received));
    if (customer != NULL) {
        at = mempcpy(at, customer, sizeof(*customer));
    }
    memset(at, 'r', BLOCK_RUN_BYTES);
    at = mempcpy(at + BLOCK_RUN_BYTES, texts, sizeof(texts));
    return (size_t)(at - ret);
}

static void assert_row(const struct quarantine_row *row, uint64_t customer) {
    assert_int_equal(row->received_us, 17);
    assert_int_equal(row->customer, customer);
    assert_memory_equal(row->run, "rrrrrrrrrrrrrrrr", BLOCK_RUN_BYTES);
    assert_string_equal(row->type, "order.placed");
    assert_string_equal(row->detail, "no lines");
    assert_string_equal((const char *)row->sealed, "sixteen bytes of seal");
}

static void test_a_row_says_whose_it_is(void **state) {
    (void)state;
    uint8_t bytes[128];
    uint64_t customer = 42;
    struct quarantine_row row;
    size_t size = make(bytes, 17 | UINT64_C(1) << 63, &customer);
    assert_int_equal(quarantine_parse(bytes, size, &row), 0);
    assert_row(&row, 42);
}

static void test_an_older_row_is_nobodys(void **state) {
    (void)state;
    uint8_t bytes[128];
    struct quarantine_row row;
    size_t size = make(bytes, 17, NULL);
    assert_int_equal(quarantine_parse(bytes, size, &row), 0);
    assert_row(&row, 0);
}

static void test_a_cut_row_is_damaged(void **state) {
    (void)state;
    uint8_t bytes[128];
    uint64_t customer = 42;
    struct quarantine_row row;
    size_t size = make(bytes, 17 | UINT64_C(1) << 63, &customer);
    for (size_t cut = 0; cut < size - sizeof("of seal"); cut++) {
        assert_int_equal(quarantine_parse(bytes, cut, &row), -EBADMSG);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_row_says_whose_it_is),
        cmocka_unit_test(test_an_older_row_is_nobodys),
        cmocka_unit_test(test_a_cut_row_is_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
