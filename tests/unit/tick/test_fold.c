// SPDX-License-Identifier: Apache-2.0
// The fold is total, deterministic and blind to the order of arrival where it promises so.
#include "scene.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/body.h"

// ---- record, counters, timeline

static void test_counts_per_channel_and_type(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    for (int i = 0; i < 3; i++) {
        scene_play(&scene, "page.viewed", "{}");
    }
    scene_play(&scene, "acme.thing", NULL);
    View__Customer *record = scene_customer(&scene, 1);
    assert_int_equal(record->events, 4);
    assert_int_equal(record->first_sequence, 1);
    assert_int_equal(record->last_sequence, 4);
    assert_int_equal(record->n_counter_number, 2);
    assert_int_equal(record->counter_number[0], 3);
    assert_int_equal(record->counter_number[1], 1);
    assert_string_equal(fold_name(scene.fold, record->counter_type[1]), "acme.thing");
    assert_string_equal(fold_name(scene.fold, 9999), "other");
    scene_close(&scene);
}

static void test_events_of_nobody_change_nothing(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    Touchbus__Event *event = support_event(scene.arena, "page.viewed", "1", "{}");
    event->sequence = 1;
    char before[65], after[65];
    assert_int_equal(view_hash(scene.txn, before), 0);
    assert_int_equal(fold_apply(scene.fold, scene.txn, event), 0);
    assert_int_equal(fold_flush(scene.fold, scene.txn), 0);
    assert_int_equal(view_hash(scene.txn, after), 0);
    assert_string_equal(before, after);
    scene_close(&scene);
}

struct timeline {
    struct scene *scene;
    uint64_t next;
};

static int check_run(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct timeline *timeline = user;
    uint64_t numbers[2];
    assert_int_equal(key_size, sizeof(numbers));
    memcpy(numbers, key, sizeof(numbers));
    View__Run *run = view__run__unpack(arena_allocator(timeline->scene->arena), size, value);
    assert_non_null(run);
    assert_int_equal(be64toh(numbers[1]), timeline->next);
    struct fold_interaction interactions[TIMELINE_RECENT_MAX];
    size_t n;
    assert_int_equal(interactions_of_run(run, interactions, &n), 0);
    assert_int_equal(n, TIMELINE_SPILL);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(interactions[i].sequence, timeline->next++);
    }
    return 0;
}

static void test_the_timeline_is_whole_between_runs_and_record(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    enum { EVENTS = 3 * TIMELINE_RECENT_MAX + 5 };
    for (int i = 0; i < EVENTS; i++) {
        scene_play(&scene, "page.viewed", "{}");
        if (i % 7 == 0) {
            assert_int_equal(fold_flush(scene.fold, scene.txn), 0); // reloaded records go on
        }
    }
    View__Customer *record = scene_customer(&scene, 1);
    struct timeline timeline = {.scene = &scene, .next = 1};
    assert_int_equal(view_scan(scene.txn, VIEW_TIMELINE, "", 0, false, check_run, &timeline), 0);
    struct fold_interaction interactions[TIMELINE_RECENT_MAX];
    size_t n;
    assert_int_equal(interactions_of_record(record, interactions, &n), 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(interactions[i].sequence, timeline.next++);
    }
    assert_int_equal(timeline.next, EVENTS + 1);
    scene_close(&scene);
}

static void test_times_from_the_future_are_clamped_to_receipt(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    Touchbus__Event *event = support_event(scene.arena, "page.viewed", "1", "{}");
    event->has_time = true;
    event->time_us = INT64_MAX;
    scene_apply(&scene, event);
    View__Customer *record = scene_customer(&scene, 1);
    assert_int_equal(record->counter_last_us[0], 1000000 + INT64_C(300000000));
    assert_true(record->recent_last_us == INT64_MAX); // raw
    scene_close(&scene);
}

// ---- keys

static void test_keys_attach_once_and_stay_with_their_first_owner(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    for (uint64_t i = 0; i < 4; i++) {
        Touchbus__Event *event = support_event(scene.arena, "page.viewed", "1", "{}");
        event->customer = 1 + i % 2;
        support_attach(scene.fixture, event, "email", "ana@klant.example", i >= 2);
        scene_apply(&scene, event);
    }
    assert_int_equal(scene_customer(&scene, 1)->key_lookups.len, LOOKUP_KEY_BYTES);
    assert_int_equal(scene_customer(&scene, 1)->key_lookups.data[LOOKUP_BYTES], 1);
    assert_int_equal(scene_customer(&scene, 2)->key_lookups.len, 0);
    const View__Person *ana = scene_person(&scene);
    assert_int_equal(ana->n_keys, 1);
    assert_string_equal(ana->keys[0]->value, "ana@klant.example");
    assert_int_equal(ana->keys[0]->sequence, 1);
    assert_true(ana->keys[0]->verified); // by the third event
    assert_int_equal(support_person(scene.txn, scene.arena, 2)->n_keys, 0);
    scene_close(&scene);
}

