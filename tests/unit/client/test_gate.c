// SPDX-License-Identifier: Apache-2.0
// What a named subscriber gives its program, and what it forgets behind a failure.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "connectors/client/gate.h"

static struct gate gate;

static int clear(void **state) {
    (void)state;
    gate_clear(&gate);
    gate.ahead = true;
    return 0;
}

static enum gate_verdict judge(uint64_t lane, uint64_t heard) {
    enum gate_verdict verdict;
    assert_int_equal(gate_judge(&gate, &lane, 1, heard, &verdict), 0);
    return verdict;
}

static enum gate_verdict judge_both(uint64_t lane, uint64_t other, uint64_t heard) {
    enum gate_verdict verdict;
    assert_int_equal(gate_judge(&gate, (uint64_t[]){lane, other}, 2, heard, &verdict), 0);
    return verdict;
}

static void enter(uint64_t lane, uint64_t sequence) {
    assert_int_equal(gate_enter(&gate, &lane, 1, sequence), 0);
    assert_true(gate_has(&gate, &lane, 1, sequence));
}

static void test_a_lane_is_closed_while_its_event_is_out(void **state) {
    (void)state;
    uint64_t lane = 7;
    enter(lane, 1);
    assert_int_equal(judge(7, 0), GATE_CLOSED);
    assert_int_equal(judge_both(8, 7, 0), GATE_CLOSED);
    assert_int_equal(judge(8, 0), GATE_OPEN);
    gate_delivered(&gate, &lane, 1, 1);
    assert_false(gate_has(&gate, &lane, 1, 1));
    assert_int_equal(judge(7, 0), GATE_OPEN);
    assert_int_equal(gate.lanes.n_used, 0); // nothing is kept
}

static void test_behind_a_failure_what_the_broker_sent_before_it_heard_is_forgotten(void **state) {
    (void)state;
    uint64_t lane = 7, other = 9;
    enter(lane, 1);
    enter(other, 2);
    gate_failed(&gate, &lane, 1, 1);
    gate_failed(&gate, &other, 1, 2);
    assert_int_equal(judge(7, 0), GATE_FORGET);
    assert_int_equal(judge(9, 1), GATE_FORGET); // of the second it had not heard
    assert_int_equal(judge(7, 1), GATE_OPEN);
    assert_int_equal(judge(8, 0), GATE_OPEN);
    gate_heard(&gate, 1);
    assert_int_equal(gate.lanes.n_used, 1);
    gate_heard(&gate, 2);
    assert_int_equal(gate.lanes.n_used, 0);
    assert_int_equal(judge(9, 2), GATE_OPEN);
}

static void test_what_is_forgotten_is_a_failure_of_its_other_lanes(void **state) {
    (void)state;
    uint64_t lane = 7;
    enter(lane, 1);
    gate_failed(&gate, &lane, 1, 1);
    assert_int_equal(judge(8, 0), GATE_OPEN); // in front of it
    assert_int_equal(judge_both(7, 8, 0), GATE_FORGET);
    assert_int_equal(judge(8, 0), GATE_FORGET);
    assert_int_equal(judge(8, 1), GATE_OPEN);
    gate_heard(&gate, 1);
    assert_int_equal(gate.lanes.n_used, 0);
}

static void test_a_word_about_another_event_opens_nothing(void **state) {
    (void)state;
    uint64_t lane = 7;
    enter(lane, 2);
    gate_delivered(&gate, &lane, 1, 1);
    assert_int_equal(judge(7, 0), GATE_CLOSED);
    assert_true(gate_has(&gate, &lane, 0, 1)); // of no lane: nothing is known of it
}

// It sends a lane's next event when the one before it is settled, and says nothing of failures.
static void test_an_older_broker_s_events_are_never_forgotten(void **state) {
    (void)state;
    uint64_t lane = 7;
    gate.ahead = false;
    enter(lane, 1);
    gate_failed(&gate, &lane, 1, 1);
    assert_int_equal(judge(7, 0), GATE_OPEN);
    assert_int_equal(gate.lanes.n_used, 0);
}

static void test_many_lanes_are_cleared_as_the_broker_hears(void **state) {
    (void)state;
    enum { LANES = 5000 };
    for (uint64_t lane = 1; lane <= LANES; lane++) {
        enter(lane, lane);
        gate_failed(&gate, &lane, 1, lane);
    }
    for (uint64_t heard = 0; heard <= LANES; heard += LANES / 10) {
        gate_heard(&gate, heard);
        assert_int_equal(gate.lanes.n_used, LANES - heard);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_lane_is_closed_while_its_event_is_out, clear, clear),
        cmocka_unit_test_setup_teardown(
            test_behind_a_failure_what_the_broker_sent_before_it_heard_is_forgotten, clear, clear),
        cmocka_unit_test_setup_teardown(test_what_is_forgotten_is_a_failure_of_its_other_lanes,
                                        clear, clear),
        cmocka_unit_test_setup_teardown(test_a_word_about_another_event_opens_nothing, clear,
                                        clear),
        cmocka_unit_test_setup_teardown(test_an_older_broker_s_events_are_never_forgotten, clear,
                                        clear),
        cmocka_unit_test_setup_teardown(test_many_lanes_are_cleared_as_the_broker_hears, clear,
                                        clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
