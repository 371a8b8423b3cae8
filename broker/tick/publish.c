// SPDX-License-Identifier: Apache-2.0
// The socket and the queue in front of the tick. Whatever is not a request gets a typed refusal
// here and goes no further; what is over its sender's credit is answered busy.
#include "broker/tick/publish.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <zmq.h>

#include "broker/endpoint.h"
#include "broker/guard.h"
#include "broker/tick/lines.h"
#include "broker/tick/publish_read.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

enum {
    PUBLISH_BAD_MAX = 64,        // malformed messages answered in one call
    PUBLISH_BAD_BYTES = 1 << 20, // of the arena that they may take before the rest waits
    PUBLISH_REPLIES_MAX = 256,   // towards one peer that ZeroMQ holds
    HEARTBEAT_MS = 5000,
    HEARTBEAT_TIMEOUT_MS = 20000,
    LINGER_MS = 1000,
    CREDIT_SLOTS = 4096,
    // Refused in one drain: ZeroMQ hands over messages of its connections in turn, so whoever is
    // among so many has been heard.
    DRAIN_REFUSED_MAX = 64,
    HELD_BACK_MS = 2, // between two looks whether a flood may go on
};

struct publish {
    struct broker *broker;
    void *socket;
    struct access_reader access;
    struct lines lines;  // requests left for the next tick
    int64_t now_us;      // monotonic, of this tick's beginning
    bool only_held_back; // who still waits floods, and has to let others go first
    // Events unanswered, by a hash of the peer: two peers that meet share one credit, which is rare
    // and only makes a flood of one a "busy" of the other.
    uint32_t unanswered[CREDIT_SLOTS];
};

static const struct endpoint ENDPOINT = {
    .name = "publish",
    .receive_frames_max = GUARD_QUEUE_FRAMES,
    .send_frames_max = PUBLISH_REPLIES_MAX,
    .linger_ms = LINGER_MS,
    .heartbeat_ms = HEARTBEAT_MS,
    .heartbeat_timeout_ms = HEARTBEAT_TIMEOUT_MS,
};

int publish_new(struct broker *broker, struct publish **ret) {
    struct publish *publish = calloc(1, sizeof(*publish));
    if (publish == NULL) {
        return -ENOMEM;
    }
    publish->broker = broker;
    access_reader_init(&publish->access, broker->access);
    int r = endpoint_open(broker, &ENDPOINT, &publish->socket);
    if (r != 0) {
        publish_free(publish);
        return r;
    }
    *ret = publish;
    return 0;
}

int publish_wait_ms(const struct publish *publish) {
    return publish->lines.n == 0 ? -1 : publish->only_held_back ? HELD_BACK_MS : 0;
}

void publish_mark_flood(struct publish *publish, const struct request *request) {
    lines_mark_flood(&publish->lines, request->owner, publish->now_us);
}

struct publish *publish_free(struct publish *publish) {
    if (publish != NULL) {
        struct waiting *waiting;
        while ((waiting = lines_take(&publish->lines, 0)) != NULL) {
            waiting_free(waiting);
        }
        access_reader_clear(&publish->access);
        if (publish->socket != NULL) {
            zmq_close(publish->socket);
        }
        free(publish);
    }
    return NULL;
}

void *publish_socket(struct publish *publish) {
    return publish->socket;
}

// Receives the frames of one message: the peer, one body, and anything behind it, which is only
// counted. 0, 1 nothing waits, or a negative errno.
static int receive_frames(struct publish *publish, uint8_t peer[static PUBLISH_PEER_BYTES_MAX],
                          size_t *ret_peer_size, zmq_msg_t *body, unsigned *ret_n_frames) {
    void *socket = publish->socket;
    int n = zmq_recv(socket, peer, PUBLISH_PEER_BYTES_MAX, ZMQ_DONTWAIT);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? 1 : -errno;
    }
    assert(n <= PUBLISH_PEER_BYTES_MAX); // ZeroMQ: a routing id has at most 255 bytes
    *ret_peer_size = (size_t)n;
    unsigned n_frames = 0;
    int more = 1;
    size_t more_size = sizeof(more);
    // ZeroMQ hands a message over when all of it is there, so this ends without waiting.
    while (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_size) == 0 && more != 0) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        zmq_msg_t *to = n_frames == 0 ? body : &frame;
        if (zmq_msg_recv(to, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&frame);
            return -errno;
        }
        guard_taken(publish->broker->guard, to);
        zmq_msg_close(&frame);
        n_frames++;
    }
    *ret_n_frames = n_frames;
    return 0;
}

