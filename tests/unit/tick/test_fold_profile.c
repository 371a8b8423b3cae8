// SPDX-License-Identifier: Apache-2.0
// Attributes of the person: which of two writers stands, whatever order they come in.
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"

static void test_null_deletes_and_an_empty_text_is_a_value(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    scene_play(&scene, "customer.identified",
               "{\"traits\": {\"name\": \"Ana\", \"city\": \"Utrecht\"}}");
    scene_play(&scene, "customer.changed", "{\"fields\": {\"name\": null, \"city\": \"\"}}");
    assert_string_equal(support_attribute(scene_person(&scene), scene.arena, "name"), "null");
    assert_string_equal(support_attribute(scene_person(&scene), scene.arena, "city"), "\"\"");
    scene_close(&scene);
}

static void test_registered_sets_its_attributes(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    scene_play(&scene, "customer.registered", "{\"user_id\": \"u-1\", \"incentive\": \"5%\"}");
    assert_string_equal(support_attribute(scene_person(&scene), scene.arena, "registered"), "true");
    assert_string_equal(support_attribute(scene_person(&scene), scene.arena, "incentive"),
                        "\"5%\"");
    scene_close(&scene);
}

static Touchbus__Event *trait(struct scene *scene, const char *id, uint32_t rank, int64_t time_us,
                              const char *data) {
    Touchbus__Event *event = support_event(scene->arena, "customer.identified", id, data);
    event->rank = rank;
    event->time_us = time_us;
    event->has_time = true;
    return event;
}

static void test_rank_then_time_then_id_decide(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    scene_apply(&scene, trait(&scene, "m", 5, 100, "{\"traits\": {\"a\": 1}}"));
    scene_apply(&scene, trait(&scene, "z", 4, 999, "{\"traits\": {\"a\": 2}}")); // lower rank
    assert_string_equal(support_attribute(scene_person(&scene), scene.arena, "a"), "1");
    scene_apply(&scene, trait(&scene, "z", 5, 99, "{\"traits\": {\"a\": 3}}")); // earlier
    assert_string_equal(support_attribute(scene_person(&scene), scene.arena, "a"), "1");
    scene_apply(&scene, trait(&scene, "a", 5, 100, "{\"traits\": {\"a\": 4}}")); // lesser id
    assert_string_equal(support_attribute(scene_person(&scene), scene.arena, "a"), "1");
    scene_apply(&scene, trait(&scene, "n", 5, 100, "{\"traits\": {\"a\": 5}}")); // greater id
    assert_string_equal(support_attribute(scene_person(&scene), scene.arena, "a"), "5");
    scene_apply(&scene, trait(&scene, "a", 6, 1, "{\"traits\": {\"a\": null}}")); // higher rank
    assert_string_equal(support_attribute(scene_person(&scene), scene.arena, "a"), "null");
    scene_apply(&scene, trait(&scene, "b", 5, 101, "{\"traits\": {\"a\": 7}}")); // late and lower
    assert_string_equal(support_attribute(scene_person(&scene), scene.arena, "a"), "null");
    scene_close(&scene);
}

static void test_any_order_gives_the_same_attributes(void **state) {
    enum { EVENTS = 40, SHUFFLES = 60, NAMES = 5 };
    char expected[NAMES][64] = {{0}};
    scene_seed(1);
    for (int shuffle = 0; shuffle < SHUFFLES; shuffle++) {
        struct scene scene;
        scene_open(state, &scene);
        Touchbus__Event *events[EVENTS];
        for (int i = 0; i < EVENTS; i++) { // the same set each time, with ties in rank and time
            char data[96];
            snprintf(data, sizeof(data), "{\"traits\": {\"n%d\": %d, \"n%d\": %s}}", i % NAMES, i,
                     (i * 3 + 1) % NAMES, i % 6 == 0 ? "null" : "\"x\"");
            events[i] = trait(&scene, i % 9 == 0 ? "same" : arena_printf(scene.arena, "e-%d", i),
                              (uint32_t)i % 3, 50 + i * 7 % 4, data);
        }
        for (int i = EVENTS - 1; i > 0; i--) {
            int k = (int)(scene_dice() % (uint32_t)(i + 1));
            Touchbus__Event *other = events[i];
            events[i] = events[k];
            events[k] = other;
        }
        for (int i = 0; i < EVENTS; i++) {
            scene_apply(&scene, events[i]);
        }
        for (int i = 0; i < NAMES; i++) {
            char name[8];
            snprintf(name, sizeof(name), "n%d", i);
            const char *value = support_attribute(scene_person(&scene), scene.arena, name);
            assert_non_null(value);
            if (shuffle == 0) {
                snprintf(expected[i], sizeof(expected[i]), "%s", value);
            }
            assert_string_equal(value, expected[i]);
        }
        scene_close(&scene);
    }
}

static void test_attributes_over_a_limit_are_counted_as_dropped(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    for (int i = 0; i < CUSTOMER_ATTRIBUTES_MAX + 2; i++) {
        scene_play(&scene, "customer.identified",
                   arena_printf(scene.arena, "{\"traits\": {\"n%d\": %d}}", i, i));
    }
    char *large = arena_calloc(scene.arena, 1, 4096);
    int used = snprintf(large, 4096, "{\"traits\": {\"n0\": \"");
    memset(large + used, 'x', 2000);
    memcpy(large + used + 2000, "\"}}", 4);
    scene_play(&scene, "customer.identified", large);
    View__Customer *record = scene_customer(&scene, 1);
    assert_int_equal(scene_person(&scene)->n_attributes, CUSTOMER_ATTRIBUTES_MAX);
    assert_int_equal(record->dropped, 3);
    assert_string_equal(support_attribute(scene_person(&scene), scene.arena, "n0"), "0");
    scene_close(&scene);
}

static void test_what_is_rewritten_is_counted(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    char *large = arena_calloc(scene.arena, 1, 1024);
    int used = snprintf(large, 1024, "{\"traits\": {\"n0\": \"");
    memset(large + used, 'x', 900);
    memcpy(large + used + 900, "\"}}", 4);
    scene_play(&scene, "customer.identified", large);
    assert_int_equal(fold_record_bytes(scene.fold), 0); // it was not there before
    scene_customer(&scene, 1);
    scene_play(&scene, "page.viewed", "{}");
    assert_true(fold_record_bytes(scene.fold) > 900);
    fold_count_anew(scene.fold);
    scene_play(&scene, "page.viewed", "{}"); // held already
    assert_int_equal(fold_record_bytes(scene.fold), 0);
    scene_close(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_null_deletes_and_an_empty_text_is_a_value),
        cmocka_unit_test(test_registered_sets_its_attributes),
        cmocka_unit_test(test_rank_then_time_then_id_decide),
        cmocka_unit_test(test_any_order_gives_the_same_attributes),
        cmocka_unit_test(test_attributes_over_a_limit_are_counted_as_dropped),
        cmocka_unit_test(test_what_is_rewritten_is_counted),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
