// SPDX-License-Identifier: Apache-2.0
// The connection of a subscriber: one subscription a socket, a fresh socket whenever it is lost,
// silent, or no longer known to the broker. A named one goes on at its cursor, which the broker
// keeps; an unnamed one behind the last event it handed out, or, when the log has become another
// one (an incarnation that differs), at the received time of that event: some may come twice, none
// is skipped.
#include "connectors/client/subscriber.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "connectors/client/event.h"
#include "schemas/base/clock.h"
#include "schemas/envelope.h"
#include "schemas/reasons.h"

static void drop_connection(touchbus_subscriber *subscriber) {
    subscriber->socket = endpoint_close(subscriber->socket, &subscriber->handshake);
    subscriber->delivery = NULL;
    subscriber->delivery_next = 0;
    subscriber->waiting = touchbus_event_free(subscriber->waiting);
    gate_clear(&subscriber->gate);
    settlement_clear(&subscriber->settlement);
    subscriber->generation++;
}

static int64_t backed_off_us(const touchbus_subscriber *subscriber, int64_t ms_min) {
    int64_t ms = ms_min << (subscriber->n_failed < 8 ? subscriber->n_failed : 8);
    return (ms < SUBSCRIBER_RETRY_MS_MAX ? ms : SUBSCRIBER_RETRY_MS_MAX) * CLOCK_US_PER_MS;
}

// Starts over with a fresh socket, soon after a connection that worked, else after a back-off.
static void reconnect(touchbus_subscriber *subscriber, int64_t now_us) {
    bool worked = subscriber->state == SUBSCRIBER_LIVE;
    drop_connection(subscriber);
    subscriber->state = SUBSCRIBER_IDLE;
    subscriber->n_failed = worked ? 0 : subscriber->n_failed + 1;
    subscriber->retry_us = now_us + backed_off_us(subscriber, SUBSCRIBER_RETRY_MS_MIN);
}

void subscriber_lost(touchbus_subscriber *subscriber, int64_t now_us) {
    reconnect(subscriber, now_us);
}

// ---- out

static bool send_message(touchbus_subscriber *subscriber, Touchbus__SubscriberMessage *message,
                         int64_t now_us) {
    zmq_msg_t frame;
    message->version = WIRE_VERSION;
    if (zmq_msg_init_size(&frame, touchbus__subscriber_message__get_packed_size(message)) != 0) {
        return false;
    }
    touchbus__subscriber_message__pack(message, zmq_msg_data(&frame));
    if (zmq_msg_send(&frame, subscriber->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&frame);
        return false;
    }
    subscriber->said_us = now_us;
    return true;
}

bool subscriber_settle(touchbus_subscriber *subscriber, int64_t now_us) {
    if (subscriber->state != SUBSCRIBER_LIVE || settlement_empty(&subscriber->settlement)) {
        return true;
    }
    Touchbus__Settle settle;
    settlement_message(&subscriber->settlement, &settle);
    Touchbus__SubscriberMessage message = TOUCHBUS__SUBSCRIBER_MESSAGE__INIT;
    message.body_case = TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SETTLE;
    message.settle = &settle;
    if (!send_message(subscriber, &message, now_us)) {
        reconnect(subscriber, now_us);
        return false;
    }
    settlement_clear(&subscriber->settlement);
    return true;
}

static void say_beat(touchbus_subscriber *subscriber, int64_t now_us) {
    Touchbus__SubscriberMessage message = TOUCHBUS__SUBSCRIBER_MESSAGE__INIT;
    message.body_case = TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_BEAT;
    message.beat = true;
    if (!send_message(subscriber, &message, now_us)) {
        reconnect(subscriber, now_us);
    }
}

static void say_subscribe(touchbus_subscriber *subscriber, int64_t now_us) {
    Touchbus__Start start = subscriber->start;
    if (!subscriber->named && subscriber->restart_by_time && subscriber->received_known) {
        start.from_case = TOUCHBUS__START__FROM_TIME_US;
        start.time_us = subscriber->received_us;
    } else if (!subscriber->named && !subscriber->restart_by_time && subscriber->position_known) {
        start.from_case = TOUCHBUS__START__FROM_SEQUENCE;
        start.sequence = subscriber->position + 1;
    }
    subscriber->subscribe.start = &start;
    Touchbus__SubscriberMessage message = TOUCHBUS__SUBSCRIBER_MESSAGE__INIT;
    message.body_case = TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE;
    message.subscribe = &subscriber->subscribe;
    if (send_message(subscriber, &message, now_us)) {
        subscriber->state = SUBSCRIBER_ASKED;
        subscriber->asked_us = now_us;
        subscriber->heard_us = now_us;
    }
    subscriber->subscribe.start = NULL;
}