// However many were changed before it: nobody is written while an event still changes them.
static void test_an_event_that_takes_a_key_is_written_whole(void **state) {
    enum { OTHERS_MAX = 8192, FORMER = 1, LATTER = 2, FIRST_OTHER = 1000, STEP = 3 };
    for (uint64_t n = OTHERS_MAX - STEP; n <= OTHERS_MAX; n++) {
        struct scene scene;
        scene_open(state, &scene);
        Touchbus__Event *event = support_event(scene.arena, "page.viewed", "1", "{}");
        event->customer = FORMER;
        support_attach(scene.fixture, event, "email", "ana@klant.example", false);
        scene_apply(&scene, event);
        assert_int_equal(fold_flush(scene.fold, scene.txn), 0);
        for (uint64_t i = 0; i < n; i++) {
            event = support_event(scene.arena, "page.viewed", "1", "{}");
            event->customer = FIRST_OTHER + i * i * i; // by several bytes of the number
            scene_apply(&scene, event);
        }
        event = support_event(scene.arena, "page.viewed", "1", "{}");
        event->customer = LATTER;
        support_attach(scene.fixture, event, "email", "ana@klant.example", false);
        event->key_lookups.data[LOOKUP_BYTES] |= LOOKUP_TAKEN;
        scene_apply(&scene, event);
        assert_int_equal(scene_customer(&scene, FORMER)->key_lookups.len, 0);
        assert_int_equal(scene_customer(&scene, LATTER)->key_lookups.len, LOOKUP_KEY_BYTES);
        assert_int_equal(scene_count_rows(&scene, VIEW_CUSTOMERS), n + 2);
        scene_close(&scene);
    }
}

static void test_keys_over_the_limit_are_counted_as_dropped(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    for (int i = 0; i < CUSTOMER_KEYS_MAX + 3; i++) {
        Touchbus__Event *event = support_event(scene.arena, "page.viewed", "1", "{}");
        support_attach(scene.fixture, event, "cookie", arena_printf(scene.arena, "c-%d", i), false);
        scene_apply(&scene, event);
    }
    View__Customer *record = scene_customer(&scene, 1);
    assert_int_equal(record->key_lookups.len / LOOKUP_KEY_BYTES, CUSTOMER_KEYS_MAX);
    assert_int_equal(scene_person(&scene)->n_keys, CUSTOMER_KEYS_MAX);
    assert_int_equal(record->dropped, 3);
    scene_close(&scene);
}

// ---- what is personal, and what an erasure leaves

static void play_a_life(struct scene *scene) {
    Touchbus__Event *event = support_event(scene->arena, "customer.identified", "1",
                                           "{\"traits\": {\"nickname\": \"Anneke\"}}");
    support_attach(scene->fixture, event, "email", "ana@klant.example", true);
    scene_apply(scene, event);
    scene_play(
        scene, "order.placed",
        "{\"order_id\": \"order-17\", \"currency\": \"EUR\", \"lines\": [{\"sku\": \"teapot\"}]}");
    scene_play(scene, "quote.issued",
               "{\"quote_id\": \"q\", \"revision\": 1, \"lines\": [], \"currency\": \"EUR\", "
               "\"valid_until\": \"2026-01-01\"}");
    for (int i = 0; i < 2 * TIMELINE_RECENT_MAX; i++) {
        scene_play(scene, "page.viewed", "{}");
    }
}

static int find_personal(void *user, const void *key, size_t key_size, const void *value,
                         size_t size) {
    static const char *const words[] = {"ana@",   "klant",    "email",  "nickname",
                                        "Anneke", "order-17", "teapot", "EUR"};
    (void)user;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        assert_null(memmem(key, key_size, words[i], strlen(words[i])));
        assert_null(memmem(value, size, words[i], strlen(words[i])));
    }
    return 0;
}

static void test_nothing_personal_stands_readable_in_the_view(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    play_a_life(&scene);
    assert_int_equal(fold_flush(scene.fold, scene.txn), 0);
    for (unsigned table = 0; table < VIEW_N_TABLES; table++) {
        assert_int_equal(view_scan(scene.txn, table, "", 0, false, find_personal, NULL), 0);
    }
    assert_string_equal(support_attribute(scene_person(&scene), scene.arena, "nickname"),
                        "\"Anneke\"");
    scene_close(&scene);
}

