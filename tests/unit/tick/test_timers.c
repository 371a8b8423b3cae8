// SPDX-License-Identifier: Apache-2.0
// Due times: the clock that a jump does not move, the two tables in step, and that what is due is
// taken out by what comes of it.
#include "support.h"

#include <string.h>

#include "broker/fold/fold.h"
#include "broker/fold/timers.h"
#include "broker/rules/rules.h"
#include "broker/tick/timer_clock.h"
#include "schemas/base/clock.h"

#define SECOND CLOCK_US_PER_S
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define WALL (INT64_C(1700000000) * SECOND)

// ---- the clock

struct clocks {
    struct timer_clock clock;
    int64_t wall_us, boot_us;
};

static struct clocks start(int64_t wall_us, int64_t known_us) {
    struct clocks clocks = {.wall_us = wall_us, .boot_us = 5 * HOUR};
    timer_clock_start(&clocks.clock, wall_us, clocks.boot_us, known_us);
    return clocks;
}

// Time passes, and the wall clock is set by `jump_us` on top of it.
static int64_t after(struct clocks *clocks, int64_t us, int64_t jump_us) {
    clocks->boot_us += us;
    clocks->wall_us += us + jump_us;
    return timer_clock_read(&clocks->clock, clocks->wall_us, clocks->boot_us);
}

static void test_it_runs_with_the_wall_clock(void **state) {
    (void)state;
    struct clocks clocks = start(WALL, INT64_MIN);
    assert_int_equal(after(&clocks, 0, 0), WALL);
    assert_int_equal(after(&clocks, 10 * DAY, 0), WALL + 10 * DAY);
}

static void test_a_steered_wall_clock_is_followed(void **state) {
    (void)state;
    struct clocks clocks = start(WALL, INT64_MIN);
    int64_t now_us = after(&clocks, MINUTE, SECOND);
    assert_in_range(now_us - WALL, MINUTE, MINUTE + MINUTE / 100);
    assert_int_equal(after(&clocks, MINUTE, 0), WALL + 2 * MINUTE + SECOND);
}

static void test_a_walk_of_small_steps_does_not_move_it(void **state) {
    (void)state;
    struct clocks clocks = start(WALL, INT64_MIN);
    int64_t now_us = 0;
    for (int i = 0; i < 600; i++) {
        now_us = after(&clocks, SECOND, SECOND); // twice as fast
    }
    assert_in_range(now_us - WALL, 10 * MINUTE, 11 * MINUTE);
}

static void test_a_jump_is_not_believed_until_it_stood_for_an_hour(void **state) {
    (void)state;
    struct clocks clocks = start(WALL, INT64_MIN);
    assert_int_equal(after(&clocks, MINUTE, 40 * DAY), WALL + MINUTE);
    assert_int_equal(after(&clocks, 59 * MINUTE, 0), WALL + HOUR);
    assert_int_equal(after(&clocks, MINUTE, 0), WALL + 40 * DAY + HOUR + MINUTE);
}

static void test_a_second_jump_starts_the_hour_anew(void **state) {
    (void)state;
    struct clocks clocks = start(WALL, INT64_MIN);
    after(&clocks, MINUTE, 40 * DAY);
    after(&clocks, 50 * MINUTE, DAY);
    assert_int_equal(after(&clocks, 50 * MINUTE, 0), WALL + 101 * MINUTE);
    assert_int_equal(after(&clocks, 10 * MINUTE, 0), WALL + 41 * DAY + 111 * MINUTE);
}

static void test_a_jump_that_is_taken_back_was_none(void **state) {
    (void)state;
    struct clocks clocks = start(WALL, INT64_MIN);
    after(&clocks, MINUTE, 40 * DAY);
    assert_int_equal(after(&clocks, 50 * MINUTE, -40 * DAY), WALL + 51 * MINUTE);
    assert_int_equal(after(&clocks, 50 * MINUTE, 40 * DAY), WALL + 101 * MINUTE);
}

static void test_it_never_goes_back(void **state) {
    (void)state;
    struct clocks clocks = start(WALL, INT64_MIN);
    assert_int_equal(after(&clocks, MINUTE, -DAY), WALL + MINUTE);
    assert_int_equal(after(&clocks, 30 * MINUTE, 0), WALL + 31 * MINUTE);
    int64_t stands_us = after(&clocks, 30 * MINUTE, 0); // believed: it waits for the wall clock
    assert_in_range(stands_us - WALL, 31 * MINUTE, 61 * MINUTE);
    assert_int_equal(after(&clocks, HOUR, 0), stands_us);
    assert_int_equal(after(&clocks, DAY, 0), WALL + HOUR + 61 * MINUTE);
}

