// SPDX-License-Identifier: Apache-2.0
// A request's events are each as they are alone, whatever was looked at before its turn, and by
// whom.
#include "broker/tick/ahead.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/tick/dedup.h"
#include "broker/tick/tick_internal.h"
#include "schemas/envelope.h"
#include "support.h"

enum { N_EVENTS = 2 * AHEAD_BESIDE_EVENTS_MIN, TURNS_MAX = 1000 };

struct house {
    struct fixture *fixture;
    struct broker *broker;
    struct tick tick;
    struct catalogue *catalogue;
    ProtobufCBinaryData events[N_EVENTS];
    Touchbus__PublishRequest message;
    struct request request;
};

static void open_house(void **state, struct house *ret) {
    char *error = NULL;
    struct fixture *fixture = *state;
    *ret = (struct house){.fixture = fixture, .broker = calloc(1, sizeof(*ret->broker))};
    assert_non_null(ret->broker);
    arena_reset(fixture->arena);
    ret->broker->keys = fixture->keys;
    ret->tick.broker = ret->broker;
    ret->tick.arena = fixture->arena;
    ret->tick.dedup = dedup_new(16);
    assert_int_equal(catalogue_load(NULL, &ret->catalogue, &error), 0);
    assert_int_equal(decide_new(&ret->broker->configuration, support_policy(), ret->catalogue,
                                keys_hash_secret(fixture->keys), fixture->keys, &ret->tick.decide),
                     0);
    assert_int_equal(fold_new(fixture->txn, &ret->tick.fold), 0);
    touchbus__publish_request__init(&ret->message);
    ret->message.events = ret->events;
    ret->message.n_events = N_EVENTS;
    ret->request.message = &ret->message;
}

static void close_house(struct house *house) {
    arena_free(house->tick.ahead_arena);
    ahead_beside_free(house->tick.ahead_beside);
    fold_free(house->tick.fold);
    decide_free(house->tick.decide);
    dedup_free(house->tick.dedup);
    catalogue_free(house->catalogue);
    free(house->broker);
}

// Of every third customer in turn, with an address in capitals; every seventh larger than what is
// looked at early, every eleventh cut in half.
static void fill(struct house *house) {
    struct arena *arena = house->fixture->arena;
    char *more = arena_calloc(arena, 2, AHEAD_EVENT_BYTES_MAX);
    memset(more, 'x', (size_t)2 * AHEAD_EVENT_BYTES_MAX - 1);
    for (unsigned i = 0; i < N_EVENTS; i++) {
        const char *data = arena_printf(arena, "{\"url\": \"/%s\"}", i % 7 == 6 ? more : "");
        Touchbus__Event *event =
            support_event(arena, "page.viewed", arena_printf(arena, "id-%u", i), data);
        support_identify(arena, event, "user_id", arena_printf(arena, "user-%u", i % 3));
        support_identify(arena, event, "email", arena_printf(arena, "U%u@Example.COM", i % 3));
        const uint8_t *bytes;
        assert_int_equal(envelope_pack(&event->base, arena, &bytes, &house->events[i].len), 0);
        house->events[i].data = arena_copy(arena, bytes, house->events[i].len);
        house->events[i].len /= i % 11 == 10 ? 2 : 1;
    }
}

static void assert_is_as_alone(struct house *house, const struct foreseen *foreseen, size_t index) {
    const ProtobufCBinaryData *bytes = &house->events[index];
    Touchbus__Event *event;
    const char *why = "";
    int code =
        envelope_unpack_event(bytes->data, bytes->len, true, house->fixture->arena, &event, &why);
    assert_int_equal(foreseen->code, code);
    assert_string_equal(foreseen->why, why);
    assert_int_equal(code != 0, index % 11 == 10);
    if (code != 0) {
        return;
    }
    uint8_t id_hash[BLOCK_ID_HASH_BYTES];
    uint64_t body_hash;
    struct event_keys keys;
    dedup_hash_id(keys_hash_secret(house->fixture->keys), event, id_hash);
    assert_memory_equal(foreseen->id_hash, id_hash, sizeof(id_hash));
    assert_int_equal(dedup_hash_body(keys_hash_secret(house->fixture->keys), event,
                                     house->fixture->arena, &body_hash),
                     0);
    assert_int_equal(foreseen->body_hash, body_hash);
    assert_string_equal(foreseen->event->id, event->id);
    assert_int_equal(decide_keys(house->tick.decide, house->fixture->arena, event, &keys), 0);
    assert_int_equal(keys.n, 2);
    assert_int_equal(foreseen->keys.n, keys.n);
    for (size_t i = 0; i < keys.n; i++) {
        const struct event_key *key = &foreseen->keys.rows[i];
        assert_ptr_equal(key->identity, foreseen->event->identities[i]);
        assert_string_equal(key->value, keys.rows[i].value);
        assert_int_equal(key->class, keys.rows[i].class);
        assert_memory_equal(key->lookup, keys.rows[i].lookup, LOOKUP_BYTES);
    }
}

// Events in between may be passed over: their numbers are old, or they are refused unread.
static void take_all(struct house *house, size_t stride) {
    struct ahead ahead;
    const struct foreseen *foreseen;
    ahead_begin(&ahead, &house->tick, &house->request);
    for (size_t i = 0; i < N_EVENTS; i += stride) {
        assert_int_equal(ahead_take(&ahead, i, &foreseen), 0);
        assert_is_as_alone(house, foreseen, i);
    }
    ahead_end(&ahead);
}

