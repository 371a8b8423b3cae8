// SPDX-License-Identifier: Apache-2.0
// The rules of a named subscription, one by one; test_subscription_histories.c mixes them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "queue.h"

enum { RETRY_US = 1000, RETRY_US_MAX = 8000, ATTEMPTS = 3 };

static int set_up(void **state) {
    struct subscription_options options = {.retry_us_min = RETRY_US,
                                           .retry_us_max = RETRY_US_MAX,
                                           .retry_attempts = ATTEMPTS,
                                           .parked_lanes_max = 2};
    struct fixture *fixture = NULL;
    int r = queue_open(&options, 100000, &fixture);
    *state = fixture;
    return r;
}

static int tear_down(void **state) {
    return queue_close(*state);
}

static void settle(struct fixture *fixture, struct member *member, uint64_t sequence,
                   enum settle_outcome outcome) {
    assert_true(subscription_settle(fixture->subscription, member, sequence, outcome, "why",
                                    fixture->now_us));
}

static void feed(struct fixture *fixture, uint64_t lane, uint64_t first, uint64_t last) {
    struct parked *parked = parking_wants(fixture->subscription);
    assert_non_null(parked);
    assert_int_equal(parked->lane, lane);
    for (uint64_t i = first; i <= last; i++)
        assert_int_equal(parking_feed(fixture->subscription, parked, i, &lane, 1), 0);
    parking_looked(fixture->subscription, parked, last);
}

static void test_one_member_gets_log_order(void **state) {
    struct fixture *fixture = *state;
    subscription_join(fixture->subscription, &fixture->one, 10);
    offer(fixture, 1, 7);
    offer(fixture, 2, 7);
    offer(fixture, 3, 8);
    assert_int_equal(take(fixture, NULL), 1);
    assert_int_equal(take(fixture, NULL), 0); // 2 waits for 1, and 3 does not overtake it
    settle(fixture, &fixture->one, 1, SETTLE_DELIVERED);
    assert_int_equal(take(fixture, NULL), 2);
    assert_int_equal(take(fixture, NULL), 3);
}

static void test_one_member_that_takes_any_lane_passes_a_busy_one(void **state) {
    struct fixture *fixture = *state;
    fixture->one.any_lane = true;
    subscription_join(fixture->subscription, &fixture->one, 10);
    offer(fixture, 1, 7);
    offer(fixture, 2, 7);
    offer(fixture, 3, 8);
    offer_both(fixture, 4, 7, 9);
    offer(fixture, 5, 9);
    assert_int_equal(take(fixture, NULL), 1);
    assert_int_equal(take(fixture, NULL), 3);
    assert_int_equal(take(fixture, NULL), 0); // 4 waits for lane 7, and lane 9 for 4
    settle(fixture, &fixture->one, 1, SETTLE_DELIVERED);
    assert_int_equal(take(fixture, NULL), 2);
    settle(fixture, &fixture->one, 2, SETTLE_DELIVERED);
    assert_int_equal(take(fixture, NULL), 4);
    settle(fixture, &fixture->one, 4, SETTLE_DELIVERED);
    assert_int_equal(take(fixture, NULL), 5);
}

static void test_several_members_pass_a_busy_lane(void **state) {
    struct fixture *fixture = *state;
    subscription_join(fixture->subscription, &fixture->one, 10);
    subscription_join(fixture->subscription, &fixture->two, 10);
    offer(fixture, 1, 7);
    offer(fixture, 2, 7);
    offer(fixture, 3, 8);
    struct member *first, *second;
    assert_int_equal(take(fixture, &first), 1);
    assert_int_equal(take(fixture, &second), 3);
    assert_ptr_not_equal(first, second); // by free credit
    assert_int_equal(take(fixture, NULL), 0);
    settle(fixture, first, 1, SETTLE_DELIVERED);
    assert_int_equal(take(fixture, NULL), 2);
}

static void test_an_event_of_several_lanes_waits_and_holds_up_all(void **state) {
    struct fixture *fixture = *state;
    subscription_join(fixture->subscription, &fixture->one, 10);
    subscription_join(fixture->subscription, &fixture->two, 10);
    offer(fixture, 1, 7);
    offer(fixture, 2, 8);
    offer_both(fixture, 3, 7, 8);
    offer(fixture, 4, 8);
    struct member *a, *b;
    assert_int_equal(take(fixture, &a), 1);
    assert_int_equal(take(fixture, &b), 2);
    assert_int_equal(take(fixture, NULL), 0);
    settle(fixture, a, 1, SETTLE_DELIVERED);
    assert_int_equal(take(fixture, NULL), 0); // 8 is still out
    settle(fixture, b, 2, SETTLE_DELIVERED);
    assert_int_equal(take(fixture, &a), 3);
    assert_int_equal(take(fixture, NULL), 0);
    settle(fixture, a, 3, SETTLE_DELIVERED);
    assert_int_equal(take(fixture, NULL), 4);
}

