// SPDX-License-Identifier: Apache-2.0
// One open revision of a quote for all channels.
#include "scene.h"

#include <stdio.h>
#include <string.h>

#include "schemas/reasons.h"

struct quote {
    const char *id;
    unsigned revision;
    const char *sku, *price;
    const char *currency, *until, *supersedes; // NULL: EUR, 2023-12-01, none
};

static uint64_t issue(struct scene *scene, const char *key, struct quote quote) {
    char data[512];
    snprintf(data, sizeof(data),
             "{\"quote_id\":\"%s\",\"revision\":%u,\"currency\":\"%s\",\"valid_until\":\"%s\","
             "\"lines\":[{\"sku\":\"other\",\"quantity\":1,\"price\":\"5\"},"
             "{\"sku\":\"%s\",\"quantity\":2,\"price\":\"%s\"}],\"supersedes\":%s}",
             quote.id, quote.revision, quote.currency == NULL ? "EUR" : quote.currency,
             quote.until == NULL ? "2023-12-01T00:00:00Z" : quote.until, quote.sku, quote.price,
             quote.supersedes == NULL ? "null" : quote.supersedes);
    scene_play(scene, key, "quote.issued", data);
    return scene->decision.findings.code;
}

static void open_with_one(void **state, struct scene *scene) {
    scene_open(state, NULL, scene);
    assert_int_equal(
        issue(scene, "user_id=u-1",
              (struct quote){.id = "q-1", .revision = 1, .sku = "chair", .price = "19.90"}),
        0);
}

static void test_another_price_is_refused_with_the_open_revision(void **state) {
    struct scene scene;
    open_with_one(state, &scene);
    uint64_t open = scene.sequence;
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){.id = "q-2", .revision = 1, .sku = "chair", .price = "18"}),
        REASON_QUOTE_CONFLICT);
    char expected[256];
    snprintf(expected, sizeof(expected),
             "{\"channel\":\"web\",\"currency\":\"EUR\",\"price\":\"19.90\",\"quote_id\":\"q-1\","
             "\"revision\":1,\"sequence\":%llu,\"sku\":\"chair\","
             "\"valid_until\":\"2023-12-01T00:00:00Z\"}",
             (unsigned long long)open);
    assert_string_equal(scene_json(&scene, &scene.decision.findings.verdict), expected);
    assert_int_equal(scene.sequence, open); // nothing was logged
    scene_close(&scene);
}

static void test_prices_are_compared_as_amounts(void **state) {
    struct scene scene;
    open_with_one(state, &scene);
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){.id = "q-2", .revision = 1, .sku = "chair", .price = "19.9000"}),
        0);
    scene_close(&scene);
}

static void test_what_has_nothing_to_do_with_it_is_not_in_the_way(void **state) {
    struct scene scene;
    open_with_one(state, &scene);
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){.id = "q-2", .revision = 1, .sku = "table", .price = "18"}),
        0);
    assert_int_equal(
        issue(&scene, "user_id=u-2",
              (struct quote){.id = "q-3", .revision = 1, .sku = "chair", .price = "18"}),
        0);
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){
                  .id = "q-4", .revision = 1, .sku = "chair", .price = "18", .currency = "USD"}),
        0);
    assert_int_equal(
        issue(&scene, NULL,
              (struct quote){.id = "q-5", .revision = 1, .sku = "chair", .price = "18"}),
        0);
    scene_close(&scene);
}

static void test_a_later_revision_takes_its_place(void **state) {
    struct scene scene;
    open_with_one(state, &scene);
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){.id = "q-1", .revision = 2, .sku = "chair", .price = "18"}),
        0);
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){.id = "q-2", .revision = 1, .sku = "chair", .price = "18"}),
        0);
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){.id = "q-3", .revision = 1, .sku = "chair", .price = "19.90"}),
        REASON_QUOTE_CONFLICT);
    scene_close(&scene);
}

static void test_a_revision_says_one_thing(void **state) {
    struct scene scene;
    open_with_one(state, &scene);
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){.id = "q-1", .revision = 1, .sku = "chair", .price = "18"}),
        REASON_QUOTE_CONFLICT);
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){.id = "q-1", .revision = 1, .sku = "chair", .price = "19.900"}),
        0);
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){.id = "q-1", .revision = 3, .sku = "chair", .price = "17"}),
        0);
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){.id = "q-1", .revision = 2, .sku = "chair", .price = "18"}),
        REASON_QUOTE_CONFLICT);
    scene_close(&scene);
}

static void test_what_is_named_as_superseded_is_not_in_the_way(void **state) {
    struct scene scene;
    open_with_one(state, &scene);
    assert_int_equal(issue(&scene, "user_id=u-1",
                           (struct quote){.id = "q-2",
                                          .revision = 1,
                                          .sku = "chair",
                                          .price = "18",
                                          .supersedes = "\"q-1\""}),
                     0);
    // nor is it for what comes then
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){.id = "q-3", .revision = 1, .sku = "chair", .price = "18.00"}),
        0);
    assert_int_equal(issue(&scene, "user_id=u-1",
                           (struct quote){.id = "q-4",
                                          .revision = 1,
                                          .sku = "chair",
                                          .price = "17",
                                          .supersedes = "[\"q-3\"]"}),
                     REASON_QUOTE_CONFLICT);
    assert_int_equal(issue(&scene, "user_id=u-1",
                           (struct quote){.id = "q-4",
                                          .revision = 1,
                                          .sku = "chair",
                                          .price = "17",
                                          .supersedes = "[\"q-3\",\"q-2\"]"}),
                     0);
    scene_close(&scene);
}

