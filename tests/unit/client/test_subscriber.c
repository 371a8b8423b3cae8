// SPDX-License-Identifier: Apache-2.0
// The subscriber over a real socket, the broker played by the test.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"
#include "schemas/reasons.h"

static uint8_t first_log[16] = {1}, other_log[16] = {2};

static touchbus_subscriber *subscriber_for(struct peer *peer, const char *name) {
    const char *const types[] = {"order.*", NULL};
    touchbus_subscriber_options options = {
        .broker = peer->broker, .name = name, .types = types, .credit = 16};
    touchbus_subscriber *subscriber;
    assert_int_equal(touchbus_subscriber_new(&options, &subscriber), 0);
    return subscriber;
}

// The next message of this kind, the subscriber kept running; beats in between are passed over.
static Touchbus__SubscriberMessage *next_message(struct peer *peer, touchbus_subscriber *subscriber,
                                                 Touchbus__SubscriberMessage__BodyCase wanted) {
    for (int i = 0; i < PEER_PATIENCE; i++) {
        touchbus_event *event = NULL;
        if (touchbus_subscriber_next(subscriber, 0, &event) == 1) {
            fail_msg("an event nobody waits for");
        }
        ProtobufCMessage *message = peer_receive(peer, &touchbus__subscriber_message__descriptor);
        Touchbus__SubscriberMessage *said = (Touchbus__SubscriberMessage *)message;
        if (said != NULL && said->body_case != TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_BEAT) {
            assert_int_equal(said->body_case, wanted);
            return said;
        }
    }
    fail_msg("no message came");
    return NULL;
}

static void say(struct peer *peer, uint8_t *log, Touchbus__BrokerMessage__BodyCase kind,
                void *body) {
    Touchbus__BrokerMessage message;
    touchbus__broker_message__init(&message);
    message.version = 1;
    message.incarnation = (ProtobufCBinaryData){.len = 16, .data = log};
    message.body_case = kind;
    message.subscribed = body; // the members of the union are all pointers
    peer_send(peer, &message.base);
}

static void say_subscribed(struct peer *peer, uint8_t *log, uint64_t cursor) {
    Touchbus__Subscribed subscribed;
    touchbus__subscribed__init(&subscribed);
    subscribed.cursor = cursor;
    subscribed.head = cursor;
    subscribed.lane_ahead = LANE_AHEAD_MAX;
    say(peer, log, TOUCHBUS__BROKER_MESSAGE__BODY_SUBSCRIBED, &subscribed);
}

static void say_refused(struct peer *peer, uint32_t code) {
    Touchbus__Refusal refusal;
    touchbus__refusal__init(&refusal);
    refusal.code = code;
    say(peer, first_log, TOUCHBUS__BROKER_MESSAGE__BODY_REFUSED, &refusal);
}

static void say_delivery(struct peer *peer, uint8_t *log, uint64_t first, size_t n,
                         uint32_t attempt) {
    uint8_t bytes[8][64];
    ProtobufCBinaryData events[8];
    uint32_t attempts[8];
    char id[] = "i", source[] = "/s", type[] = "order.placed";
    assert_true(n <= 8);
    for (size_t i = 0; i < n; i++) {
        Touchbus__Event event;
        touchbus__event__init(&event);
        event.id = id;
        event.source = source;
        event.type = type;
        event.sequence = first + i;
        event.received_us = 1000 + (int64_t)(first + i);
        events[i] =
            (ProtobufCBinaryData){.len = touchbus__event__pack(&event, bytes[i]), .data = bytes[i]};
        attempts[i] = attempt;
    }
    Touchbus__Delivery delivery;
    touchbus__delivery__init(&delivery);
    delivery.n_events = n;
    delivery.events = events;
    delivery.n_attempts = attempt > 1 ? n : 0;
    delivery.attempts = attempts;
    say(peer, log, TOUCHBUS__BROKER_MESSAGE__BODY_DELIVERY, &delivery);
}

