// SPDX-License-Identifier: Apache-2.0
// The subscribe socket and who is on its other side. Every send is ROUTER_MANDATORY and DONTWAIT: a
// peer that is gone is found out at once and what it held goes to others; one whose queue is full
// keeps at most one frame here and is handed nothing more until it has gone.
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <xxhash.h>

#include "broker/delivery/delivery_internal.h"
#include "broker/endpoint.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/reasons.h"

enum {
    PEER_QUEUE_FRAMES = 1000, // towards a peer; its bytes are bounded by frame.h
    PEER_QUEUE_IN = 64,       // from a peer
    HEARTBEAT_MS = 5000,
    HEARTBEAT_TIMEOUT_MS = 20000,
    LINGER_MS = 1000,
    REFUSALS_TOLD = 10, // on the log, a second
};

// ---- the socket

int peer_open_socket(struct delivery *delivery) {
    static const struct endpoint endpoint = {
        .name = "subscribe",
        .port_offset = 1,
        .receive_frames_max = PEER_QUEUE_IN,
        .send_frames_max = PEER_QUEUE_FRAMES,
        .linger_ms = LINGER_MS,
        .heartbeat_ms = HEARTBEAT_MS,
        .heartbeat_timeout_ms = HEARTBEAT_TIMEOUT_MS,
    };
    return endpoint_open(delivery->broker, &endpoint, &delivery->socket);
}

// ---- peers

struct peer *peer_find(const struct delivery *delivery, const void *id, size_t id_size,
                       uint64_t *ret_key) {
    // Another id with the same hash takes the next key.
    uint64_t key = XXH3_64bits(id, id_size);
    struct peer *peer;
    while ((peer = lane_table_get(&delivery->peers_by_key, key)) &&
           (peer->id_size != id_size || memcmp(peer->id, id, id_size) != 0))
        key++;
    *ret_key = key;
    return peer;
}

struct peer *peer_new(struct delivery *delivery, const void *id, size_t id_size, uint64_t key) {
    if (lane_table_reserve(&delivery->peers_by_key) < 0)
        return NULL;
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer || !(peer->outlet = outlet_new(delivery->outlets))) {
        free(peer);
        return NULL;
    }
    assert(id_size <= sizeof peer->id);
    memcpy(peer->id, id, id_size);
    peer->id_size = id_size;
    peer->key = key;
    peer->heard_us = peer->said_us = peer->since_us = delivery->now_us;
    peer->next = delivery->peers;
    if (peer->next)
        peer->next->previous = peer;
    else
        delivery->peers_last = peer;
    delivery->peers = peer;
    delivery->n_peers++;
    lane_table_put(&delivery->peers_by_key, key, peer);
    return peer;
}

void peer_free(struct delivery *delivery, struct peer *peer) {
    if (peer->previous)
        peer->previous->next = peer->next;
    else
        delivery->peers = peer->next;
    if (peer->next)
        peer->next->previous = peer->previous;
    else
        delivery->peers_last = peer->previous;
    delivery->n_peers--;
    lane_table_remove(&delivery->peers_by_key, peer->key);
    if (peer->has_unsent)
        zmq_msg_close(&peer->unsent);
    frame_clear(&peer->frame);
    outlet_leave(peer->outlet);
    free(peer);
}

void peer_leave(struct delivery *delivery, struct peer *peer) {
    (void)delivery;
    frame_clear(&peer->frame);
    if (peer->member.subscription)
        subscription_leave(peer->member.subscription, &peer->member);
    if (peer->named)
        named_remove_peer(peer->named, peer);
    peer->named = NULL;
    peer->stream = stream_free(peer->stream);
    peer->gone = true;
}

void peer_sweep(struct delivery *delivery) {
    for (struct peer *peer = delivery->peers, *next; peer; peer = next) {
        next = peer->next;
        if (peer->gone)
            peer_free(delivery, peer);
    }
}

// ---- out