static void test_an_expired_one_is_not_in_the_way(void **state) {
    struct scene scene;
    open_with_one(state, &scene);
    scene_pass(&scene, 17 * SCENE_DAY);
    assert_int_equal(issue(&scene, "user_id=u-1",
                           (struct quote){.id = "q-2",
                                          .revision = 1,
                                          .sku = "chair",
                                          .price = "18",
                                          .until = "2024-01-01T00:00:00Z"}),
                     0);
    // what is expired when it comes is no offer
    assert_int_equal(issue(&scene, "user_id=u-1",
                           (struct quote){.id = "q-3",
                                          .revision = 1,
                                          .sku = "chair",
                                          .price = "15",
                                          .until = "2023-11-30T00:00:00Z"}),
                     0);
    scene_close(&scene);
}

static void test_a_closed_one_is_not_in_the_way(void **state) {
    struct scene scene;
    open_with_one(state, &scene);
    scene_play(&scene, "user_id=u-1", "quote.closed",
               "{\"quote_id\":\"q-1\",\"outcome\":\"rejected\"}");
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){.id = "q-2", .revision = 1, .sku = "chair", .price = "18"}),
        0);
    scene_close(&scene);
}

// However many there were: those that are over are not in the way, and of more open ones than can
// be compared nobody says that none has another price.
static void test_too_many_open_ones_are_refused_and_old_ones_are_not(void **state) {
    struct scene scene;
    char id[16], expires[32];
    scene_open(state, NULL, &scene);
    for (unsigned i = 0; i < 2 * QUOTES_OPEN_MAX; i++) {
        snprintf(id, sizeof(id), "e-%u", i);
        snprintf(expires, sizeof(expires), "2023-11-15T00:%02u:%02uZ", i / 60, i % 60);
        assert_int_equal(
            issue(&scene, "user_id=u-1",
                  (struct quote){
                      .id = id, .revision = 1, .sku = "chair", .price = "1", .until = expires}),
            i <= QUOTES_OPEN_MAX ? 0 : REASON_TOO_MANY);
    }
    scene_pass(&scene, 2 * SCENE_DAY); // they are over
    for (unsigned i = 0; i <= QUOTES_OPEN_MAX; i++) {
        snprintf(id, sizeof(id), "o-%u", i);
        assert_int_equal(
            issue(&scene, "user_id=u-1",
                  (struct quote){.id = id, .revision = 1, .sku = "chair", .price = "2"}),
            0);
    }
    struct quote next = {.id = "o-next", .revision = 1, .sku = "chair", .price = "2"};
    assert_int_equal(issue(&scene, "user_id=u-1", next), REASON_TOO_MANY);
    scene_play(&scene, "user_id=u-1", "quote.closed",
               "{\"quote_id\":\"o-7\",\"outcome\":\"rejected\"}");
    next.price = "3";
    assert_int_equal(issue(&scene, "user_id=u-1", next), REASON_QUOTE_CONFLICT);
    next.price = "2";
    assert_int_equal(issue(&scene, "user_id=u-1", next), 0);
    scene_close(&scene);
}

static void test_the_price_list_changes_no_issued_quote(void **state) {
    struct scene scene;
    open_with_one(state, &scene);
    scene_play(&scene, NULL, "price.changed",
               "{\"sku\":\"chair\",\"price\":\"18\",\"currency\":\"EUR\","
               "\"valid_from\":\"2023-11-01T00:00:00Z\"}");
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){.id = "q-2", .revision = 1, .sku = "chair", .price = "18"}),
        REASON_QUOTE_CONFLICT);
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){.id = "q-2", .revision = 1, .sku = "chair", .price = "19.90"}),
        0);
    scene_close(&scene);
}

static void test_a_sku_with_prices_by_quantity_keeps_them(void **state) {
    static const char both[] = "{\"quote_id\":\"%s\",\"revision\":1,\"currency\":\"EUR\","
                               "\"valid_until\":\"2023-12-01T00:00:00Z\",\"lines\":["
                               "{\"sku\":\"bolt\",\"quantity\":1,\"price\":\"2\"},"
                               "{\"sku\":\"bolt\",\"quantity\":100,\"price\":\"1\"}]}";
    struct scene scene;
    scene_open(state, NULL, &scene);
    char data[512];
    snprintf(data, sizeof(data), both, "q-1");
    scene_play(&scene, "user_id=u-1", "quote.issued", data);
    snprintf(data, sizeof(data), both, "q-2");
    scene_play(&scene, "user_id=u-1", "quote.issued", data);
    assert_int_equal(scene.decision.findings.code, 0);
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){.id = "q-3", .revision = 1, .sku = "bolt", .price = "1.00"}),
        0);
    assert_int_equal(
        issue(&scene, "user_id=u-1",
              (struct quote){.id = "q-4", .revision = 1, .sku = "bolt", .price = "1.50"}),
        REASON_QUOTE_CONFLICT);
    scene_close(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_price_is_refused_with_the_open_revision),
        cmocka_unit_test(test_prices_are_compared_as_amounts),
        cmocka_unit_test(test_what_has_nothing_to_do_with_it_is_not_in_the_way),
        cmocka_unit_test(test_a_later_revision_takes_its_place),
        cmocka_unit_test(test_a_revision_says_one_thing),
        cmocka_unit_test(test_what_is_named_as_superseded_is_not_in_the_way),
        cmocka_unit_test(test_an_expired_one_is_not_in_the_way),
        cmocka_unit_test(test_a_closed_one_is_not_in_the_way),
        cmocka_unit_test(test_too_many_open_ones_are_refused_and_old_ones_are_not),
        cmocka_unit_test(test_the_price_list_changes_no_issued_quote),
        cmocka_unit_test(test_a_sku_with_prices_by_quantity_keeps_them),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
