// SPDX-License-Identifier: Apache-2.0
// The fold is total, deterministic and blind to the order of arrival where it promises so.
#include "support.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold.h"
#include "schemas/base/cleanup.h"
#include "schemas/body.h"

// The same throws every time (splitmix64).
static uint64_t dice_throws;
static uint32_t dice(void) {
    uint64_t z = ++dice_throws * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)(z >> 32);
}

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

static void scene_close(struct scene *scene) {
    fold_free(scene->fold);
}

static void apply(struct scene *scene, Touchbus__Event *event) {
    event->sequence = ++scene->sequence;
    event->customer = event->customer == 0 ? 1 : event->customer;
    event->received_us = event->received_us == 0 ? 1000000 : event->received_us;
    assert_int_equal(fold_apply(scene->fold, scene->txn, event), 0);
}

static void play(struct scene *scene, const char *type, const char *data) {
    char id[24];
    snprintf(id, sizeof(id), "e-%06llu", (unsigned long long)scene->sequence + 1);
    apply(scene, support_event(scene->arena, type, id, data));
}

static void erase(struct scene *scene) {
    Touchbus__Event *event = support_event(scene->arena, "privacy.changed", "erased", NULL);
    event->erases = true;
    apply(scene, event);
}

static View__Customer *customer(struct scene *scene, uint64_t number) {
    assert_int_equal(fold_flush(scene->fold, scene->txn), 0);
    View__Customer *record = support_customer(scene->txn, scene->arena, number);
    assert_non_null(record);
    return record;
}

static View__Person *person(struct scene *scene) {
    customer(scene, 1);
    return support_person(scene->txn, scene->arena, 1);
}

static View__Order *order(struct scene *scene, const char *id) {
    return support_row(scene->txn, scene->arena, VIEW_ORDERS, 1, id);
}

static View__Quote *quote(struct scene *scene, const char *id) {
    return support_row(scene->txn, scene->arena, VIEW_QUOTES, 1, id);
}

// ---- record, counters, timeline

static void test_counts_per_channel_and_type(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    for (int i = 0; i < 3; i++) {
        play(&scene, "page.viewed", "{}");
    }
    play(&scene, "acme.thing", NULL);
    View__Customer *record = customer(&scene, 1);
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
    for (size_t i = 0; i < run->n_sequence; i++) {
        assert_int_equal(run->sequence[i], timeline->next++);
    }
    return 0;
}

static void test_the_timeline_is_whole_between_runs_and_record(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    enum { EVENTS = 3 * TIMELINE_RECENT_MAX + 5 };
    for (int i = 0; i < EVENTS; i++) {
        play(&scene, "page.viewed", "{}");
        if (i % 7 == 0) {
            assert_int_equal(fold_flush(scene.fold, scene.txn), 0); // reloaded records go on
        }
    }
    View__Customer *record = customer(&scene, 1);
    struct timeline timeline = {.scene = &scene, .next = 1};
    assert_int_equal(view_scan(scene.txn, VIEW_TIMELINE, "", 0, false, check_run, &timeline), 0);
    assert_true(record->n_recent_sequence <= TIMELINE_RECENT_MAX);
    for (size_t i = 0; i < record->n_recent_sequence; i++) {
        assert_int_equal(record->recent_sequence[i], timeline.next++);
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
    apply(&scene, event);
    View__Customer *record = customer(&scene, 1);
    assert_int_equal(record->counter_last_us[0], 1000000 + INT64_C(300000000));
    assert_true(record->recent_time_us[0] == INT64_MAX); // raw
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
        apply(&scene, event);
    }
    assert_int_equal(customer(&scene, 1)->key_lookups.len, LOOKUP_KEY_BYTES);
    assert_int_equal(customer(&scene, 1)->key_lookups.data[LOOKUP_BYTES], 1);
    assert_int_equal(customer(&scene, 2)->key_lookups.len, 0);
    const View__Person *ana = person(&scene);
    assert_int_equal(ana->n_keys, 1);
    assert_string_equal(ana->keys[0]->value, "ana@klant.example");
    assert_int_equal(ana->keys[0]->sequence, 1);
    assert_true(ana->keys[0]->verified); // by the third event
    assert_int_equal(support_person(scene.txn, scene.arena, 2)->n_keys, 0);
    scene_close(&scene);
}

