// SPDX-License-Identifier: Apache-2.0
// A call: one request with its arguments copied out of the frame, and the answer that grows in it.
// Checked against its verb's row before anything runs.
#include "broker/query/query_call.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/clock.h"
#include "schemas/base/utf8.h"
#include "schemas/body.h"
#include "schemas/envelope.h"

enum { ARGUMENT_BYTES_MAX = 2048 };

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

static bool is_attribute(const char *text) {
    size_t size = strlen(text);
    return size <= ID_BYTES_MAX && utf8_check_printable(text, size);
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
        // It becomes an attribute of an event, and has the limits of one.
        if (strcmp(name, "actor") == 0 && !is_attribute(call->arguments[i].value)) {
            snprintf(ret_detail, DETAIL_BYTES_MAX, "actor is too long or holds control characters");
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

// With keys the actor is whose key it is, whatever the caller says.
static void set_actor(struct call *call) {
    if (call->actor[0] == '\0' || find_argument(call->verb, "actor") == NULL) {
        return;
    }
    size_t i = 0;
    while (i < call->n_arguments && strcmp(call->arguments[i].name, "actor") != 0) {
        i++;
    }
    if (i < QUERY_ARGUMENTS_MAX) {
        call->n_arguments += i == call->n_arguments;
        call->arguments[i] = (struct delivery_argument){"actor", call->actor};
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

static uint32_t keep_body(struct call *call, const ProtobufCBinaryData *body,
                          const char **ret_why) {
    if (body_check(body->data, body->len, true, ret_why) != 0) {
        return REASON_BAD_ARGUMENT;
    }
    call->packed_body = malloc(body->len);
    if (call->packed_body == NULL) {
        return REASON_BUSY;
    }
    memcpy(call->packed_body, body->data, body->len);
    call->packed_body_size = body->len;
    return REASON_OK;
}

int call_unpack_body(struct call *call) {
    int r = call->packed_body_size > 0
                ? body_to_json(call->packed_body, call->packed_body_size, &call->body)
                : 0;
    free(call->packed_body);
    call->packed_body = NULL;
    call->packed_body_size = 0;
    return r;
}

uint32_t call_new(struct query *query, const void *peer, size_t peer_size,
                  const struct grant *grant, const Touchbus__Query *request,
                  char ret_detail[static DETAIL_BYTES_MAX], struct call **ret) {
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
    memcpy(call->user, grant->public_key, sizeof(call->user));
    if (!grant->local) {
        memcpy(call->actor, grant->name, sizeof(call->actor));
    }
    uint32_t code = copy_arguments(call, request) != 0 ? REASON_BUSY : REASON_OK;
    if (code == REASON_OK) {
        code = check_arguments(call, ret_detail);
    }
    add_defaults(call);
    set_actor(call);
    const char *why = "";
    if (code == REASON_OK && request->body.len > 0) {
        code = keep_body(call, &request->body, &why);
        snprintf(ret_detail, DETAIL_BYTES_MAX, "body: %s", why);
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
    free(call->packed_body);
    free(call->texts);
    free(call->unsent);
    free(call->child.line);
    free(call);
    return NULL;
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

void call_name_customer(struct call *call, uint64_t customer) {
    for (size_t i = 0; i < call->n_arguments; i++) {
        struct delivery_argument *argument = &call->arguments[i];
        if (strcmp(argument->name, "key") == 0 || strcmp(argument->name, "reference") == 0) {
            argument->name = "customer";
            argument->value = envelope_format_customer(customer, call->customer);
        }
    }
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