// 0 sent (the message is ZeroMQ's), 1 its queue is full, 2 it is gone.
static int send_to(struct delivery *delivery, struct peer *peer, zmq_msg_t *message) {
    int r = zmq_send(delivery->socket, peer->id, peer->id_size, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    if (r < 0)
        return errno == EAGAIN ? 1 : 2;
    if (zmq_msg_send(message, delivery->socket, ZMQ_DONTWAIT) < 0)
        return 2;
    peer->said_us = delivery->now_us;
    return 0;
}

bool peer_can_take(const struct peer *peer) {
    return !peer->gone && !peer->unreachable && !peer->waits && !peer->has_unsent &&
           !outlet_is_full(peer->outlet);
}

// Sends, or keeps it where the queue is full. False: the peer can take no more yet.
static bool send_or_keep(struct delivery *delivery, struct peer *peer, zmq_msg_t *message) {
    switch (send_to(delivery, peer, message)) {
    case 0:
        return true;
    case 1:
        zmq_msg_init(&peer->unsent);
        zmq_msg_move(&peer->unsent, message);
        zmq_msg_close(message);
        peer->has_unsent = true;
        return false;
    default:
        zmq_msg_close(message);
        // It may have settled and left: who does not read that first hands out again what was done.
        if (GUARD(last_words) && peer->named) {
            peer->unreachable = true;
            delivery->more = true;
        } else {
            peer_leave(delivery, peer);
        }
        return false;
    }
}

bool peer_flush(struct delivery *delivery, struct peer *peer) {
    if (peer->gone || peer->unreachable || peer->has_unsent)
        return false;
    if (peer->frame.n_events == 0)
        return true;
    zmq_msg_t message;
    uint32_t n_events = peer->frame.n_events;
    if (frame_finish(&peer->frame, log_incarnation(delivery->broker->log),
                     feed_visible(delivery->feed), peer->outlet, &message) < 0) {
        logging_error("event=delivery-dropped-peer error=out-of-memory");
        peer_leave(delivery, peer);
        return false;
    }
    atomic_fetch_add(&delivery->broker->counters.delivered, n_events);
    return send_or_keep(delivery, peer, &message) && peer_can_take(peer);
}

// Small messages. They may be lost where the queue is full, but for Subscribed and refusals, which
// come first on a connection; what was built of a frame goes out before.
bool peer_say(struct delivery *delivery, struct peer *peer, Touchbus__BrokerMessage *message) {
    if (peer->gone || peer->unreachable ||
        (peer->frame.n_events > 0 && !peer_flush(delivery, peer)))
        return false;
    message->version = WIRE_VERSION;
    message->incarnation.data = (uint8_t *)(uintptr_t)log_incarnation(delivery->broker->log);
    message->incarnation.len = INCARNATION_BYTES;
    zmq_msg_t frame;
    if (peer->has_unsent ||
        zmq_msg_init_size(&frame, touchbus__broker_message__get_packed_size(message)) != 0)
        return false;
    touchbus__broker_message__pack(message, zmq_msg_data(&frame));
    send_or_keep(delivery, peer, &frame);
    return !peer->gone && !peer->unreachable;
}

// Every one, but not more than a second's REFUSALS_TOLD: how often is a stranger's choice.
static void tell_refusal(struct delivery *delivery, const struct peer *peer, uint32_t code) {
    if (delivery->now_us - delivery->refusals_us >= CLOCK_US_PER_S) {
        if (delivery->n_refusals > REFUSALS_TOLD)
            logging_info("event=refused more=%u", delivery->n_refusals - REFUSALS_TOLD);
        delivery->refusals_us = delivery->now_us;
        delivery->n_refusals = 0;
    }
    if (++delivery->n_refusals <= REFUSALS_TOLD)
        logging_info("event=refused member=%s reason=%s", peer->label, reason_find(code)->name);
}

void peer_refuse(struct delivery *delivery, struct peer *peer, uint32_t code, uint64_t floor,
                 const char *detail) {
    Touchbus__Refusal refusal;
    touchbus__refusal__init(&refusal);
    Touchbus__BrokerMessage message;
    touchbus__broker_message__init(&message);
    refusal.code = code;
    refusal.floor = floor;
    refusal.detail = (char *)(uintptr_t)detail;
    message.body_case = TOUCHBUS__BROKER_MESSAGE__BODY_REFUSED;
    message.refused = &refusal;
    tell_refusal(delivery, peer, code);
    peer_say(delivery, peer, &message);
    if (!peer->gone)
        peer_leave(delivery, peer);
}

void peer_subscribed(struct delivery *delivery, struct peer *peer, uint64_t cursor, bool created) {
    Touchbus__Subscribed subscribed;
    touchbus__subscribed__init(&subscribed);
    Touchbus__BrokerMessage message;
    touchbus__broker_message__init(&message);
    subscribed.name = peer->named ? peer->named->name : (char *)(uintptr_t) "";
    subscribed.cursor = cursor;
    subscribed.head = atomic_load(&delivery->broker->visible);
    subscribed.created = created;
    subscribed.lane_ahead = peer->named ? peer->member.lane_ahead : 0;
    message.body_case = TOUCHBUS__BROKER_MESSAGE__BODY_SUBSCRIBED;
    message.subscribed = &subscribed;
    peer_say(delivery, peer, &message);
    if (peer->gone || peer->unreachable)
        return;
    peer->waits = false;
    if (peer->named)
        subscription_join(peer->named->subscription, &peer->member, peer->credit);
    delivery->more = true;
}

static void say_beat(struct delivery *delivery, struct peer *peer) {
    Touchbus__BrokerMessage message;
    touchbus__broker_message__init(&message);
    message.body_case = TOUCHBUS__BROKER_MESSAGE__BODY_BEAT;
    message.beat = true;
    peer_say(delivery, peer, &message);
}

// A word to somebody we do not know (any more): subscribe first.
void peer_refuse_unknown(struct delivery *delivery, const void *id, size_t id_size, uint32_t code,
                         const char *detail) {
    struct peer peer = {.id_size = id_size};
    memcpy(peer.id, id, id_size);
    Touchbus__Refusal refusal;
    touchbus__refusal__init(&refusal);
    Touchbus__BrokerMessage message;
    touchbus__broker_message__init(&message);
    refusal.code = code;
    refusal.detail = (char *)(uintptr_t)detail;
    message.version = WIRE_VERSION;
    message.body_case = TOUCHBUS__BROKER_MESSAGE__BODY_REFUSED;
    message.refused = &refusal;
    message.incarnation.data = (uint8_t *)(uintptr_t)log_incarnation(delivery->broker->log);
    message.incarnation.len = INCARNATION_BYTES;
    zmq_msg_t frame;
    if (zmq_msg_init_size(&frame, touchbus__broker_message__get_packed_size(&message)) != 0)
        return;
    touchbus__broker_message__pack(&message, zmq_msg_data(&frame));
    if (send_to(delivery, &peer, &frame) != 0)
        zmq_msg_close(&frame); // it is gone or takes nothing: it will ask again
}

// ---- time

static void peer_tend_one(struct delivery *delivery, struct peer *peer) {
    if (peer->unreachable && delivery->heard_all) {
        peer_leave(delivery, peer);
        return;
    }
    if (peer->has_unsent) {
        zmq_msg_t message;
        zmq_msg_init(&message);
        zmq_msg_move(&message, &peer->unsent);
        zmq_msg_close(&peer->unsent);
        peer->has_unsent = false;
        send_or_keep(delivery, peer, &message);
    }
    if (!peer->gone &&
        delivery->now_us - peer->heard_us >= delivery->broker->configuration.member_lapse_us) {
        logging_warning("event=lapsed member=%s held=%" PRIu32, peer->label, peer->member.n_held);
        peer_leave(delivery, peer);
    }
    if (!peer->gone && !peer->has_unsent &&
        delivery->now_us - peer->said_us >= BEAT_MS * CLOCK_US_PER_MS)
        say_beat(delivery, peer);
}

void peer_tend(struct delivery *delivery) {
    for (struct peer *peer = delivery->peers; peer; peer = peer->next)
        if (!peer->gone)
            peer_tend_one(delivery, peer);
}

int64_t peer_due(const struct delivery *delivery) {
    int64_t due_us = INT64_MAX;
    for (const struct peer *peer = delivery->peers; peer; peer = peer->next) {
        int64_t beat_us = peer->said_us + BEAT_MS * CLOCK_US_PER_MS;
        if (peer->has_unsent || peer->unreachable)
            beat_us = delivery->now_us + RETRY_SEND_MS * CLOCK_US_PER_MS;
        due_us = beat_us < due_us ? beat_us : due_us;
    }
    return due_us;
}
