// SPDX-License-Identifier: Apache-2.0
// The publisher: a window of unanswered events and the socket that carries it. Everything that can
// go wrong on the way is the window's business; this file only moves frames.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <zmq.h>

#include "connectors/client/endpoint.h"
#include "connectors/client/event.h"
#include "connectors/client/window.h"
#include "schemas/base/arena.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/body.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

enum {
    SOCKET_MESSAGES_MAX = 64, // either way; more than WINDOW_LIVE_MAX
    REPLY_ARENA_BYTES_MAX = 32 << 20,
    RECEIVE_MAX = 256,   // replies taken before somebody else has a turn
    RECEIVE_EVERY = 256, // publish looks for replies this often
    CONNECTED_MS = 5000, // since the last reply
    LOOK_MS = 100,       // with requests on their way: is there still a connection?
    ID_PREFIX_BYTES = 8, // random, so that ids of two publishers never meet
};

struct touchbus_publisher {
    void *socket;
    char endpoint[ENDPOINT_BYTES_MAX];
    struct keys keys;
    struct handshake handshake;
    struct handshake_refusal refusal; // of the last look at it
    struct window *window;
    struct arena *arena; // of the reply being read
    char *producer;      // NULL: unnumbered
    char *source;
    void (*on_ack)(const touchbus_ack *ack, void *user);
    void *user;
    bool calling; // on_ack runs: publish only fills the window
    uint32_t n_published;
    int n_acks;
    uint64_t next_id;
    char id_prefix[2 * ID_PREFIX_BYTES + 1];
    uint8_t incarnation[INCARNATION_BYTES];
};

static int make_id_prefix(char prefix[static 2 * ID_PREFIX_BYTES + 1]) {
    uint8_t random[ID_PREFIX_BYTES];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return -EIO;
    }
    for (size_t i = 0; i < sizeof(random); i++) {
        snprintf(prefix + 2 * i, 3, "%02x", random[i]);
    }
    return 0;
}

static int make_source(const touchbus_publisher_options *options, char **ret) {
    char host[NAME_BYTES_MAX] = "client";
    if (options->source != NULL) {
        *ret = strdup(options->source);
    } else {
        if (options->producer == NULL && gethostname(host, sizeof(host) - 1) != 0) {
            return -errno;
        }
        const char *name = options->producer != NULL ? options->producer : host;
        if (asprintf(ret, "/%s", name) < 0) {
            *ret = NULL;
        }
    }
    return *ret == NULL ? -ENOMEM : 0;
}

static int check_options(const touchbus_publisher_options *options) {
    if ((options->producer != NULL && event_check_text(options->producer, NAME_BYTES_MAX) != 0) ||
        (options->source != NULL && event_check_text(options->source, ID_BYTES_MAX) != 0) ||
        options->window > WINDOW_EVENTS_MAX) {
        return -EINVAL;
    }
    return 0;
}

static int publisher_connect(touchbus_publisher *publisher) {
    return endpoint_connect(publisher->endpoint,
                            &(struct endpoint_options){.keys = &publisher->keys,
                                                       .handshake = &publisher->handshake,
                                                       .hwm = SOCKET_MESSAGES_MAX,
                                                       .again = true},
                            &publisher->socket);
}

static int set_options(touchbus_publisher *publisher, const touchbus_publisher_options *options) {
    char why[CERTIFICATE_WHY_BYTES];
    int r = check_options(options);
    r = r != 0 ? r : endpoint_format(options->broker, ENDPOINT_PUBLISH, publisher->endpoint);
    return r != 0 ? r : keys_load(&publisher->keys, options->key, options->broker_key, why);
}

int touchbus_publisher_new(const touchbus_publisher_options *options, touchbus_publisher **ret) {
    touchbus_publisher *publisher = calloc(1, sizeof(*publisher));
    if (publisher == NULL) {
        return -ENOMEM;
    }
    int r = set_options(publisher, options);
    if (r != 0) {
        touchbus_publisher_free(publisher);
        return r;
    }
    publisher->on_ack = options->on_ack;
    publisher->user = options->user;
    publisher->arena = arena_new(REPLY_ARENA_BYTES_MAX);
    publisher->window = window_new(options->window, options->producer != NULL,
                                   options->epoch != 0 ? options->epoch : (uint64_t)clock_now_us());
    r = publisher->arena == NULL || publisher->window == NULL ? -ENOMEM : 0;
    if (r == 0 && options->producer != NULL) {
        publisher->producer = strdup(options->producer);
        r = publisher->producer == NULL ? -ENOMEM : 0;
    }
    r = r != 0 ? r : make_source(options, &publisher->source);
    r = r != 0 ? r : make_id_prefix(publisher->id_prefix);
    r = r != 0 ? r : publisher_connect(publisher);
    if (r != 0) {
        touchbus_publisher_free(publisher);
        return r;
    }
    *ret = publisher;
    return 0;
}

