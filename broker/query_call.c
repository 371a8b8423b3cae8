// SPDX-License-Identifier: Apache-2.0
// A call: one request with its arguments copied out of the frame, and the answer that grows in it.
// Checked against its verb's row before anything runs. Sending never blocks: a part that has no
// room waits in the call, an answer that has none is lost with its peer.
#include "broker/query_call.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/body.h"

enum {
    UNSENT_US_MAX = 10 * 1000000, // a peer that reads nothing of a stream for so long is given up
    ANSWER_US_MAX = 1000000,      // the same for a plain answer
    ARGUMENT_BYTES_MAX = 2048,
};

static const struct verb_argument *find_argument(const struct verb *verb, const char *name) {
    for (const struct verb_argument *row = verb->arguments; row->name != NULL; row++) {
        if (strcmp(row->name, name) == 0) {
            return row;
        }
    }
    return NULL;
}

static size_t count_argument(const struct call *call, const char *name) {
    size_t n = 0;
    for (size_t i = 0; i < call->n_arguments; i++) {
        n += strcmp(call->arguments[i].name, name) == 0;
    }
    return n;
}

// Names of arguments are the client's; they go into a detail only when they are plain.
static const char *plain(const char *name) {
    bool is_plain = *name != '\0' && strlen(name) <= NAME_BYTES_MAX &&
                    strspn(name, "abcdefghijklmnopqrstuvwxyz_-0123456789") == strlen(name);
    return is_plain ? name : "(unprintable)";
}

static uint32_t check_arguments(const struct call *call, char *ret_detail) {
    for (size_t i = 0; i < call->n_arguments; i++) {
        const char *name = call->arguments[i].name;
        const struct verb_argument *row = find_argument(call->verb, name);
        if (row == NULL) {
            snprintf(ret_detail, DETAIL_BYTES_MAX, "%s takes no argument '%s'", call->verb->name,
                     plain(name));
            return REASON_BAD_ARGUMENT;
        }
        if (strlen(call->arguments[i].value) > ARGUMENT_BYTES_MAX) {
            snprintf(ret_detail, DETAIL_BYTES_MAX, "argument '%s' is too long", row->name);
            return REASON_BAD_ARGUMENT;
        }
        if (!row->repeats && count_argument(call, name) > 1) {
            snprintf(ret_detail, DETAIL_BYTES_MAX, "argument '%s' stands twice", row->name);
            return REASON_BAD_ARGUMENT;
        }
    }
    for (const struct verb_argument *row = call->verb->arguments; row->name != NULL; row++) {
        if (row->required && count_argument(call, row->name) == 0) {
            snprintf(ret_detail, DETAIL_BYTES_MAX, "argument '%s' is missing", row->name);
            return REASON_BAD_ARGUMENT;
        }
    }
    return REASON_OK;
}

// Defaults stand in the call like what was given, so that other threads see them too.
static void add_defaults(struct call *call) {
    for (const struct verb_argument *row = call->verb->arguments; row->name != NULL; row++) {
        if (row->default_text != NULL && count_argument(call, row->name) == 0 &&
            call->n_arguments < QUERY_ARGUMENTS_MAX) {
            call->arguments[call->n_arguments++] =
                (struct delivery_argument){row->name, row->default_text};
        }
    }
}

static char *append(char **at, const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*at, text, size);
    *at += size;
    return copy;
}

static int copy_arguments(struct call *call, const Touchbus__Query *request) {
    size_t size = 1;
    for (size_t i = 0; i < request->n_arguments; i++) {
        size += strlen(request->arguments[i]->name) + strlen(request->arguments[i]->value) + 2;
    }
    char *at = call->texts = malloc(size);
    if (at == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < request->n_arguments; i++) {
        call->arguments[i].name = append(&at, request->arguments[i]->name);
        call->arguments[i].value = append(&at, request->arguments[i]->value);
    }
    call->n_arguments = request->n_arguments;
    return 0;
}

