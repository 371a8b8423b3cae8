// SPDX-License-Identifier: Apache-2.0
// Local days and times of day, over changes of the clock and the date line.
#include "tests/unit/tick/support.h"

#include <stdlib.h>
#include <string.h>

#include "broker/rules/zone.h"
#include "schemas/base/clock.h"

#define HOUR_US (INT64_C(3600) * 1000000)

static int64_t at(const char *text) {
    int64_t time_us;
    assert_int_equal(clock_parse_rfc3339(text, &time_us), 0);
    return time_us;
}

static struct zone *open_zone(const char *name) {
    struct zone *zone;
    assert_int_equal(zone_open(name, &zone), 0);
    return zone;
}

static void test_an_unknown_zone_is_none(void **state) {
    (void)state;
    struct zone *zone;
    static const char *const names[] = {
        "", "Mars/Olympus", "Europe/Berlin\n", "\xc3\xa4",
        "a name that is longer than any zone's name may ever be, is it"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(zone_open(names[i], &zone), 1);
    }
}

static void test_a_day_begins_at_local_midnight(void **state) {
    (void)state;
    struct zone *berlin = open_zone("Europe/Berlin"), *apia = open_zone("Pacific/Apia");
    uint32_t day = (uint32_t)(at("2026-06-10T00:00:00Z") / (24 * HOUR_US));
    assert_int_equal(zone_day(berlin, at("2026-06-09T21:59:59Z")), day - 1);
    assert_int_equal(zone_day(berlin, at("2026-06-09T22:00:00Z")), day);
    assert_int_equal(zone_day(berlin, at("2026-01-10T23:00:00Z")) -
                         zone_day(berlin, at("2026-01-10T22:59:59Z")),
                     1);
    assert_int_equal(zone_day(apia, at("2026-06-09T11:00:00Z")), day);
    assert_int_equal(zone_time_of_day(berlin, at("2026-06-10T10:30:00Z")),
                     12 * HOUR_US + HOUR_US / 2);
    zone_close(berlin);
    zone_close(apia);
}

static void test_a_time_of_day_comes_next_by_the_clock_on_the_wall(void **state) {
    (void)state;
    struct zone *berlin = open_zone("Europe/Berlin");
    assert_int_equal(zone_next(berlin, at("2026-06-10T20:00:00Z"), 8 * HOUR_US),
                     at("2026-06-11T06:00:00Z"));
    assert_int_equal(zone_next(berlin, at("2026-06-10T05:00:00Z"), 8 * HOUR_US),
                     at("2026-06-10T06:00:00Z"));
    assert_int_equal(zone_next(berlin, at("2026-06-10T06:00:00Z"), 8 * HOUR_US),
                     at("2026-06-11T06:00:00Z"));
    // The night of 2026-03-29 has an hour less, that of 2026-10-25 one more.
    assert_int_equal(zone_next(berlin, at("2026-03-28T22:00:00Z"), 8 * HOUR_US),
                     at("2026-03-29T06:00:00Z"));
    assert_int_equal(zone_next(berlin, at("2026-10-24T22:00:00Z"), 8 * HOUR_US),
                     at("2026-10-25T07:00:00Z"));
    // A time that the clocks go forward over: the moment they do.
    assert_int_equal(zone_next(berlin, at("2026-03-28T23:30:00Z"), 2 * HOUR_US + HOUR_US / 2),
                     at("2026-03-29T01:00:00Z"));
    zone_close(berlin);
}

static void test_a_region_has_its_zone(void **state) {
    (void)state;
    char name[ZONE_NAME_BYTES];
    assert_true(zone_of_region("JP", "Europe/Berlin", name));
    assert_string_equal(name, "Asia/Tokyo");
    assert_true(zone_of_region("US", "America/Denver", name));
    assert_string_equal(name, "America/Denver");
    assert_true(zone_of_region("US", "Europe/Berlin", name));
    assert_int_equal(strncmp(name, "America/", 8), 0);
    assert_false(zone_of_region("XQ", "Europe/Berlin", name));
}

static void test_the_machine_s_own_zone_is_not_asked(void **state) {
    (void)state;
    static const char *const zones[] = {"Asia/Tokyo", "America/Lima", "Mars/Olympus"};
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        setenv("TZ", zones[i], 1);
        struct zone *utc = open_zone("Etc/UTC");
        assert_int_equal(zone_time_of_day(utc, at("2026-06-10T10:00:00Z")), 10 * HOUR_US);
        zone_close(utc);
    }
    unsetenv("TZ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_unknown_zone_is_none),
        cmocka_unit_test(test_a_day_begins_at_local_midnight),
        cmocka_unit_test(test_a_time_of_day_comes_next_by_the_clock_on_the_wall),
        cmocka_unit_test(test_a_region_has_its_zone),
        cmocka_unit_test(test_the_machine_s_own_zone_is_not_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