touchbus_publisher *touchbus_publisher_free(touchbus_publisher *publisher) {
    if (publisher != NULL) {
        endpoint_close(publisher->socket, &publisher->handshake);
        keys_clear(&publisher->keys);
        window_free(publisher->window);
        arena_free(publisher->arena);
        free(publisher->producer);
        free(publisher->source);
        free(publisher);
    }
    return NULL;
}

// ---- frames out

static int send_request(touchbus_publisher *publisher, const struct window_request *request) {
    Touchbus__PublishRequest message;
    touchbus__publish_request__init(&message);
    message.version = WIRE_VERSION;
    message.request = request->request;
    if (publisher->producer != NULL) {
        message.producer = publisher->producer;
    }
    message.epoch = request->epoch;
    message.number = request->number;
    message.n_events = request->n_events;
    message.events = request->events;
    zmq_msg_t frame;
    if (zmq_msg_init_size(&frame, touchbus__publish_request__get_packed_size(&message)) != 0) {
        return -ENOMEM;
    }
    touchbus__publish_request__pack(&message, zmq_msg_data(&frame));
    if (zmq_msg_send(&frame, publisher->socket, ZMQ_DONTWAIT) < 0) {
        int error = errno;
        zmq_msg_close(&frame);
        return -error;
    }
    return 0;
}

static void send_due(touchbus_publisher *publisher) {
    int64_t now_us = clock_monotonic_us();
    struct window_request request;
    while (window_next(publisher->window, now_us, &request)) {
        if (send_request(publisher, &request) != 0) {
            window_lost(publisher->window); // no connection takes it
            return;
        }
        window_sent(publisher->window, &request, now_us);
    }
}

// ---- replies in

// The caller frees; NULL: none, or it cannot be read.
static char *verdict_text(const ProtobufCBinaryData *verdict) {
    json_t *json = NULL;
    if (verdict->len == 0 || body_check(verdict->data, verdict->len, true, NULL) != 0 ||
        body_to_json(verdict->data, verdict->len, &json) != 0) {
        return NULL;
    }
    char *text = event_json_text(json);
    json_decref(json);
    return text;
}

static void on_settled(const struct window_settled *settled, void *user) {
    touchbus_publisher *publisher = user;
    const struct reason *reason = reason_find(settled->code);
    _cleanup_free_ char *verdict = verdict_text(&settled->verdict);
    touchbus_ack ack = {
        .tag = settled->tag,
        .code = settled->code,
        .reason = reason->name,
        .detail = settled->detail,
        .hint = reason->hint,
        .retryable = reason->retryable,
        .duplicate = settled->duplicate,
        .sequence = settled->sequence,
        .customer = settled->customer,
        .incarnation = publisher->incarnation,
        .verdict = verdict,
    };
    publisher->n_acks++;
    if (publisher->on_ack != NULL) {
        publisher->calling = true;
        publisher->on_ack(&ack, publisher->user);
        publisher->calling = false;
    }
}

static void take_reply(touchbus_publisher *publisher, const void *data, size_t size) {
    ProtobufCMessage *message;
    const char *why;
    arena_reset(publisher->arena);
    if (envelope_unpack(&touchbus__publish_reply__descriptor, data, size, publisher->arena,
                        &message, &why) != 0) {
        return; // as if it had been lost: the events are sent again
    }
    const Touchbus__PublishReply *reply = (const Touchbus__PublishReply *)message;
    if (reply->incarnation.len == INCARNATION_BYTES) {
        memcpy(publisher->incarnation, reply->incarnation.data, INCARNATION_BYTES);
    }
    window_reply(publisher->window, reply, clock_monotonic_us(), on_settled, publisher);
}

static void receive(touchbus_publisher *publisher) {
    for (int i = 0; i < RECEIVE_MAX; i++) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, publisher->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&frame);
            return;
        }
        take_reply(publisher, zmq_msg_data(&frame), zmq_msg_size(&frame));
        zmq_msg_close(&frame);
    }
}

// ---- public