static void test_keys_over_the_limit_are_counted_as_dropped(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    for (int i = 0; i < CUSTOMER_KEYS_MAX + 3; i++) {
        Touchbus__Event *event = support_event(scene.arena, "page.viewed", "1", "{}");
        support_attach(scene.fixture, event, "cookie", arena_printf(scene.arena, "c-%d", i), false);
        apply(&scene, event);
    }
    View__Customer *record = customer(&scene, 1);
    assert_int_equal(record->key_lookups.len / LOOKUP_KEY_BYTES, CUSTOMER_KEYS_MAX);
    assert_int_equal(person(&scene)->n_keys, CUSTOMER_KEYS_MAX);
    assert_int_equal(record->dropped, 3);
    scene_close(&scene);
}

// ---- profile

static void test_null_deletes_and_an_empty_text_is_a_value(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    play(&scene, "customer.identified", "{\"traits\": {\"name\": \"Ana\", \"city\": \"Utrecht\"}}");
    play(&scene, "customer.changed", "{\"fields\": {\"name\": null, \"city\": \"\"}}");
    assert_string_equal(support_attribute(person(&scene), scene.arena, "name"), "null");
    assert_string_equal(support_attribute(person(&scene), scene.arena, "city"), "\"\"");
    scene_close(&scene);
}

static void test_registered_sets_its_attributes(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    play(&scene, "customer.registered", "{\"user_id\": \"u-1\", \"incentive\": \"5%\"}");
    assert_string_equal(support_attribute(person(&scene), scene.arena, "registered"), "true");
    assert_string_equal(support_attribute(person(&scene), scene.arena, "incentive"), "\"5%\"");
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
    apply(&scene, trait(&scene, "m", 5, 100, "{\"traits\": {\"a\": 1}}"));
    apply(&scene, trait(&scene, "z", 4, 999, "{\"traits\": {\"a\": 2}}")); // lower rank
    assert_string_equal(support_attribute(person(&scene), scene.arena, "a"), "1");
    apply(&scene, trait(&scene, "z", 5, 99, "{\"traits\": {\"a\": 3}}")); // earlier
    assert_string_equal(support_attribute(person(&scene), scene.arena, "a"), "1");
    apply(&scene, trait(&scene, "a", 5, 100, "{\"traits\": {\"a\": 4}}")); // lesser id
    assert_string_equal(support_attribute(person(&scene), scene.arena, "a"), "1");
    apply(&scene, trait(&scene, "n", 5, 100, "{\"traits\": {\"a\": 5}}")); // greater id
    assert_string_equal(support_attribute(person(&scene), scene.arena, "a"), "5");
    apply(&scene, trait(&scene, "a", 6, 1, "{\"traits\": {\"a\": null}}")); // higher rank
    assert_string_equal(support_attribute(person(&scene), scene.arena, "a"), "null");
    apply(&scene, trait(&scene, "b", 5, 101, "{\"traits\": {\"a\": 7}}")); // late and lower
    assert_string_equal(support_attribute(person(&scene), scene.arena, "a"), "null");
    scene_close(&scene);
}

static void test_any_order_gives_the_same_attributes(void **state) {
    enum { EVENTS = 40, SHUFFLES = 60, NAMES = 5 };
    char expected[NAMES][64] = {{0}};
    dice_throws = 1;
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
            int k = (int)(dice() % (uint32_t)(i + 1));
            Touchbus__Event *other = events[i];
            events[i] = events[k];
            events[k] = other;
        }
        for (int i = 0; i < EVENTS; i++) {
            apply(&scene, events[i]);
        }
        for (int i = 0; i < NAMES; i++) {
            char name[8];
            snprintf(name, sizeof(name), "n%d", i);
            const char *value = support_attribute(person(&scene), scene.arena, name);
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
        play(&scene, "customer.identified",
             arena_printf(scene.arena, "{\"traits\": {\"n%d\": %d}}", i, i));
    }
    char *large = arena_calloc(scene.arena, 1, 4096);
    int used = snprintf(large, 4096, "{\"traits\": {\"n0\": \"");
    memset(large + used, 'x', 2000);
    memcpy(large + used + 2000, "\"}}", 4);
    play(&scene, "customer.identified", large);
    View__Customer *record = customer(&scene, 1);
    assert_int_equal(person(&scene)->n_attributes, CUSTOMER_ATTRIBUTES_MAX);
    assert_int_equal(record->dropped, 3);
    assert_string_equal(support_attribute(person(&scene), scene.arena, "n0"), "0");
    scene_close(&scene);
}

