// SPDX-License-Identifier: Apache-2.0
// The go-back-N machine of window.h. Entries are addressed by a position that only grows; their
// numbers belong to the epoch and are dealt again where the broker has forgotten it.
#include "connectors/client/window_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/clock.h"
#include "schemas/limits.h"

struct window *window_new(uint32_t events_max, bool numbered, uint64_t epoch) {
    size_t capacity = events_max == 0 ? WINDOW_EVENTS_DEFAULT : events_max;
    assert(capacity <= WINDOW_EVENTS_MAX);
    struct window *window = calloc(1, sizeof(*window) + capacity * sizeof(struct entry));
    if (window == NULL) {
        return NULL;
    }
    window->capacity = capacity;
    window->batch_events = capacity / 4 < REQUEST_EVENTS_MAX ? capacity / 4 : REQUEST_EVENTS_MAX;
    window->batch_events += window->batch_events == 0;
    window->numbered = numbered;
    window->epoch = numbered ? epoch : 0;
    window->next_number = 1;
    window->next_request = 1;
    window->credit = PUBLISH_CREDIT;
    window->random = epoch | 1;
    window->hello_us = INT64_MIN;
    window->heard_us = INT64_MIN;
    return window;
}

struct entry *window_entry(struct window *window, uint64_t position) {
    assert(position >= window->head && position < window->tail);
    return &window->entries[position % window->capacity];
}

struct window *window_free(struct window *window) {
    if (window != NULL) {
        for (uint64_t at = window->head; at < window->tail; at++) {
            free(window_entry(window, at)->bytes);
        }
        free(window);
    }
    return NULL;
}

bool window_has_room(const struct window *window, size_t size) {
    return window->tail - window->head < window->capacity &&
           (window->bytes_held == 0 || window->bytes_held + size <= WINDOW_BYTES_MAX);
}

void window_push(struct window *window, uint8_t *bytes, size_t size, void *tag) {
    assert(window_has_room(window, size));
    window->tail++;
    *window_entry(window, window->tail - 1) =
        (struct entry){.bytes = bytes, .size = size, .number = window->next_number++, .tag = tag};
    window->bytes_held += size;
    window->bytes_unsent += size;
}

size_t window_pending(const struct window *window) {
    return (size_t)(window->tail - window->head) - window->n_settled_inside;
}

int64_t window_heard(const struct window *window) {
    return window->heard_us;
}

uint32_t window_refusal(const struct window *window, const char **ret_detail) {
    *ret_detail = window->refusal_detail;
    return window->refusal;
}

// ---- requests

struct flight *window_flight(struct window *window, size_t index) {
    return &window->flights[(window->flight_first + index) % WINDOW_FLIGHTS_MAX];
}

void window_rewind(struct window *window) {
    for (size_t i = 0; i < window->n_flights; i++) {
        window_flight(window, i)->live = false;
    }
    window->n_live = 0;
    window->n_events_live = 0;
    window->next = window->head;
    window->bytes_unsent = window->bytes_held;
}

void window_lost(struct window *window) {
    if (window->n_live > 0) {
        window_rewind(window);
    }
}

int64_t window_back_off(struct window *window, uint32_t attempt, int64_t ms_min, int64_t ms_max) {
    int64_t ms = attempt < 16 ? ms_min << attempt : ms_max;
    ms = ms > ms_max ? ms_max : ms;
    window->random ^= window->random << 13; // xorshift: jitter needs no better
    window->random ^= window->random >> 7;
    window->random ^= window->random << 17;
    int64_t us = ms * CLOCK_US_PER_MS;
    return us / 2 + (int64_t)(window->random % (uint64_t)(us / 2 + 1));
}

void window_begin_epoch(struct window *window) {
    window->epoch++;
    window->next_number = 1;
    for (uint64_t at = window->head; at < window->tail; at++) {
        struct entry *entry = window_entry(window, at);
        if (entry->bytes != NULL) {
            entry->number = window->next_number++;
        }
    }
    window->n_flights = 0; // replies of the old epoch mean nothing any more
    window_rewind(window);
}

