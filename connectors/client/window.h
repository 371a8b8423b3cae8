// SPDX-License-Identifier: Apache-2.0
// The publisher's memory: every event that the broker has not answered, in order, and which of them
// are on their way. Go-back-N: a lost reply, a gap or a busy broker sends again from the first
// unanswered one, under the same numbers. No socket and no clock here: replies and `now` (monotonic
// microseconds) come in, requests come out.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "touchbus.pb-c.h"

enum {
    WINDOW_EVENTS_DEFAULT = 8192,
    WINDOW_EVENTS_MAX = 1 << 20,
    WINDOW_BYTES_MAX = 64 << 20,    // all events held
    WINDOW_BATCH_BYTES = 512 << 10, // one request, unless a single event is larger
    WINDOW_LIVE_MAX = 16,           // requests on their way
    WINDOW_FLIGHTS_MAX = 128,       // requests remembered, also those given up
    WINDOW_HELLO_MS = 2000,         // an idle publisher asks this often whether the broker is there
    WINDOW_SILENCE_MS_MIN = 1000,   // no reply for this long: send again
    WINDOW_SILENCE_MS_MAX = 8000,
    WINDOW_BUSY_MS_MIN = 50, // back-off where the broker refuses, but not for ever
    WINDOW_BUSY_MS_MAX = 2000,
};

struct window;

struct window_settled {
    void *tag;
    uint32_t code;
    const char *detail; // borrowed during the call, never NULL
    bool duplicate;
    uint64_t sequence, customer;
    ProtobufCBinaryData verdict; // msgpack, borrowed during the call; empty: none
};
// May push again, never free the window.
typedef void (*window_settle)(const struct window_settled *settled, void *user);

// What to send, borrowed until the window changes. n_events 0: a hello.
struct window_request {
    uint64_t request, epoch, number;
    size_t n_events;
    ProtobufCBinaryData *events;
};

// numbered: false leaves epoch and numbers 0. NULL where memory is short.
struct window *window_new(uint32_t events_max, bool numbered, uint64_t epoch);
// Takes NULL; returns NULL.
struct window *window_free(struct window *window);

bool window_has_room(const struct window *window, size_t size);
// Takes bytes (malloc'ed). There must be room.
void window_push(struct window *window, uint8_t *bytes, size_t size, void *tag);
size_t window_pending(const struct window *window);

// The request that is due now; false: none. It counts as sent only by window_sent.
bool window_next(struct window *window, int64_t now_us, struct window_request *ret);
void window_sent(struct window *window, const struct window_request *request, int64_t now_us);
// When window_next should be asked again if nothing happens; INT64_MAX: never.
int64_t window_deadline(const struct window *window);
// The connection is gone, and what was on its way with it.
void window_lost(struct window *window);
// Settles what the reply answers. A reply to a request given up before still counts; others are
// ignored.
void window_reply(struct window *window, const Touchbus__PublishReply *reply, int64_t now_us,
                  window_settle settle, void *user);
// The last passing refusal since something was settled; 0: none. *ret_detail is the window's.
uint32_t window_refusal(const struct window *window, const char **ret_detail);
// Monotonic time of the last reply; INT64_MIN: none yet.
int64_t window_heard(const struct window *window);