static void test_credit_bounds_what_is_out(void **state) {
    struct fixture *fixture = *state;
    subscription_join(fixture->subscription, &fixture->one, 2);
    for (uint64_t i = 1; i <= 5; i++)
        offer(fixture, i, i);
    assert_int_equal(take(fixture, NULL), 1);
    assert_int_equal(take(fixture, NULL), 2);
    assert_int_equal(take(fixture, NULL), 0);
    settle(fixture, &fixture->one, 2, SETTLE_DELIVERED);
    assert_int_equal(take(fixture, NULL), 3);
}

static void test_cursor_stands_below_the_oldest_unsettled(void **state) {
    struct fixture *fixture = *state;
    struct settled_range ranges[4];
    subscription_join(fixture->subscription, &fixture->one, 10);
    for (uint64_t i = 1; i <= 6; i++)
        offer(fixture, i, i);
    subscription_pass(fixture->subscription, 9);
    for (uint64_t i = 1; i <= 6; i++)
        assert_int_equal(take(fixture, NULL), i);
    settle(fixture, &fixture->one, 2, SETTLE_DELIVERED);
    settle(fixture, &fixture->one, 3, SETTLE_DELIVERED);
    settle(fixture, &fixture->one, 5, SETTLE_DELIVERED);
    settle(fixture, &fixture->one, 6, SETTLE_DELIVERED);
    assert_int_equal(subscription_cursor(fixture->subscription), 0);
    assert_int_equal(subscription_ranges(fixture->subscription, ranges, 4), 2);
    assert_int_equal(ranges[0].first, 2);
    assert_int_equal(ranges[0].last, 3);
    assert_int_equal(ranges[1].first, 5);
    assert_int_equal(ranges[1].last, 9);
    settle(fixture, &fixture->one, 1, SETTLE_DELIVERED);
    assert_int_equal(subscription_cursor(fixture->subscription), 3);
    settle(fixture, &fixture->one, 4, SETTLE_DELIVERED);
    assert_int_equal(subscription_cursor(fixture->subscription), 9);
    assert_int_equal(subscription_ranges(fixture->subscription, ranges, 4), 0);
}

static void test_what_was_settled_is_not_offered_to_members_again(void **state) {
    struct fixture *fixture = *state;
    struct subscription *loaded;
    struct settled_range ranges[] = {{3, 4}, {7, 9}};
    assert_int_equal(subscription_new(&fixture->subscription->options, &fixture->budget, 1, ranges,
                                      2, 1, &loaded),
                     0);
    struct member member = {0};
    subscription_join(loaded, &member, 10);
    for (uint64_t i = 2; i <= 10; i++)
        assert_int_equal(subscription_offer(loaded, i, &i, 1, 1), 0);
    struct member *ret;
    uint64_t expected[] = {2, 5, 6, 10};
    for (int i = 0; i < 4; i++)
        assert_int_equal(subscription_take(loaded, 1, &ret)->sequence, expected[i]);
    assert_null(subscription_take(loaded, 1, &ret));
    subscription_leave(loaded, &member);
    subscription_free(loaded);
}

static void test_a_member_that_goes_gives_back_what_it_held(void **state) {
    struct fixture *fixture = *state;
    subscription_join(fixture->subscription, &fixture->one, 10);
    subscription_join(fixture->subscription, &fixture->two, 1);
    offer(fixture, 1, 1);
    offer(fixture, 2, 2);
    struct member *member;
    assert_int_equal(take(fixture, &member), 1);
    assert_ptr_equal(member, &fixture->one);
    assert_int_equal(take(fixture, &member), 2);
    subscription_leave(fixture->subscription, &fixture->one);
    // Its late word does not count.
    assert_false(
        subscription_settle(fixture->subscription, &fixture->one, 1, SETTLE_DELIVERED, "", 1));
    if (member == &fixture->two) {
        settle(fixture, &fixture->two, 2, SETTLE_DELIVERED);
        assert_int_equal(take(fixture, &member), 1);
    } else {
        assert_int_equal(take(fixture, &member), 1);
        assert_ptr_equal(member, &fixture->two);
    }
}

