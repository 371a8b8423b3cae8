// SPDX-License-Identifier: Apache-2.0
// What retention may take: by age, by size, never what a subscription needs below its cap, and
// never much at once because of a clock.
#include "support.h"

#include "broker/stores/retention.h"

#define HOUR (INT64_C(3600) * 1000000)

// 1,000 events of 100 bytes: 1 to 1000.
static const struct retention_log thousand = {
    .first = 1, .next = 1001, .bytes = 100000, .needed = UINT64_MAX};

static void expect(struct retention_rule rule, struct retention_log log, uint64_t floor,
                   uint64_t lost_first, uint64_t lost_last) {
    struct retention_verdict verdict = retention_judge(&rule, &log);
    assert_int_equal(verdict.floor, floor);
    assert_int_equal(verdict.lost_first, lost_first);
    assert_int_equal(verdict.lost_last, lost_last);
}

static void test_without_a_rule_nothing_goes(void **state) {
    (void)state;
    expect((struct retention_rule){.subscription_bytes = 1}, thousand, 1, 0, 0);
    expect((struct retention_rule){.bytes = 1}, (struct retention_log){.first = 1, .next = 1}, 1, 0,
           0);
}

static void test_age_and_size_take_the_further_one(void **state) {
    (void)state;
    struct retention_log log = thousand;
    log.age_floor = 300;
    expect((struct retention_rule){.age_us = 1}, log, 300, 0, 0);
    expect((struct retention_rule){.bytes = 60000}, log, 402, 0, 0);
    expect((struct retention_rule){.bytes = 60000, .age_us = 1}, log, 402, 0, 0);
    expect((struct retention_rule){.bytes = 90000, .age_us = 1}, log, 300, 0, 0);
    expect((struct retention_rule){.bytes = 200000}, log, 1, 0, 0);
    log.age_floor = 5000; // everything is old
    expect((struct retention_rule){.age_us = 1}, log, 1001, 0, 0);
}

static void test_by_size_a_block_goes_whole_and_by_age_it_stays(void **state) {
    (void)state;
    struct retention_log log = thousand;
    struct retention_rule by_size = {.bytes = 60000}, by_age = {.age_us = 1};
    log.age_floor = 300;
    assert_int_equal(retention_judge(&by_size, &log).floor_max, 1001);
    assert_int_equal(retention_judge(&by_age, &log).floor_max, 300);
    log.needed = 450;
    assert_int_equal(retention_judge(&by_size, &log).floor_max, 450);
    log.needed = 200;
    assert_int_equal(retention_judge(&by_size, &log).floor_max, 200);
}

static void test_a_subscription_holds_back_what_it_needs(void **state) {
    (void)state;
    struct retention_log log = thousand;
    log.needed = 100;
    expect((struct retention_rule){.bytes = 60000}, log, 100, 0, 0);
    log.needed = 700;
    expect((struct retention_rule){.bytes = 60000}, log, 402, 0, 0);
    log.needed = 0;
    expect((struct retention_rule){.bytes = 60000}, log, 1, 0, 0);
}

static void test_beyond_its_cap_a_subscription_loses(void **state) {
    (void)state;
    struct retention_log log = thousand;
    log.needed = 100; // holds 302 events, 30,200 bytes
    expect((struct retention_rule){.bytes = 60000, .subscription_bytes = 40000}, log, 100, 0, 0);
    // Over by 10,200, and a tenth of the cap besides: 122 events and one.
    expect((struct retention_rule){.bytes = 60000, .subscription_bytes = 20000}, log, 223, 100,
           222);
    // Never beyond what would go anyway.
    expect((struct retention_rule){.bytes = 60000, .subscription_bytes = 1}, log, 402, 100, 401);
}

static void test_a_clock_that_jumps_takes_little_an_hour(void **state) {
    (void)state;
    struct retention_pace pace = {0};
    int64_t age = 80 * HOUR, oldest = 1000 * HOUR, years = 100000 * HOUR;
    // An eighth of the age at once, then nothing, then as the hour goes by.
    int64_t limit = retention_pace_limit(&pace, age, 1, oldest, years);
    assert_int_equal(limit, oldest + 10 * HOUR);
    retention_pace_spend(&pace, oldest, limit);
    oldest = limit;
    assert_in_range(retention_pace_limit(&pace, age, 2, oldest, years), oldest, oldest + 100);
    limit = retention_pace_limit(&pace, age, 2 + HOUR / 2, oldest, years);
    assert_in_range(limit, oldest + 5 * HOUR - 100, oldest + 5 * HOUR + 100);
    // In the usual run of things age alone decides.
    assert_int_equal(retention_pace_limit(&pace, age, 3 + HOUR / 2, oldest, oldest + HOUR),
                     oldest + HOUR);
    // Two hours an hour at least, or a short age could never keep up.
    pace = (struct retention_pace){0};
    assert_int_equal(retention_pace_limit(&pace, HOUR, 1, oldest, years), oldest + 2 * HOUR);
    // Unused budget does not pile up.
    assert_int_equal(retention_pace_limit(&pace, HOUR, 500 * HOUR, oldest, years),
                     oldest + 2 * HOUR);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_rule_nothing_goes),
        cmocka_unit_test(test_age_and_size_take_the_further_one),
        cmocka_unit_test(test_by_size_a_block_goes_whole_and_by_age_it_stays),
        cmocka_unit_test(test_a_subscription_holds_back_what_it_needs),
        cmocka_unit_test(test_beyond_its_cap_a_subscription_loses),
        cmocka_unit_test(test_a_clock_that_jumps_takes_little_an_hour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