static void test_an_ordinary_event_opens_and_seals_nothing(void **state) {
    struct fixture *fixture = *state;
    view_abort(STEAL(fixture->txn)); // who shares its keys
    struct view *view = support_view(fixture, "ordinary");
    struct scene scene = {.fixture = fixture, .arena = fixture->arena};
    support_begin(fixture, view, &scene.txn);
    assert_int_equal(fold_new(scene.txn, &scene.fold), 0);
    play_a_life(&scene);
    scene_customer(&scene, 1);
    assert_true(keys_reader_reads(fixture->secrets));
    assert_int_equal(view_commit(scene.txn), 0);
    assert_false(keys_reader_reads(fixture->secrets));
    support_begin(fixture, view, &scene.txn);
    scene_play(&scene, "page.viewed", "{}");
    scene_customer(&scene, 1);
    assert_false(keys_reader_reads(fixture->secrets));
    scene_play(&scene, "customer.changed", "{\"fields\": {\"nickname\": \"Anne\"}}");
    scene_customer(&scene, 1); // written
    assert_true(keys_reader_reads(fixture->secrets));
    scene_close(&scene);
    view_abort(scene.txn);
    view_close(view);
}

static void test_what_a_destroyed_key_sealed_reads_and_is_written_as_empty(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    scene_play(&scene, "page.viewed", "{}"); // customer 1 stays whole
    for (int i = 0; i < 2; i++) {
        Touchbus__Event *event = support_event(scene.arena, "order.placed", "1",
                                               "{\"order_id\": \"o\", \"currency\": \"EUR\"}");
        event->customer = 900;
        support_attach(scene.fixture, event, "email", "ana@klant.example", i == 1);
        scene_apply(&scene, event);
        const View__Customer *record = scene_customer(&scene, 900);
        assert_int_equal(record->person.len == 0, i == 1);
        assert_int_equal(support_person(scene.txn, scene.arena, 900)->n_keys, i == 0);
        const View__Item *row = support_item(scene.txn, scene.arena, 900, ITEM_ORDER, "o");
        assert_int_equal(row == NULL, i == 1);
        assert_int_equal(record->key_lookups.data[LOOKUP_BYTES], i); // open, goes on
        if (i == 0) {
            // The keys' slice ends, so that the next one sees what follows.
            assert_int_equal(keys_destroy(scene.fixture->keys, 900, 1), 0);
            keys_reader_end(scene.fixture->secrets);
            assert_int_equal(keys_reader_begin(scene.fixture->secrets), 0);
        }
    }
    scene_close(&scene);
}

static void
test_an_erased_customer_leaves_its_number_and_lookups_and_nothing_changes_that(void **state) {
    struct scene scene;
    char before[65], after[65];
    scene_open(state, &scene);
    play_a_life(&scene);
    assert_int_equal(fold_flush(scene.fold, scene.txn), 0);
    assert_true(scene_count_rows(&scene, VIEW_TIMELINE) > 0);
    assert_int_equal(scene_count_rows(&scene, VIEW_ITEMS), 2);
    scene_erase(&scene);
    View__Customer expected;
    view__customer__init(&expected);
    expected.erased_sequence = scene.sequence;
    const View__Customer *record = scene_customer(&scene, 1);
    assert_int_equal(record->erased_sequence, scene.sequence);
    assert_int_equal(view__customer__get_packed_size(record),
                     view__customer__get_packed_size(&expected));
    assert_int_equal(scene_count_rows(&scene, VIEW_TIMELINE), 0);
    assert_int_equal(scene_count_rows(&scene, VIEW_ITEMS), 0);
    assert_int_equal(scene_count_rows(&scene, VIEW_LOOKUPS), 1);
    assert_int_equal(fold_is_erased(scene.fold, scene.txn, 1), 1);
    assert_int_equal(fold_is_erased(scene.fold, scene.txn, 2), 0);
    assert_int_equal(view_hash(scene.txn, before), 0);
    for (int i = 0; i < 2; i++) {
        i == 0 ? play_a_life(&scene) : scene_erase(&scene);
        assert_int_equal(fold_flush(scene.fold, scene.txn), 0);
        assert_int_equal(view_hash(scene.txn, after), 0);
        assert_string_equal(before, after);
    }
    scene_close(&scene);
}

