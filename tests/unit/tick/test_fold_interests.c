// SPDX-License-Identifier: Apache-2.0
// Needs, products and visit days: counted by day, bounded, and the same in any order below the
// bounds.
#include "scene.h"

#include <string.h>

#include "broker/bounds.h"

#define DAY_US (INT64_C(86400) * 1000000)

static void show(struct scene *scene, const char *type, unsigned day, const char *data) {
    Touchbus__Event *event = support_event(scene->arena, type, "e", data);
    event->has_time = true;
    event->time_us = day * DAY_US + 5;
    event->received_us = 100000 * DAY_US;
    scene_apply(scene, event);
}

static void need(struct scene *scene, unsigned day, const char *term) {
    show(scene, "need.selected", day, arena_printf(scene->arena, "{\"term\": \"%s\"}", term));
}

static const View__Interest *find(const View__Person *person, unsigned kind, const char *term) {
    for (size_t i = 0; i < person->n_interests; i++) {
        if (person->interests[i]->kind == kind && strcmp(person->interests[i]->term, term) == 0) {
            return person->interests[i];
        }
    }
    return NULL;
}

static void test_days_are_counted_in_any_order(void **state) {
    static const unsigned days[] = {5, 3, 5, 4, 3, 5}, numbers[] = {2, 1, 3};
    struct scene scene;
    scene_open(state, &scene);
    for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
        need(&scene, days[i], "clay");
        show(&scene, "product.viewed", days[i], "{\"sku\": \"clay\"}");
    }
    for (unsigned kind = INTEREST_NEED; kind <= INTEREST_PRODUCT; kind++) {
        const View__Interest *interest = find(scene_person(&scene), kind, "clay");
        assert_non_null(interest);
        assert_int_equal(interest->n_day, 3);
        assert_int_equal(interest->n_number, 3);
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(interest->day[i], 3 + i);
            assert_int_equal(interest->number[i], numbers[i]);
        }
    }
    scene_close(&scene);
}

static void test_the_last_days_of_a_need_stay_in_any_order(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    for (unsigned i = 0; i < 2 * INTEREST_DAYS_MAX; i++) { // every day once, far from in order
        need(&scene, 1000 + i * 7 % (2 * INTEREST_DAYS_MAX), "clay");
    }
    need(&scene, 2, "clay");
    const View__Interest *interest = find(scene_person(&scene), INTEREST_NEED, "clay");
    assert_int_equal(interest->n_day, INTEREST_DAYS_MAX);
    for (unsigned i = 0; i < INTEREST_DAYS_MAX; i++) {
        assert_int_equal(interest->day[i], 1000 + INTEREST_DAYS_MAX + i);
        assert_int_equal(interest->number[i], 1);
    }
    scene_close(&scene);
}

static void test_of_too_many_needs_the_oldest_gives_way(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    for (unsigned i = 0; i < INTERESTS_MAX + 2; i++) {
        need(&scene, 10 + i, arena_printf(scene.arena, "n%u", i));
    }
    need(&scene, 1, "long ago");
    const View__Person *person = scene_person(&scene);
    assert_int_equal(person->n_interests, INTERESTS_MAX);
    assert_null(find(person, INTEREST_NEED, "n0"));
    assert_null(find(person, INTEREST_NEED, "n1"));
    assert_null(find(person, INTEREST_NEED, "long ago"));
    assert_non_null(find(person, INTEREST_NEED, "n2"));
    assert_non_null(find(person, INTEREST_NEED, "n101"));
    assert_int_equal(scene_customer(&scene, 1)->dropped, 3);
    scene_close(&scene);
}

static void test_the_first_days_with_a_visit_are_kept_in_any_order(void **state) {
    static const unsigned days[] = {9, 4, 9, 7, 2, 8, 4}, first[] = {2, 4, 7};
    struct scene scene;
    scene_open(state, &scene);
    for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
        show(&scene, i % 2 == 0 ? "page.viewed" : "kiosk.session.ended", days[i], "{}");
    }
    const View__Customer *record = scene_customer(&scene, 1);
    assert_int_equal(record->n_visit_day, VISIT_DAYS_MAX);
    for (unsigned i = 0; i < VISIT_DAYS_MAX; i++) {
        assert_int_equal(record->visit_day[i], first[i]);
    }
    scene_close(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_days_are_counted_in_any_order),
        cmocka_unit_test(test_the_last_days_of_a_need_stay_in_any_order),
        cmocka_unit_test(test_of_too_many_needs_the_oldest_gives_way),
        cmocka_unit_test(test_the_first_days_with_a_visit_are_kept_in_any_order),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
