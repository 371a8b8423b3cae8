// SPDX-License-Identifier: Apache-2.0
// Two ticks in turn: while one is written and synced, the next is decided by what it will have
// written. There is never a third; acks keep the order of sequences.
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/tick/tick_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"

int flight_new(struct tick *tick) {
    struct flight *flight = &tick->flight;
    flight->broker = tick->broker;
    flight->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    flight->arena = arena_new(TICK_ARENA_BYTES_MAX);
    flight->ahead_arena = arena_new(AHEAD_ARENA_BYTES_MAX);
    flight->changes = view_changes_new();
    flight->records = calloc(TICK_RECORDS_MAX, sizeof(*flight->records));
    tick->arena = arena_new(TICK_ARENA_BYTES_MAX);
    tick->ahead_arena = arena_new(AHEAD_ARENA_BYTES_MAX);
    tick->changes = view_changes_new();
    tick->records = calloc(TICK_RECORDS_MAX, sizeof(*tick->records));
    bool is_short = sealing_new(&flight->sealing) != 0 || sealing_new(&tick->sealing) != 0 ||
                    flight->arena == NULL || flight->changes == NULL || flight->records == NULL ||
                    flight->ahead_arena == NULL || tick->ahead_arena == NULL ||
                    tick->arena == NULL || tick->changes == NULL || tick->records == NULL;
    int r = flight->done < 0 ? -errno : is_short ? -ENOMEM : 0;
    r = r != 0 ? r : beside_new("commit", &tick->beside);
    r = r != 0 ? r : ahead_beside_new(&tick->ahead_beside);
    r = r != 0 ? r : keys_reader_new(tick->broker->keys, &tick->seal_keys);
    return r != 0 ? r : keys_reader_new(tick->broker->keys, &flight->keys);
}

void flight_free(struct tick *tick) {
    struct flight *flight = &tick->flight;
    assert(!flight->is_open);
    beside_free(tick->beside);
    ahead_beside_free(tick->ahead_beside);
    if (flight->done > 0) {
        close(flight->done);
    }
    keys_reader_free(flight->keys);
    free(flight->records);
    view_changes_free(tick->broker->view, flight->changes);
    sealing_free(&flight->sealing);
    arena_free(flight->ahead_arena);
    arena_free(flight->arena);
    keys_reader_free(tick->seal_keys);
    sealing_free(&tick->sealing);
    free(tick->records);
    view_changes_free(tick->broker->view, tick->changes);
    arena_free(tick->ahead_arena);
    arena_free(tick->arena);
}

static void answer(struct tick *tick) {
    struct flight *flight = &tick->flight;
    for (struct request *request = flight->requests; request != NULL; request = request->next) {
        publish_reply(tick->publish, flight->arena, request);
    }
    flight->requests = NULL;
    for (size_t i = 0; i < flight->n_jobs; i++) {
        flight->jobs[i]->done(flight->jobs[i], flight->job_results[i]);
    }
    flight->n_jobs = 0;
}

void flight_settle(struct tick *tick) {
    struct flight *flight = &tick->flight;
    if (!flight->is_open) {
        return;
    }
    if (flight->is_beside) {
        uint64_t n;
        int r = beside_wait(tick->beside);
        if (r != 0 || read(flight->done, &n, sizeof(n)) != sizeof(n)) {
            broker_fatal("flight", r != 0 ? r : -errno);
        }
        flight->is_beside = false;
    }
    answer(tick);
    flight->is_open = false;
}

static int commit_beside(void *user) {
    struct flight *flight = user;
    uint64_t one = 1;
    commit_flight(flight);
    commit_tell(flight);
    // An event counter takes eight bytes or has some already.
    return write(flight->done, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN ? 0 : -errno;
}

int flight_descriptor(const struct tick *tick) {
    return tick->flight.done;
}

#define SWAP(a, b)                                                                                 \
    do {                                                                                           \
        __typeof__(a) kept = (a);                                                                  \
        (a) = (b);                                                                                 \
        (b) = kept;                                                                                \
    } while (0)

// Everything of the open tick that its commit and its answers need changes hands.
static int hand_over(struct tick *tick) {
    struct flight *flight = &tick->flight;
    // Those of the tick before are shown, and somebody may still read them.
    struct pending *spare = view_changes_exchange(tick->broker->view, flight->changes);
    flight->changes = spare;
    if (spare == NULL) {
        return -ENOMEM;
    }
    SWAP(flight->arena, tick->arena);
    SWAP(flight->ahead_arena, tick->ahead_arena);
    SWAP(flight->changes, tick->changes);
    SWAP(flight->records, tick->records);
    SWAP(flight->sealing, tick->sealing);
    flight->n_records = tick->n_records;
    flight->first = tick->first;
    flight->n_erased = tick->n_erased;
    flight->requests = tick->requests;
    flight->n_jobs = tick->n_jobs;
    memcpy(flight->jobs, tick->jobs, tick->n_jobs * sizeof(tick->jobs[0]));
    memcpy(flight->job_results, tick->job_results, tick->n_jobs * sizeof(tick->job_results[0]));
    flight->log = NULL;
    if (tick->n_records > 0 || tick->log_touched) {
        flight->log = STEAL(tick->log);
    }
    flight->is_open = true;
    return 0;
}

void tick_close(struct tick *tick) {
    log_abort(tick->log);
    view_abort(tick->view);
    tick->log = NULL;
    tick->view = NULL;
    tick->n_records = tick->n_events = tick->n_bytes = tick->n_jobs = tick->n_erased = 0;
    tick->requests = NULL;
    tick->open = tick->log_touched = false;
    fold_count_anew(tick->fold);
    arena_reset(tick->arena);
    arena_reset(tick->ahead_arena);
    sealing_reset(&tick->sealing);
    pending_reset(tick->changes);
}

int flight_send(struct tick *tick, bool beside) {
    struct flight *flight = &tick->flight;
    assert(!flight->is_open);
    bool writes = tick->n_records > 0 || tick->log_touched;
    int r = writes ? commit_prepare(tick) : 0;
    if (r != 0) {
        return r;
    }
    r = hand_over(tick);
    if (r != 0) {
        return r;
    }
    tick_close(tick);
    if (!GUARD(ack_after_commit)) {
        answer(tick);
    }
    if (beside) {
        flight->is_beside = true;
        beside_start(tick->beside, commit_beside, flight);
        return 0;
    }
    commit_flight(flight);
    flight_settle(tick);
    commit_tell(flight); // whom it wakes takes the processor: who waits for an answer comes first
    return 0;
}