uint32_t call_new(struct query *query, const void *peer, size_t peer_size,
                  const Touchbus__Query *request, char ret_detail[static DETAIL_BYTES_MAX],
                  struct call **ret) {
    ret_detail[0] = '\0';
    const struct verb *verb = verbs_find(request->verb);
    if (verb == NULL) {
        return REASON_UNKNOWN_VERB;
    }
    if (request->n_arguments > QUERY_ARGUMENTS_MAX || peer_size > CALL_PEER_BYTES_MAX) {
        return REASON_BAD_ARGUMENT;
    }
    struct call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return REASON_BUSY;
    }
    call->query = query;
    call->verb = verb;
    call->request = request->request;
    call->min_sequence = request->min_sequence;
    call->child.output = -1;
    memcpy(call->peer, peer, peer_size);
    call->peer_size = peer_size;
    uint32_t code = copy_arguments(call, request) != 0 ? REASON_BUSY : REASON_OK;
    if (code == REASON_OK) {
        code = check_arguments(call, ret_detail);
    }
    add_defaults(call);
    const char *why = "";
    if (code == REASON_OK && request->body.len > 0 &&
        (body_check(request->body.data, request->body.len, true, &why) != 0 ||
         body_to_json(request->body.data, request->body.len, &call->body) != 0)) {
        snprintf(ret_detail, DETAIL_BYTES_MAX, "body: %s", why);
        code = REASON_BAD_ARGUMENT;
    }
    if (code != REASON_OK) {
        call_free(call);
        return code;
    }
    *ret = call;
    return REASON_OK;
}

struct call *call_free(struct call *call) {
    if (call == NULL) {
        return NULL;
    }
    if (call->free_progress != NULL) {
        call->free_progress(call->progress);
    }
    json_decref(call->body);
    json_decref(call->answer);
    free(call->texts);
    free(call->unsent);
    free(call->child.line);
    free(call);
    return NULL;
}

// ---- sending

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
    call->state = CALL_ENDING;
    call_end(call);
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

// ---- what verbs see of a call

struct broker *call_broker(const struct call *call) {
    return call->query->broker;
}

struct query_reads *call_reads(const struct call *call) {
    return &call->query->reads;
}

const struct verb *call_verb(const struct call *call) {
    return call->verb;
}

json_t *call_body(const struct call *call) {
    return call->body;
}

const char *call_argument_at(const struct call *call, const char *name, size_t index) {
    for (size_t i = 0; i < call->n_arguments; i++) {
        if (strcmp(call->arguments[i].name, name) == 0 && index-- == 0) {
            return call->arguments[i].value;
        }
    }
    return NULL;
}

const char *call_argument(const struct call *call, const char *name) {
    return call_argument_at(call, name, 0);
}

bool call_number(struct call *call, const char *name, uint64_t max, uint64_t *ret) {
    const char *text = call_argument(call, name);
    char *end = NULL;
    errno = 0;
    unsigned long long number = text != NULL ? strtoull(text, &end, 10) : 0;
    if (text == NULL || *text < '0' || *text > '9' || *end != '\0' || errno != 0 || number > max) {
        call_refuse(call, REASON_BAD_ARGUMENT, "%s: expected a number from 0 to %llu", name,
                    (unsigned long long)max);
        return false;
    }
    *ret = number;
    return true;
}

int call_refuse(struct call *call, uint32_t code, const char *format, ...) {
    call->code = code;
    va_list ap;
    va_start(ap, format);
    vsnprintf(call->detail, sizeof(call->detail), format, ap);
    va_end(ap);
    return 0;
}

int call_answer(struct call *call, json_t *answer) {
    json_decref(call->answer);
    call->answer = answer;
    return answer != NULL ? 0 : -ENOMEM;
}

json_t *call_answer_borrow(const struct call *call) {
    return call->answer;
}

uint32_t call_code(const struct call *call) {
    return call->code;
}

void call_as_of(struct call *call, uint64_t sequence) {
    call->as_of = sequence;
}

void *call_progress(const struct call *call) {
    return call->progress;
}

void call_keep(struct call *call, void *progress, void (*free_progress)(void *progress)) {
    call->progress = progress;
    call->free_progress = free_progress;
}

bool call_slice_over(int64_t began_us) {
    return clock_monotonic_us() - began_us >= CALL_SLICE_US;
}
