// SPDX-License-Identifier: Apache-2.0
// Answers and parts on their way out. Sending never blocks: what has no room in the peer's queue
// waits in its call, for a while; then the peer is given up.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "broker/query/query_call.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/body.h"

enum {
    UNSENT_US_MAX = 10 * 1000000, // a peer that reads nothing of a stream for so long is given up
    ANSWER_US_MAX = 1000000,      // the same for a plain answer
};

// 0; -EAGAIN: the peer's queue is full; -EHOSTUNREACH: it is gone.
static int send_frame(struct query *query, const void *peer, size_t peer_size, const void *data,
                      size_t size) {
    if (zmq_send(query->socket, peer, peer_size, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_send(query->socket, data, size, ZMQ_DONTWAIT) < 0) {
        return -errno;
    }
    return 0;
}

static int pack(struct query *query, Touchbus__Answer *answer, const json_t *body, void **ret,
                size_t *ret_size) {
    _cleanup_free_ void *msgpack = NULL;
    size_t msgpack_size = 0;
    if (body != NULL) {
        int r = body_from_json(body, &msgpack, &msgpack_size);
        if (r != 0) {
            return r;
        }
    }
    answer->version = WIRE_VERSION;
    // protobuf-c's members are not const; packing only reads them.
    memcpy(&answer->incarnation.data, &(const uint8_t *){log_incarnation(query->broker->log)},
           sizeof(answer->incarnation.data));
    answer->incarnation.len = INCARNATION_BYTES;
    answer->body = (ProtobufCBinaryData){.data = msgpack, .len = msgpack_size};
    size_t size = touchbus__answer__get_packed_size(answer);
    uint8_t *packed = malloc(size);
    if (packed == NULL) {
        return -ENOMEM;
    }
    touchbus__answer__pack(answer, packed);
    *ret = packed;
    *ret_size = size;
    return 0;
}

void query_send_refusal(struct query *query, const void *peer, size_t peer_size, uint64_t request,
                        uint32_t code, const char *detail) {
    Touchbus__Answer answer;
    touchbus__answer__init(&answer);
    char text[DETAIL_BYTES_MAX];
    snprintf(text, sizeof(text), "%s", detail);
    answer.request = request;
    answer.code = code;
    answer.detail = text;
    _cleanup_free_ void *data = NULL;
    size_t size;
    if (pack(query, &answer, NULL, &data, &size) == 0) {
        send_frame(query, peer, peer_size, data, size);
    }
}

bool call_send_unsent(struct call *call) {
    if (call->unsent == NULL) {
        return true;
    }
    int r = send_frame(call->query, call->peer, call->peer_size, call->unsent, call->unsent_size);
    if (r == -EAGAIN && clock_monotonic_us() < call->deadline_us) {
        return false;
    }
    free(STEAL(call->unsent));
    if (r != 0) {
        call->state = CALL_ENDED;
    }
    return true;
}

// Packs the answer as what is to be sent next. False: there is nothing to send.
static bool pack_answer(struct call *call) {
    Touchbus__Answer answer;
    touchbus__answer__init(&answer);
    answer.request = call->request;
    answer.code = call->code;
    answer.detail = call->detail;
    answer.as_of = call->as_of != 0 ? call->as_of : atomic_load(&call->query->broker->visible);
    int r = pack(call->query, &answer, call->answer, &call->unsent, &call->unsent_size);
    if (r != 0) {
        query_send_refusal(call->query, call->peer, call->peer_size, call->request,
                           r == -E2BIG ? REASON_TOO_LARGE : REASON_INTERNAL,
                           r == -E2BIG ? "the answer is over a size limit" : "");
    }
    call->deadline_us = clock_monotonic_us() + (call->streamed ? UNSENT_US_MAX : ANSWER_US_MAX);
    return r == 0;
}

void call_end(struct call *call) {
    if (!call_send_unsent(call) || call->state == CALL_ENDED) {
        return;
    }
    if (!call->packed) {
        call->packed = true;
        if (pack_answer(call) && !call_send_unsent(call)) {
            return;
        }
    }
    call->state = CALL_ENDED;
}

void call_finish(struct call *call) {
    json_decref(call->body); // the answer may wait for a slow peer
    call->body = NULL;
    call->state = CALL_ENDING;
    call_end(call);
}

void call_tell_copied(struct call *call) {
    struct broker *broker = call->query->broker;
    Touchbus__Answer answer;
    touchbus__answer__init(&answer);
    answer.request = call->request;
    answer.as_of = atomic_load(&broker->visible);
    answer.more = true;
    json_t *part = json_pack("{s:s, s:I, s:I}", "phase", "copy", "done",
                             (json_int_t)atomic_load(&broker->copy_done), "total",
                             (json_int_t)atomic_load(&broker->copy_total));
    _cleanup_free_ void *data = NULL;
    size_t size = 0;
    if (part != NULL && pack(call->query, &answer, part, &data, &size) == 0) {
        send_frame(call->query, call->peer, call->peer_size, data, size); // the next one may do
    }
    json_decref(part);
}

int call_part(struct call *call, json_t *part) {
    if (part == NULL) {
        return -ENOMEM;
    }
    Touchbus__Answer answer;
    touchbus__answer__init(&answer);
    answer.request = call->request;
    answer.as_of = call->as_of != 0 ? call->as_of : atomic_load(&call->query->broker->visible);
    answer.more = true;
    int r = pack(call->query, &answer, part, &call->unsent, &call->unsent_size);
    json_decref(part);
    if (r == 0) {
        call->streamed = true;
        call->deadline_us = clock_monotonic_us() + UNSENT_US_MAX;
        call_send_unsent(call);
    }
    return r;
}