static touchbus_event *next_event(touchbus_subscriber *subscriber, uint64_t sequence) {
    touchbus_event *event = NULL;
    assert_int_equal(touchbus_subscriber_next(subscriber, 5000, &event), 1);
    assert_int_equal(touchbus_event_sequence(event), sequence);
    return event;
}

static void test_settled_events_are_told_in_one_message(void **state) {
    (void)state;
    struct peer peer;
    peer_open(&peer, ENDPOINT_SUBSCRIBE);
    touchbus_subscriber *subscriber = subscriber_for(&peer, "crm");
    Touchbus__SubscriberMessage *message =
        next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE);
    assert_string_equal(message->subscribe->name, "crm");
    assert_string_equal(message->subscribe->filter->types[0], "order.*");
    assert_int_equal(message->subscribe->credit, 16);
    assert_true(strlen(message->subscribe->member) > 0);
    say_subscribed(&peer, first_log, 0);
    say_delivery(&peer, first_log, 1, 3, 2);
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        touchbus_event *event = next_event(subscriber, sequence);
        assert_int_equal(touchbus_event_attempt(event), 2);
        assert_string_equal(touchbus_event_get(event, "type"), "order.placed");
        if (sequence == 2) {
            touchbus_subscriber_reject(subscriber, event, "poison");
        } else {
            touchbus_subscriber_delivered(subscriber, event);
        }
        touchbus_event_free(event);
    }
    message = next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SETTLE);
    assert_int_equal(message->settle->n_delivered, 2);
    assert_int_equal(message->settle->delivered[1], 3);
    assert_int_equal(message->settle->n_failures, 1);
    assert_int_equal(message->settle->failures[0]->sequence, 2);
    assert_true(message->settle->failures[0]->reject);
    assert_int_equal(message->settle->grant, 0);
    touchbus_subscriber_free(subscriber);
    message = (Touchbus__SubscriberMessage *)peer_receive(
        &peer, &touchbus__subscriber_message__descriptor);
    assert_non_null(message);
    assert_int_equal(message->body_case, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_LEAVE);
    peer_close(&peer);
}

// What a program said of a whole batch, before it asks for more.
static void test_a_program_that_takes_batches_settles_them_in_one_message(void **state) {
    (void)state;
    struct peer peer;
    peer_open(&peer, ENDPOINT_SUBSCRIBE);
    touchbus_subscriber_options options = {
        .broker = peer.broker, .name = "crm", .credit = 16, .one_a_lane = true};
    touchbus_subscriber *subscriber;
    assert_int_equal(touchbus_subscriber_new(&options, &subscriber), 0);
    Touchbus__SubscriberMessage *message =
        next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE);
    assert_int_equal(message->subscribe->lane_ahead, 0);
    say_subscribed(&peer, first_log, 0);
    say_delivery(&peer, first_log, 1, 3, 1);
    touchbus_event *events[3];
    for (size_t i = 0; i < 3; i++) {
        events[i] = next_event(subscriber, i + 1);
    }
    for (size_t i = 0; i < 3; i++) {
        touchbus_subscriber_delivered(subscriber, events[i]);
        touchbus_event_free(events[i]);
    }
    message = next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SETTLE);
    assert_int_equal(message->settle->n_delivered, 3);
    touchbus_subscriber_free(subscriber);
    peer_close(&peer);
}

