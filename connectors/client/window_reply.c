// SPDX-License-Identifier: Apache-2.0
// What a reply settles, and what is done about what it does not: the second half of the go-back-N
// machine.
#include <stdio.h>
#include <stdlib.h>

#include "connectors/client/window_internal.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/reasons.h"

struct reply_state {
    const Touchbus__PublishReply *reply;
    window_settle settle;
    void *user;
    size_t next_outcome;
    bool busy, gap, progress;
};

static void settle_entry(struct window *window, uint64_t position, struct window_settled *settled,
                         struct reply_state *state) {
    struct entry *entry = window_entry(window, position);
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
    while (window->head < window->tail && window_entry(window, window->head)->bytes == NULL) {
        window->head++;
        window->n_settled_inside--;
    }
    window->next = window->next < window->head ? window->head : window->next;
    state->progress = true;
    if (state->settle != NULL) {
        state->settle(settled, state->user);
    }
}

static void note_refusal(struct window *window, uint32_t code, const char *detail) {
    window->refusal = code;
    snprintf(window->refusal_detail, sizeof(window->refusal_detail), "%s", detail);
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
            settled.verdict = outcome->verdict;
        }
        if (reason_find(settled.code)->retryable) {
            if (settled.code != REASON_NUMBER_GAP) {
                state->busy = true;
                note_refusal(window, settled.code, settled.detail);
            }
            state->gap = true;
            continue;
        }
        uint64_t position = flight->first + i;
        if (position < window->head || window_entry(window, position)->bytes == NULL) {
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
        if (at < window->head || window_entry(window, at)->bytes == NULL) {
            continue;
        }
        number = number == 0 ? window_entry(window, at)->number : number;
        struct window_settled settled = {.code = state->reply->code,
                                         .detail = state->reply->detail};
        settle_entry(window, at, &settled, state);
    }
    if (!window->numbered || number == 0 || state->reply->code == REASON_FENCED) {
        return; // a fenced publisher stays fenced under any number
    }
    for (uint64_t at = end < window->head ? window->head : end; at < window->tail; at++) {
        struct entry *entry = window_entry(window, at);
        entry->number = entry->bytes == NULL ? 0 : number++;
    }
    window->next_number = number;
    state->gap = true;
}

static void take_hello(struct window *window, uint64_t expected) {
    uint64_t lowest = window->tail > window->head ? window_entry(window, window->head)->number
                                                  : window->next_number;
    if (!window->numbered || expected == 0) {
        return;
    }
    if (!window->greeted) { // nothing was sent yet: number from where the broker stands
        for (uint64_t at = window->head; at < window->tail; at++) {
            window_entry(window, at)->number = expected++;
        }
        window->next_number = expected;
    } else if (expected < lowest || expected > window->next_number) {
        window_begin_epoch(window);
    }
}

// After a gap or a passing refusal: send again, at once or after a while. A broker that expects a
// number we no longer hold has lost its memory (a restored log): a new epoch starts at 1, and
// (source, id) protects what was logged already.
static void recover(struct window *window, struct reply_state *state, int64_t now_us) {
    uint64_t expected = state->reply->expected;
    bool forgotten =
        window->numbered && !state->busy && expected != 0 && window->tail > window->head &&
        (expected < window_entry(window, window->head)->number || expected > window->next_number);
    if (forgotten) {
        window_begin_epoch(window);
    } else {
        window_rewind(window);
    }
    bool again = window->gap_before && !state->progress;
    if (state->busy || again) {
        window->retry_us = now_us + window_back_off(window, window->n_busy, WINDOW_BUSY_MS_MIN,
                                                    WINDOW_BUSY_MS_MAX);
        window->n_busy++;
    }
    window->gap_before = true;
}

static struct flight *flight_find(struct window *window, uint64_t request) {
    for (size_t i = 0; i < window->n_flights; i++) {
        struct flight *flight = window_flight(window, i);
        if (flight->request == request) {
            return flight;
        }
    }
    return NULL;
}

// Forgets the flight and everything before it: replies come in order.
static void flights_drop_through(struct window *window, uint64_t request) {
    while (window->n_flights > 0 && window_flight(window, 0)->request <= request) {
        struct flight *flight = window_flight(window, 0);
        if (flight->live) {
            window->n_live--;
            window->n_events_live -= flight->n_events;
        }
        window->flight_first = (window->flight_first + 1) % WINDOW_FLIGHTS_MAX;
        window->n_flights--;
    }
}

// Refusals of a request that say nothing about its events: they wait. That a key is unknown (any
// more) or may not use this producer's name is for an operator to mend; a single event that its
// role may not publish is refused by an outcome.
static bool is_passing(uint32_t code) {
    return (GUARD(forbidden_waits) && code == REASON_FORBIDDEN) || reason_find(code)->retryable;
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
    for (size_t i = 0; window_flight(window, i)->request != flight.request; i++) {
        skipped = skipped || window_flight(window, i)->live;
    }
    flights_drop_through(window, flight.request);
    if (reply->credit > 0) {
        window->credit = reply->credit;
    }
    window->answered_since_send = true;
    window->n_silent = 0;
    window->silence_us = now_us + WINDOW_SILENCE_MS_MIN * CLOCK_US_PER_MS;
    if (reply->code != 0 && is_passing(reply->code)) {
        state.busy = reply->code != REASON_NUMBER_GAP;
        state.gap = true;
        note_refusal(window, reply->code, reply->detail);
    } else if (flight.n_events == 0) {
        take_hello(window, reply->expected);
        window->greeted = true;
        window->refusal = window->refusal == REASON_FORBIDDEN ? 0 : window->refusal;
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
        window->refusal = state.busy ? window->refusal : 0;
        window->gap_before = false;
        window->n_busy = 0;
    }
    if (flight.live && (state.gap || state.busy || skipped)) {
        recover(window, &state, now_us);
    }
}