// Entries from next on that make one request: unsettled, numbered without a gap.
static size_t gather(struct window *window, size_t n_max) {
    while (window->next < window->tail && window_entry(window, window->next)->bytes == NULL) {
        window->next++;
    }
    size_t n = 0, bytes = 0;
    uint64_t number = 0;
    for (uint64_t at = window->next; at < window->tail && n < n_max; at++) {
        const struct entry *entry = window_entry(window, at);
        if (entry->bytes == NULL || (n > 0 && entry->number != number + 1) ||
            (n > 0 && bytes + entry->size > WINDOW_BATCH_BYTES)) {
            break;
        }
        window->batch[n++] = (ProtobufCBinaryData){.len = entry->size, .data = entry->bytes};
        number = entry->number;
        bytes += entry->size;
    }
    return n;
}

static bool hello_due(const struct window *window, int64_t now_us) {
    return window->n_live == 0 && (!window->greeted || now_us >= window->hello_us);
}

bool window_next(struct window *window, int64_t now_us, struct window_request *ret) {
    if (window->n_live > 0 && now_us >= window->silence_us) {
        window_rewind(window);
        window->n_silent++;
    }
    size_t unsent = (size_t)(window->tail - window->next);
    if (now_us < window->retry_us || window->n_live >= WINDOW_LIVE_MAX) {
        return false;
    }
    struct window_request request = {.request = window->next_request, .epoch = window->epoch};
    if (!window->greeted || (unsent == 0 && hello_due(window, now_us))) {
        if (window->n_live > 0) {
            return false;
        }
        *ret = request;
        return true;
    }
    size_t wanted = unsent < window->batch_events ? unsent : window->batch_events;
    if (window->n_live > 0) {
        bool full = wanted == window->batch_events || window->bytes_unsent >= WINDOW_BATCH_BYTES;
        bool awaited = window->answered_since_send && window->n_live < 2;
        if (window->n_events_live + wanted > window->credit || !(full || awaited)) {
            return false;
        }
    }
    request.n_events = gather(window, wanted < window->credit ? wanted : window->credit);
    if (request.n_events == 0) {
        return false;
    }
    request.number = window->numbered ? window_entry(window, window->next)->number : 0;
    request.events = window->batch;
    *ret = request;
    return true;
}

void window_sent(struct window *window, const struct window_request *request, int64_t now_us) {
    if (window->n_live == 0) {
        int64_t ms = window->n_silent < 8 ? (int64_t)WINDOW_SILENCE_MS_MIN << window->n_silent
                                          : WINDOW_SILENCE_MS_MAX;
        ms = ms < WINDOW_SILENCE_MS_MAX ? ms : WINDOW_SILENCE_MS_MAX;
        window->silence_us = now_us + ms * CLOCK_US_PER_MS;
    }
    if (window->n_flights == WINDOW_FLIGHTS_MAX) { // the oldest: given up, since few are live
        assert(!window_flight(window, 0)->live);
        window->flight_first = (window->flight_first + 1) % WINDOW_FLIGHTS_MAX;
        window->n_flights--;
    }
    window->n_flights++;
    *window_flight(window, window->n_flights - 1) =
        (struct flight){.request = request->request,
                        .first = window->next,
                        .n_events = (uint32_t)request->n_events,
                        .live = true};
    window->next_request++;
    for (size_t i = 0; i < request->n_events; i++) {
        struct entry *entry = window_entry(window, window->next++);
        entry->sent_again = entry->sent;
        entry->sent = true;
        window->bytes_unsent -= entry->size;
    }
    window->n_live++;
    window->n_events_live += request->n_events;
    window->answered_since_send = false;
}

int64_t window_deadline(const struct window *window) {
    if (window->n_live > 0) {
        return window->silence_us;
    }
    if (!window->greeted || window->next < window->tail) {
        return window->retry_us;
    }
    return window->retry_us > window->hello_us ? window->retry_us : window->hello_us;
}
