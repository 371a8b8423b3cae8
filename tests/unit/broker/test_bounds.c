// SPDX-License-Identifier: Apache-2.0
// Rows of the list of bad input that need the whole daemon, over the house without sockets: clocks
// that jump, times that cannot be, subscriptions without end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"
#include "tests/faults/folder.h"
#include "tests/faults/house.h"

#define YEAR_US (INT64_C(365) * 24 * 3600 * CLOCK_US_PER_S)

static const int64_t today_us = INT64_C(1800000000) * CLOCK_US_PER_S;

struct place {
    char folder[64];
    struct house *house;
    struct arena *arena;
    // the last reply, and how many subscriptions were answered
    uint32_t code;
    uint64_t sequence;
    unsigned n_subscribed, n_refused;
    uint32_t refused_code;
};

static void hear_reply(struct place *place, const void *frame, size_t size) {
    Touchbus__PublishReply *reply = touchbus__publish_reply__unpack(NULL, size, frame);
    assert_non_null(reply);
    place->code = reply->n_outcomes > 0 ? reply->outcomes[0]->code : reply->code;
    place->sequence = reply->n_sequences > 0 ? reply->sequences[0] : 0;
    touchbus__publish_reply__free_unpacked(reply, NULL);
}

static void hear(void *user, enum house_door door, const char *peer, const void *frame,
                 size_t size) {
    (void)peer;
    struct place *place = user;
    if (door == HOUSE_PUBLISH) {
        hear_reply(place, frame, size);
    } else {
        Touchbus__BrokerMessage *message = touchbus__broker_message__unpack(NULL, size, frame);
        assert_non_null(message);
        place->n_subscribed += message->body_case == TOUCHBUS__BROKER_MESSAGE__BODY_SUBSCRIBED;
        if (message->body_case == TOUCHBUS__BROKER_MESSAGE__BODY_REFUSED) {
            place->n_refused++;
            place->refused_code = message->refused->code;
        }
        touchbus__broker_message__free_unpacked(message, NULL);
    }
}

static int setup(void **state) {
    struct place *place = calloc(1, sizeof(*place));
    assert_non_null(place);
    house_jump(today_us);
    logging_init("bounds", LOGGING_ERROR);
    folder_make(place->folder, sizeof(place->folder));
    place->arena = arena_new(8 << 20);
    assert_int_equal(house_open(place->folder, hear, place, &place->house), 0);
    *state = place;
    return 0;
}

static int teardown(void **state) {
    struct place *place = *state;
    house_close(place->house, true);
    folder_remove(place->folder);
    arena_free(place->arena);
    free(place);
    return 0;
}

static ProtobufCBinaryData pack(struct place *place, const ProtobufCMessage *message) {
    const uint8_t *bytes;
    size_t size;
    assert_int_equal(envelope_pack(message, place->arena, &bytes, &size), 0);
    return (ProtobufCBinaryData){.len = size, .data = arena_copy(place->arena, bytes, size)};
}

// Its outcome.
static uint32_t publish(struct place *place, const char *id, const int64_t *time_us) {
    Touchbus__PublishRequest request;
    Touchbus__Event event;
    Touchbus__Identity identity, *identities[] = {&identity};
    arena_reset(place->arena);
    touchbus__publish_request__init(&request);
    touchbus__event__init(&event);
    touchbus__identity__init(&identity);
    identity.kind = arena_strdup(place->arena, "user_id");
    identity.value = arena_strdup(place->arena, "u-1");
    event.id = arena_strdup(place->arena, id);
    event.source = arena_strdup(place->arena, "/bounds");
    event.type = arena_strdup(place->arena, "acme.seen");
    event.channel = arena_strdup(place->arena, "web");
    event.identities = identities;
    event.n_identities = 1;
    event.has_time = time_us != NULL;
    event.time_us = time_us != NULL ? *time_us : 0;
    ProtobufCBinaryData events[] = {pack(place, &event.base)};
    request.version = WIRE_VERSION;
    request.events = events;
    request.n_events = 1;
    ProtobufCBinaryData frame = pack(place, &request.base);
    place->code = UINT32_MAX;
    assert_true(house_say(place->house, HOUSE_PUBLISH, "publisher", frame.data, frame.len));
    house_run(place->house);
    return place->code;
}

static struct block_entry read_entry(struct place *place, uint64_t sequence) {
    struct log_reader *reader = NULL;
    struct block_head block;
    struct block_entry entry;
    assert_int_equal(log_reader_new(house_broker(place->house)->log, &reader), 0);
    assert_int_equal(log_reader_begin(reader), 0);
    assert_int_equal(log_reader_block(reader, sequence, &block), 0);
    assert_int_equal(block_entry_get(&block, (uint32_t)(sequence - block.first), &entry), 0);
    log_reader_end(reader);
    log_reader_free(reader);
    return entry;
}

