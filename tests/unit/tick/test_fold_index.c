// SPDX-License-Identifier: Apache-2.0
// The index of items: after whatever history, exactly one row for each quote, case and consent,
// where its item says it stands, and none for anything else.
#include "broker/fold/item_index.h"
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 60, HISTORIES = 40, IDS = 4 };

struct check {
    struct scene *scene;
    unsigned n_expected;
};

// The item's row has its row in the index.
static int check_item(void *user, const void *key, size_t key_size, const void *value,
                      size_t size) {
    struct check *check = user;
    struct scene *scene = check->scene;
    uint8_t index_key[ITEM_INDEX_KEY_BYTES], *plain = arena_alloc(scene->arena, size);
    const void *found;
    size_t plain_size = 0, found_size;
    assert_int_equal(view_unseal(scene->txn, VIEW_ITEMS, key, key_size,
                                 (const uint8_t *)value + sizeof(uint64_t), size - sizeof(uint64_t),
                                 plain, &plain_size),
                     0);
    const View__Item *item = item_unpack(arena_allocator(scene->arena), plain_size, plain);
    assert_non_null(item);
    const struct item_place place = item_index_place(view_lookup_secret(scene->txn), item);
    if (place.is_kept) {
        item_index_key(key, &place, index_key);
        assert_int_equal(
            view_get(scene->txn, VIEW_INDEX, index_key, sizeof(index_key), &found, &found_size), 0);
        assert_int_equal(found_size, 0);
        check->n_expected++;
    }
    return 0;
}

static unsigned check_index(struct scene *scene) {
    struct check check = {.scene = scene};
    assert_int_equal(view_scan(scene->txn, VIEW_ITEMS, "", 0, false, check_item, &check), 0);
    assert_int_equal(scene_count_rows(scene, VIEW_INDEX), check.n_expected);
    return check.n_expected;
}

static int count_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    (void)key, (void)key_size, (void)value, (void)size;
    ++*(unsigned *)user;
    return 0;
}

static unsigned count_part(struct scene *scene, enum item_kind kind, enum item_index_part part) {
    uint8_t key[ITEM_INDEX_PART_BYTES];
    unsigned n = 0;
    item_index_part_key(1, kind, part, key);
    assert_int_equal(view_scan(scene->txn, VIEW_INDEX, key, sizeof(key), false, count_row, &n), 0);
    return n;
}

static void at(struct scene *scene, int64_t time_us, const char *type, const char *data) {
    char id[24];
    snprintf(id, sizeof(id), "e-%06llu", (unsigned long long)scene->sequence + 1);
    Touchbus__Event *event = support_event(scene->arena, type, id, data);
    event->time_us = time_us;
    event->has_time = true;
    scene_apply(scene, event);
}

#define ISSUED "{\"quote_id\":\"q\",\"revision\":1,\"valid_until\":\"2030-01-01T00:00:00Z\"}"

static void test_a_quote_moves_with_its_state_and_its_time(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    at(&scene, 10, "quote.issued", ISSUED);
    assert_int_equal(count_part(&scene, ITEM_QUOTE, INDEX_OPEN), 1);
    at(&scene, 20, "quote.closed", "{\"quote_id\":\"q\",\"outcome\":\"rejected\"}");
    assert_int_equal(count_part(&scene, ITEM_QUOTE, INDEX_OPEN), 0);
    assert_int_equal(count_part(&scene, ITEM_QUOTE, INDEX_CLOSED), 1);
    // It is issued anew, then until another day.
    at(&scene, 30, "quote.issued",
       "{\"quote_id\":\"q\",\"revision\":2,\"valid_until\":\"2031-01-01T00:00:00Z\"}");
    assert_int_equal(count_part(&scene, ITEM_QUOTE, INDEX_OPEN), 1);
    assert_int_equal(check_index(&scene), 1);
    at(&scene, 40, "quote.issued", "{\"quote_id\":\"r\",\"revision\":1,\"supersedes\":\"q\"}");
    assert_int_equal(count_part(&scene, ITEM_QUOTE, INDEX_OPEN), 1);
    assert_int_equal(count_part(&scene, ITEM_QUOTE, INDEX_CLOSED), 1);
    at(&scene, 50, "order.placed", "{\"order_id\":\"o\",\"quote_id\":\"r\",\"lines\":[]}");
    assert_int_equal(count_part(&scene, ITEM_QUOTE, INDEX_OPEN), 0);
    assert_int_equal(check_index(&scene), 2);
    scene_close(&scene);
}

static void test_what_comes_late_opens_nothing(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    at(&scene, 20, "quote.closed", "{\"quote_id\":\"q\",\"outcome\":\"rejected\"}");
    at(&scene, 10, "quote.issued", ISSUED);
    at(&scene, 20, "case.resolved", "{\"case_id\":\"c\",\"outcome\":\"done\"}");
    at(&scene, 10, "case.opened", "{\"case_id\":\"c\",\"kind\":\"question\",\"severity\":1}");
    assert_int_equal(count_part(&scene, ITEM_QUOTE, INDEX_OPEN), 0);
    assert_int_equal(count_part(&scene, ITEM_CASE, INDEX_OPEN), 0);
    assert_int_equal(check_index(&scene), 2);
    at(&scene, 30, "case.opened", "{\"case_id\":\"c\",\"kind\":\"question\",\"severity\":1}");
    assert_int_equal(count_part(&scene, ITEM_CASE, INDEX_OPEN), 1);
    assert_int_equal(check_index(&scene), 2);
    scene_close(&scene);
}