static void test_a_start_believes_that_the_broker_was_down(void **state) {
    (void)state;
    struct clocks clocks = start(WALL + 40 * DAY, WALL);
    assert_int_equal(after(&clocks, 0, 0), WALL + 40 * DAY);
}

static void test_a_start_with_a_clock_years_ahead_goes_on_where_it_was(void **state) {
    (void)state;
    struct clocks clocks = start(WALL + 4000 * DAY, WALL);
    assert_int_equal(after(&clocks, MINUTE, 0), WALL + MINUTE);
    assert_int_equal(after(&clocks, MINUTE, -4000 * DAY), WALL + 2 * MINUTE); // it was set right
}

static void test_a_start_with_a_clock_behind_goes_on_where_it_was(void **state) {
    (void)state;
    struct clocks clocks = start(0, WALL);
    assert_int_equal(after(&clocks, MINUTE, 0), WALL + MINUTE);
    assert_int_equal(after(&clocks, MINUTE, WALL + DAY), WALL + 2 * MINUTE);
    assert_int_equal(after(&clocks, HOUR, 0), WALL + DAY + HOUR + 2 * MINUTE);
}

static void test_clocks_at_the_ends_of_time_are_jumps(void **state) {
    (void)state;
    struct timer_clock clock;
    timer_clock_start(&clock, WALL, HOUR, INT64_MIN);
    assert_int_equal(timer_clock_read(&clock, INT64_MAX, HOUR), WALL);
    assert_int_equal(timer_clock_read(&clock, INT64_MIN, HOUR), WALL);
    timer_clock_start(&clock, INT64_MIN, INT64_MAX, INT64_MAX);
    timer_clock_read(&clock, INT64_MAX, INT64_MAX);
}

// ---- the tables

struct scene {
    struct fixture *fixture;
    struct arena *arena;
    struct view_txn *txn;
    struct fold *fold;
    uint64_t sequence;
};

static void scene_open(void **state, struct scene *ret) {
    struct fixture *fixture = *state;
    view_abort(fixture->txn); // each scene starts from nothing
    support_begin(fixture, fixture->view, &fixture->txn);
    *ret = (struct scene){.fixture = fixture, .arena = fixture->arena, .txn = fixture->txn};
    assert_int_equal(fold_new(ret->txn, &ret->fold), 0);
}

static const uint8_t CART[LOOKUP_BYTES] = {1, 2, 3};

static void apply(struct scene *scene, Touchbus__Event *event, uint64_t customer) {
    event->sequence = ++scene->sequence;
    event->received_us = WALL;
    event->customer = customer;
    assert_int_equal(fold_apply(scene->fold, scene->txn, event), 0);
}

// An event that stamps the cart's due time.
static void arm(struct scene *scene, uint64_t customer, int64_t due_us) {
    Touchbus__Event *event = support_event(scene->arena, "page.viewed", "1", "{}");
    assert_int_equal(rules_arm(scene->arena, event, TIMER_CHECKOUT, CART, due_us), 0);
    apply(scene, event, customer);
}

static void erase(struct scene *scene, uint64_t customer) {
    Touchbus__Event *event = support_event(scene->arena, "privacy.changed", "erased", NULL);
    event->erases = true;
    apply(scene, event, customer);
}

struct rows {
    size_t n;
    struct timer_due first;
};

static int count_due(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct rows *rows = user;
    (void)value;
    assert_int_equal(size, 0);
    struct timer_due due;
    assert_true(timer_due_read(key, key_size, &due));
    rows->first = rows->n++ == 0 ? due : rows->first;
    return 0;
}

static int count_timer(void *user, const void *key, size_t key_size, const void *value,
                       size_t size) {
    (void)key, (void)value;
    assert_int_equal(key_size, TIMER_KEY_BYTES);
    assert_int_equal(size, sizeof(uint64_t));
    ++*(size_t *)user;
    return 0;
}

static struct rows due_rows(struct scene *scene) {
    struct rows rows = {0};
    size_t n_timers = 0;
    assert_int_equal(view_scan(scene->txn, VIEW_DUE, NULL, 0, false, count_due, &rows), 0);
    assert_int_equal(view_scan(scene->txn, VIEW_TIMERS, NULL, 0, false, count_timer, &n_timers), 0);
    assert_int_equal(rows.n, n_timers);
    return rows;
}

static void test_arming_again_moves_it(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    arm(&scene, 1, WALL + 3);
    arm(&scene, 2, WALL + 2);
    arm(&scene, 1, WALL + 1);
    struct rows rows = due_rows(&scene);
    assert_int_equal(rows.n, 2);
    assert_int_equal(rows.first.customer, 1);
    assert_int_equal(rows.first.due_us, WALL + 1);
    assert_int_equal(rows.first.kind, TIMER_CHECKOUT);
    assert_memory_equal(rows.first.id, CART, LOOKUP_BYTES);
    assert_true(fold_timers_moved(scene.fold));
    assert_false(fold_timers_moved(scene.fold));
    fold_free(scene.fold);
}