static void test_a_failure_rests_twice_as_long_each_time_then_parks(void **state) {
    struct fixture *fixture = *state;
    subscription_join(fixture->subscription, &fixture->one, 10);
    offer(fixture, 1, 7);
    offer(fixture, 2, 8);
    offer(fixture, 3, 7);
    int64_t rest_us = RETRY_US;
    assert_int_equal(take(fixture, NULL), 1);
    for (int i = 1; i < ATTEMPTS; i++, rest_us *= 2) {
        settle(fixture, &fixture->one, 1, SETTLE_RETRY);
        int64_t due_us = subscription_due(fixture->subscription) - fixture->now_us;
        assert_in_range(due_us, rest_us * 3 / 4, rest_us);
        if (i == 1) {
            assert_int_equal(take(fixture, NULL), 2); // it passes the lane that rests
            settle(fixture, &fixture->one, 2, SETTLE_DELIVERED);
        }
        assert_int_equal(take(fixture, NULL), 0);
        fixture->now_us += due_us;
        assert_int_equal(take(fixture, NULL), 1);
    }
    settle(fixture, &fixture->one, 1, SETTLE_RETRY);
    struct parked *parked = parking_find(fixture->subscription, 7);
    assert_non_null(parked);
    assert_int_equal(parked->first, 1);
    assert_int_equal(parked->last, 3);
    assert_int_equal(parked->waiting, 2);
    assert_string_equal(parked->detail, "why");
    assert_int_equal(subscription_cursor(fixture->subscription), 3); // the row owes the rest
    assert_int_equal(subscription_floor(fixture->subscription), 1);
}

static void test_a_released_lane_comes_in_order_and_then_live(void **state) {
    struct fixture *fixture = *state;
    subscription_join(fixture->subscription, &fixture->one, 10);
    offer(fixture, 1, 7);
    offer(fixture, 2, 7);
    assert_int_equal(take(fixture, NULL), 1);
    settle(fixture, &fixture->one, 1, SETTLE_REJECT);
    offer(fixture, 3, 7);
    offer(fixture, 4, 8);
    assert_int_equal(take(fixture, NULL), 4);
    assert_true(parking_retry(fixture->subscription, 7));
    assert_false(parking_retry(fixture->subscription, 7));
    feed(fixture, 7, 1, 3);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(take(fixture, NULL), i);
        assert_int_equal(take(fixture, NULL), 0);
        if (i == 2)
            offer(fixture, 5, 7); // it goes behind
        settle(fixture, &fixture->one, i, SETTLE_DELIVERED);
    }
    feed(fixture, 7, 5, 5);
    assert_int_equal(take(fixture, NULL), 5);
    settle(fixture, &fixture->one, 5, SETTLE_DELIVERED);
    assert_int_equal(fixture->subscription->n_parked, 0);
    offer(fixture, 6, 7);
    assert_int_equal(take(fixture, NULL), 6);
}

static void test_dropping_gives_up_the_first_and_releases_the_rest(void **state) {
    struct fixture *fixture = *state;
    uint64_t first, last, n;
    subscription_join(fixture->subscription, &fixture->one, 10);
    for (uint64_t i = 1; i <= 3; i++)
        offer(fixture, i, 7);
    assert_int_equal(take(fixture, NULL), 1);
    settle(fixture, &fixture->one, 1, SETTLE_REJECT);
    assert_true(parking_drop(fixture->subscription, 7, false, &first, &last, &n));
    assert_int_equal(first, 1);
    assert_int_equal(last, 1);
    assert_int_equal(n, 1);
    feed(fixture, 7, 2, 3);
    assert_int_equal(take(fixture, NULL), 2);
    settle(fixture, &fixture->one, 2, SETTLE_REJECT);
    assert_true(parking_drop(fixture->subscription, 7, true, &first, &last, &n));
    assert_int_equal(first, 2);
    assert_int_equal(last, 3);
    assert_int_equal(fixture->subscription->n_parked, 0);
    offer(fixture, 4, 7);
    assert_int_equal(take(fixture, NULL), 4);
}