static void test_a_key_of_an_erased_customer_may_become_anothers(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    play_a_life(&scene);
    for (uint64_t number = 2; number <= 3; number++) { // 2 comes before the erasure, 3 after it
        Touchbus__Event *event = support_event(scene.arena, "page.viewed", "1", "{}");
        event->customer = number;
        support_attach(scene.fixture, event, "email", "ana@klant.example", false);
        scene_apply(&scene, event);
        if (number == 2) {
            scene_erase(&scene);
        }
    }
    assert_int_equal(scene_customer(&scene, 2)->key_lookups.len, 0);
    assert_int_equal(scene_customer(&scene, 3)->key_lookups.len, LOOKUP_KEY_BYTES);
    uint8_t lookup[LOOKUP_BYTES];
    const void *value;
    size_t size;
    uint64_t three = htobe64(3);
    lookup_key(view_lookup_secret(scene.txn), "email", "ana@klant.example", lookup);
    assert_int_equal(view_get(scene.txn, VIEW_LOOKUPS, lookup, sizeof(lookup), &value, &size), 0);
    assert_memory_equal(value, &three, sizeof(three));
    scene_close(&scene);
}

// ---- total and deterministic

static const char *const types[] = {
    "customer.identified", "customer.changed", "customer.registered", "order.placed",
    "order.changed",       "supply.changed",   "delivery.completed",  "return.requested",
    "quote.issued",        "quote.closed",     "identity.changed",    "acme.unknown",
};
enum { N_TYPES = sizeof(types) / sizeof(types[0]) };

// Bytes that begin like a body now and then, so that the readers get somewhere.
static void soup(uint8_t *bytes, size_t size) {
    static const uint8_t likely[] = {0x81, 0x82, 0xde, 0xdf, 0xa8, 0xc0, 0x93, 0xdd, 0xdb, 0xd9};
    for (size_t i = 0; i < size; i++) {
        bytes[i] =
            scene_dice() % 3 == 0 ? likely[scene_dice() % sizeof(likely)] : (uint8_t)scene_dice();
    }
}

static void test_any_bytes_as_data_fold_without_error(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    scene_seed(2);
    for (int i = 0; i < 20000; i++) {
        Touchbus__Event *event =
            support_event(scene.arena, types[i % N_TYPES], "1",
                          i % 4 == 0 ? "{\"order_id\": \"o\", \"quote_id\": 7, "
                                       "\"revision\": 1, \"traits\": {\"a\": "
                                       "[1, {\"b\": 2}]}, \"fields\": 3}"
                                     : NULL);
        size_t size = scene_dice() % 80;
        if (event->data.len == 0) {
            event->data.data = arena_alloc(scene.arena, size + 1);
            event->data.len = size;
            soup(event->data.data, size);
        } else { // a real body with holes
            event->data.data[scene_dice() % event->data.len] = (uint8_t)scene_dice();
        }
        scene_apply(&scene, event);
    }
    assert_int_equal(scene_customer(&scene, 1)->events, 20000);
    scene_close(&scene);
}

// keeps_few: what is kept decoded is let go every few customers.
static void hash_of_run(struct fixture *fixture, const char *name, int flush_every, bool keeps_few,
                        char ret[static 65]) {
    struct view *view = support_view(fixture, name);
    struct scene scene = {.fixture = fixture, .arena = fixture->arena};
    support_begin(fixture, view, &scene.txn);
    assert_int_equal(fold_new(scene.txn, &scene.fold), 0);
    if (keeps_few) {
        fold_customers_limit(scene.fold, 2 * FOLD_TOUCHED_MAX + 5);
    }
    scene_seed(3);
    for (int i = 0; i < 2000; i++) {
        Touchbus__Event *event = support_event(
            scene.arena, types[scene_dice() % N_TYPES], arena_printf(scene.arena, "e-%d", i),
            arena_printf(scene.arena,
                         "{\"order_id\": \"o-%u\", \"status\": \"s%d\", \"revision\": %u, "
                         "\"traits\": {\"t%u\": %d}, \"quote_id\": \"q-%u\", \"outcome\": \"x\"}",
                         scene_dice() % 9, i, scene_dice() % 9, scene_dice() % 9, i,
                         scene_dice() % 5));
        event->customer = 1 + scene_dice() % 50;
        support_attach(fixture, event, "cookie",
                       arena_printf(scene.arena, "c-%u", scene_dice() % 99), scene_dice() % 4 == 0);
        scene_apply(&scene, event);
        if (i % flush_every == flush_every - 1) {
            assert_int_equal(fold_flush(scene.fold, scene.txn), 0);
            if (!keeps_few && i % (3 * flush_every) == 0) { // another process goes on
                fold_free(scene.fold);
                assert_int_equal(view_commit(scene.txn), 0);
                support_begin(fixture, view, &scene.txn);
                assert_int_equal(fold_new(scene.txn, &scene.fold), 0);
            }
        }
    }
    assert_int_equal(fold_flush(scene.fold, scene.txn), 0);
    assert_int_equal(view_hash(scene.txn, ret), 0);
    fold_free(scene.fold);
    view_abort(scene.txn);
    view_close(view);
}

