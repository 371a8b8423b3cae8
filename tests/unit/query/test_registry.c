// SPDX-License-Identifier: Apache-2.0
// The rules of the registry of connectors, with the clock injected.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/query/registry.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

static const int64_t now_us = INT64_C(1700000000000000);

static uint32_t report(struct registry *registry, const char *name, int64_t at_us,
                       bool *ret_reload) {
    return registry_report(registry, name, "sink", "serving", "host-1", json_object(), at_us,
                           ret_reload);
}

static const char *state_of(struct registry *registry, const char *name, int64_t at_us,
                            char *buffer, size_t size) {
    json_t *row = registry_show(registry, name, at_us);
    assert_non_null(row);
    snprintf(buffer, size, "%s", json_string_value(json_object_get(row, "state")));
    json_decref(row);
    return buffer;
}

static void test_reload_is_told_once(void **state) {
    (void)state;
    struct registry *registry = registry_new();
    bool reload = true;
    assert_int_equal(report(registry, "crm", now_us, &reload), REASON_OK);
    assert_false(reload);
    assert_int_equal(registry_reload(registry, "crm"), REASON_OK);
    assert_int_equal(report(registry, "crm", now_us, &reload), REASON_OK);
    assert_true(reload);
    assert_int_equal(report(registry, "crm", now_us, &reload), REASON_OK);
    assert_false(reload);
    registry_free(registry);
}

static void test_reload_of_nobody_is_not_found(void **state) {
    (void)state;
    struct registry *registry = registry_new();
    assert_int_equal(registry_reload(registry, "crm"), REASON_NOT_FOUND);
    assert_null(registry_show(registry, "crm", now_us));
    registry_free(registry);
}

static void test_a_silent_connector_is_lost(void **state) {
    (void)state;
    char text[NAME_BYTES_MAX + 1];
    bool reload;
    struct registry *registry = registry_new();
    report(registry, "crm", now_us, &reload);
    assert_string_equal(state_of(registry, "crm", now_us + REGISTRY_LOST_US, text, sizeof(text)),
                        "serving");
    assert_string_equal(
        state_of(registry, "crm", now_us + REGISTRY_LOST_US + 1, text, sizeof(text)), "lost");
    registry_free(registry);
}

static void test_names_are_listed_in_order(void **state) {
    (void)state;
    static const char *const names[] = {"web", "crm", "scm", "erp"};
    static const char *const sorted[] = {"crm", "erp", "scm", "web"};
    bool reload;
    struct registry *registry = registry_new();
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(report(registry, names[i], now_us, &reload), REASON_OK);
    }
    json_t *list = registry_list(registry, now_us);
    assert_int_equal(json_array_size(list), 4);
    for (size_t i = 0; i < 4; i++) {
        const json_t *name = json_object_get(json_array_get(list, i), "name");
        assert_string_equal(json_string_value(name), sorted[i]);
    }
    json_decref(list);
    registry_free(registry);
}

static void test_the_lost_give_their_places_up(void **state) {
    (void)state;
    char name[24];
    bool reload;
    struct registry *registry = registry_new();
    for (int i = 0; i < REGISTRY_CONNECTORS_MAX; i++) {
        snprintf(name, sizeof(name), "c%d", i);
        assert_int_equal(report(registry, name, now_us, &reload), REASON_OK);
    }
    assert_int_equal(report(registry, "more", now_us, &reload), REASON_TOO_MANY);
    assert_int_equal(report(registry, "c7", now_us + REGISTRY_LOST_US, &reload), REASON_OK);
    assert_int_equal(report(registry, "more", now_us + REGISTRY_LOST_US + 1, &reload), REASON_OK);
    json_t *list = registry_list(registry, now_us);
    assert_int_equal(json_array_size(list), 2);
    json_decref(list);
    registry_free(registry);
}

static void test_what_is_too_long_is_refused(void **state) {
    (void)state;
    char name[NAME_BYTES_MAX + 2];
    bool reload;
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    struct registry *registry = registry_new();
    assert_int_equal(report(registry, name, now_us, &reload), REASON_BAD_ARGUMENT);
    assert_int_equal(report(registry, "", now_us, &reload), REASON_BAD_ARGUMENT);
    json_t *metrics = json_object();
    char *text = malloc(REGISTRY_METRICS_BYTES_MAX + 1);
    assert_non_null(text);
    memset(text, 'x', REGISTRY_METRICS_BYTES_MAX);
    text[REGISTRY_METRICS_BYTES_MAX] = '\0';
    json_object_set_new(metrics, "big", json_string(text));
    free(text);
    assert_int_equal(
        registry_report(registry, "crm", "sink", "serving", "", metrics, now_us, &reload),
        REASON_BAD_ARGUMENT);
    registry_free(registry);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reload_is_told_once),
        cmocka_unit_test(test_reload_of_nobody_is_not_found),
        cmocka_unit_test(test_a_silent_connector_is_lost),
        cmocka_unit_test(test_names_are_listed_in_order),
        cmocka_unit_test(test_the_lost_give_their_places_up),
        cmocka_unit_test(test_what_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