void subscriber_leave(touchbus_subscriber *subscriber) {
    if (subscriber->state != SUBSCRIBER_LIVE) {
        return;
    }
    int linger_ms = SUBSCRIBER_LINGER_MS;
    zmq_setsockopt(subscriber->socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
    Touchbus__SubscriberMessage message = TOUCHBUS__SUBSCRIBER_MESSAGE__INIT;
    message.body_case = TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_LEAVE;
    message.leave = true;
    send_message(subscriber, &message, subscriber->said_us);
}

int subscriber_open(touchbus_subscriber *subscriber, int64_t now_us) {
    int hwm = (int)subscriber->credit + SUBSCRIBER_BEATS_MAX;
    int r = endpoint_connect(subscriber->endpoint,
                             &(struct endpoint_options){.keys = &subscriber->keys,
                                                        .handshake = &subscriber->handshake,
                                                        .hwm = hwm},
                             &subscriber->socket);
    if (r != 0) {
        reconnect(subscriber, now_us);
        return r;
    }
    subscriber->state = SUBSCRIBER_CONNECTING;
    subscriber->asked_us = now_us;
    return 0;
}

// A broker that says no to the key will not say yes to the next try; one that only ends the
// handshake may.
static void judge_handshake(touchbus_subscriber *subscriber) {
    subscriber->unheard = handshake_look(&subscriber->handshake);
    if (subscriber->unheard.code == REASON_FORBIDDEN) {
        subscriber->refusal = REASON_FORBIDDEN;
        snprintf(subscriber->refusal_detail, sizeof(subscriber->refusal_detail), "%s",
                 subscriber->unheard.detail);
        drop_connection(subscriber);
        subscriber->state = SUBSCRIBER_REFUSED;
    }
}

void subscriber_tend(touchbus_subscriber *subscriber, int64_t now_us) {
    if (subscriber->state == SUBSCRIBER_IDLE && now_us >= subscriber->retry_us) {
        subscriber_open(subscriber, now_us);
    }
    if (subscriber->state == SUBSCRIBER_CONNECTING) {
        say_subscribe(subscriber, now_us);
    }
    if (subscriber->state == SUBSCRIBER_CONNECTING) {
        judge_handshake(subscriber);
    }
    if (subscriber->state == SUBSCRIBER_CONNECTING &&
        now_us - subscriber->asked_us >= backed_off_us(subscriber, SUBSCRIBER_CONNECT_MS_MIN)) {
        reconnect(subscriber, now_us);
        subscriber->retry_us = now_us; // it has waited already
    }
    if (subscriber->state == SUBSCRIBER_LIVE && !settlement_empty(&subscriber->settlement) &&
        now_us - subscriber->settlement.since_us >= SUBSCRIBER_SETTLE_MS * CLOCK_US_PER_MS) {
        subscriber_settle(subscriber, now_us);
    }
    if (subscriber->state == SUBSCRIBER_LIVE &&
        now_us - subscriber->said_us >= BEAT_MS * CLOCK_US_PER_MS) {
        say_beat(subscriber, now_us);
    }
}

// ---- in

static void take_subscribed(touchbus_subscriber *subscriber, const Touchbus__BrokerMessage *message,
                            int64_t now_us) {
    const Touchbus__Subscribed *subscribed = message->subscribed;
    subscriber->state = SUBSCRIBER_LIVE;
    subscriber->unheard.code = 0;
    subscriber->n_failed = 0;
    subscriber->restart_by_time = false;
    subscriber->said_us = now_us;
    subscriber->progress.head = subscribed->head;
    subscriber->gate.ahead = subscribed->lane_ahead > 1;
    if (!subscriber->position_known || subscribed->cursor > subscriber->position) {
        subscriber->position = subscribed->cursor;
        subscriber->position_known = true;
    }
}

static void take_delivery(touchbus_subscriber *subscriber, const Touchbus__Delivery *delivery) {
    if (subscriber->state == SUBSCRIBER_LIVE) {
        subscriber->delivery = delivery;
        subscriber->delivery_next = 0;
        subscriber->progress.head = delivery->head;
        gate_heard(&subscriber->gate, delivery->failures);
    }
}

static void take_progress(touchbus_subscriber *subscriber, const Touchbus__Progress *progress) {
    touchbus_progress *known = &subscriber->progress;
    known->position = progress->position;
    known->head = progress->head;
    known->blocks_read = progress->blocks_read;
    if (progress->lost_first != 0) {
        known->lost_first = progress->lost_first;
        known->lost_last = progress->lost_last;
    }
    if (progress->position > subscriber->position) {
        subscriber->position = progress->position;
    }
    if (progress->ended) {
        drop_connection(subscriber);
        subscriber->state = SUBSCRIBER_ENDED;
    }
}

// Before it was subscribed a refusal is an answer, unless it may pass. Afterwards the broker has
// forgotten us (restarted, or we were silent for too long): ask again.
static void take_refusal(touchbus_subscriber *subscriber, const Touchbus__Refusal *refusal,
                         int64_t now_us) {
    bool forgotten = subscriber->state == SUBSCRIBER_LIVE && refusal->code == REASON_NOT_FOUND;
    if (forgotten || reason_find(refusal->code)->retryable) {
        reconnect(subscriber, now_us);
        return;
    }
    subscriber->refusal = refusal->code;
    snprintf(subscriber->refusal_detail, sizeof(subscriber->refusal_detail), "%s", refusal->detail);
    drop_connection(subscriber);
    subscriber->state = SUBSCRIBER_REFUSED;
}

// False where the log has become another one and what was asked no longer makes sense.
static bool take_incarnation(touchbus_subscriber *subscriber,
                             const Touchbus__BrokerMessage *message, int64_t now_us) {
    if (message->incarnation.len != INCARNATION_BYTES) {
        return true;
    }
    const uint8_t *incarnation = message->incarnation.data;
    bool other = subscriber->incarnation_known &&
                 memcmp(subscriber->incarnation, incarnation, INCARNATION_BYTES) != 0;
    memcpy(subscriber->incarnation, incarnation, INCARNATION_BYTES);
    subscriber->incarnation_known = true;
    if (other && !subscriber->named) {
        subscriber->restart_by_time = true;
        subscriber->position_known = false;
        reconnect(subscriber, now_us);
        return false;
    }
    return true;
}

// Nothing is there to read: is there still somebody to say something?
static void check_connection(touchbus_subscriber *subscriber, int64_t now_us) {
    if (subscriber->state != SUBSCRIBER_ASKED && subscriber->state != SUBSCRIBER_LIVE) {
        return;
    }
    int64_t silence_ms =
        subscriber->state == SUBSCRIBER_ASKED ? SUBSCRIBER_ANSWER_MS : MEMBER_LAPSE_MS;
    if (now_us - subscriber->heard_us >= silence_ms * CLOCK_US_PER_MS ||
        !endpoint_writable(subscriber->socket)) {
        reconnect(subscriber, now_us);
    }
}

bool subscriber_receive(touchbus_subscriber *subscriber, int64_t now_us) {
    if (subscriber->socket == NULL) {
        return false;
    }
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, subscriber->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&frame);
        check_connection(subscriber, now_us);
        return false;
    }
    subscriber->heard_us = now_us;
    ProtobufCMessage *unpacked;
    const char *why;
    arena_reset(subscriber->arena);
    int r = envelope_unpack(&touchbus__broker_message__descriptor, zmq_msg_data(&frame),
                            zmq_msg_size(&frame), subscriber->arena, &unpacked, &why);
    zmq_msg_close(&frame);
    if (r != 0) {
        reconnect(subscriber, now_us); // never skip what cannot be read
        return true;
    }
    const Touchbus__BrokerMessage *message = (const Touchbus__BrokerMessage *)unpacked;
    if (!take_incarnation(subscriber, message, now_us)) {
        return true;
    }
    switch (message->body_case) {
    case TOUCHBUS__BROKER_MESSAGE__BODY_SUBSCRIBED:
        take_subscribed(subscriber, message, now_us);
        break;
    case TOUCHBUS__BROKER_MESSAGE__BODY_DELIVERY:
        take_delivery(subscriber, message->delivery);
        break;
    case TOUCHBUS__BROKER_MESSAGE__BODY_PROGRESS:
        take_progress(subscriber, message->progress);
        break;
    case TOUCHBUS__BROKER_MESSAGE__BODY_REFUSED:
        take_refusal(subscriber, message->refused, now_us);
        break;
    case TOUCHBUS__BROKER_MESSAGE__BODY_BEAT:
    case TOUCHBUS__BROKER_MESSAGE__BODY__NOT_SET:
    case _TOUCHBUS__BROKER_MESSAGE__BODY__CASE_IS_INT_SIZE:
    default:
        break;
    }
    return true;
}

int64_t subscriber_deadline(const touchbus_subscriber *subscriber) {
    int64_t due_us = subscriber->retry_us;
    switch (subscriber->state) {
    case SUBSCRIBER_IDLE:
        break;
    case SUBSCRIBER_CONNECTING:
        due_us = 0; // whenever the connection stands
        break;
    case SUBSCRIBER_ASKED:
        due_us = subscriber->asked_us + SUBSCRIBER_ANSWER_MS * CLOCK_US_PER_MS;
        break;
    case SUBSCRIBER_LIVE:
        due_us = subscriber->said_us + BEAT_MS * CLOCK_US_PER_MS;
        if (!settlement_empty(&subscriber->settlement)) {
            int64_t settle_us =
                subscriber->settlement.since_us + SUBSCRIBER_SETTLE_MS * CLOCK_US_PER_MS;
            due_us = settle_us < due_us ? settle_us : due_us;
        }
        break;
    case SUBSCRIBER_ENDED:
    case SUBSCRIBER_REFUSED:
        due_us = INT64_MAX;
        break;
    }
    return due_us;
}
