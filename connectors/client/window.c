// SPDX-License-Identifier: Apache-2.0
// The go-back-N machine of window.h. Entries are addressed by a position that only grows; their
// numbers belong to the epoch and are dealt again where the broker has forgotten it.
#include "connectors/client/window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/clock.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

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

static struct entry *entry_at(struct window *window, uint64_t position) {
    assert(position >= window->head && position < window->tail);
    return &window->entries[position % window->capacity];
}

struct window *window_free(struct window *window) {
    if (window != NULL) {
        for (uint64_t at = window->head; at < window->tail; at++) {
            free(entry_at(window, at)->bytes);
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
    *entry_at(window, window->tail - 1) =
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

// ---- requests

static struct flight *flight_at(struct window *window, size_t index) {
    return &window->flights[(window->flight_first + index) % WINDOW_FLIGHTS_MAX];
}

// Gives up everything on its way: the next request starts at the first unsettled entry.
static void rewind_to_head(struct window *window) {
    for (size_t i = 0; i < window->n_flights; i++) {
        flight_at(window, i)->live = false;
    }
    window->n_live = 0;
    window->n_events_live = 0;
    window->next = window->head;
    window->bytes_unsent = window->bytes_held;
}

void window_lost(struct window *window) {
    if (window->n_live > 0) {
        rewind_to_head(window);
    }
}

static int64_t backed_off(struct window *window, uint32_t attempt, int64_t ms_min, int64_t ms_max) {
    int64_t ms = attempt < 16 ? ms_min << attempt : ms_max;
    ms = ms > ms_max ? ms_max : ms;
    window->random ^= window->random << 13; // xorshift: jitter needs no better
    window->random ^= window->random >> 7;
    window->random ^= window->random << 17;
    int64_t us = ms * CLOCK_US_PER_MS;
    return us / 2 + (int64_t)(window->random % (uint64_t)(us / 2 + 1));
}

static void begin_epoch(struct window *window) {
    window->epoch++;
    window->next_number = 1;
    for (uint64_t at = window->head; at < window->tail; at++) {
        struct entry *entry = entry_at(window, at);
        if (entry->bytes != NULL) {
            entry->number = window->next_number++;
        }
    }
    window->n_flights = 0; // replies of the old epoch mean nothing any more
    rewind_to_head(window);
}

// Entries from next on that make one request: unsettled, numbered without a gap.
static size_t gather(struct window *window, size_t n_max) {
    while (window->next < window->tail && entry_at(window, window->next)->bytes == NULL) {
        window->next++;
    }
    size_t n = 0, bytes = 0;
    uint64_t number = 0;
    for (uint64_t at = window->next; at < window->tail && n < n_max; at++) {
        const struct entry *entry = entry_at(window, at);
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
        rewind_to_head(window);
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
    request.number = window->numbered ? entry_at(window, window->next)->number : 0;
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
        assert(!flight_at(window, 0)->live);
        window->flight_first = (window->flight_first + 1) % WINDOW_FLIGHTS_MAX;
        window->n_flights--;
    }
    window->n_flights++;
    *flight_at(window, window->n_flights - 1) =
        (struct flight){.request = request->request,
                        .first = window->next,
                        .n_events = (uint32_t)request->n_events,
                        .live = true};
    window->next_request++;
    for (size_t i = 0; i < request->n_events; i++) {
        struct entry *entry = entry_at(window, window->next++);
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

// ---- replies

struct reply_state {
    const Touchbus__PublishReply *reply;
    window_settle settle;
    void *user;
    size_t next_outcome;
    bool busy, gap, progress;
};

static void settle_entry(struct window *window, uint64_t position, struct window_settled *settled,
                         struct reply_state *state) {
    struct entry *entry = entry_at(window, position);
    settled->tag = entry->tag;
    if (settled->code == REASON_DUPLICATE && entry->sent_again && settled->sequence != 0) {
        settled->code = REASON_OK; // our own, sent again because its first reply was lost
    }
    settled->duplicate = settled->code == REASON_DUPLICATE;
    window->bytes_held -= entry->size;
    if (position >= window->next) {
        window->bytes_unsent -= entry->size;
    }
    free(entry->bytes);
    entry->bytes = NULL;
    window->n_settled_inside++;
    while (window->head < window->tail && entry_at(window, window->head)->bytes == NULL) {
        window->head++;
        window->n_settled_inside--;
    }
    window->next = window->next < window->head ? window->head : window->next;
    state->progress = true;
    if (state->settle != NULL) {
        state->settle(settled, state->user);
    }
}

static const Touchbus__Outcome *outcome_of(struct reply_state *state, size_t index) {
    const Touchbus__PublishReply *reply = state->reply;
    while (state->next_outcome < reply->n_outcomes &&
           reply->outcomes[state->next_outcome]->index < index) {
        state->next_outcome++;
    }
    if (state->next_outcome < reply->n_outcomes &&
        reply->outcomes[state->next_outcome]->index == index) {
        return reply->outcomes[state->next_outcome];
    }
    return NULL;
}

static void take_outcomes(struct window *window, const struct flight *flight,
                          struct reply_state *state) {
    const Touchbus__PublishReply *reply = state->reply;
    for (size_t i = 0; i < flight->n_events; i++) {
        const Touchbus__Outcome *outcome = outcome_of(state, i);
        struct window_settled settled = {.detail = ""};
        if (outcome != NULL) {
            settled.code = outcome->code;
            settled.detail = outcome->detail;
        }
        if (reason_find(settled.code)->retryable) {
            state->busy = state->busy || settled.code != REASON_NUMBER_GAP;
            state->gap = true;
            continue;
        }
        uint64_t position = flight->first + i;
        if (position < window->head || entry_at(window, position)->bytes == NULL) {
            continue; // settled by another reply
        }
        settled.sequence = i < reply->n_sequences ? reply->sequences[i] : 0;
        settled.customer = i < reply->n_customers ? reply->customers[i] : 0;
        if (settled.code == REASON_OK && settled.sequence == 0) {
            state->busy = true; // an answer that does not answer: ask again, later
            continue;
        }
        settle_entry(window, position, &settled, state);
    }
}

// The request as a whole was refused for good and has used no number.
static void take_refusal(struct window *window, const struct flight *flight,
                         struct reply_state *state) {
    uint64_t end = flight->first + flight->n_events;
    uint64_t number = 0;
    for (uint64_t at = flight->first; at < end; at++) {
        if (at < window->head || entry_at(window, at)->bytes == NULL) {
            continue;
        }
        number = number == 0 ? entry_at(window, at)->number : number;
        struct window_settled settled = {.code = state->reply->code,
                                         .detail = state->reply->detail};
        settle_entry(window, at, &settled, state);
    }
    if (!window->numbered || number == 0 || state->reply->code == REASON_FENCED) {
        return; // a fenced publisher stays fenced under any number
    }
    for (uint64_t at = end < window->head ? window->head : end; at < window->tail; at++) {
        struct entry *entry = entry_at(window, at);
        entry->number = entry->bytes == NULL ? 0 : number++;
    }
    window->next_number = number;
    state->gap = true;
}

static void take_hello(struct window *window, uint64_t expected) {
    uint64_t lowest =
        window->tail > window->head ? entry_at(window, window->head)->number : window->next_number;
    if (!window->numbered || expected == 0) {
        return;
    }
    if (!window->greeted) { // nothing was sent yet: number from where the broker stands
        for (uint64_t at = window->head; at < window->tail; at++) {
            entry_at(window, at)->number = expected++;
        }
        window->next_number = expected;
    } else if (expected < lowest || expected > window->next_number) {
        begin_epoch(window);
    }
}

// After a gap or a passing refusal: send again, at once or after a while. A broker that expects a
// number we no longer hold has lost its memory (a restored log): a new epoch starts at 1, and
// (source, id) protects what was logged already.
static void recover(struct window *window, struct reply_state *state, int64_t now_us) {
    uint64_t expected = state->reply->expected;
    bool forgotten =
        window->numbered && !state->busy && expected != 0 && window->tail > window->head &&
        (expected < entry_at(window, window->head)->number || expected > window->next_number);
    if (forgotten) {
        begin_epoch(window);
    } else {
        rewind_to_head(window);
    }
    bool again = window->gap_before && !state->progress;
    if (state->busy || again) {
        window->retry_us =
            now_us + backed_off(window, window->n_busy, WINDOW_BUSY_MS_MIN, WINDOW_BUSY_MS_MAX);
        window->n_busy++;
    }
    window->gap_before = true;
}

static struct flight *flight_find(struct window *window, uint64_t request) {
    for (size_t i = 0; i < window->n_flights; i++) {
        struct flight *flight = flight_at(window, i);
        if (flight->request == request) {
            return flight;
        }
    }
    return NULL;
}

// Forgets the flight and everything before it: replies come in order.
static void flights_drop_through(struct window *window, uint64_t request) {
    while (window->n_flights > 0 && flight_at(window, 0)->request <= request) {
        struct flight *flight = flight_at(window, 0);
        if (flight->live) {
            window->n_live--;
            window->n_events_live -= flight->n_events;
        }
        window->flight_first = (window->flight_first + 1) % WINDOW_FLIGHTS_MAX;
        window->n_flights--;
    }
}

void window_reply(struct window *window, const Touchbus__PublishReply *reply, int64_t now_us,
                  window_settle settle, void *user) {
    struct flight *found = flight_find(window, reply->request);
    window->heard_us = now_us;
    window->hello_us = now_us + WINDOW_HELLO_MS * CLOCK_US_PER_MS;
    if (found == NULL) {
        return;
    }
    struct flight flight = *found;
    struct reply_state state = {.reply = reply, .settle = settle, .user = user};
    bool skipped = false; // an earlier request's reply is missing: it was lost
    for (size_t i = 0; flight_at(window, i)->request != flight.request; i++) {
        skipped = skipped || flight_at(window, i)->live;
    }
    flights_drop_through(window, flight.request);
    if (reply->credit > 0) {
        window->credit = reply->credit;
    }
    window->answered_since_send = true;
    window->n_silent = 0;
    window->silence_us = now_us + WINDOW_SILENCE_MS_MIN * CLOCK_US_PER_MS;
    if (reply->code != 0 && reason_find(reply->code)->retryable) {
        state.busy = reply->code != REASON_NUMBER_GAP;
        state.gap = true;
    } else if (flight.n_events == 0) {
        take_hello(window, reply->expected);
        window->greeted = true;
        return;
    } else if (reply->code != 0) {
        if (flight.live && !skipped) {
            take_refusal(window, &flight, &state);
        } else {
            state.gap = true;
        }
    } else {
        take_outcomes(window, &flight, &state);
    }
    if (state.progress) {
        window->gap_before = false;
        window->n_busy = 0;
    }
    if (flight.live && (state.gap || state.busy || skipped)) {
        recover(window, &state, now_us);
    }
}