static void test_quotes_stand_in_the_order_of_their_time(void **state) {
    static const char *const times[] = {"\"2030-01-01T00:00:00Z\"",
                                        "\"2029-12-31T23:00:00-02:00\"",
                                        "\"1960-01-01T00:00:00Z\"",
                                        "\"some day\"",
                                        "null",
                                        "17"};
    struct item_place places[sizeof(times) / sizeof(times[0])];
    struct scene scene;
    scene_open(state, &scene);
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        char data[160];
        snprintf(data, sizeof(data), "{\"quote_id\":\"q-%zu\",\"revision\":1,\"valid_until\":%s}",
                 i, times[i]);
        scene_play(&scene, "quote.issued", data);
        snprintf(data, sizeof(data), "q-%zu", i);
        places[i] = item_index_place(view_lookup_secret(scene.txn),
                                     support_item(scene.txn, scene.arena, 1, ITEM_QUOTE, data));
    }
    assert_true(places[1].order > places[0].order);
    assert_int_equal(places[2].order, 0); // it never held
    for (size_t i = 3; i < sizeof(times) / sizeof(times[0]); i++) {
        assert_true(places[i].order == UINT64_MAX); // for ever
    }
    assert_int_equal(check_index(&scene), sizeof(times) / sizeof(times[0]));
    scene_close(&scene);
}

static void test_consents_stand_by_channel_and_purpose(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    const uint8_t *secret = view_lookup_secret(scene.txn);
    scene_play(&scene, "consent.changed",
               "{\"address\":\"a@x.example\",\"channel\":\"email\",\"purpose\":\"marketing\","
               "\"state\":\"granted\"}");
    scene_play(&scene, "consent.changed",
               "{\"address\":\"b@x.example\",\"channel\":\"email\",\"purpose\":\"marketing\","
               "\"state\":\"withdrawn\"}");
    scene_play(&scene, "consent.changed",
               "{\"address\":\"\",\"purpose\":\"marketing\",\"state\":\"granted\"}");
    const char *any = "\x1f\x1fmarketing", *one = "b@x.example\x1f"
                                                  "email\x1fmarketing";
    const View__Item *items[] = {
        support_item(scene.txn, scene.arena, 1, ITEM_CONSENT, one),
        support_item(scene.txn, scene.arena, 1, ITEM_CONSENT, any),
    };
    assert_int_equal(item_index_place(secret, items[0]).order,
                     item_index_consent(secret, "email", "marketing"));
    assert_int_equal(item_index_place(secret, items[1]).order,
                     item_index_consent(secret, "", "marketing"));
    assert_true(item_index_consent(secret, "email", "") != item_index_consent(secret, "", "email"));
    assert_int_equal(check_index(&scene), 3);
    scene_play(&scene, "consent.changed",
               "{\"address\":\"a@x.example\",\"channel\":\"email\",\"purpose\":\"marketing\","
               "\"state\":\"withdrawn\"}");
    assert_int_equal(check_index(&scene), 3);
    scene_close(&scene);
}

static void test_nothing_is_left_of_who_was_erased(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    scene_play(&scene, "quote.issued", ISSUED);
    scene_play(&scene, "case.opened", "{\"case_id\":\"c\",\"kind\":\"complaint\",\"severity\":1}");
    Touchbus__Event *other = support_event(scene.arena, "quote.issued", "e-other", ISSUED);
    other->customer = 2;
    scene_apply(&scene, other);
    assert_int_equal(scene_count_rows(&scene, VIEW_INDEX), 3);
    scene_erase(&scene);
    assert_int_equal(scene_count_rows(&scene, VIEW_INDEX), 1);
    scene_play(&scene, "quote.issued", ISSUED);
    assert_int_equal(check_index(&scene), 1);
    scene_close(&scene);
}

// ---- whatever happens

static void play_any(struct scene *scene) {
    static const char *const types[] = {"quote.issued", "quote.issued",    "quote.closed",
                                        "case.opened",  "case.resolved",   "callback.requested",
                                        "order.placed", "consent.changed", "cart.changed"};
    char data[512];
    uint32_t type = scene_dice() % (sizeof(types) / sizeof(types[0])), id = scene_dice() % IDS;
    snprintf(data, sizeof(data),
             "{\"quote_id\":\"q-%u\",\"case_id\":\"c-%u\",\"order_id\":\"o-%u\",\"cart_id\":\"w\","
             "\"address\":\"a-%u\",\"purpose\":\"p-%u\",\"state\":\"granted\",\"kind\":\"k\","
             "\"revision\":%u,\"valid_until\":\"20%u-01-01T00:00:00Z\",\"supersedes\":\"q-%u\","
             "\"lines\":[],\"severity\":1,\"outcome\":\"done\"}",
             id, id, id, id, scene_dice() % 2, 1 + scene_dice() % 3, 30 + scene_dice() % 9,
             scene_dice() % IDS);
    at(scene, INT64_C(1000) * (scene_dice() % STEPS), types[type], data);
}

static void test_it_is_exact_after_any_history(void **state) {
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        struct scene scene;
        scene_open(state, &scene);
        scene_seed(seed);
        for (int i = 0; i < STEPS; i++) {
            play_any(&scene);
        }
        assert_in_range(check_index(&scene), 1, 4 * IDS);
        scene_close(&scene);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_quote_moves_with_its_state_and_its_time,
                                        support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_what_comes_late_opens_nothing, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_quotes_stand_in_the_order_of_their_time, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_consents_stand_by_channel_and_purpose, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_left_of_who_was_erased, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_it_is_exact_after_any_history, support_setup,
                                        support_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