// Events of one lane each, as they stand in the array, out of a Delivery that had heard of so many
// failures.
static void say_lanes(struct peer *peer, const uint64_t (*events)[2], size_t n, uint64_t failures) {
    uint8_t bytes[8][64];
    ProtobufCBinaryData list[8];
    char id[] = "i", source[] = "/s", type[] = "order.placed";
    assert_true(n <= 8);
    for (size_t i = 0; i < n; i++) {
        uint64_t lane = events[i][1];
        Touchbus__Event event;
        touchbus__event__init(&event);
        event.id = id;
        event.source = source;
        event.type = type;
        event.sequence = events[i][0];
        event.n_lanes = 1;
        event.lanes = &lane;
        list[i] =
            (ProtobufCBinaryData){.len = touchbus__event__pack(&event, bytes[i]), .data = bytes[i]};
    }
    Touchbus__Delivery delivery;
    touchbus__delivery__init(&delivery);
    delivery.n_events = n;
    delivery.events = list;
    delivery.failures = failures;
    say(peer, first_log, TOUCHBUS__BROKER_MESSAGE__BODY_DELIVERY, &delivery);
}

// Named ones say that they take a lane's events ahead, and keep them in order.
static void test_a_lane_s_next_event_waits_for_the_one_before_it(void **state) {
    (void)state;
    struct peer peer;
    peer_open(&peer, ENDPOINT_SUBSCRIBE);
    touchbus_subscriber *subscriber = subscriber_for(&peer, "crm");
    Touchbus__SubscriberMessage *message =
        next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE);
    assert_int_equal(message->subscribe->lane_ahead, LANE_AHEAD_MAX);
    say_subscribed(&peer, first_log, 0);
    say_lanes(&peer, (const uint64_t[][2]){{1, 7}, {2, 8}, {3, 7}, {4, 9}}, 4, 0);
    touchbus_event *one = next_event(subscriber, 1), *two = next_event(subscriber, 2), *none;
    assert_int_equal(touchbus_subscriber_next(subscriber, 0, &none), 0);
    assert_int_equal(touchbus_subscriber_pending(subscriber), 2); // 4 does not overtake it
    touchbus_subscriber_delivered(subscriber, two);
    assert_int_equal(touchbus_subscriber_next(subscriber, 10, &none), 0);
    touchbus_subscriber_delivered(subscriber, one);
    touchbus_event_free(next_event(subscriber, 3));
    touchbus_event_free(next_event(subscriber, 4));
    assert_int_equal(touchbus_subscriber_pending(subscriber), 0);
    touchbus_event_free(one);
    touchbus_event_free(two);
    touchbus_subscriber_free(subscriber);
    peer_close(&peer);
}

static void test_behind_a_failure_what_was_on_its_way_is_forgotten(void **state) {
    (void)state;
    struct peer peer;
    peer_open(&peer, ENDPOINT_SUBSCRIBE);
    touchbus_subscriber *subscriber = subscriber_for(&peer, "crm");
    next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE);
    say_subscribed(&peer, first_log, 0);
    say_lanes(&peer, (const uint64_t[][2]){{1, 7}, {2, 7}, {3, 8}}, 3, 0);
    touchbus_event *event = next_event(subscriber, 1);
    touchbus_subscriber_retry(subscriber, event, "not now");
    touchbus_subscriber_retry(subscriber, event, "said twice"); // once is enough
    touchbus_event_free(event);
    event = next_event(subscriber, 3);
    touchbus_subscriber_delivered(subscriber, event);
    touchbus_event_free(event);
    Touchbus__SubscriberMessage *message =
        next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SETTLE);
    assert_int_equal(message->settle->n_failures, 1);
    say_lanes(&peer, (const uint64_t[][2]){{4, 7}}, 1, 0); // the broker had not heard
    say_lanes(&peer, (const uint64_t[][2]){{1, 7}, {2, 7}}, 2, 1);
    for (uint64_t sequence = 1; sequence <= 2; sequence++) {
        event = next_event(subscriber, sequence);
        touchbus_subscriber_delivered(subscriber, event);
        touchbus_event_free(event);
    }
    touchbus_subscriber_free(subscriber);
    peer_close(&peer);
}

