// SPDX-License-Identifier: Apache-2.0
// What a subscriber collects before it tells the broker.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/client/settlement.h"
#include "schemas/base/utf8.h"
#include "schemas/limits.h"

static void test_the_message_says_what_was_added(void **state) {
    struct settlement *settlement = *state;
    Touchbus__Settle settle;
    assert_true(settlement_empty(settlement));
    settlement_add_delivered(settlement, 5, 100);
    settlement_add_delivered(settlement, 6, 200);
    assert_int_equal(settlement_add_failure(settlement, 7, true, "no such order", 300), 0);
    settlement_grant(settlement, 3, 400);
    assert_int_equal(settlement->since_us, 100);
    settlement_message(settlement, &settle);
    assert_int_equal(settle.n_delivered, 2);
    assert_int_equal(settle.delivered[1], 6);
    assert_int_equal(settle.n_failures, 1);
    assert_true(settle.failures[0]->reject);
    assert_string_equal(settle.failures[0]->detail, "no such order");
    assert_int_equal(settle.grant, 3);
    settlement_clear(settlement);
    assert_true(settlement_empty(settlement));
}

static void test_it_is_full_before_the_broker_would_refuse_it(void **state) {
    struct settlement *settlement = *state;
    for (int i = 0; i < SETTLEMENT_DELIVERED_MAX; i++) {
        assert_false(settlement_full(settlement));
        settlement_add_delivered(settlement, 1, 0);
    }
    assert_true(settlement_full(settlement));
    assert_true(settlement_count(settlement) <= SETTLE_MAX);
    settlement_clear(settlement);
}

static void test_a_detail_is_made_to_fit_the_wire(void **state) {
    struct settlement *settlement = *state;
    char text[DETAIL_BYTES_MAX + 10];
    memset(text, 'x', sizeof(text));
    memcpy(text + DETAIL_BYTES_MAX - 1, "\xc3\xa9 cut in the middle", 9);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(settlement_add_failure(settlement, 1, false, text, 0), 0);
    assert_int_equal(strlen(settlement->failures[0].detail), DETAIL_BYTES_MAX - 1);
    assert_int_equal(
        settlement_add_failure(settlement, 1, false, "two\nlines \xff\xff\xff\xff!", 0), 0);
    assert_string_equal(settlement->failures[1].detail, "two?lines \?\?\?\?!");
    assert_int_equal(settlement_add_failure(settlement, 1, false, NULL, 0), 0);
    assert_string_equal(settlement->failures[2].detail, "");
    settlement_clear(settlement);
}

static int make(void **state) {
    *state = calloc(1, sizeof(struct settlement));
    return *state == NULL;
}

static int drop(void **state) {
    free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_message_says_what_was_added),
        cmocka_unit_test(test_it_is_full_before_the_broker_would_refuse_it),
        cmocka_unit_test(test_a_detail_is_made_to_fit_the_wire),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