static void test_flushes_and_restarts_leave_the_same_bytes(void **state) {
    char one[65], two[65], three[65], four[65];
    hash_of_run(*state, "one", 2000, false, one);
    hash_of_run(*state, "two", 7, false, two);
    hash_of_run(*state, "three", 1, false, three);
    hash_of_run(*state, "four", 100, true, four);
    assert_string_equal(one, two);
    assert_string_equal(one, three);
    assert_string_equal(one, four);
}

static void test_what_a_destroyed_key_opened_is_not_looked_at_any_more(void **state) {
    struct scene scene;
    const View__Person *person;
    scene_open(state, &scene);
    Touchbus__Event *event = support_event(scene.arena, "page.viewed", "1", "{}");
    event->customer = 903;
    support_attach(scene.fixture, event, "email", "ana@klant.example", false);
    scene_apply(&scene, event);
    assert_int_equal(fold_flush(scene.fold, scene.txn), 0);
    assert_int_equal(fold_customer_person(scene.fold, scene.txn, 903, &person), 0);
    assert_int_equal(person->n_keys, 1);
    assert_int_equal(keys_destroy(scene.fixture->keys, 903, 1), 0);
    keys_reader_end(scene.fixture->secrets); // the next slice sees it
    assert_int_equal(keys_reader_begin(scene.fixture->secrets), 0);
    fold_forget(scene.fold, 903);
    assert_int_equal(fold_customer_person(scene.fold, scene.txn, 903, &person), 0);
    assert_int_equal(person->n_keys, 0);
    scene_close(&scene);
}

static void test_a_key_that_leads_to_nobody_any_more_is_not_remembered(void **state) {
    struct scene scene;
    uint8_t lookup[LOOKUP_BYTES] = {1, 2, 3};
    uint64_t owner = 1;
    scene_open(state, &scene);
    assert_int_equal(fold_owner(scene.fold, scene.txn, lookup, &owner), 0);
    assert_int_equal(owner, 0);
    assert_int_equal(fold_owner_claim(scene.fold, scene.txn, lookup, 7, &owner), 0);
    assert_int_equal(owner, 7);
    assert_int_equal(fold_owner_claim(scene.fold, scene.txn, lookup, 8, &owner), 0);
    assert_int_equal(owner, 7); // the first one's
    assert_int_equal(fold_owner_set(scene.fold, scene.txn, lookup, 8), 0);
    assert_int_equal(fold_owner(scene.fold, scene.txn, lookup, &owner), 0);
    assert_int_equal(owner, 8);
    assert_int_equal(fold_owner_drop(scene.fold, scene.txn, lookup), 0);
    assert_int_equal(fold_owner(scene.fold, scene.txn, lookup, &owner), 0);
    assert_int_equal(owner, 0);
    scene_close(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_per_channel_and_type),
        cmocka_unit_test(test_events_of_nobody_change_nothing),
        cmocka_unit_test(test_the_timeline_is_whole_between_runs_and_record),
        cmocka_unit_test(test_times_from_the_future_are_clamped_to_receipt),
        cmocka_unit_test(test_keys_attach_once_and_stay_with_their_first_owner),
        cmocka_unit_test(test_an_event_that_takes_a_key_is_written_whole),
        cmocka_unit_test(test_keys_over_the_limit_are_counted_as_dropped),
        cmocka_unit_test(test_nothing_personal_stands_readable_in_the_view),
        cmocka_unit_test(test_an_ordinary_event_opens_and_seals_nothing),
        cmocka_unit_test(test_what_a_destroyed_key_sealed_reads_and_is_written_as_empty),
        cmocka_unit_test(
            test_an_erased_customer_leaves_its_number_and_lookups_and_nothing_changes_that),
        cmocka_unit_test(test_a_key_of_an_erased_customer_may_become_anothers),
        cmocka_unit_test(test_what_a_destroyed_key_opened_is_not_looked_at_any_more),
        cmocka_unit_test(test_a_key_that_leads_to_nobody_any_more_is_not_remembered),
        cmocka_unit_test(test_any_bytes_as_data_fold_without_error),
        cmocka_unit_test(test_flushes_and_restarts_leave_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