static void test_an_unnamed_one_gives_credit_back(void **state) {
    (void)state;
    struct peer peer;
    peer_open(&peer, ENDPOINT_SUBSCRIBE);
    touchbus_subscriber *subscriber = subscriber_for(&peer, NULL);
    next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE);
    say_subscribed(&peer, first_log, 10);
    say_delivery(&peer, first_log, 11, 3, 1);
    for (uint64_t sequence = 11; sequence <= 13; sequence++) {
        touchbus_event_free(next_event(subscriber, sequence));
    }
    Touchbus__SubscriberMessage *message =
        next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SETTLE);
    assert_int_equal(message->settle->grant, 3);
    assert_int_equal(message->settle->n_delivered, 0);
    touchbus_subscriber_free(subscriber);
    peer_close(&peer);
}

static void test_an_unnamed_one_goes_on_behind_the_last_event(void **state) {
    (void)state;
    struct peer peer;
    peer_open(&peer, ENDPOINT_SUBSCRIBE);
    touchbus_subscriber *subscriber = subscriber_for(&peer, NULL);
    Touchbus__SubscriberMessage *message =
        next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE);
    assert_int_equal(message->subscribe->start->from_case, TOUCHBUS__START__FROM_END);
    say_subscribed(&peer, first_log, 10);
    say_delivery(&peer, first_log, 11, 2, 1);
    touchbus_event_free(next_event(subscriber, 11));
    touchbus_event_free(next_event(subscriber, 12));
    peer_cut(&peer);
    message = next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE);
    assert_int_equal(message->subscribe->start->from_case, TOUCHBUS__START__FROM_SEQUENCE);
    assert_int_equal(message->subscribe->start->sequence, 13);
    touchbus_subscriber_free(subscriber);
    peer_close(&peer);
}

static void test_an_unnamed_one_goes_on_by_time_in_another_log(void **state) {
    (void)state;
    struct peer peer;
    peer_open(&peer, ENDPOINT_SUBSCRIBE);
    touchbus_subscriber *subscriber = subscriber_for(&peer, NULL);
    next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE);
    say_subscribed(&peer, first_log, 10);
    say_delivery(&peer, first_log, 11, 1, 1);
    touchbus_event_free(next_event(subscriber, 11));
    peer_cut(&peer);
    next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE);
    say_subscribed(&peer, other_log, 11);
    Touchbus__SubscriberMessage *message =
        next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE);
    assert_int_equal(message->subscribe->start->from_case, TOUCHBUS__START__FROM_TIME_US);
    assert_int_equal(message->subscribe->start->time_us, 1011);
    say_subscribed(&peer, other_log, 4);
    say_delivery(&peer, other_log, 5, 1, 1);
    touchbus_event_free(next_event(subscriber, 5));
    assert_memory_equal(touchbus_subscriber_incarnation(subscriber), other_log, 16);
    touchbus_subscriber_free(subscriber);
    peer_close(&peer);
}

static void test_what_an_older_connection_gave_is_not_settled_on_a_new_one(void **state) {
    (void)state;
    struct peer peer;
    peer_open(&peer, ENDPOINT_SUBSCRIBE);
    touchbus_subscriber *subscriber = subscriber_for(&peer, "crm");
    next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE);
    say_subscribed(&peer, first_log, 0);
    say_delivery(&peer, first_log, 1, 1, 1);
    touchbus_event *old = next_event(subscriber, 1);
    peer_cut(&peer);
    Touchbus__SubscriberMessage *message =
        next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE);
    assert_int_equal(message->subscribe->start->from_case, TOUCHBUS__START__FROM_END);
    say_subscribed(&peer, first_log, 0);
    say_delivery(&peer, first_log, 1, 2, 2);
    touchbus_event *again = next_event(subscriber, 1), *next = next_event(subscriber, 2);
    touchbus_subscriber_delivered(subscriber, old); // too late, and without effect
    touchbus_subscriber_delivered(subscriber, next);
    message = next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SETTLE);
    assert_int_equal(message->settle->n_delivered, 1);
    assert_int_equal(message->settle->delivered[0], 2);
    touchbus_event_free(old);
    touchbus_event_free(again);
    touchbus_event_free(next);
    touchbus_subscriber_free(subscriber);
    peer_close(&peer);
}