int touchbus_publisher_publish(touchbus_publisher *publisher, const touchbus_event *event,
                               void *tag) {
    if (!publisher->calling &&
        (!window_has_room(publisher->window, 0) || ++publisher->n_published % RECEIVE_EVERY == 0)) {
        receive(publisher);
        send_due(publisher);
    }
    if (!window_has_room(publisher->window, 0)) {
        return TOUCHBUS_FULL;
    }
    char id[sizeof(publisher->id_prefix) + 24] = "";
    uint8_t *bytes;
    size_t size;
    int r = event_pack(event);
    if (r == 0 && !event->outline.has_id) {
        snprintf(id, sizeof(id), "%s-%" PRIu64, publisher->id_prefix, publisher->next_id);
    }
    r = r != 0 ? r : event_pack_to_publish(event, id, publisher->source, &bytes, &size);
    if (r != 0) {
        return r;
    }
    if (!window_has_room(publisher->window, size)) {
        free(bytes);
        return TOUCHBUS_FULL;
    }
    publisher->next_id++;
    window_push(publisher->window, bytes, size, tag);
    if (!publisher->calling) {
        send_due(publisher);
    }
    return 0;
}

int touchbus_publisher_run(touchbus_publisher *publisher, int timeout_ms) {
    int64_t end_us = clock_monotonic_us() + timeout_ms * CLOCK_US_PER_MS;
    publisher->n_acks = 0;
    for (;;) {
        receive(publisher);
        bool writable = endpoint_writable(publisher->socket);
        publisher->refusal = (struct handshake_refusal){.detail = "", .hint = ""};
        if (!writable) {
            window_lost(publisher->window);
            publisher->refusal = handshake_look(&publisher->handshake);
            if (handshake_again(&publisher->handshake, clock_monotonic_us())) {
                endpoint_connect_again(publisher->socket, publisher->endpoint);
            }
        }
        send_due(publisher);
        int64_t now_us = clock_monotonic_us();
        if (publisher->n_acks > 0 || now_us >= end_us) {
            return publisher->n_acks;
        }
        int64_t wake_us = window_deadline(publisher->window);
        int64_t look_us = now_us + LOOK_MS * CLOCK_US_PER_MS;
        if (!writable || (window_pending(publisher->window) > 0 && look_us < wake_us)) {
            wake_us = writable ? look_us : now_us + RECONNECT_MS_MIN * CLOCK_US_PER_MS;
        }
        wake_us = wake_us < end_us ? wake_us : end_us;
        int64_t wait_ms = wake_us <= now_us ? 1 : (wake_us - now_us + 999) / CLOCK_US_PER_MS;
        endpoint_wait(publisher->socket, (int)wait_ms);
    }
}

int touchbus_publisher_flush(touchbus_publisher *publisher, int timeout_ms) {
    int64_t end_us = clock_monotonic_us() + timeout_ms * CLOCK_US_PER_MS;
    while (window_pending(publisher->window) > 0) {
        int64_t left_us = end_us - clock_monotonic_us();
        if (left_us < 0) {
            return -ETIMEDOUT;
        }
        int64_t left_ms = left_us / CLOCK_US_PER_MS;
        touchbus_publisher_run(publisher, (int)(left_ms < LOOK_MS ? left_ms : LOOK_MS));
        uint32_t code = touchbus_publisher_refusal(publisher, NULL, NULL, NULL);
        if (publisher->refusal.code != 0 || code == REASON_FORBIDDEN) {
            return -EACCES;
        }
    }
    return 0;
}

size_t touchbus_publisher_pending(const touchbus_publisher *publisher) {
    return window_pending(publisher->window);
}

bool touchbus_publisher_connected(const touchbus_publisher *publisher) {
    int64_t heard_us = window_heard(publisher->window);
    return heard_us != INT64_MIN &&
           clock_monotonic_us() - heard_us < CONNECTED_MS * CLOCK_US_PER_MS;
}

uint32_t touchbus_publisher_refusal(const touchbus_publisher *publisher, const char **ret_reason,
                                    const char **ret_detail, const char **ret_hint) {
    if (publisher->refusal.code != 0) {
        handshake_tell(&publisher->refusal, ret_reason, ret_detail, ret_hint);
        return publisher->refusal.code;
    }
    const char *detail;
    uint32_t code = window_refusal(publisher->window, &detail);
    const struct reason *reason = reason_find(code);
    if (ret_reason != NULL) {
        *ret_reason = reason->name;
    }
    if (ret_detail != NULL) {
        *ret_detail = code == 0 ? "" : detail;
    }
    if (ret_hint != NULL) {
        *ret_hint = reason->hint;
    }
    return code;
}

void *touchbus_publisher_socket(touchbus_publisher *publisher) {
    return publisher->socket;
}

int touchbus_publisher_reload_keys(touchbus_publisher *publisher) {
    char why[CERTIFICATE_WHY_BYTES];
    int r = keys_reload(&publisher->keys, why);
    if (r <= 0) {
        return r;
    }
    publisher->socket = endpoint_close(publisher->socket, &publisher->handshake);
    window_lost(publisher->window);
    return publisher_connect(publisher);
}
