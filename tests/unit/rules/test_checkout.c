// SPDX-License-Identifier: Apache-2.0
// A cart that was left is said once, and only one that was.
#include "scene.h"

#include <string.h>

#define HALF_HOUR (INT64_C(30) * 60 * SCENE_SECOND)
static const char full[] =
    "{\"cart_id\":\"c-1\",\"lines\":[{\"sku\":\"s\",\"quantity\":1,\"price\":\"2\"}]}";
static const char empty[] = "{\"cart_id\":\"c-1\",\"lines\":[]}";
static const char ordered[] = "{\"order_id\":\"o-1\",\"cart_id\":\"c-1\",\"currency\":\"EUR\","
                              "\"lines\":[{\"sku\":\"s\",\"quantity\":1,\"price\":\"2\"}]}";

static void test_a_cart_that_is_left_is_said_once(void **state) {
    struct scene scene;
    scene_open(state, NULL, &scene);
    uint64_t customer = scene_play(&scene, "user_id=u-1", "cart.changed", full);
    uint64_t cart = scene.sequence;
    scene_pass(&scene, HALF_HOUR - 1);
    assert_int_equal(scene_said(&scene, "checkout.abandoned"), 0);
    scene_pass(&scene, 1);
    const Touchbus__Event *event = scene_last(&scene, "checkout.abandoned");
    assert_non_null(event);
    assert_string_equal(scene_json(&scene, &event->data), "{\"cart_id\":\"c-1\"}");
    assert_int_equal(event->customer, customer);
    assert_int_equal(event->cause, cart);
    assert_int_equal(scene_n_due(&scene), 0);
    scene_pass(&scene, 100 * SCENE_DAY);
    assert_int_equal(scene.n_said, 1);
    scene_close(&scene);
}

static void test_each_change_begins_the_time_anew(void **state) {
    struct scene scene;
    scene_open(state, NULL, &scene);
    for (int i = 0; i < 4; i++) {
        scene_play(&scene, "user_id=u-1", "cart.changed", full);
        scene_pass(&scene, HALF_HOUR - 1);
    }
    assert_int_equal(scene.n_said, 0);
    scene_pass(&scene, 1);
    assert_int_equal(scene_said(&scene, "checkout.abandoned"), 1);
    scene_play(&scene, "user_id=u-1", "cart.changed", full); // they come back, and leave again
    scene_pass(&scene, HALF_HOUR);
    assert_int_equal(scene_said(&scene, "checkout.abandoned"), 2);
    assert_string_not_equal(scene.said[0]->id, scene.said[1]->id);
    scene_close(&scene);
}

static void test_an_emptied_cart_was_not_left(void **state) {
    struct scene scene;
    scene_open(state, NULL, &scene);
    scene_play(&scene, "user_id=u-1", "cart.changed", full);
    scene_play(&scene, "user_id=u-1", "cart.changed", empty);
    assert_int_equal(scene_n_due(&scene), 0);
    scene_pass(&scene, SCENE_DAY);
    assert_int_equal(scene.n_said, 0);
    scene_close(&scene);
}

static void test_an_ordered_cart_was_not_left(void **state) {
    struct scene scene;
    scene_open(state, NULL, &scene);
    scene_play(&scene, "user_id=u-1", "cart.changed", full);
    scene_play(&scene, "user_id=u-1", "order.placed", ordered);
    assert_int_equal(scene_n_due(&scene), 0);
    scene_pass(&scene, SCENE_DAY);
    assert_int_equal(scene_said(&scene, "checkout.abandoned"), 0);
    scene_close(&scene);
}

static void test_a_change_that_came_late_does_not_leave_what_was_ordered(void **state) {
    struct scene scene;
    scene_open(state, NULL, &scene);
    scene_play(&scene, "user_id=u-1", "cart.changed", full);
    scene_pass(&scene, SCENE_SECOND);
    scene_play(&scene, "user_id=u-1", "order.placed", ordered);
    Touchbus__Event *late = support_event(scene.arena, "cart.changed", "late", full);
    support_identify(scene.arena, late, "user_id", "u-1");
    late->has_time = true;
    late->time_us = SCENE_START - SCENE_DAY;
    scene_play_event(&scene, late);
    assert_int_equal(scene_n_due(&scene), 1);
    scene_pass(&scene, SCENE_DAY);
    assert_int_equal(scene_said(&scene, "checkout.abandoned"), 0);
    assert_int_equal(scene_said(&scene, "timer.passed"), 1);
    assert_int_equal(scene_n_due(&scene), 0);
    scene_close(&scene);
}

static void test_nothing_comes_of_an_erased_persons_cart(void **state) {
    struct scene scene;
    scene_open(state, NULL, &scene);
    uint64_t customer = scene_play(&scene, "user_id=u-1", "cart.changed", full);
    scene_erase(&scene, customer);
    assert_int_equal(scene_n_due(&scene), 0);
    scene_pass(&scene, SCENE_DAY);
    assert_int_equal(scene.n_said, 0);
    scene_close(&scene);
}

static void test_the_policy_says_how_long(void **state) {
    struct scene scene;
    scene_open(state, "standing:\n  checkout: 2m\n", &scene);
    scene_play(&scene, "user_id=u-1", "cart.changed", full);
    scene_pass(&scene, 120 * SCENE_SECOND);
    assert_int_equal(scene_said(&scene, "checkout.abandoned"), 1);
    scene_close(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cart_that_is_left_is_said_once),
        cmocka_unit_test(test_each_change_begins_the_time_anew),
        cmocka_unit_test(test_an_emptied_cart_was_not_left),
        cmocka_unit_test(test_an_ordered_cart_was_not_left),
        cmocka_unit_test(test_a_change_that_came_late_does_not_leave_what_was_ordered),
        cmocka_unit_test(test_nothing_comes_of_an_erased_persons_cart),
        cmocka_unit_test(test_the_policy_says_how_long),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
