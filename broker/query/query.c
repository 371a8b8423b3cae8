// SPDX-License-Identifier: Apache-2.0
// The query thread's loop: jobs that come back, requests, those that wait for a sequence, one slice
// of one long call, children. Quick verbs never wait for more than that one slice.
#include "broker/query/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/bounds.h"
#include "broker/endpoint.h"
#include "broker/guard.h"
#include "broker/query/query_call.h"
#include "broker/query/registry.h"
#include "broker/query/verbs_names.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/envelope.h"

enum {
    REQUESTS_MAX = 64,        // taken in one turn
    IDLE_MS = 1000,           // how often the thread looks at broker->stop by itself
    WAITING_MS = 1,           // while a call waits for a sequence or for a slow peer
    ENDING_MS = 5000,         // what calls that are away get at the end
    ANSWERS_QUEUED_MAX = 512, // a peer that does not read: ZeroMQ keeps so many, then we wait
    ARENA_BYTES = 16 << 20,
};

static const struct endpoint ENDPOINT = {
    .name = "query",
    .port_offset = 2,
    .io_thread = IO_THREAD_QUERY,
    .receive_frames_max = GUARD_QUEUE_FRAMES,
    .send_frames_max = ANSWERS_QUEUED_MAX,
    .heartbeat_ms = 5 * BEAT_MS,
    .heartbeat_timeout_ms = MEMBER_LAPSE_MS,
};

static int reads_open(struct query *query) {
    struct query_reads *reads = &query->reads;
    query->arena_request = arena_new(ARENA_BYTES);
    reads->arena = arena_new(ARENA_BYTES);
    reads->names = names_new();
    access_reader_init(&reads->access, query->broker->access);
    reads->registry = registry_new();
    if (query->arena_request == NULL || reads->arena == NULL || reads->names == NULL ||
        reads->registry == NULL) {
        return -ENOMEM;
    }
    int r = log_reader_new(query->broker->log, &reads->log);
    return r == 0 ? keys_reader_new(query->broker->keys, &reads->keys) : r;
}

int query_new(struct broker *broker, struct query **ret) {
    struct query *query = calloc(1, sizeof(*query));
    if (query == NULL) {
        return -ENOMEM;
    }
    query->broker = broker;
    int r = reads_open(query);
    r = r == 0 ? endpoint_open(query->broker, &ENDPOINT, &query->socket) : r;
    if (r != 0) {
        query_free(query);
        return r;
    }
    *ret = query;
    return 0;
}

bool query_is_copying(const struct query *query) {
    return query != NULL && query->helping;
}

struct query *query_free(struct query *query) {
    if (query == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < query->n_calls; i++) {
        // A call that is away at the end belongs to a thread that will not give it back.
        if (query->calls[i]->state != CALL_AWAY) {
            call_free(query->calls[i]);
        }
    }
    if (query->socket != NULL) {
        zmq_close(query->socket);
    }
    log_reader_free(query->reads.log);
    keys_reader_free(query->reads.keys);
    registry_free(query->reads.registry);
    names_free(query->reads.names);
    access_reader_clear(&query->reads.access);
    arena_free(query->reads.arena);
    arena_free(query->arena_request);
    free(query);
    return NULL;
}

// ---- requests

// One message of exactly two frames, routing id and payload. More frames are read and dropped.
// 1: taken; 0: none waits; -EBADMSG: not such a message.
static int receive(struct query *query, zmq_msg_t *peer, zmq_msg_t *payload) {
    if (zmq_msg_recv(peer, query->socket, ZMQ_DONTWAIT) < 0) {
        return 0;
    }
    if (!zmq_msg_more(peer)) {
        return -EBADMSG;
    }
    if (zmq_msg_recv(payload, query->socket, ZMQ_DONTWAIT) < 0) {
        return -EBADMSG;
    }
    guard_taken(query->broker->guard, payload);
    if (!zmq_msg_more(payload)) {
        return 1;
    }
    zmq_msg_t rest;
    zmq_msg_init(&rest);
    bool more = true;
    while (more && zmq_msg_recv(&rest, query->socket, ZMQ_DONTWAIT) >= 0) {
        guard_taken(query->broker->guard, &rest);
        more = zmq_msg_more(&rest);
    }
    zmq_msg_close(&rest);
    return -EBADMSG;
}

