// SPDX-License-Identifier: Apache-2.0
// Events of one lane handed out ahead of the ack, to one member behind each other, and what a
// failure in front of them takes back; test_subscription_histories.c mixes this with the rest.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "queue.h"

enum { RETRY_US = 1000, ATTEMPTS = 3, AHEAD = 3, CREDIT = 20 };

static int set_up(void **state) {
    struct subscription_options options = {.retry_us_min = RETRY_US,
                                           .retry_us_max = RETRY_US,
                                           .retry_attempts = ATTEMPTS,
                                           .parked_lanes_max = 10};
    struct fixture *fixture;
    int r = queue_open(&options, 1000, &fixture);
    *state = fixture;
    fixture->one.lane_ahead = fixture->two.lane_ahead = AHEAD;
    subscription_join(fixture->subscription, &fixture->one, CREDIT);
    return r;
}

static int tear_down(void **state) {
    return queue_close(*state);
}

static void assert_taken(struct fixture *fixture, uint64_t first, uint64_t last) {
    for (uint64_t i = first; i <= last; i++)
        assert_int_equal(take(fixture, NULL), i);
    assert_int_equal(take(fixture, NULL), 0);
}

static bool say(struct fixture *fixture, struct member *member, uint64_t sequence,
                enum settle_outcome outcome) {
    if (outcome != SETTLE_DELIVERED)
        assert_int_equal(subscription_take_back(fixture->subscription, member, &sequence, 1), 0);
    return subscription_settle(fixture->subscription, member, sequence, outcome, "why",
                               fixture->now_us);
}

static void settle(struct fixture *fixture, uint64_t sequence, enum settle_outcome outcome) {
    assert_true(say(fixture, &fixture->one, sequence, outcome));
}

static void test_a_lane_goes_out_ahead_as_far_as_the_member_said(void **state) {
    struct fixture *fixture = *state;
    for (uint64_t i = 1; i <= 5; i++)
        offer(fixture, i, 7);
    offer(fixture, 6, 8);
    assert_taken(fixture, 1, 3); // and 6 does not overtake
    settle(fixture, 1, SETTLE_DELIVERED);
    assert_taken(fixture, 4, 4);
    settle(fixture, 2, SETTLE_DELIVERED);
    assert_taken(fixture, 5, 6);
    assert_int_equal(fixture->one.n_held, 4);
    for (uint64_t i = 3; i <= 6; i++)
        settle(fixture, i, SETTLE_DELIVERED);
    assert_int_equal(subscription_cursor(fixture->subscription), 6);
}

static void test_a_member_that_did_not_say_so_gets_one_at_a_time(void **state) {
    struct fixture *fixture = *state;
    fixture->one.lane_ahead = 0;
    offer(fixture, 1, 7);
    offer(fixture, 2, 7);
    assert_taken(fixture, 1, 1);
    settle(fixture, 1, SETTLE_DELIVERED);
    assert_taken(fixture, 2, 2);
}

static void test_of_several_members_only_the_one_that_has_the_lane_gets_more(void **state) {
    struct fixture *fixture = *state;
    struct member *first, *second, *third;
    subscription_join(fixture->subscription, &fixture->two, CREDIT);
    offer(fixture, 1, 7);
    offer(fixture, 2, 8);
    offer(fixture, 3, 7);
    assert_int_equal(take(fixture, &first), 1);
    assert_int_equal(take(fixture, &second), 3);
    assert_ptr_equal(first, second);
    assert_int_equal(take(fixture, &third), 2);
    assert_ptr_not_equal(first, third);
    offer(fixture, 4, 8);
    offer(fixture, 5, 7);
    assert_int_equal(take(fixture, &second), 4);
    assert_ptr_equal(second, third);
    assert_int_equal(take(fixture, NULL), 0); // no longer right behind the last one: it waits
    assert_true(say(fixture, first, 1, SETTLE_DELIVERED));
    assert_true(say(fixture, first, 3, SETTLE_DELIVERED));
    assert_int_equal(take(fixture, NULL), 5);
}