static void test_what_is_rewritten_is_counted(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    char *large = arena_calloc(scene.arena, 1, 1024);
    int used = snprintf(large, 1024, "{\"traits\": {\"n0\": \"");
    memset(large + used, 'x', 900);
    memcpy(large + used + 900, "\"}}", 4);
    play(&scene, "customer.identified", large);
    assert_int_equal(fold_record_bytes(scene.fold), 0); // it was not there before
    customer(&scene, 1);
    play(&scene, "page.viewed", "{}");
    assert_true(fold_record_bytes(scene.fold) > 900);
    fold_count_anew(scene.fold);
    play(&scene, "page.viewed", "{}"); // held already
    assert_int_equal(fold_record_bytes(scene.fold), 0);
    scene_close(&scene);
}

// ---- orders and quotes

static void test_an_order_grows_from_its_events_in_any_order(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    play(&scene, "order.changed", "{\"order_id\": \"o\", \"status\": \"packed\", \"revision\": 2}");
    play(&scene, "order.placed",
         "{\"order_id\": \"o\", \"currency\": \"EUR\", \"quote_id\": \"q\", \"lines\": [{\"sku\": "
         "\"s\"}]}");
    play(&scene, "order.changed", "{\"order_id\": \"o\", \"status\": \"early\", \"revision\": 1}");
    play(&scene, "supply.changed", "{\"order_id\": \"o\", \"eta\": \"2026-01-02\"}");
    play(&scene, "delivery.completed", "{\"order_id\": \"o\", \"outcome\": \"delivered\"}");
    play(&scene, "return.requested", "{\"order_id\": \"o\", \"reason\": \"broken\"}");
    const View__Order *row = order(&scene, "o");
    assert_non_null(row);
    assert_string_equal(row->status, "packed");
    assert_int_equal(row->revision, 2);
    assert_string_equal(row->currency, "EUR");
    assert_string_equal(row->quote_id, "q");
    assert_string_equal(row->eta, "2026-01-02");
    assert_string_equal(row->delivery_outcome, "delivered");
    assert_string_equal(row->return_reason, "broken");
    assert_true(row->lines.len > 0);
    assert_int_equal(row->placed_sequence, 2);
    assert_int_equal(row->changed_sequence, 6);
    scene_close(&scene);
}

static void issue(struct scene *scene, int revision) {
    play(scene, "quote.issued",
         arena_printf(scene->arena,
                      "{\"quote_id\": \"q\", \"revision\": %d, \"lines\": [], "
                      "\"valid_until\": \"2026-01-0%d\", \"currency\": \"EUR\"}",
                      revision, revision));
}

static void test_a_quote_keeps_its_highest_revision(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    issue(&scene, 2);
    issue(&scene, 1);
    assert_string_equal(quote(&scene, "q")->valid_until, "2026-01-02");
    play(&scene, "quote.closed", "{\"quote_id\": \"q\", \"outcome\": \"accepted\"}");
    assert_string_equal(quote(&scene, "q")->outcome, "accepted");
    issue(&scene, 3);
    assert_string_equal(quote(&scene, "q")->outcome, "");
    assert_int_equal(quote(&scene, "q")->revision, 3);
    assert_string_equal(quote(&scene, "q")->channel, "web");
    scene_close(&scene);
}

// ---- what is personal, and what an erasure leaves

