// SPDX-License-Identifier: Apache-2.0
// Out of the tick, to disk: sealed blocks, producers' numbers and jobs' writes in one synced commit
// of the log, then the view's. The order is the promise: what is visible is durable, and what is
// answered is both. It touches nothing but the flight and the stores, so it may run on a thread of
// its own while the next tick is decided.
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "broker/faultpoint.h"
#include "broker/mailbox.h"
#include "broker/tick/tick_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/envelope.h"

enum {
    ENTRY_BYTES_ABOUT = 160,     // a block's fixed bytes an event, generously
    BLOCK_BYTES_ROOM = 64 << 10, // header and rounding
};

// The sealed half as it goes into the block. A destroyed key leaves nothing to read.
static int seal(struct flight *flight, const Touchbus__Event *event, const uint8_t *run,
                struct block_record *ret) {
    const uint8_t *plain;
    size_t size;
    int r = envelope_pack_sealed(event, flight->block_arena, &plain, &size);
    uint8_t *sealed = r == 0 ? arena_alloc(flight->block_arena, size + KEYS_SEAL_OVERHEAD) : NULL;
    if (sealed == NULL) {
        return r != 0 ? r : -ENOMEM;
    }
    // The event that erases a customer comes when the key is gone.
    uint64_t key = event->erases ? 0 : event->customer;
    r = keys_seal(flight->keys, key, run, event->sequence, plain, size, sealed);
    if (r >= 0) {
        ret->sealed = sealed;
        ret->sealed_size = r == 0 ? size + KEYS_SEAL_OVERHEAD : 0;
    }
    return r < 0 ? r : 0;
}

static int fill(struct flight *flight, const struct record *record, const uint8_t *run,
                struct block_record *ret) {
    const Touchbus__Event *event = record->event;
    *ret = (struct block_record){
        .body_hash = record->body_hash,
        .customer = event->customer,
        .lane = event->lanes[0],
        .received_us = event->received_us,
        .time_us = event->has_time ? event->time_us : event->received_us,
        .flags = (event->created ? ENTRY_CREATED : 0) |
                 (event->n_lanes > 1 ? ENTRY_MANY_LANES : 0) | (event->erases ? ENTRY_ERASES : 0),
        .type = event->type,
        .channel = event->channel,
    };
    memcpy(ret->id_hash, record->id_hash, sizeof(ret->id_hash));
    const uint8_t *open;
    int r = envelope_pack_open(event, flight->block_arena, &open, &ret->open_size);
    ret->open = open;
    return r != 0 ? r : seal(flight, event, run, ret);
}

static size_t bytes_about(const struct block_record *row) {
    return ENTRY_BYTES_ABOUT + row->open_size + row->sealed_size + strlen(row->type) +
           strlen(row->channel);
}

// As many records from `from` on as one block takes; nearly always all of them.
static int append_block(struct flight *flight, size_t from, size_t *ret_n) {
    uint8_t run[BLOCK_RUN_BYTES];
    randombytes_buf(run, sizeof(run));
    struct block_record *rows =
        arena_alloc(flight->block_arena, (flight->n_records - from) * sizeof(*rows));
    if (rows == NULL) {
        return -ENOMEM;
    }
    size_t n = 0;
    size_t bytes = BLOCK_BYTES_ROOM;
    while (from + n < flight->n_records) {
        int r = fill(flight, &flight->records[from + n], run, &rows[n]);
        if (r != 0) {
            return r;
        }
        bytes += bytes_about(&rows[n]);
        if (n > 0 && bytes > BLOCK_BYTES_MAX) {
            break; // it is sealed again, for the next block
        }
        n++;
    }
    _cleanup_free_ void *block = NULL;
    size_t size = 0;
    int r = block_build(flight->first + from, run, rows, n, &block, &size);
    r = r != 0 ? r : log_append(flight->log, flight->first + from, block, size);
    *ret_n = n;
    return r > 0 ? -EPROTO : r; // 1: a gap, which the ticks' own counting rules out
}

static int append_events(struct flight *flight) {
    int r = keys_reader_begin(flight->keys);
    if (r != 0) {
        return r;
    }
    for (size_t from = 0, n = 0; r == 0 && from < flight->n_records; from += n) {
        r = append_block(flight, from, &n);
    }
    keys_reader_end(flight->keys);
    return r;
}

static int write_view(struct flight *flight, struct view_txn **ret) {
    int r = view_begin(flight->broker->view, true, ret);
    r = r != 0 ? r : view_write_changes(*ret, flight->changes);
    return r != 0 ? r : view_set_applied(*ret, flight->first + flight->n_records - 1);
}

// Neither store is committed before both are written: what cannot be, is then in neither.
static int commit(struct flight *flight) {
    struct view_txn *view = NULL;
    bool has_events = flight->n_records > 0;
    int r = has_events ? append_events(flight) : 0;
    r = r == 0 && has_events ? write_view(flight, &view) : r;
    if (r != 0) {
        view_abort(view);
        return r;
    }
    FAULTPOINT("before-commits");
    r = log_commit(STEAL(flight->log));
    if (r != 0 || !has_events) {
        view_abort(view);
        return r;
    }
    FAULTPOINT("between-commits");
    return view_commit(view);
}

static void show(const struct flight *flight) {
    struct broker *broker = flight->broker;
    atomic_fetch_add(&broker->erasures, flight->n_erased); // known before its events are
    atomic_store(&broker->visible, flight->first + flight->n_records - 1);
    atomic_fetch_add(&broker->counters.ticks, 1);
}

void commit_tell(const struct flight *flight) {
    struct broker *broker = flight->broker;
    if (flight->n_records > 0 && broker->to_delivery != NULL) {
        mailbox_wake(broker->to_delivery);
    }
    if (flight->n_erased > 0 && broker->to_upkeep != NULL) {
        mailbox_wake(broker->to_upkeep);
    }
}

void commit_flight(struct flight *flight) {
    if (flight->log == NULL) {
        return;
    }
    int r = commit(flight);
    if (r != 0) {
        broker_fatal("tick", r);
    }
    if (flight->n_records > 0) {
        show(flight);
    }
}

int commit_prepare(struct tick *tick) {
    bool has_events = tick->n_records > 0;
    int r = has_events ? keys_ensure(tick->broker->keys, tick->customers_last) : 0;
    r = r == 0 && has_events ? fold_flush(tick->fold, tick->view) : r;
    r = r != 0 ? r : timers_note(tick);
    r = r != 0 ? r : policy_told_note(tick);
    return r != 0 ? r : producers_write(tick->producers, tick->log);
}