static void keep_or_free(struct query *query, struct call *call) {
    // Where there is no room for it, an answer that does not go out at once is lost.
    if (call->state == CALL_ENDED || query->n_calls == CALLS_MAX) {
        call_free(call);
    } else {
        query->calls[query->n_calls++] = call;
    }
}

// One key leaves room for the others' requests. Without keys nobody can be told from another.
static bool may_have_calls(const struct query *query, const struct call *call) {
    size_t n = 0;
    for (size_t i = 0; i < query->n_calls && call->actor[0] != '\0'; i++) {
        n += strcmp(query->calls[i]->actor, call->actor) == 0;
    }
    return !GUARD(key_calls) || n < CALLS_OF_A_KEY_MAX;
}

static void start(struct query *query, struct call *call) {
    if (query->n_calls == CALLS_MAX) {
        call_refuse(call, REASON_BUSY, "%d requests are being answered", CALLS_MAX);
        call_finish(call);
    } else if (!may_have_calls(query, call)) {
        call_refuse(call, REASON_BUSY, "%d requests of one key are being answered",
                    CALLS_OF_A_KEY_MAX);
        call_finish(call);
    } else if (!call_is_allowed(call)) { // who may not ask does not wait, either
        call_finish(call);
    } else if (call->min_sequence > atomic_load(&query->broker->visible)) {
        call->state = CALL_WAITING;
        call->deadline_us = clock_monotonic_us() + MIN_SEQUENCE_WAIT_US;
    } else {
        call_start(call);
    }
    keep_or_free(query, call);
}

static void take_request(struct query *query, zmq_msg_t *peer, zmq_msg_t *payload) {
    const void *id = zmq_msg_data(peer);
    size_t id_size = zmq_msg_size(peer);
    ProtobufCMessage *message = NULL;
    const char *why = "";
    arena_reset(query->arena_request);
    int r = envelope_unpack(&touchbus__query__descriptor, zmq_msg_data(payload),
                            zmq_msg_size(payload), query->arena_request, &message, &why);
    if (r != 0) {
        atomic_fetch_add(&query->broker->counters.bad_frames, 1);
        query_send_refusal(query, id, id_size, 0, r > 0 ? (uint32_t)r : REASON_INTERNAL, why);
        return;
    }
    const Touchbus__Query *request = (const Touchbus__Query *)(void *)message;
    const struct grant *grant = access_of(&query->reads.access, payload);
    if (grant == NULL) {
        query_send_refusal(query, id, id_size, request->request, REASON_FORBIDDEN,
                           "the key is not known any more");
        return;
    }
    struct call *call = NULL;
    char detail[DETAIL_BYTES_MAX];
    uint32_t code = call_new(query, id, id_size, grant, request, detail, &call);
    if (code != REASON_OK) {
        query_send_refusal(query, id, id_size, request->request, code, detail);
        return;
    }
    start(query, call);
}

static void take_requests(struct query *query) {
    for (int i = 0; i < REQUESTS_MAX; i++) {
        zmq_msg_t peer, payload;
        zmq_msg_init(&peer);
        zmq_msg_init(&payload);
        int r = receive(query, &peer, &payload);
        if (r > 0) {
            urgency_asked(&query->urgency);
            take_request(query, &peer, &payload);
            urgency_look(&query->urgency);
        } else if (r < 0) {
            atomic_fetch_add(&query->broker->counters.bad_frames, 1);
        }
        zmq_msg_close(&peer);
        zmq_msg_close(&payload);
        if (r == 0) {
            return;
        }
    }
}

// ---- calls that go on

static void give_up_waiting(struct call *call) {
    call_refuse(call, REASON_BAD_CURSOR, "sequence %llu is not there after a second",
                (unsigned long long)call->min_sequence);
    call_finish(call);
}

static void look_at(struct call *call, uint64_t visible, int64_t now_us) {
    if (call->state == CALL_WAITING) {
        if (visible >= call->min_sequence) {
            call_start(call);
        } else if (now_us >= call->deadline_us) {
            give_up_waiting(call);
        }
    } else if (call->state == CALL_ENDING) {
        call_end(call);
    } else if (call->unsent != NULL && call->state != CALL_AWAY) {
        call_send_unsent(call);
    }
    bool child_ended = call->state == CALL_ENDED && call->child.output >= 0; // its peer is gone
    if (child_ended || (call->state == CALL_CHILD && call->unsent == NULL)) {
        call_read_child(call);
    }
}

