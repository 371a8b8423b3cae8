// SPDX-License-Identifier: Apache-2.0
// The window's memory, shared by what sends (window.c) and what settles (window_reply.c).
#pragma once

#include "connectors/client/window.h"
#include "schemas/limits.h"

struct entry {
    uint8_t *bytes; // NULL: settled
    size_t size;
    uint64_t number;
    void *tag;
    bool sent_again;
    bool sent;
};

struct flight {
    uint64_t request;
    uint64_t first; // position
    uint32_t n_events;
    bool live; // false: given up, its entries were or will be sent again
};

struct window {
    bool numbered;
    bool greeted; // the broker has told which number it expects
    bool answered_since_send;
    bool gap_before; // the last reply was a gap that nothing was settled since
    uint64_t epoch;
    uint64_t next_number;
    uint64_t next_request;
    uint64_t head, next, tail; // positions: first unsettled, first unsent, end
    size_t capacity;
    size_t batch_events;
    size_t bytes_held, bytes_unsent;
    size_t n_settled_inside; // settled entries behind head
    size_t n_live, n_events_live;
    uint32_t credit;
    uint32_t n_busy; // passing refusals in a row
    uint32_t n_silent;
    uint32_t refusal; // the last passing one, 0: none
    char refusal_detail[DETAIL_BYTES_MAX + 1];
    uint64_t random;
    int64_t retry_us;   // nothing is sent before
    int64_t silence_us; // live requests are given up then
    int64_t hello_us;   // an idle publisher says hello then
    int64_t heard_us;
    size_t flight_first, n_flights;
    struct flight flights[WINDOW_FLIGHTS_MAX];
    ProtobufCBinaryData batch[REQUEST_EVENTS_MAX];
    struct entry entries[];
};

// By position, from head to before tail.
struct entry *window_entry(struct window *window, uint64_t position);
// By age, the oldest first.
struct flight *window_flight(struct window *window, size_t index);
// Gives up everything on its way: the next request starts at the first unsettled entry.
void window_rewind(struct window *window);
// The next higher epoch, numbered from 1.
void window_begin_epoch(struct window *window);
// How long to wait after so many failures in a row, with jitter, in microseconds.
int64_t window_back_off(struct window *window, uint32_t attempt, int64_t ms_min, int64_t ms_max);