static void test_an_erased_person_s_parked_lane_gives_up_what_waits(void **state) {
    struct fixture *fixture = *state;
    subscription_join(fixture->subscription, &fixture->one, 10);
    for (uint64_t i = 1; i <= 3; i++)
        offer(fixture, i, 7);
    assert_int_equal(take(fixture, NULL), 1);
    settle(fixture, &fixture->one, 1, SETTLE_REJECT);
    assert_false(parking_erase(fixture->subscription, 8, 5)); // another lane
    assert_false(parking_erase(fixture->subscription, 7, 1)); // nothing waits below it
    assert_int_equal(fixture->subscription->n_parked, 1);
    assert_true(parking_erase(fixture->subscription, 7, 5));
    assert_int_equal(fixture->subscription->n_parked, 0);
    offer(fixture, 5, 7); // the erasing event
    assert_int_equal(take(fixture, NULL), 5);
}

static void test_an_erasing_event_that_waits_in_a_parked_lane_comes_through(void **state) {
    struct fixture *fixture = *state;
    subscription_join(fixture->subscription, &fixture->one, 10);
    for (uint64_t i = 1; i <= 5; i++)
        offer(fixture, i, 7);
    assert_int_equal(take(fixture, NULL), 1);
    settle(fixture, &fixture->one, 1, SETTLE_REJECT);
    assert_true(parking_erase(fixture->subscription, 7, 5));
    feed(fixture, 7, 5, 5);
    assert_int_equal(take(fixture, NULL), 5);
    settle(fixture, &fixture->one, 5, SETTLE_DELIVERED);
    assert_int_equal(fixture->subscription->n_parked, 0);
}

static void test_too_many_parked_lanes_pause_reading(void **state) {
    struct fixture *fixture = *state;
    subscription_join(fixture->subscription, &fixture->one, 10);
    for (uint64_t i = 1; i <= 3; i++) {
        offer(fixture, i, i);
        assert_int_equal(take(fixture, NULL), i);
        settle(fixture, &fixture->one, i, SETTLE_REJECT);
    }
    assert_int_equal(fixture->subscription->n_parked, 2);
    assert_string_equal(subscription_state(fixture->subscription), "paused");
    assert_int_equal(subscription_room(fixture->subscription), 0);
    uint64_t first, last, n;
    assert_true(parking_drop(fixture->subscription, 1, true, &first, &last, &n));
    assert_string_equal(subscription_state(fixture->subscription), "active");
    assert_true(subscription_room(fixture->subscription) > 0);
}

static void test_failures_of_many_lanes_are_an_outage(void **state) {
    struct fixture *fixture = *state;
    struct member *member;
    subscription_join(fixture->subscription, &fixture->one, 100);
    for (uint64_t i = 1; i <= 20; i++)
        offer(fixture, i, i);
    for (uint64_t i = 1; i <= 20; i++)
        assert_int_equal(take(fixture, &member), i);
    for (uint64_t i = 1; i <= 20; i++)
        settle(fixture, &fixture->one, i, SETTLE_RETRY);
    assert_string_equal(subscription_state(fixture->subscription), "outage");
    // One probe at a time, of another lane each time, and nothing is ever parked for it.
    uint64_t before = 0;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(take(fixture, NULL), 0);
        fixture->now_us = subscription_due(fixture->subscription);
        uint64_t probe = take(fixture, NULL);
        assert_int_not_equal(probe, 0);
        assert_int_not_equal(probe, before);
        assert_int_equal(take(fixture, NULL), 0);
        settle(fixture, &fixture->one, probe, SETTLE_RETRY);
        before = probe;
    }
    assert_int_equal(fixture->subscription->n_parked, 0);
    fixture->now_us = subscription_due(fixture->subscription);
    settle(fixture, &fixture->one, take(fixture, NULL), SETTLE_DELIVERED);
    assert_string_equal(subscription_state(fixture->subscription), "active");
    int n = 0;
    while (take(fixture, NULL))
        n++;
    assert_int_equal(n, 19);
}

static void test_one_poison_lane_is_no_outage(void **state) {
    struct fixture *fixture = *state;
    subscription_join(fixture->subscription, &fixture->one, 100);
    offer(fixture, 1, 1);
    for (int i = 0; i < ATTEMPTS; i++) {
        assert_int_equal(take(fixture, NULL), 1);
        settle(fixture, &fixture->one, 1, SETTLE_RETRY);
        assert_string_equal(subscription_state(fixture->subscription), "active");
        fixture->now_us += RETRY_US_MAX;
    }
    assert_int_equal(fixture->subscription->n_parked, 1);
}