static void test_zero_takes_it_out(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    arm(&scene, 1, 0);
    arm(&scene, 1, WALL);
    arm(&scene, 1, 0);
    assert_int_equal(due_rows(&scene).n, 0);
    fold_free(scene.fold);
}

static void test_events_of_nobody_have_timers_too(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    arm(&scene, 0, WALL);
    assert_int_equal(due_rows(&scene).n, 1);
    arm(&scene, 0, 0);
    assert_int_equal(due_rows(&scene).n, 0);
    fold_free(scene.fold);
}

static void test_an_erasure_takes_a_persons_timers(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    for (uint8_t i = 0; i < 150; i++) {
        uint8_t id[LOOKUP_BYTES] = {i};
        Touchbus__Event *event = support_event(scene.arena, "page.viewed", "1", "{}");
        assert_int_equal(rules_arm(scene.arena, event, TIMER_CONTACT, id, WALL + i), 0);
        apply(&scene, event, 1 + i % 2);
    }
    erase(&scene, 1);
    struct rows rows = due_rows(&scene);
    assert_int_equal(rows.n, 75);
    assert_int_equal(rows.first.customer, 2);
    arm(&scene, 1, WALL); // late, of somebody who was erased
    assert_int_equal(due_rows(&scene).n, 75);
    fold_free(scene.fold);
}

static void test_a_stamp_that_is_none_changes_nothing(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    Touchbus__Event *event = support_event(scene.arena, "page.viewed", "1", "{}");
    assert_int_equal(rules_arm(scene.arena, event, 256, CART, WALL), 0);
    assert_int_equal(rules_arm(scene.arena, event, TIMER_CHECKOUT, CART, WALL), 0);
    event->stamp->timers[1]->id.len = 3;
    assert_int_equal(rules_arm(scene.arena, event, TIMER_CHECKOUT, CART, INT64_MIN), 0);
    apply(&scene, event, 1);
    assert_int_equal(due_rows(&scene).n, 0);
    fold_free(scene.fold);
}

// ---- what is due

static void test_what_nothing_comes_of_is_taken_out_as_well(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    Touchbus__Event none;
    touchbus__event__init(&none);
    struct findings findings = {.detail = ""};
    struct judging judging = {
        .secret = keys_hash_secret(scene.fixture->keys),
        .fold = scene.fold,
        .txn = scene.txn,
        .arena = scene.arena,
        .timer_us = WALL + 7,
        .event = &none,
        .customer = 3,
        .findings = &findings,
    };
    struct timer_due due = {.due_us = WALL, .customer = 3, .kind = 200};
    memcpy(due.id, CART, LOOKUP_BYTES);
    assert_int_equal(rules_due(&judging, &due), 0);
    assert_int_equal(judging.now_us, WALL + 7);
    assert_int_equal(findings.n_follow_ups, 1);
    Touchbus__Event *passed = findings.follow_ups[0];
    assert_string_equal(passed->type, "timer.passed");
    assert_string_equal(passed->id, "other-3-01020300000000000000000000000000-1700000000000000-0");
    assert_int_equal(passed->customer, 3);
    assert_int_equal(passed->stamp->n_timers, 1);
    assert_int_equal(passed->stamp->timers[0]->kind, 200);
    assert_int_equal(passed->stamp->timers[0]->due_us, 0);
    fold_free(scene.fold);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_runs_with_the_wall_clock),
        cmocka_unit_test(test_a_steered_wall_clock_is_followed),
        cmocka_unit_test(test_a_walk_of_small_steps_does_not_move_it),
        cmocka_unit_test(test_a_jump_is_not_believed_until_it_stood_for_an_hour),
        cmocka_unit_test(test_a_second_jump_starts_the_hour_anew),
        cmocka_unit_test(test_a_jump_that_is_taken_back_was_none),
        cmocka_unit_test(test_it_never_goes_back),
        cmocka_unit_test(test_a_start_believes_that_the_broker_was_down),
        cmocka_unit_test(test_a_start_with_a_clock_years_ahead_goes_on_where_it_was),
        cmocka_unit_test(test_a_start_with_a_clock_behind_goes_on_where_it_was),
        cmocka_unit_test(test_clocks_at_the_ends_of_time_are_jumps),
        cmocka_unit_test(test_arming_again_moves_it),
        cmocka_unit_test(test_zero_takes_it_out),
        cmocka_unit_test(test_events_of_nobody_have_timers_too),
        cmocka_unit_test(test_an_erasure_takes_a_persons_timers),
        cmocka_unit_test(test_a_stamp_that_is_none_changes_nothing),
        cmocka_unit_test(test_what_nothing_comes_of_is_taken_out_as_well),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