// One slice, of the next call whose turn it is.
static void slice_one(struct query *query) {
    for (size_t i = 0; i < query->n_calls; i++) {
        struct call *call = query->calls[query->turn++ % query->n_calls];
        if (call->state == CALL_SLICING && call->unsent == NULL) {
            call_slice(call);
            return;
        }
    }
}

static void go_on(struct query *query) {
    uint64_t visible = atomic_load(&query->broker->visible);
    int64_t now_us = query->n_calls > 0 ? clock_monotonic_us() : 0;
    for (size_t i = 0; i < query->n_calls; i++) {
        look_at(query->calls[i], visible, now_us);
    }
    slice_one(query);
    size_t n = 0;
    for (size_t i = 0; i < query->n_calls; i++) {
        struct call *call = query->calls[i];
        if (call->state == CALL_ENDED && call->child.output < 0) {
            call_free(call);
        } else {
            query->calls[n++] = call;
        }
    }
    query->n_calls = n;
}

static void tell_copied(struct query *query) {
    int64_t now_us = query->helping ? clock_monotonic_us() : 0;
    if (query->helping && now_us >= query->copied_due_us) {
        query->copied_due_us = now_us + IDLE_MS * CLOCK_US_PER_MS;
        call_tell_copied(query->helped);
    }
}

static void take_jobs(struct query *query) {
    struct job *job;
    while ((job = mailbox_take(query->broker->to_query)) != NULL) {
        job->run(job, query);
    }
}

// ---- the loop

enum { ITEM_SOCKET, ITEM_MAILBOX, ITEMS_FIXED };

static long fill_items(struct query *query, zmq_pollitem_t *items, int *ret_n) {
    long timeout_ms = query->urgency.n_threads > 0 ? URGENT_LOOK_MS : IDLE_MS;
    int n = ITEMS_FIXED;
    items[ITEM_SOCKET] = (zmq_pollitem_t){.socket = query->socket, .events = ZMQ_POLLIN};
    items[ITEM_MAILBOX] =
        (zmq_pollitem_t){.fd = mailbox_descriptor(query->broker->to_query), .events = ZMQ_POLLIN};
    for (size_t i = 0; i < query->n_calls; i++) {
        struct call *call = query->calls[i];
        if (call->state == CALL_SLICING && call->unsent == NULL) {
            timeout_ms = 0;
        } else if (call->state == CALL_WAITING || (call->unsent != NULL && timeout_ms > 0)) {
            timeout_ms = timeout_ms < WAITING_MS ? timeout_ms : WAITING_MS;
        }
        if (call->child.output >= 0 && call->unsent == NULL) {
            items[n++] = (zmq_pollitem_t){.fd = call->child.output, .events = ZMQ_POLLIN};
        }
    }
    *ret_n = n;
    return timeout_ms;
}

static void turn(struct query *query) {
    zmq_pollitem_t items[ITEMS_FIXED + CALL_CHILDREN_MAX];
    int n_items;
    long timeout_ms = fill_items(query, items, &n_items);
    if (zmq_poll(items, n_items, timeout_ms) < 0 && errno != EINTR) {
        logging_error("query poll=failed error=\"%s\"", zmq_strerror(errno));
        return;
    }
    urgency_look(&query->urgency);
    access_refresh(&query->reads.access);
    take_jobs(query);
    if (items[ITEM_SOCKET].revents != 0) {
        take_requests(query);
    }
    go_on(query);
    tell_copied(query);
}

// What is away comes back before the thread ends, or is left to the end of the process.
static void drain(struct query *query) {
    int64_t end_us = clock_monotonic_us() + ENDING_MS * CLOCK_US_PER_MS;
    while ((query->n_away > 0 || query->n_children > 0) && clock_monotonic_us() < end_us) {
        zmq_pollitem_t item = {.fd = mailbox_descriptor(query->broker->to_query),
                               .events = ZMQ_POLLIN};
        zmq_poll(&item, 1, query->n_children > 0 ? 0 : WAITING_MS);
        take_jobs(query);
        for (size_t i = 0; i < query->n_calls; i++) {
            if (query->calls[i]->child.output >= 0) {
                call_read_child(query->calls[i]);
            }
        }
    }
}

void *query_run(void *data) {
    struct query *query = data;
    urgency_begin(&query->urgency, (int)query->broker->configuration.urgent_percent,
                  IO_THREAD_QUERY_NAME);
    while (!atomic_load(&query->broker->stop)) {
        turn(query);
    }
    drain(query);
    return NULL;
}