static void test_a_broker_that_forgot_us_is_asked_again(void **state) {
    (void)state;
    struct peer peer;
    peer_open(&peer, ENDPOINT_SUBSCRIBE);
    touchbus_subscriber *subscriber = subscriber_for(&peer, "crm");
    next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE);
    say_subscribed(&peer, first_log, 0);
    say_refused(&peer, REASON_NOT_FOUND);
    next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE);
    say_refused(&peer, REASON_BUSY); // may pass
    next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE);
    say_refused(&peer, REASON_TRIMMED); // does not
    touchbus_event *event;
    assert_int_equal(touchbus_subscriber_next(subscriber, 5000, &event), TOUCHBUS_REFUSED);
    const char *reason, *hint;
    assert_int_equal(touchbus_subscriber_refusal(subscriber, &reason, NULL, &hint), REASON_TRIMMED);
    assert_string_equal(reason, "trimmed");
    assert_true(strlen(hint) > 0);
    touchbus_subscriber_free(subscriber);
    peer_close(&peer);
}

static void test_the_end_is_told(void **state) {
    (void)state;
    struct peer peer;
    peer_open(&peer, ENDPOINT_SUBSCRIBE);
    touchbus_subscriber *subscriber = subscriber_for(&peer, NULL);
    next_message(&peer, subscriber, TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE);
    say_subscribed(&peer, first_log, 0);
    say_delivery(&peer, first_log, 1, 1, 1);
    Touchbus__Progress progress;
    touchbus__progress__init(&progress);
    progress.position = 9;
    progress.blocks_read = 3;
    progress.ended = true;
    say(&peer, first_log, TOUCHBUS__BROKER_MESSAGE__BODY_PROGRESS, &progress);
    touchbus_event_free(next_event(subscriber, 1));
    touchbus_event *event;
    assert_int_equal(touchbus_subscriber_next(subscriber, 5000, &event), TOUCHBUS_ENDED);
    assert_int_equal(touchbus_subscriber_next(subscriber, 0, &event), TOUCHBUS_ENDED);
    touchbus_progress known;
    touchbus_subscriber_progress(subscriber, &known);
    assert_int_equal(known.position, 9);
    assert_int_equal(known.blocks_read, 3);
    touchbus_subscriber_free(subscriber);
    peer_close(&peer);
}

static void test_malformed_options_are_refused(void **state) {
    (void)state;
    const char *const empty[] = {"", NULL};
    const touchbus_subscriber_options wrong[] = {
        {.broker = "a b:1"}, {.name = ""},        {.name = "crm", .until_sequence = 5},
        {.types = empty},    {.credit = 1 << 20},
    };
    touchbus_subscriber *subscriber;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_int_equal(touchbus_subscriber_new(&wrong[i], &subscriber), -EINVAL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settled_events_are_told_in_one_message),
        cmocka_unit_test(test_a_program_that_takes_batches_settles_them_in_one_message),
        cmocka_unit_test(test_a_lane_s_next_event_waits_for_the_one_before_it),
        cmocka_unit_test(test_behind_a_failure_what_was_on_its_way_is_forgotten),
        cmocka_unit_test(test_an_unnamed_one_gives_credit_back),
        cmocka_unit_test(test_an_unnamed_one_goes_on_behind_the_last_event),
        cmocka_unit_test(test_an_unnamed_one_goes_on_by_time_in_another_log),
        cmocka_unit_test(test_what_an_older_connection_gave_is_not_settled_on_a_new_one),
        cmocka_unit_test(test_a_broker_that_forgot_us_is_asked_again),
        cmocka_unit_test(test_the_end_is_told),
        cmocka_unit_test(test_malformed_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