static void reopen(struct place *place) {
    house_close(place->house, true);
    assert_int_equal(house_open(place->folder, hear, place, &place->house), 0);
}

static void test_a_clock_that_jumps_years_leaves_the_order_alone(void **state) {
    struct place *place = *state;
    static const int64_t jumps_us[] = {0, 10 * YEAR_US, -20 * YEAR_US, 1, 30 * YEAR_US, -YEAR_US};
    int64_t received_us = 0;
    for (size_t i = 0; i < sizeof(jumps_us) / sizeof(jumps_us[0]); i++) {
        char id[16];
        snprintf(id, sizeof(id), "e-%zu", i);
        house_jump(today_us + jumps_us[i]);
        assert_int_equal(publish(place, id, NULL), REASON_OK);
        assert_int_equal(place->sequence, i + 1);
        assert_int_equal(publish(place, id, NULL), REASON_DUPLICATE);
        int64_t received_here_us = read_entry(place, i + 1).received_us;
        assert_true(received_here_us >= received_us);
        received_us = received_here_us;
        if (i % 2 == 1) { // a start knows no other clock than the log's
            reopen(place);
        }
    }
}

static void test_an_id_older_than_the_window_is_new(void **state) {
    struct place *place = *state;
    int64_t age_us = house_broker(place->house)->configuration.dedup_age_us;
    assert_int_equal(publish(place, "e-1", NULL), REASON_OK);
    house_jump(today_us + age_us - 1);
    assert_int_equal(publish(place, "e-1", NULL), REASON_DUPLICATE);
    assert_int_equal(place->sequence, 1);
    house_jump(today_us + age_us + 1);
    assert_int_equal(publish(place, "e-1", NULL), REASON_OK);
    assert_int_equal(place->sequence, 2);
}

static void test_an_events_own_time_is_kept_as_it_is(void **state) {
    struct place *place = *state;
    static const struct {
        int64_t time_us;
        uint32_t code;
    } rows[] = {
        {0, REASON_OK},
        {-1, REASON_OK},
        {CLOCK_US_MIN, REASON_OK},
        {CLOCK_US_MAX, REASON_OK},
        {CLOCK_US_MAX + 1, REASON_BAD_FRAME},
        {CLOCK_US_MIN - 1, REASON_BAD_FRAME},
        {INT64_MAX, REASON_BAD_FRAME},
        {INT64_MIN, REASON_BAD_FRAME},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char id[16];
        snprintf(id, sizeof(id), "t-%zu", i);
        assert_int_equal(publish(place, id, &rows[i].time_us), rows[i].code);
        if (rows[i].code == REASON_OK) {
            struct block_entry entry = read_entry(place, place->sequence);
            assert_int_equal(entry.time_us, rows[i].time_us);
            assert_int_equal(entry.received_us, today_us); // by which it is kept and ordered
        }
    }
}

static void subscribe(struct place *place, unsigned number) {
    Touchbus__SubscriberMessage message;
    Touchbus__Subscribe subscribe;
    char peer[16];
    arena_reset(place->arena);
    touchbus__subscriber_message__init(&message);
    touchbus__subscribe__init(&subscribe);
    subscribe.name = arena_printf(place->arena, "s-%u", number);
    message.version = WIRE_VERSION;
    message.body_case = TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE;
    message.subscribe = &subscribe;
    ProtobufCBinaryData frame = pack(place, &message.base);
    snprintf(peer, sizeof(peer), "p-%u", number);
    assert_true(house_say(place->house, HOUSE_SUBSCRIBE, peer, frame.data, frame.len));
}

static void test_subscriptions_have_an_end(void **state) {
    struct place *place = *state;
    for (unsigned i = 0; i < SUBSCRIPTIONS_MAX + 3; i++) {
        subscribe(place, i);
    }
    house_run(place->house);
    assert_int_equal(place->n_subscribed, SUBSCRIPTIONS_MAX);
    assert_int_equal(place->n_refused, 3);
    assert_int_equal(place->refused_code, REASON_TOO_MANY);
    place->n_subscribed = place->n_refused = 0;
    subscribe(place, 5); // one of them is still served
    subscribe(place, SUBSCRIPTIONS_MAX + 9);
    house_run(place->house);
    assert_int_equal(place->n_subscribed, 1);
    assert_int_equal(place->n_refused, 1);
    assert_int_equal(publish(place, "e-1", NULL), REASON_OK);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_clock_that_jumps_years_leaves_the_order_alone),
        TEST(test_an_id_older_than_the_window_is_new),
        TEST(test_an_events_own_time_is_kept_as_it_is),
        TEST(test_subscriptions_have_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
