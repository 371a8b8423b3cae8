// SPDX-License-Identifier: Apache-2.0
// Queries: one question at a time, its answers told from late ones of earlier questions by the
// request id. A question is never asked twice by itself: some verbs act.
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "connectors/client/answer.h"
#include "connectors/client/endpoint.h"
#include "connectors/client/event.h"
#include "schemas/base/arena.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/body.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

enum {
    SOCKET_MESSAGES_MAX = 1024,
    ANSWER_ARENA_BYTES_MAX = 32 << 20,
    CONNECTING_LOOK_MS = 10,
    LOOK_MS = 100,
    VERB_BYTES_MAX = 64,
};

struct touchbus_client {
    void *socket;
    struct keys keys;
    struct handshake handshake;
    char endpoint[ENDPOINT_BYTES_MAX];
    uint64_t request;
};

static int client_connect(touchbus_client *client) {
    return endpoint_connect(client->endpoint,
                            &(struct endpoint_options){.keys = &client->keys,
                                                       .handshake = &client->handshake,
                                                       .hwm = SOCKET_MESSAGES_MAX,
                                                       .again = true},
                            &client->socket);
}

int touchbus_client_new(const touchbus_client_options *options, touchbus_client **ret) {
    static const touchbus_client_options none;
    char why[CERTIFICATE_WHY_BYTES];
    touchbus_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return -ENOMEM;
    }
    options = options == NULL ? &none : options;
    int r = endpoint_format(options->broker, ENDPOINT_QUERY, client->endpoint);
    r = r != 0 ? r : keys_load(&client->keys, options->key, options->broker_key, why);
    r = r != 0 ? r : client_connect(client);
    if (r != 0) {
        touchbus_client_free(client);
        return r;
    }
    *ret = client;
    return 0;
}

touchbus_client *touchbus_client_free(touchbus_client *client) {
    if (client != NULL) {
        endpoint_close(client->socket, &client->handshake);
        keys_clear(&client->keys);
        free(client);
    }
    return NULL;
}

int touchbus_client_reload_keys(touchbus_client *client) {
    char why[CERTIFICATE_WHY_BYTES];
    int r = keys_reload(&client->keys, why);
    if (r <= 0) {
        return r;
    }
    client->socket = endpoint_close(client->socket, &client->handshake);
    return client_connect(client);
}

uint32_t touchbus_client_refusal(touchbus_client *client, const char **ret_reason,
                                 const char **ret_detail, const char **ret_hint) {
    struct handshake_refusal refusal = handshake_look(&client->handshake);
    handshake_tell(&refusal, ret_reason, ret_detail, ret_hint);
    return refusal.code;
}

static void cleanup_json(json_t **json) {
    json_decref(*json);
}

// ---- the question

static int fill_query(Touchbus__Query *query, Touchbus__Argument *room, Touchbus__Argument **list,
                      const touchbus_argument *arguments, size_t n_arguments) {
    if (n_arguments > QUERY_ARGUMENTS_MAX) {
        return -E2BIG;
    }
    // protobuf-c's strings are not const; packing reads them only.
    union {
        const char *from;
        char *to;
    } name, value;
    for (size_t i = 0; i < n_arguments; i++) {
        if (arguments[i].name == NULL || arguments[i].value == NULL) {
            return -EINVAL;
        }
        name.from = arguments[i].name;
        value.from = arguments[i].value;
        touchbus__argument__init(&room[i]);
        room[i].name = name.to;
        room[i].value = value.to;
        list[i] = &room[i];
    }
    query->n_arguments = n_arguments;
    query->arguments = list;
    return 0;
}

static int fill_body(Touchbus__Query *query, const char *text) {
    if (text == NULL) {
        return 0;
    }
    _cleanup_(cleanup_json) json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    void *data;
    size_t size;
    if (!json_is_object(json)) {
        return -EBADMSG;
    }
    int r = body_from_json(json, &data, &size);
    if (r == 0) {
        query->body = (ProtobufCBinaryData){.len = size, .data = data};
    }
    return r;
}

// Sends as soon as there is a connection. 0; -ETIMEDOUT; -EACCES where the handshake is refused.
static int send_query(touchbus_client *client, const Touchbus__Query *query, int64_t end_us) {
    size_t size = touchbus__query__get_packed_size(query);
    if (size > FRAME_BYTES_MAX) {
        return -E2BIG;
    }
    zmq_msg_t frame;
    if (zmq_msg_init_size(&frame, size) != 0) {
        return -ENOMEM;
    }
    touchbus__query__pack(query, zmq_msg_data(&frame));
    while (zmq_msg_send(&frame, client->socket, ZMQ_DONTWAIT) < 0) {
        int error = errno;
        if (handshake_look(&client->handshake).code != 0) {
            zmq_msg_close(&frame);
            return -EACCES;
        }
        if ((error != EAGAIN && error != EINTR) || clock_monotonic_us() >= end_us) {
            zmq_msg_close(&frame);
            return error == EAGAIN || error == EINTR ? -ETIMEDOUT : -error;
        }
        zmq_pollitem_t item = {.socket = client->socket, .events = ZMQ_POLLOUT};
        zmq_poll(&item, 1, CONNECTING_LOOK_MS);
    }
    return 0;
}

