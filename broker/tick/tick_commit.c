// SPDX-License-Identifier: Apache-2.0
// Out of the tick, to disk: sealed blocks, producers' numbers and jobs' writes in one synced commit
// of the log, then the view's. The order is the promise: what is visible is durable, and what is
// answered is both.
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "broker/faultpoint.h"
#include "broker/tick/tick_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/envelope.h"

enum {
    ENTRY_BYTES_ABOUT = 160,     // a block's fixed bytes an event, generously
    BLOCK_BYTES_ROOM = 64 << 10, // header and rounding
    BESIDE_EVENTS_MIN = 64,      // of fewer, waking a thread costs more than it saves
};

// The sealed half as it goes into the block. A destroyed key leaves nothing to read.
static int seal(struct tick *tick, const Touchbus__Event *event, const uint8_t *run,
                struct block_record *ret) {
    const uint8_t *plain;
    size_t size;
    int r = envelope_pack_sealed(event, tick->block_arena, &plain, &size);
    uint8_t *sealed = r == 0 ? arena_alloc(tick->block_arena, size + KEYS_SEAL_OVERHEAD) : NULL;
    if (sealed == NULL) {
        return r != 0 ? r : -ENOMEM;
    }
    // The event that erases a customer comes when the key is gone.
    uint64_t key = event->erases ? 0 : event->customer;
    r = keys_seal(tick->keys_reader, key, run, event->sequence, plain, size, sealed);
    if (r >= 0) {
        ret->sealed = sealed;
        ret->sealed_size = r == 0 ? size + KEYS_SEAL_OVERHEAD : 0;
    }
    return r < 0 ? r : 0;
}

static int fill(struct tick *tick, const struct record *record, const uint8_t *run,
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
    int r = envelope_pack_open(event, tick->block_arena, &open, &ret->open_size);
    ret->open = open;
    return r != 0 ? r : seal(tick, event, run, ret);
}

static size_t bytes_about(const struct block_record *row) {
    return ENTRY_BYTES_ABOUT + row->open_size + row->sealed_size + strlen(row->type) +
           strlen(row->channel);
}

// As many records from `from` on as one block takes; nearly always all of them.
static int append_block(struct tick *tick, size_t from, size_t *ret_n) {
    uint8_t run[BLOCK_RUN_BYTES];
    randombytes_buf(run, sizeof(run));
    struct block_record *rows =
        arena_alloc(tick->block_arena, (tick->n_records - from) * sizeof(*rows));
    if (rows == NULL) {
        return -ENOMEM;
    }
    size_t n = 0;
    size_t bytes = BLOCK_BYTES_ROOM;
    while (from + n < tick->n_records) {
        int r = fill(tick, &tick->records[from + n], run, &rows[n]);
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
    int r = block_build(tick->first + from, run, rows, n, &block, &size);
    r = r != 0 ? r : log_append(tick->log, tick->first + from, block, size);
    *ret_n = n;
    return r > 0 ? -EPROTO : r; // 1: a gap, which the tick's own counting rules out
}

static int append_events(struct tick *tick) {
    int r = keys_reader_begin(tick->keys_reader);
    if (r != 0) {
        return r;
    }
    for (size_t from = 0, n = 0; r == 0 && from < tick->n_records; from += n) {
        r = append_block(tick, from, &n);
    }
    keys_reader_end(tick->keys_reader);
    return r;
}

// What the fold kept goes into the view's transaction, which nobody else touches meanwhile.
static int write_view(void *user) {
    struct tick *tick = user;
    int r = fold_flush(tick->fold, tick->view);
    return r != 0 ? r : view_set_applied(tick->view, tick->first + tick->n_records - 1);
}

// Both stores' writes of the tick's events, side by side where they are many. Neither is committed.
static int write_events(struct tick *tick) {
    int r = keys_ensure(tick->broker->keys, tick->customers_last);
    if (r != 0 || tick->n_records < BESIDE_EVENTS_MIN) {
        r = r != 0 ? r : append_events(tick);
        return r != 0 ? r : write_view(tick);
    }
    beside_start(tick->beside, write_view, tick);
    r = append_events(tick);
    int written = beside_wait(tick->beside);
    return r != 0 ? r : written;
}

int tick_commit(struct tick *tick) {
    int r = tick->n_records > 0 ? write_events(tick) : 0;
    r = r != 0 ? r : timers_note(tick);
    r = r != 0 ? r : policy_told_note(tick);
    r = r != 0 ? r : producers_write(tick->producers, tick->log);
    if (r != 0) {
        return r;
    }
    r = log_commit(tick->log);
    tick->log = NULL;
    if (r != 0) {
        return r;
    }
    FAULTPOINT("between-commits");
    if (tick->n_records == 0) {
        view_abort(tick->view);
        tick->view = NULL;
        return 0;
    }
    r = view_commit(tick->view);
    tick->view = NULL;
    return r;
}