static void test_an_event_of_two_lanes_does_not_follow_two_members(void **state) {
    struct fixture *fixture = *state;
    struct member *first, *second;
    subscription_join(fixture->subscription, &fixture->two, CREDIT);
    offer(fixture, 1, 7);
    offer(fixture, 2, 8);
    assert_int_equal(take(fixture, &first), 1);
    assert_int_equal(take(fixture, &second), 2);
    assert_ptr_not_equal(first, second);
    offer_both(fixture, 3, 7, 8);
    assert_int_equal(take(fixture, NULL), 0);
    assert_true(say(fixture, first, 1, SETTLE_DELIVERED));
    assert_int_equal(take(fixture, &first), 3); // now it is behind 2 only
    assert_ptr_equal(first, second);
}

static void test_a_failure_takes_back_what_is_behind_it_in_its_lane(void **state) {
    struct fixture *fixture = *state;
    offer(fixture, 1, 7);
    offer(fixture, 2, 7);
    offer(fixture, 3, 8);
    offer(fixture, 4, 7);
    assert_taken(fixture, 1, 4);
    settle(fixture, 1, SETTLE_DELIVERED);
    settle(fixture, 2, SETTLE_RETRY);
    assert_int_equal(fixture->one.n_held, 1);
    assert_false(say(fixture, &fixture->one, 4, SETTLE_DELIVERED)); // a late word
    settle(fixture, 3, SETTLE_DELIVERED);
    assert_int_equal(subscription_cursor(fixture->subscription), 1);
    assert_int_equal(take(fixture, NULL), 0);
    fixture->now_us += RETRY_US;
    assert_taken(fixture, 2, 2); // alone, as it has failed
    settle(fixture, 2, SETTLE_DELIVERED);
    struct member *member;
    const struct slot *slot = subscription_take(fixture->subscription, fixture->now_us, &member);
    assert_int_equal(slot->sequence, 4);
    assert_int_equal(slot->handed, 1); // it was not tried before
    settle(fixture, 4, SETTLE_DELIVERED);
    assert_int_equal(subscription_cursor(fixture->subscription), 4);
}

static void test_what_is_taken_back_takes_back_its_other_lanes(void **state) {
    struct fixture *fixture = *state;
    offer(fixture, 1, 7);
    offer(fixture, 2, 8);
    offer_both(fixture, 3, 7, 8);
    offer(fixture, 4, 8);
    assert_taken(fixture, 1, 4);
    settle(fixture, 1, SETTLE_RETRY);
    assert_int_equal(fixture->one.n_held, 1); // 2 was before
    settle(fixture, 2, SETTLE_DELIVERED);
    assert_int_equal(take(fixture, NULL), 0); // 4 is behind 3
    fixture->now_us += RETRY_US;
    assert_taken(fixture, 1, 1);
    settle(fixture, 1, SETTLE_DELIVERED);
    assert_taken(fixture, 3, 4);
}

static void test_failures_of_one_message_count_once_each(void **state) {
    struct fixture *fixture = *state;
    uint64_t failed[] = {1, 2, 3}; // 2 is behind 1: it cannot have been tried
    offer(fixture, 1, 7);
    offer(fixture, 2, 7);
    offer(fixture, 3, 8);
    assert_taken(fixture, 1, 3);
    assert_int_equal(subscription_take_back(fixture->subscription, &fixture->one, failed, 3), 0);
    bool counts[] = {true, false, true};
    for (int i = 0; i < 3; i++)
        assert_int_equal(subscription_settle(fixture->subscription, &fixture->one, failed[i],
                                             SETTLE_RETRY, "", fixture->now_us),
                         counts[i]);
    assert_int_equal(fixture->one.n_held, 0);
    assert_int_equal(fixture->subscription->n_retried, 2);
}

static void test_a_failure_out_of_turn_is_no_attempt(void **state) {
    struct fixture *fixture = *state;
    for (uint64_t i = 1; i <= 3; i++)
        offer(fixture, i, 7);
    assert_taken(fixture, 1, 3);
    settle(fixture, 2, SETTLE_REJECT);
    assert_int_equal(fixture->subscription->n_parked, 0);
    assert_int_equal(fixture->one.n_held, 1);
    assert_int_equal(take(fixture, NULL), 0);
    settle(fixture, 1, SETTLE_DELIVERED);
    assert_taken(fixture, 2, 2);
    settle(fixture, 2, SETTLE_DELIVERED);
    assert_taken(fixture, 3, 3);
}

