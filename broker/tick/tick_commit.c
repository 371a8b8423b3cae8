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

enum {
    ENTRY_BYTES_ABOUT = 160,     // a block's fixed bytes an event, generously
    BLOCK_BYTES_ROOM = 64 << 10, // header and rounding
};

// The sealed half as it goes into the block. A destroyed key leaves nothing to read.
static int seal(struct tick *tick, const struct record *record, const uint8_t *run,
                struct block_record *ret) {
    const Touchbus__Event *event = record->event;
    uint8_t *sealed = arena_alloc(tick->arena, record->sealed_size + KEYS_SEAL_OVERHEAD);
    if (sealed == NULL) {
        return -ENOMEM;
    }
    // The event that erases a customer comes when the key is gone.
    uint64_t key = event->erases ? 0 : event->customer;
    int r = keys_seal(tick->keys_reader, key, run, event->sequence, record->sealed,
                      record->sealed_size, sealed);
    if (r >= 0) {
        ret->sealed = sealed;
        ret->sealed_size = r == 0 ? record->sealed_size + KEYS_SEAL_OVERHEAD : 0;
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
        .open = record->open,
        .open_size = record->open_size,
    };
    memcpy(ret->id_hash, record->id_hash, sizeof(ret->id_hash));
    return seal(tick, record, run, ret);
}

static size_t bytes_about(const struct record *record) {
    return ENTRY_BYTES_ABOUT + record->open_size + record->sealed_size +
           strlen(record->event->type) + strlen(record->event->channel);
}

// As many records from `from` on as one block takes; nearly always all of them.
static int append_block(struct tick *tick, size_t from, size_t *ret_n) {
    uint8_t run[BLOCK_RUN_BYTES];
    randombytes_buf(run, sizeof(run));
    struct block_record *rows = arena_alloc(tick->arena, (tick->n_records - from) * sizeof(*rows));
    if (rows == NULL) {
        return -ENOMEM;
    }
    size_t n = 0;
    size_t bytes = BLOCK_BYTES_ROOM;
    while (from + n < tick->n_records) {
        const struct record *record = &tick->records[from + n];
        bytes += bytes_about(record);
        if (n > 0 && bytes > BLOCK_BYTES_MAX) {
            break;
        }
        int r = fill(tick, record, run, &rows[n]);
        if (r != 0) {
            return r;
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
    int r = keys_ensure(tick->broker->keys, tick->customers_last);
    r = r != 0 ? r : keys_reader_begin(tick->keys_reader);
    if (r != 0) {
        return r;
    }
    for (size_t from = 0, n = 0; r == 0 && from < tick->n_records; from += n) {
        r = append_block(tick, from, &n);
    }
    keys_reader_end(tick->keys_reader);
    return r;
}

int tick_commit(struct tick *tick) {
    int r = 0;
    if (tick->n_records > 0) {
        r = append_events(tick);
        r = r != 0 ? r : fold_flush(tick->fold, tick->view);
        r = r != 0 ? r : view_set_applied(tick->view, tick->first + tick->n_records - 1);
    }
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
