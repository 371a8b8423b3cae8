// SPDX-License-Identifier: Apache-2.0
// A PAIR at the other end of ZeroMQ's socket monitor. A refusal with its reason counts until a
// handshake succeeds. A silent end counts from the third on, since a broker that stops ends one
// like that, too; whether a mismatch ends with a word or without is a race of the two sides.
#include "connectors/client/handshake.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/reasons.h"

enum {
    SILENT_ENDS_MAX = 3,
    EVENTS_MAX = 64, // taken before somebody else has a turn
    NAME_BYTES = 64,
    EVENTS = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
             ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH,
};

// One event: 16 bits of its number, 32 of a value, then a frame with the address. 0: none there.
static uint16_t next_event(struct handshake *handshake) {
    uint16_t event = 0;
    int more = 1;
    for (int i = 0; more; i++) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, handshake->monitor, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&frame);
            return event;
        }
        if (i == 0 && zmq_msg_size(&frame) >= sizeof(event)) {
            memcpy(&event, zmq_msg_data(&frame), sizeof(event));
        }
        more = zmq_msg_more(&frame);
        zmq_msg_close(&frame);
    }
    return event;
}

static void take_events(struct handshake *handshake) {
    for (int i = 0; i < EVENTS_MAX; i++) {
        uint16_t event = next_event(handshake);
        if (event == 0) {
            return;
        }
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
            handshake->refused = 0;
            handshake->n_silent = 0;
        } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) {
            handshake->n_silent++;
        } else {
            handshake->refused = event;
            handshake->over = true;
        }
    }
}

void handshake_unwatch(struct handshake *handshake) {
    if (handshake->monitor != NULL) {
        take_events(handshake);
    }
    if (handshake->socket != NULL) {
        zmq_socket_monitor(handshake->socket, NULL, 0);
    }
    if (handshake->monitor != NULL) {
        zmq_close(handshake->monitor);
    }
    handshake->socket = handshake->monitor = NULL;
}

void handshake_watch(struct handshake *handshake, void *context, void *socket, bool with_keys) {
    static atomic_uint next_name;
    char name[NAME_BYTES];
    handshake->with_keys = with_keys;
    handshake->over = false;
    snprintf(name, sizeof(name), "inproc://touchbus-handshake-%u", atomic_fetch_add(&next_name, 1));
    if (zmq_socket_monitor(socket, name, EVENTS) != 0) {
        return;
    }
    handshake->socket = socket;
    handshake->monitor = zmq_socket(context, ZMQ_PAIR);
    // No high-water mark: ZeroMQ's thread would wait at it. What may gather is one event a
    // handshake, and those keep RECONNECT_MS_MAX apart.
    int unbounded = 0;
    int linger_ms = 0;
    if (handshake->monitor == NULL ||
        zmq_setsockopt(handshake->monitor, ZMQ_RCVHWM, &unbounded, sizeof(unbounded)) != 0 ||
        zmq_setsockopt(handshake->monitor, ZMQ_LINGER, &linger_ms, sizeof(linger_ms)) != 0 ||
        zmq_connect(handshake->monitor, name) != 0) {
        handshake_unwatch(handshake);
    }
}

struct handshake_refusal handshake_look(struct handshake *handshake) {
    struct handshake_refusal refusal = {.detail = "", .hint = ""};
    if (handshake->monitor != NULL) {
        take_events(handshake);
    }
    if (handshake->refused == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
        refusal.code = REASON_FORBIDDEN;
        refusal.detail = "the broker refuses this key";
        refusal.hint = "put its public certificate into the folder --clients of touchbusd, and "
                       "reload touchbusd";
    } else if (handshake->refused == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL) {
        refusal.code = REASON_FORBIDDEN;
        refusal.detail = handshake->with_keys ? "the broker's handshake is another one: it has no "
                                                "keys, or is no touchbusd"
                                              : "the broker wants a key";
        refusal.hint = handshake->with_keys
                           ? "give touchbusd --key and --clients, or leave key and broker-key out"
                           : "give --key and --broker-key (TOUCHBUS_KEY, TOUCHBUS_BROKER_KEY); "
                             "see 'touchbus keygen --help'";
    } else if (handshake->n_silent >= SILENT_ENDS_MAX) {
        refusal.code = REASON_UNAVAILABLE;
        refusal.detail =
            handshake->with_keys
                ? "the broker ends each handshake: its key is not this broker-key, or it has "
                  "none"
                : "the broker ends each handshake: it may want a key";
        refusal.hint = handshake->with_keys
                           ? "take the public certificate of this very broker as --broker-key"
                           : "give --key and --broker-key (TOUCHBUS_KEY, TOUCHBUS_BROKER_KEY)";
    }
    return refusal;
}

bool handshake_again(struct handshake *handshake, int64_t now_us) {
    if (!handshake->over) {
        handshake->again_us = 0;
        return false;
    }
    if (handshake->again_us == 0) {
        handshake->again_us = now_us + HANDSHAKE_AGAIN_MS * CLOCK_US_PER_MS;
    }
    if (now_us < handshake->again_us) {
        return false;
    }
    handshake->over = false;
    handshake->again_us = 0;
    return true;
}

bool handshake_anew(struct handshake *handshake) {
    if (handshake->monitor != NULL) {
        take_events(handshake);
    }
    bool was_over = GUARD(refused_again) && handshake->over;
    handshake->over = false;
    handshake->refused = 0;
    return was_over;
}

void handshake_tell(const struct handshake_refusal *refusal, const char **ret_reason,
                    const char **ret_detail, const char **ret_hint) {
    if (ret_reason != NULL) {
        *ret_reason = reason_find(refusal->code)->name;
    }
    if (ret_detail != NULL) {
        *ret_detail = refusal->detail;
    }
    if (ret_hint != NULL) {
        *ret_hint = refusal->hint;
    }
}