static void test_a_member_that_goes_gives_back_the_whole_lane_in_order(void **state) {
    struct fixture *fixture = *state;
    struct member *member;
    for (uint64_t i = 1; i <= 3; i++)
        offer(fixture, i, 7);
    assert_taken(fixture, 1, 3);
    subscription_join(fixture->subscription, &fixture->two, CREDIT);
    settle(fixture, 1, SETTLE_DELIVERED);
    subscription_leave(fixture->subscription, &fixture->one);
    for (uint64_t i = 2; i <= 3; i++) {
        assert_int_equal(take(fixture, &member), i);
        assert_ptr_equal(member, &fixture->two);
    }
    assert_false(say(fixture, &fixture->one, 2, SETTLE_DELIVERED));
}

static void test_a_reject_parks_what_was_ahead_and_it_is_released_in_order(void **state) {
    struct fixture *fixture = *state;
    uint64_t lane = 7;
    for (uint64_t i = 1; i <= 3; i++)
        offer(fixture, i, lane);
    assert_taken(fixture, 1, 3);
    settle(fixture, 1, SETTLE_REJECT);
    const struct parked *row = parking_find(fixture->subscription, lane);
    assert_int_equal(row->first, 1);
    assert_int_equal(row->last, 3);
    assert_int_equal(fixture->one.n_held, 0);
    assert_true(parking_retry(fixture->subscription, lane));
    struct parked *parked = parking_wants(fixture->subscription);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(parking_feed(fixture->subscription, parked, i, &lane, 1), 0);
    parking_looked(fixture->subscription, parked, 3);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_taken(fixture, i, i); // one at a time
        settle(fixture, i, SETTLE_DELIVERED);
    }
    assert_int_equal(fixture->subscription->n_parked, 0);
}

static void test_an_outage_sends_nothing_ahead(void **state) {
    struct fixture *fixture = *state;
    for (uint64_t i = 1; i <= OUTAGE_LANES; i++)
        offer(fixture, i, i);
    for (uint64_t i = 1; i <= OUTAGE_LANES; i++)
        offer(fixture, OUTAGE_LANES + i, i);
    assert_taken(fixture, 1, UINT64_C(2) * OUTAGE_LANES);
    for (uint64_t i = 1; i <= OUTAGE_LANES; i++)
        settle(fixture, i, SETTLE_RETRY);
    assert_string_equal(subscription_state(fixture->subscription), "outage");
    assert_int_equal(fixture->one.n_held, 0);
    fixture->now_us += RETRY_US;
    assert_taken(fixture, 1, 1);
}

static void test_a_failure_of_what_a_reset_forgot_takes_back_everything(void **state) {
    struct fixture *fixture = *state;
    offer(fixture, 1, 7);
    offer(fixture, 2, 7);
    assert_taken(fixture, 1, 2);
    subscription_reset(fixture->subscription, 1);
    offer(fixture, 2, 7);
    offer(fixture, 3, 7);
    assert_taken(fixture, 2, 3);
    // The member has forgotten 2 and 3 behind 1, whatever they were handed out for.
    assert_false(say(fixture, &fixture->one, 1, SETTLE_RETRY));
    assert_taken(fixture, 2, 3);
}

#define RULE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        RULE(test_a_lane_goes_out_ahead_as_far_as_the_member_said),
        RULE(test_a_member_that_did_not_say_so_gets_one_at_a_time),
        RULE(test_of_several_members_only_the_one_that_has_the_lane_gets_more),
        RULE(test_an_event_of_two_lanes_does_not_follow_two_members),
        RULE(test_a_failure_takes_back_what_is_behind_it_in_its_lane),
        RULE(test_what_is_taken_back_takes_back_its_other_lanes),
        RULE(test_failures_of_one_message_count_once_each),
        RULE(test_a_failure_out_of_turn_is_no_attempt),
        RULE(test_a_member_that_goes_gives_back_the_whole_lane_in_order),
        RULE(test_a_reject_parks_what_was_ahead_and_it_is_released_in_order),
        RULE(test_an_outage_sends_nothing_ahead),
        RULE(test_a_failure_of_what_a_reset_forgot_takes_back_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
