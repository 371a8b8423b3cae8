// SPDX-License-Identifier: Apache-2.0
// The rules of waiting: everybody in turn, by events; a flood waits behind itself; nobody is
// forgotten, nothing comes out of order within one owner.
#include <stdlib.h>
#include <string.h>

#include "broker/tick/lines.h"
#include "tests/unit/schemas/cmocka_all.h"

enum { NOW_US = 1000000000 };

static struct lines *lines;

static int setup(void **state) {
    (void)state;
    lines = calloc(1, sizeof(*lines));
    return lines == NULL;
}

static int teardown(void **state) {
    (void)state;
    struct waiting *waiting;
    while ((waiting = lines_take(lines, NOW_US + 10 * LINE_FLOOD_US)) != NULL) {
        waiting_free(waiting);
    }
    assert_int_equal(lines->n, 0);
    assert_int_equal(lines->bytes, 0);
    free(lines);
    return 0;
}

// Its number goes with it as the peer's first byte.
static void put(uint64_t owner, uint32_t n_events, uint8_t number) {
    struct waiting *waiting = calloc(1, sizeof(*waiting));
    assert_non_null(waiting);
    waiting->owner = owner;
    waiting->n_events = n_events;
    waiting->peer[0] = number;
    waiting->peer_size = 1;
    assert_int_equal(zmq_msg_init_size(&waiting->body, 10), 0);
    lines_put(lines, waiting);
}

static uint64_t take(uint8_t *ret_number) {
    struct waiting *waiting = lines_take(lines, NOW_US);
    uint64_t owner = waiting == NULL ? 0 : waiting->owner;
    if (ret_number != NULL && waiting != NULL) {
        *ret_number = waiting->peer[0];
    }
    waiting_free(waiting);
    return owner;
}

static void test_one_owner_is_served_in_order(void **state) {
    (void)state;
    for (uint8_t i = 0; i < 10; i++) {
        put(7, 100, i);
    }
    for (uint8_t i = 0; i < 10; i++) {
        uint8_t number;
        assert_int_equal(take(&number), 7);
        assert_int_equal(number, i);
    }
    assert_int_equal(take(NULL), 0);
}

static void test_a_small_request_does_not_wait_for_a_flood(void **state) {
    (void)state;
    for (uint8_t i = 0; i < 20; i++) {
        put(1, 2048, i);
    }
    put(2, 10, 0);
    int at = 1;
    while (take(NULL) != 2) {
        at++;
    }
    assert_in_range(at, 1, 2);
}

static void test_two_owners_get_as_many_events(void **state) {
    (void)state;
    unsigned n_events[3] = {0};
    for (uint8_t i = 0; i < 40; i++) {
        put(1, 2000, i);
    }
    for (int i = 0; i < 200; i++) {
        put(2, 200, (uint8_t)i);
    }
    while (n_events[1] + n_events[2] < 40000) {
        uint64_t owner = take(NULL);
        n_events[owner] += owner == 1 ? 2000 : 200;
    }
    assert_in_range(n_events[1], 17000, 23000);
}

static void test_a_flood_is_held_back_while_others_are_served(void **state) {
    (void)state;
    unsigned n_events[3] = {0};
    lines_mark_flood(lines, 1, NOW_US - 1000);
    lines_served(lines, 1, 2000, NOW_US - 1000);
    lines_served(lines, 2, 200, NOW_US - 500); // and has nothing in line at this moment
    put(1, 2000, 0);
    assert_null(lines_take(lines, NOW_US));
    for (uint8_t i = 1; i < 20; i++) {
        put(1, 2000, i);
    }
    for (int i = 0; n_events[2] < 40000; i++) {
        put(2, 200, (uint8_t)i);
        uint64_t owner = take(NULL);
        uint32_t n = owner == 1 ? 2000 : 200;
        n_events[owner] += n;
        lines_served(lines, owner, n, NOW_US);
    }
    assert_in_range(n_events[1], 2000, 6000); // an eighth of what the other got
}

static void test_who_has_much_in_line_gets_one_request_of_a_tick_beside_others(void **state) {
    (void)state;
    lines_begin(lines);
    for (uint8_t i = 0; i < 5; i++) {
        put(1, 2000, i);
    }
    lines_served(lines, 2, 200, NOW_US);
    for (int tick = 0; tick < 2; tick++) {
        assert_int_equal(take(NULL), 1);
        lines_served(lines, 1, 2000, NOW_US);
        assert_null(lines_take(lines, NOW_US));
        assert_true(lines->may_go_on);
        lines_begin(lines);
    }
    assert_int_equal(take(NULL), 1); // what is left is not much
    lines_served(lines, 1, 2000, NOW_US);
    assert_int_equal(take(NULL), 1);
}

static void test_a_flood_goes_on_where_nobody_else_is_there(void **state) {
    (void)state;
    lines_mark_flood(lines, 1, NOW_US - 1000);
    lines_served(lines, 1, 2000, NOW_US - 1000);
    lines_served(lines, 2, 200, NOW_US - 2 * LINE_FAIR_US);
    put(1, 2000, 0);
    assert_int_equal(take(NULL), 1);
}

static void test_a_flood_is_served_now_and_then_all_the_same(void **state) {
    (void)state;
    lines_mark_flood(lines, 1, NOW_US - 1000);
    lines_served(lines, 1, 2000, NOW_US - LINE_REST_US);
    lines_served(lines, 2, 200, NOW_US);
    put(1, 2000, 0);
    assert_int_equal(take(NULL), 1);
}

static void test_a_flood_is_forgiven(void **state) {
    (void)state;
    lines_mark_flood(lines, 1, NOW_US - 2 * LINE_FLOOD_US);
    put(1, 500, 0);
    put(2, 500, 0);
    put(3, 500, 0);
    assert_int_equal(take(NULL), 1);
}

static void test_one_owner_cannot_take_all_the_room(void **state) {
    (void)state;
    for (int i = 0; i < WAITING_OWNER_MAX; i++) {
        assert_false(lines_owner_is_full(lines, 1));
        put(1, 1, (uint8_t)i);
    }
    assert_true(lines_owner_is_full(lines, 1));
    assert_false(lines_owner_is_full(lines, 2));
    assert_false(lines_are_full(lines));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_one_owner_is_served_in_order),
        TEST(test_a_small_request_does_not_wait_for_a_flood),
        TEST(test_two_owners_get_as_many_events),
        TEST(test_a_flood_is_held_back_while_others_are_served),
        TEST(test_who_has_much_in_line_gets_one_request_of_a_tick_beside_others),
        TEST(test_a_flood_goes_on_where_nobody_else_is_there),
        TEST(test_a_flood_is_served_now_and_then_all_the_same),
        TEST(test_a_flood_is_forgiven),
        TEST(test_one_owner_cannot_take_all_the_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
