// SPDX-License-Identifier: Apache-2.0
// A request's events are each as they are alone, whatever was looked at before its turn.
#include "broker/tick/ahead.h"

#include <stdlib.h>
#include <string.h>

#include "broker/tick/dedup.h"
#include "broker/tick/tick_internal.h"
#include "schemas/envelope.h"
#include "support.h"

enum { N_EVENTS = 40 };

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
    struct event_keys keys;
    dedup_hash_id(keys_hash_secret(house->fixture->keys), event, id_hash);
    assert_memory_equal(foreseen->id_hash, id_hash, sizeof(id_hash));
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
static void test_an_event_is_as_it_is_alone(void **state) {
    for (size_t stride = 1; stride < AHEAD_EVENTS_MAX + 3; stride++) {
        struct house house;
        struct ahead ahead;
        const struct foreseen *foreseen;
        open_house(state, &house);
        fill(&house);
        ahead_begin(&ahead, &house.tick, &house.request);
        for (size_t i = 0; i < N_EVENTS; i += stride) {
            assert_int_equal(ahead_take(&ahead, i, &foreseen), 0);
            assert_is_as_alone(&house, foreseen, i);
        }
        close_house(&house);
    }
}

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
    close_house(&house);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_is_as_it_is_alone),
        cmocka_unit_test(test_a_large_event_waits_for_its_turn),
        cmocka_unit_test(test_who_is_kept_is_fetched),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