static void test_an_event_is_as_it_is_alone(void **state) {
    for (size_t stride = 1; stride < AHEAD_EVENTS_MAX + 3; stride++) {
        struct house house;
        open_house(state, &house);
        fill(&house);
        take_all(&house, stride);
        close_house(&house);
    }
}

// ---- by a thread beside

static void open_house_with_a_thread(void **state, size_t arena_bytes, struct house *ret) {
    open_house(state, ret);
    fill(ret);
    assert_int_equal(ahead_beside_new(&ret->tick.ahead_beside), 0);
    ret->tick.ahead_arena = arena_new(arena_bytes);
    assert_non_null(ret->tick.ahead_arena);
}

static void test_an_event_is_as_it_is_alone_whoever_reads_it(void **state) {
    struct house house;
    open_house_with_a_thread(state, AHEAD_ARENA_BYTES_MAX, &house);
    for (size_t stride = 1; stride < AHEAD_EVENTS_MAX + 3; stride++) {
        take_all(&house, stride);
        arena_reset(house.tick.ahead_arena);
    }
    close_house(&house);
}

// What the thread reads while nobody takes any. It may not come to it at all: then once more.
static size_t read_beside(struct house *house) {
    struct ahead_means means = {house->tick.decide, keys_hash_secret(house->fixture->keys)};
    struct ahead_beside *beside = house->tick.ahead_beside;
    size_t n = 0;
    for (unsigned turn = 0; n == 0 && turn < TURNS_MAX; turn++) {
        arena_reset(house->tick.ahead_arena);
        ahead_beside_begin(beside, &means, house->events, N_EVENTS, house->tick.ahead_arena);
        usleep(1000);
        ahead_beside_end(beside);
        for (size_t i = 0; i < N_EVENTS; i++) {
            n += ahead_beside_find(beside, i) != NULL;
        }
    }
    return n;
}

static void test_the_thread_leaves_what_is_large_or_refused(void **state) {
    struct house house;
    open_house_with_a_thread(state, AHEAD_ARENA_BYTES_MAX, &house);
    assert_true(read_beside(&house) > 0);
    for (size_t i = 0; i < N_EVENTS; i++) {
        const struct foreseen *found = ahead_beside_find(house.tick.ahead_beside, i);
        assert_true(found == NULL || (i % 7 != 6 && i % 11 != 10));
        if (found != NULL) {
            assert_is_as_alone(&house, found, i);
        }
    }
    close_house(&house);
}

// What finds no room there is read by the tick, and is not refused.
static void test_a_full_arena_refuses_nothing(void **state) {
    for (size_t bytes = 8 << 10; bytes <= 32 << 10; bytes *= 2) {
        struct house house;
        open_house_with_a_thread(state, bytes, &house);
        size_t n = read_beside(&house);
        assert_true(n > 0 && n < N_EVENTS / 2);
        for (size_t i = 0; i < N_EVENTS; i++) {
            const struct foreseen *found = ahead_beside_find(house.tick.ahead_beside, i);
            assert_true(found == NULL || found->code == 0);
        }
        arena_reset(house.tick.ahead_arena);
        take_all(&house, 1);
        close_house(&house);
    }
}

// ---- steps

// A large one takes much to unpack: not before it is its turn.
static void test_a_large_event_waits_for_its_turn(void **state) {
    struct house house;
    struct ahead ahead;
    const struct foreseen *foreseen;
    open_house(state, &house);
    fill(&house);
    ahead_begin(&ahead, &house.tick, &house.request);
    assert_int_equal(ahead_take(&ahead, 2, &foreseen), 0);
    assert_int_equal(ahead.end, 6);
    assert_int_equal(ahead_take(&ahead, 5, &foreseen), 0);
    assert_int_equal(ahead.end, 6);
    assert_int_equal(ahead_take(&ahead, 6, &foreseen), 0);
    assert_is_as_alone(&house, foreseen, 6);
    ahead_end(&ahead);
    close_house(&house);
}

// Whom the fold keeps is found by the event's keys, and fetched to the last step.
static void test_who_is_kept_is_fetched(void **state) {
    struct house house;
    struct ahead ahead;
    const struct foreseen *foreseen;
    open_house(state, &house);
    fill(&house);
    struct arena *arena = house.fixture->arena;
    Touchbus__Event *event = support_event(arena, "page.viewed", "first", "{\"category\": \"a\"}");
    event->customer = 7;
    event->sequence = 1;
    event->received_us = 1;
    support_attach(house.fixture, event, "user_id", "user-1", false);
    assert_int_equal(fold_apply(house.tick.fold, house.fixture->txn, event), 0);
    ahead_begin(&ahead, &house.tick, &house.request);
    assert_int_equal(ahead_take(&ahead, 0, &foreseen), 0);
    assert_int_equal(foreseen->customer, 0);
    assert_int_equal(ahead_take(&ahead, 1, &foreseen), 0);
    assert_int_equal(foreseen->customer, 7);
    assert_is_as_alone(&house, foreseen, 1);
    ahead_end(&ahead);
    close_house(&house);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_is_as_it_is_alone),
        cmocka_unit_test(test_an_event_is_as_it_is_alone_whoever_reads_it),
        cmocka_unit_test(test_the_thread_leaves_what_is_large_or_refused),
        cmocka_unit_test(test_a_full_arena_refuses_nothing),
        cmocka_unit_test(test_a_large_event_waits_for_its_turn),
        cmocka_unit_test(test_who_is_kept_is_fetched),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