static void play_a_life(struct scene *scene) {
    Touchbus__Event *event = support_event(scene->arena, "customer.identified", "1",
                                           "{\"traits\": {\"nickname\": \"Anneke\"}}");
    support_attach(scene->fixture, event, "email", "ana@klant.example", true);
    apply(scene, event);
    play(scene, "order.placed",
         "{\"order_id\": \"order-17\", \"currency\": \"EUR\", \"lines\": [{\"sku\": \"teapot\"}]}");
    issue(scene, 1);
    for (int i = 0; i < 2 * TIMELINE_RECENT_MAX; i++) {
        play(scene, "page.viewed", "{}");
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
    assert_string_equal(support_attribute(person(&scene), scene.arena, "nickname"), "\"Anneke\"");
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
    customer(&scene, 1);
    assert_true(keys_reader_reads(fixture->secrets));
    assert_int_equal(view_commit(scene.txn), 0);
    assert_false(keys_reader_reads(fixture->secrets));
    support_begin(fixture, view, &scene.txn);
    play(&scene, "page.viewed", "{}");
    customer(&scene, 1);
    assert_false(keys_reader_reads(fixture->secrets));
    play(&scene, "customer.changed", "{\"fields\": {\"nickname\": \"Anne\"}}");
    assert_true(keys_reader_reads(fixture->secrets));
    scene_close(&scene);
    view_abort(scene.txn);
    view_close(view);
}

static void test_what_a_destroyed_key_sealed_reads_and_is_written_as_empty(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    play(&scene, "page.viewed", "{}"); // customer 1 stays whole
    for (int i = 0; i < 2; i++) {
        Touchbus__Event *event = support_event(scene.arena, "order.placed", "1",
                                               "{\"order_id\": \"o\", \"currency\": \"EUR\"}");
        event->customer = 900;
        support_attach(scene.fixture, event, "email", "ana@klant.example", i == 1);
        apply(&scene, event);
        const View__Customer *record = customer(&scene, 900);
        assert_int_equal(record->person.len == 0, i == 1);
        assert_int_equal(support_person(scene.txn, scene.arena, 900)->n_keys, i == 0);
        const View__Order *row = support_row(scene.txn, scene.arena, VIEW_ORDERS, 900, "o");
        assert_string_equal(row->currency, i == 0 ? "EUR" : "");
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

static int count_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    (void)key, (void)key_size, (void)value, (void)size;
    ++*(unsigned *)user;
    return 0;
}

static unsigned count_rows(struct scene *scene, enum view_table table) {
    unsigned n = 0;
    assert_int_equal(view_scan(scene->txn, table, "", 0, false, count_row, &n), 0);
    return n;
}

static void
test_an_erased_customer_leaves_its_number_and_lookups_and_nothing_changes_that(void **state) {
    struct scene scene;
    char before[65], after[65];
    scene_open(state, &scene);
    play_a_life(&scene);
    assert_int_equal(fold_flush(scene.fold, scene.txn), 0);
    assert_true(count_rows(&scene, VIEW_TIMELINE) > 0);
    assert_int_equal(count_rows(&scene, VIEW_ORDERS), 1);
    assert_int_equal(count_rows(&scene, VIEW_QUOTES), 1);
    erase(&scene);
    View__Customer expected = VIEW__CUSTOMER__INIT;
    expected.erased_sequence = scene.sequence;
    const View__Customer *record = customer(&scene, 1);
    assert_int_equal(record->erased_sequence, scene.sequence);
    assert_int_equal(view__customer__get_packed_size(record),
                     view__customer__get_packed_size(&expected));
    assert_int_equal(count_rows(&scene, VIEW_TIMELINE), 0);
    assert_int_equal(count_rows(&scene, VIEW_ORDERS), 0);
    assert_int_equal(count_rows(&scene, VIEW_QUOTES), 0);
    assert_int_equal(count_rows(&scene, VIEW_LOOKUPS), 1);
    assert_int_equal(fold_is_erased(scene.fold, scene.txn, 1), 1);
    assert_int_equal(fold_is_erased(scene.fold, scene.txn, 2), 0);
    assert_int_equal(view_hash(scene.txn, before), 0);
    for (int i = 0; i < 2; i++) {
        i == 0 ? play_a_life(&scene) : erase(&scene);
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
        apply(&scene, event);
        if (number == 2) {
            erase(&scene);
        }
    }
    assert_int_equal(customer(&scene, 2)->key_lookups.len, 0);
    assert_int_equal(customer(&scene, 3)->key_lookups.len, LOOKUP_KEY_BYTES);
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
        bytes[i] = dice() % 3 == 0 ? likely[dice() % sizeof(likely)] : (uint8_t)dice();
    }
}

static void test_any_bytes_as_data_fold_without_error(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    dice_throws = 2;
    for (int i = 0; i < 20000; i++) {
        Touchbus__Event *event =
            support_event(scene.arena, types[i % N_TYPES], "1",
                          i % 4 == 0 ? "{\"order_id\": \"o\", \"quote_id\": 7, "
                                       "\"revision\": 1, \"traits\": {\"a\": "
                                       "[1, {\"b\": 2}]}, \"fields\": 3}"
                                     : NULL);
        size_t size = dice() % 80;
        if (event->data.len == 0) {
            event->data.data = arena_alloc(scene.arena, size + 1);
            event->data.len = size;
            soup(event->data.data, size);
        } else { // a real body with holes
            event->data.data[dice() % event->data.len] = (uint8_t)dice();
        }
        apply(&scene, event);
    }
    assert_int_equal(customer(&scene, 1)->events, 20000);
    scene_close(&scene);
}

static void hash_of_run(struct fixture *fixture, const char *name, int flush_every,
                        char ret[static 65]) {
    struct view *view = support_view(fixture, name);
    struct scene scene = {.fixture = fixture, .arena = fixture->arena};
    support_begin(fixture, view, &scene.txn);
    assert_int_equal(fold_new(scene.txn, &scene.fold), 0);
    dice_throws = 3;
    for (int i = 0; i < 2000; i++) {
        Touchbus__Event *event = support_event(
            scene.arena, types[dice() % N_TYPES], arena_printf(scene.arena, "e-%d", i),
            arena_printf(scene.arena,
                         "{\"order_id\": \"o-%u\", \"status\": \"s%d\", \"revision\": %u, "
                         "\"traits\": {\"t%u\": %d}, \"quote_id\": \"q-%u\", \"outcome\": \"x\"}",
                         dice() % 9, i, dice() % 9, dice() % 9, i, dice() % 5));
        event->customer = 1 + dice() % 50;
        support_attach(fixture, event, "cookie", arena_printf(scene.arena, "c-%u", dice() % 99),
                       dice() % 4 == 0);
        apply(&scene, event);
        if (i % flush_every == flush_every - 1) {
            assert_int_equal(fold_flush(scene.fold, scene.txn), 0);
            if (i % (3 * flush_every) == 0) { // another process goes on
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
    char one[65], two[65], three[65];
    hash_of_run(*state, "one", 2000, one);
    hash_of_run(*state, "two", 7, two);
    hash_of_run(*state, "three", 1, three);
    assert_string_equal(one, two);
    assert_string_equal(one, three);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_per_channel_and_type),
        cmocka_unit_test(test_events_of_nobody_change_nothing),
        cmocka_unit_test(test_the_timeline_is_whole_between_runs_and_record),
        cmocka_unit_test(test_times_from_the_future_are_clamped_to_receipt),
        cmocka_unit_test(test_keys_attach_once_and_stay_with_their_first_owner),
        cmocka_unit_test(test_keys_over_the_limit_are_counted_as_dropped),
        cmocka_unit_test(test_null_deletes_and_an_empty_text_is_a_value),
        cmocka_unit_test(test_registered_sets_its_attributes),
        cmocka_unit_test(test_rank_then_time_then_id_decide),
        cmocka_unit_test(test_any_order_gives_the_same_attributes),
        cmocka_unit_test(test_attributes_over_a_limit_are_counted_as_dropped),
        cmocka_unit_test(test_what_is_rewritten_is_counted),
        cmocka_unit_test(test_an_order_grows_from_its_events_in_any_order),
        cmocka_unit_test(test_a_quote_keeps_its_highest_revision),
        cmocka_unit_test(test_nothing_personal_stands_readable_in_the_view),
        cmocka_unit_test(test_an_ordinary_event_opens_and_seals_nothing),
        cmocka_unit_test(test_what_a_destroyed_key_sealed_reads_and_is_written_as_empty),
        cmocka_unit_test(
            test_an_erased_customer_leaves_its_number_and_lookups_and_nothing_changes_that),
        cmocka_unit_test(test_a_key_of_an_erased_customer_may_become_anothers),
        cmocka_unit_test(test_any_bytes_as_data_fold_without_error),
        cmocka_unit_test(test_flushes_and_restarts_leave_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