// ---- the answers

touchbus_answer *answer_new(void) {
    touchbus_answer *answer = calloc(1, sizeof(*answer));
    if (answer == NULL) {
        return NULL;
    }
    answer->self = answer;
    answer->arena = arena_new(ANSWER_ARENA_BYTES_MAX);
    return answer->arena == NULL ? touchbus_answer_free(answer) : answer;
}

// Reads one frame. 1 and *ret; 0: none there, or none of ours.
static int receive_answer(touchbus_client *client, touchbus_answer **ret) {
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, client->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&frame);
        return 0;
    }
    ProtobufCMessage *message = NULL;
    const char *why;
    touchbus_answer *answer = answer_new();
    int r = -ENOMEM;
    if (answer != NULL) {
        r = envelope_unpack(&touchbus__answer__descriptor, zmq_msg_data(&frame),
                            zmq_msg_size(&frame), answer->arena, &message, &why);
        r = r > 0 ? -EBADMSG : r;
    }
    zmq_msg_close(&frame);
    if (r != 0) {
        touchbus_answer_free(answer);
        return r;
    }
    answer->message = (const Touchbus__Answer *)message;
    if (answer->message->request != client->request) {
        touchbus_answer_free(answer); // a late one
        return 0;
    }
    *ret = answer;
    return 1;
}

static int await_answers(touchbus_client *client, int64_t end_us,
                         void (*on_part)(const touchbus_answer *part, void *user), void *user,
                         touchbus_answer **ret) {
    for (;;) {
        touchbus_answer *answer;
        int r = receive_answer(client, &answer);
        if (r < 0) {
            return r;
        }
        if (r == 1 && !answer->message->more) {
            *ret = answer;
            return 0;
        }
        if (r == 1) {
            if (on_part != NULL) {
                on_part(answer, user);
            }
            touchbus_answer_free(answer);
            continue;
        }
        int64_t left_us = end_us - clock_monotonic_us();
        if (left_us <= 0 || !endpoint_writable(client->socket)) {
            return -ETIMEDOUT; // the connection went, and the question with it
        }
        int64_t wait_ms = left_us / CLOCK_US_PER_MS + 1;
        endpoint_wait(client->socket, (int)(wait_ms < LOOK_MS ? wait_ms : LOOK_MS));
    }
}

int touchbus_client_query(touchbus_client *client, const char *verb,
                          const touchbus_argument *arguments, size_t n_arguments, const char *body,
                          uint64_t min_sequence, int timeout_ms,
                          void (*on_part)(const touchbus_answer *part, void *user), void *user,
                          touchbus_answer **ret) {
    int64_t end_us = clock_monotonic_us() + timeout_ms * CLOCK_US_PER_MS;
    Touchbus__Query query;
    Touchbus__Argument room[QUERY_ARGUMENTS_MAX];
    Touchbus__Argument *list[QUERY_ARGUMENTS_MAX];
    touchbus__query__init(&query);
    if (event_check_text(verb, VERB_BYTES_MAX) != 0) {
        return -EINVAL;
    }
    int r = fill_query(&query, room, list, arguments, n_arguments);
    r = r != 0 ? r : fill_body(&query, body);
    if (r == 0) {
        _cleanup_free_ char *own_verb = strdup(verb);
        if (handshake_anew(&client->handshake)) { // each question is another try
            endpoint_connect_again(client->socket, client->endpoint);
        }
        query.version = WIRE_VERSION;
        query.request = ++client->request;
        query.verb = own_verb;
        query.min_sequence = min_sequence;
        r = own_verb == NULL ? -ENOMEM : send_query(client, &query, end_us);
    }
    free(query.body.data);
    return r != 0 ? r : await_answers(client, end_us, on_part, user, ret);
}

touchbus_answer *touchbus_answer_free(touchbus_answer *answer) {
    if (answer != NULL) {
        arena_free(answer->arena);
        free(answer->json);
        free(answer);
    }
    return NULL;
}

uint32_t touchbus_answer_code(const touchbus_answer *answer) {
    return answer->message->code;
}

const char *touchbus_answer_reason(const touchbus_answer *answer) {
    return reason_find(answer->message->code)->name;
}

const char *touchbus_answer_detail(const touchbus_answer *answer) {
    return answer->message->detail;
}

const char *touchbus_answer_hint(const touchbus_answer *answer) {
    return reason_find(answer->message->code)->hint;
}

uint64_t touchbus_answer_as_of(const touchbus_answer *answer) {
    return answer->message->as_of;
}

const char *touchbus_answer_json(const touchbus_answer *answer) {
    const ProtobufCBinaryData *body = &answer->message->body;
    touchbus_answer *self = answer->self;
    if (self->json == NULL && body->len > 0) {
        _cleanup_(cleanup_json) json_t *json = NULL;
        if (body_to_json(body->data, body->len, &json) == 0) {
            self->json = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
        }
    }
    return self->json == NULL ? "{}" : self->json;
}

const char *touchbus_version(void) {
    return TOUCHBUS_VERSION;
}