static void test_reading_ahead_is_bounded(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(subscription_room(fixture->subscription), 0); // nobody is there
    subscription_join(fixture->subscription, &fixture->one, SUBSCRIBE_CREDIT_MAX);
    uint64_t n = 0;
    while (subscription_room(fixture->subscription) > 0) {
        n++;
        offer(fixture, n, n);
    }
    assert_int_equal(n, SUBSCRIPTION_WINDOW_MAX);
    subscription_leave(fixture->subscription, &fixture->one);
    assert_int_equal(fixture->budget.n_slots, 0); // given back
    fixture->budget.n_slots = fixture->budget.n_slots_max;
    subscription_join(fixture->subscription, &fixture->one, SUBSCRIBE_CREDIT_MAX);
    assert_int_equal(subscription_room(fixture->subscription), SUBSCRIPTION_WINDOW_MIN);
    fixture->budget.n_slots = 0;
}

static void test_settled_ranges_are_bounded(void **state) {
    struct fixture *fixture = *state;
    subscription_join(fixture->subscription, &fixture->one, 4);
    uint64_t next = 1;
    offer(fixture, next++, 1);
    assert_int_equal(take(fixture, NULL), 1); // the oldest one stays out
    subscription_join(fixture->subscription, &fixture->two, SUBSCRIBE_CREDIT_MAX);
    // Every second event stays out as well: each ack between makes a range of its own.
    const uint64_t far = UINT64_C(3) * ACK_RANGES_MAX;
    while (subscription_room(fixture->subscription) > 0 && next < far) {
        offer(fixture, next, next);
        next++;
        struct member *member;
        uint64_t sequence = take(fixture, &member);
        if (sequence && sequence % 2)
            settle(fixture, member, sequence, SETTLE_DELIVERED);
    }
    assert_in_range(fixture->subscription->n_ranges, ACK_RANGES_MAX - 1, ACK_RANGES_MAX + 4);
    assert_int_equal(subscription_room(fixture->subscription), 0);
}

static void test_retention_says_what_was_lost(void **state) {
    struct fixture *fixture = *state;
    uint64_t first, last;
    subscription_join(fixture->subscription, &fixture->one, 1);
    for (uint64_t i = 1; i <= 4; i++)
        offer(fixture, i, i);
    assert_int_equal(take(fixture, NULL), 1);
    assert_true(subscription_trim(fixture->subscription, 11, &first, &last));
    assert_int_equal(first, 2); // 1 is with a member
    assert_int_equal(last, 10);
    settle(fixture, &fixture->one, 1, SETTLE_DELIVERED);
    assert_int_equal(subscription_cursor(fixture->subscription), 10);
    assert_false(subscription_trim(fixture->subscription, 11, &first, &last));
}

static void test_a_reset_starts_over_and_keeps_what_is_parked_below(void **state) {
    struct fixture *fixture = *state;
    subscription_join(fixture->subscription, &fixture->one, 10);
    for (uint64_t i = 1; i <= 6; i++)
        offer(fixture, i, i < 4 ? 7 : 8);
    assert_int_equal(take(fixture, NULL), 1);
    settle(fixture, &fixture->one, 1, SETTLE_REJECT);
    assert_int_equal(take(fixture, NULL), 4);
    settle(fixture, &fixture->one, 4, SETTLE_REJECT);
    subscription_reset(fixture->subscription, 3);
    assert_int_equal(subscription_cursor(fixture->subscription), 3);
    assert_non_null(parking_find(fixture->subscription, 7));
    assert_null(parking_find(fixture->subscription, 8));
    offer(fixture, 4, 8);
    assert_int_equal(take(fixture, NULL), 4);
}

static void test_history_again_goes_before_what_follows(void **state) {
    struct fixture *fixture = *state;
    uint64_t lane = 7;
    subscription_join(fixture->subscription, &fixture->one, 10);
    subscription_pass(fixture->subscription, 10);
    for (uint64_t i = 3; i <= 4; i++)
        assert_int_equal(subscription_again_offer(fixture->subscription, i, &lane, 1), 0);
    offer(fixture, 11, 7);
    assert_int_equal(take(fixture, NULL), 3);
    assert_int_equal(take(fixture, NULL), 0);
    assert_int_equal(subscription_again_done(fixture->subscription), 2);
    settle(fixture, &fixture->one, 3, SETTLE_DELIVERED);
    assert_int_equal(take(fixture, NULL), 4);
    assert_int_equal(take(fixture, NULL), 0);
    settle(fixture, &fixture->one, 4, SETTLE_DELIVERED);
    assert_int_equal(take(fixture, NULL), 11);
    assert_int_equal(subscription_cursor(fixture->subscription), 10);
}