// ---- credit

static uint64_t hash_of(const void *data, size_t size) {
    const uint8_t *bytes = data;
    uint64_t hash = UINT64_C(14695981039346656037); // FNV-1a
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

static uint32_t *unanswered_of(struct publish *publish, const struct request *request) {
    uint64_t hash = hash_of(request->peer, request->peer_size);
    return &publish->unanswered[(hash ^ (hash >> 32)) % CREDIT_SLOTS];
}

// Whose key it came with. False: nobody's (any more); the reply says so.
static bool recognise(struct publish *publish, struct arena *arena, struct request *request,
                      zmq_msg_t *body) {
    request->grant = access_of(&publish->access, body);
    if (request->grant == NULL) {
        touchbus__publish_reply__init(&request->reply);
        request->reply.request = publish_peek(zmq_msg_data(body), zmq_msg_size(body));
        request->reply.code = REASON_FORBIDDEN;
        request->reply.detail = arena_strdup(arena, "the key is not known any more");
        return false;
    }
    const struct access_account *account = request->grant->account;
    request->owner = account != NULL ? hash_of(account->name, strlen(account->name))
                                     : hash_of(request->peer, request->peer_size);
    return true;
}

// ---- requests

// The next message: one that waits, or off the socket. As receive_frames.
static int next_message(struct publish *publish, struct request *request, zmq_msg_t *body,
                        unsigned *ret_n_frames) {
    struct waiting *waiting = lines_take(&publish->lines, publish->now_us);
    publish->only_held_back = waiting == NULL && !publish->lines.may_go_on;
    if (waiting == NULL &&
        (publish->lines.n > 0 || lines_are_flooded(&publish->lines, publish->now_us))) {
        return 1; // what is on the socket stands in line first, behind what waits
    }
    if (waiting == NULL) {
        request->n_events = 0;
        return receive_frames(publish, request->peer, &request->peer_size, body, ret_n_frames);
    }
    memcpy(request->peer, waiting->peer, sizeof(request->peer));
    request->peer_size = waiting->peer_size;
    request->n_events = waiting->n_events; // on its peer's account already
    zmq_msg_move(body, &waiting->body);
    waiting_free(waiting);
    *ret_n_frames = 1;
    return 0;
}

static int refuse(struct publish *publish, struct arena *arena, struct request *request) {
    atomic_fetch_add(&publish->broker->counters.bad_frames, 1);
    publish_reply(publish, arena, request);
    return 0;
}

int publish_receive(struct publish *publish, struct arena *arena, struct request **ret) {
    struct request *request = arena_calloc(arena, 1, sizeof(*request));
    if (request == NULL) {
        return -ENOMEM;
    }
    // What was unpacked and then refused stays in the arena, which the tick's own events need.
    size_t used = arena_used(arena);
    for (unsigned i = 0; i < PUBLISH_BAD_MAX && arena_used(arena) - used < PUBLISH_BAD_BYTES; i++) {
        zmq_msg_t body;
        unsigned n_frames = 0;
        zmq_msg_init(&body);
        int r = next_message(publish, request, &body, &n_frames);
        if (r != 0) {
            zmq_msg_close(&body);
            return r;
        }
        r = recognise(publish, arena, request, &body)
                ? publish_read(request, &body, n_frames, arena)
            : request->reply.detail == NULL ? -ENOMEM
                                            : REASON_FORBIDDEN;
        zmq_msg_close(&body);
        if (r == 0 && request->n_events == 0) {
            request->n_events = (uint32_t)request->message->n_events;
            *unanswered_of(publish, request) += request->n_events;
        }
        if (r <= 0) {
            if (r == 0) {
                lines_served(&publish->lines, request->owner, request->n_events, publish->now_us);
            }
            *ret = r == 0 ? request : NULL;
            return r;
        }
        refuse(publish, arena, request);
    }
    return 1;
}

// Why a request may not wait for the next tick; NULL: it may.
static const char *over(struct publish *publish, const struct request *request, uint32_t n_events) {
    uint32_t unanswered = *unanswered_of(publish, request);
    if (GUARD(publish_credit) && unanswered + n_events > PUBLISH_CREDIT && unanswered > 0) {
        return "more events in flight than the credit";
    }
    return lines_owner_is_full(&publish->lines, request->owner) ? "more requests wait than one may "
                                                                  "have"
                                                                : NULL;
}

static int refuse_busy(struct publish *publish, struct arena *arena, struct request *request,
                       zmq_msg_t *body, const char *why) {
    touchbus__publish_reply__init(&request->reply);
    request->n_events = 0;
    request->reply.request = publish_peek(zmq_msg_data(body), zmq_msg_size(body));
    request->reply.code = REASON_BUSY;
    request->reply.detail = arena_strdup(arena, why);
    atomic_fetch_add(&publish->broker->counters.refused, 1);
    lines_mark_flood(&publish->lines, request->owner, publish->now_us);
    if (request->grant->account != NULL) {
        atomic_fetch_add(&request->grant->account->busy, 1);
    }
    if (request->reply.detail != NULL) {
        publish_reply(publish, arena, request);
    }
    return request->reply.detail == NULL ? -ENOMEM : 0;
}

// Keeps a request for the next tick.
static int keep(struct publish *publish, const struct request *request, zmq_msg_t *body,
                uint32_t n_events) {
    struct waiting *waiting = calloc(1, sizeof(*waiting));
    if (waiting == NULL) {
        return -ENOMEM;
    }
    memcpy(waiting->peer, request->peer, sizeof(waiting->peer));
    waiting->peer_size = request->peer_size;
    waiting->owner = request->owner;
    waiting->n_events = n_events;
    *unanswered_of(publish, request) += n_events;
    zmq_msg_init(&waiting->body);
    zmq_msg_move(&waiting->body, body);
    lines_put(&publish->lines, waiting);
    return 0;
}

// What came off the socket: into its line, or answered. *ret_refused counts.
static int take_in(struct publish *publish, struct arena *arena, struct request *request,
                   zmq_msg_t *body, unsigned n_frames, unsigned *ret_refused) {
    int r = 0;
    if (!recognise(publish, arena, request, body)) {
        r = request->reply.detail == NULL ? -ENOMEM : REASON_FORBIDDEN;
    } else if (n_frames == 1) {
        uint32_t n_events = publish_count(zmq_msg_data(body), zmq_msg_size(body));
        const char *why = over(publish, request, n_events);
        *ret_refused += why != NULL;
        return why == NULL ? keep(publish, request, body, n_events)
                           : refuse_busy(publish, arena, request, body, why);
    } else {
        r = publish_read(request, body, n_frames, arena);
    }
    *ret_refused += 1;
    return r < 0 ? r : refuse(publish, arena, request);
}

int publish_drain(struct publish *publish, struct arena *arena) {
    struct request request = {0};
    unsigned n_refused = 0;
    // Where lines are full the rest stays with ZeroMQ, and then with its sender.
    while (!lines_are_full(&publish->lines) && n_refused < DRAIN_REFUSED_MAX) {
        zmq_msg_t body;
        unsigned n_frames = 0;
        zmq_msg_init(&body);
        int r = receive_frames(publish, request.peer, &request.peer_size, &body, &n_frames);
        r = r != 0 ? r : take_in(publish, arena, &request, &body, n_frames, &n_refused);
        zmq_msg_close(&body);
        if (r != 0) {
            return r < 0 ? r : 0;
        }
    }
    return 0;
}

int publish_begin(struct publish *publish, struct arena *arena) {
    access_refresh(&publish->access);
    publish->now_us = clock_monotonic_us();
    lines_begin(&publish->lines);
    bool in_line = publish->lines.n > 0 || lines_are_flooded(&publish->lines, publish->now_us);
    return in_line ? publish_drain(publish, arena) : 0;
}

void publish_reply(struct publish *publish, struct arena *arena, struct request *request) {
    uint8_t incarnation[INCARNATION_BYTES];
    memcpy(incarnation, log_incarnation(publish->broker->log), sizeof(incarnation));
    Touchbus__PublishReply *reply = &request->reply;
    *unanswered_of(publish, request) -= request->n_events;
    request->n_events = 0;
    reply->version = WIRE_VERSION;
    reply->incarnation = (ProtobufCBinaryData){.len = sizeof(incarnation), .data = incarnation};
    reply->credit = PUBLISH_CREDIT;
    const uint8_t *bytes;
    size_t size;
    int packed = envelope_pack(&reply->base, arena, &bytes, &size);
    reply->incarnation = (ProtobufCBinaryData){0}; // of this call's stack
    if (packed != 0 ||
        zmq_send(publish->socket, request->peer, request->peer_size, ZMQ_DONTWAIT | ZMQ_SNDMORE) <
            0 ||
        zmq_send(publish->socket, bytes, size, ZMQ_DONTWAIT) < 0) {
        logging_debug("event=reply-lost error=\"%s\"", zmq_strerror(errno));
    }
}
