// SPDX-License-Identifier: Apache-2.0
// What peers say: one frame, one SubscriberMessage. Anything else is answered with a typed refusal
// and counted; a word from somebody unknown, with where to begin.
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "broker/delivery/delivery_internal.h"
#include "broker/guard.h"
#include "schemas/base/arena.h"
#include "schemas/base/logging.h"
#include "schemas/envelope.h"
#include "schemas/reasons.h"

static void take_settle(struct delivery *delivery, struct peer *peer,
                        const Touchbus__Settle *settle) {
    if (peer->stream) {
        peer->stream->credit += settle->grant;
        if (peer->stream->credit > STREAM_CREDIT_MAX)
            peer->stream->credit = STREAM_CREDIT_MAX;
        return;
    }
    if (peer->named && !peer->waits)
        named_settle(delivery, peer, settle);
}

// Whose connection it was may be another's now: a routing id is the peer's to choose, its key is
// not.
static bool is_same_key(const struct peer *peer, const struct grant *grant) {
    return strcmp(peer->user, grant->public_key) == 0;
}

static void take_message(struct delivery *delivery, const void *id, size_t id_size,
                         const struct grant *grant, const Touchbus__SubscriberMessage *message) {
    uint64_t key;
    struct peer *peer = peer_find(delivery, id, id_size, &key);
    if (peer && !peer->gone && !is_same_key(peer, grant))
        peer_leave(delivery, peer);
    bool known = peer && !peer->gone;
    if (known)
        peer->heard_us = delivery->now_us;
    switch (message->body_case) {
    case TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE:
        if (known) // it starts over
            peer_leave(delivery, peer);
        if (peer)
            peer_free(delivery, peer);
        peer_find(delivery, id, id_size, &key);
        if (delivery->n_peers >= MEMBERS_MAX) {
            peer_refuse_unknown(delivery, id, id_size, REASON_TOO_MANY, "members");
            return;
        }
        peer = peer_new(delivery, id, id_size, key);
        if (peer)
            join_subscribe(delivery, peer, grant, message->subscribe);
        return;
    case TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_LEAVE:
        if (known) {
            logging_info("event=left member=%s", peer->label);
            peer_leave(delivery, peer);
        }
        return;
    case TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SETTLE:
        if (known)
            take_settle(delivery, peer, message->settle);
        break;
    case TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_BEAT:
    case TOUCHBUS__SUBSCRIBER_MESSAGE__BODY__NOT_SET:
    case _TOUCHBUS__SUBSCRIBER_MESSAGE__BODY__CASE_IS_INT_SIZE:
    default:
        break;
    }
    if (!known)
        peer_refuse_unknown(delivery, id, id_size, REASON_NOT_FOUND, "subscribe first");
}

// One message: the peer, one body, and anything behind it, which is only counted. 0; 1 nothing
// waits; a negative errno.
static int receive_one(struct delivery *delivery) {
    uint8_t id[PEER_ID_BYTES_MAX];
    int n = zmq_recv(delivery->socket, id, sizeof id, ZMQ_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 1 : -errno;
    size_t id_size = (size_t)n;
    assert(id_size <= sizeof id); // ZeroMQ: a routing id has at most 255 bytes
    zmq_msg_t body, rest;
    zmq_msg_init(&body);
    unsigned n_frames = 0;
    int more = 1;
    size_t more_size = sizeof more;
    while (zmq_getsockopt(delivery->socket, ZMQ_RCVMORE, &more, &more_size) == 0 && more) {
        zmq_msg_init(&rest);
        zmq_msg_t *frame = n_frames == 0 ? &body : &rest;
        if (zmq_msg_recv(frame, delivery->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&rest);
            break;
        }
        guard_taken(delivery->broker->guard, frame);
        zmq_msg_close(&rest);
        n_frames++;
    }
    ProtobufCMessage *message = NULL;
    const char *why = "a message is one frame";
    arena_reset(delivery->arena);
    const struct grant *grant = n_frames > 0 ? access_of(&delivery->access, &body) : NULL;
    if (n_frames > 0 && !grant)
        why = "the key is not known any more";
    int r = n_frames != 1 ? REASON_BAD_FRAME
            : !grant
                ? REASON_FORBIDDEN
                : envelope_unpack(&touchbus__subscriber_message__descriptor, zmq_msg_data(&body),
                                  zmq_msg_size(&body), delivery->arena, &message, &why);
    if (r == 0) {
        take_message(delivery, id, id_size, grant, (const Touchbus__SubscriberMessage *)message);
    } else {
        atomic_fetch_add(&delivery->broker->counters.bad_frames, 1);
        peer_refuse_unknown(delivery, id, id_size, (uint32_t)r, why);
    }
    zmq_msg_close(&body);
    return 0;
}

int peer_receive(struct delivery *delivery) {
    for (unsigned i = 0; i < MESSAGES_MAX; i++) {
        int r = receive_one(delivery);
        delivery->heard_all = r == 1;
        if (r != 0)
            return r < 0 ? r : 0;
    }
    delivery->more = true;
    return 0;
}