static void test_room_that_others_make_for_parked_lanes_ends_the_pause(void **state) {
    struct fixture *fixture = *state;
    subscription_join(fixture->subscription, &fixture->one, 10);
    fixture->budget.n_parked = fixture->budget.n_parked_max; // all of them another one's
    offer(fixture, 1, 1);
    assert_int_equal(take(fixture, NULL), 1);
    settle(fixture, &fixture->one, 1, SETTLE_REJECT);
    assert_int_equal(subscription_room(fixture->subscription), 0);
    assert_string_equal(subscription_state(fixture->subscription), "paused");
    fixture->budget.n_parked = 0;
    assert_true(subscription_room(fixture->subscription) > 0);
    assert_string_equal(subscription_state(fixture->subscription), "active");
}

static void test_paused_hands_out_nothing(void **state) {
    struct fixture *fixture = *state;
    subscription_join(fixture->subscription, &fixture->one, 10);
    offer(fixture, 1, 1);
    subscription_set_paused(fixture->subscription, true);
    assert_int_equal(take(fixture, NULL), 0);
    assert_int_equal(subscription_room(fixture->subscription), 0);
    assert_true(subscription_due(fixture->subscription) == INT64_MAX);
    subscription_set_paused(fixture->subscription, false);
    assert_int_equal(take(fixture, NULL), 1);
}

static void test_memory_is_kept_for_the_next_ones_while_any_is_unsettled(void **state) {
    struct fixture *fixture = *state;
    const struct spare *spare = &fixture->budget.spare;
    subscription_join(fixture->subscription, &fixture->one, 10);
    offer(fixture, 1, 7);
    offer(fixture, 2, 8);
    assert_int_equal(take(fixture, NULL), 1);
    settle(fixture, &fixture->one, 1, SETTLE_DELIVERED);
    assert_int_equal(spare->n_slots, 1);
    assert_int_equal(spare->n_lanes, 1);
    offer(fixture, 3, 9);
    assert_int_equal(spare->n_slots, 0);
    assert_int_equal(spare->n_lanes, 0);
    assert_int_equal(take(fixture, NULL), 2);
    assert_int_equal(take(fixture, NULL), 3);
    settle(fixture, &fixture->one, 2, SETTLE_DELIVERED);
    settle(fixture, &fixture->one, 3, SETTLE_DELIVERED);
    assert_null(spare->slots);
    assert_null(spare->lanes);
    assert_int_equal(spare->n_alive, 0);
}

#define RULE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        RULE(test_memory_is_kept_for_the_next_ones_while_any_is_unsettled),
        RULE(test_one_member_gets_log_order),
        RULE(test_one_member_that_takes_any_lane_passes_a_busy_one),
        RULE(test_several_members_pass_a_busy_lane),
        RULE(test_an_event_of_several_lanes_waits_and_holds_up_all),
        RULE(test_credit_bounds_what_is_out),
        RULE(test_cursor_stands_below_the_oldest_unsettled),
        RULE(test_what_was_settled_is_not_offered_to_members_again),
        RULE(test_a_member_that_goes_gives_back_what_it_held),
        RULE(test_a_failure_rests_twice_as_long_each_time_then_parks),
        RULE(test_a_released_lane_comes_in_order_and_then_live),
        RULE(test_dropping_gives_up_the_first_and_releases_the_rest),
        RULE(test_an_erased_person_s_parked_lane_gives_up_what_waits),
        RULE(test_an_erasing_event_that_waits_in_a_parked_lane_comes_through),
        RULE(test_too_many_parked_lanes_pause_reading),
        RULE(test_failures_of_many_lanes_are_an_outage),
        RULE(test_one_poison_lane_is_no_outage),
        RULE(test_reading_ahead_is_bounded),
        RULE(test_settled_ranges_are_bounded),
        RULE(test_retention_says_what_was_lost),
        RULE(test_a_reset_starts_over_and_keeps_what_is_parked_below),
        RULE(test_history_again_goes_before_what_follows),
        RULE(test_room_that_others_make_for_parked_lanes_ends_the_pause),
        RULE(test_paused_hands_out_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
