// SPDX-License-Identifier: Apache-2.0
// Out of the tick, to disk: sealed blocks, producers' numbers and jobs' writes in one synced commit
// of the log, then the view's changes are shown. The order is the promise: what is visible is
// durable, and what is answered is both. It touches nothing but the flight and the stores, so it
// may run on a thread of its own while the next tick is decided.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/faultpoint.h"
#include "broker/mailbox.h"
#include "broker/tick/tick_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/scheduling.h"

enum {
    AHEAD_RECORDS = 32,          // sealed between two looks at what else there is to do
    ENTRY_BYTES_ABOUT = 160,     // a block's fixed bytes an event, generously
    BLOCK_BYTES_ROOM = 64 << 10, // header and rounding
};

static size_t bytes_about(const struct block_record *row) {
    return ENTRY_BYTES_ABOUT + row->open_size + row->sealed_size + strlen(row->type) +
           strlen(row->channel);
}

// As many records from `from` on as one block takes; nearly always all of them.
static int append_block(struct flight *flight, size_t from, size_t *ret_n) {
    struct sealing *sealing = &flight->sealing;
    size_t n = 0;
    size_t bytes = BLOCK_BYTES_ROOM;
    for (; from + n < flight->n_records; n++) {
        const struct record *record = &flight->records[from + n];
        int r = 0;
        scheduling_yield_point();
        if (from + n >= sealing->n) {
            sealing_ahead(flight->keys, record, flight->n_records - from - n);
            r = sealing_add(sealing, flight->keys, record);
        }
        if (r != 0) {
            return r;
        }
        bytes += bytes_about(&sealing->rows[from + n]);
        if (n > 0 && bytes > BLOCK_BYTES_MAX) {
            break;
        }
    }
    _cleanup_(cleanup_block_draft) struct block_draft *draft = NULL;
    void *room = NULL;
    size_t size = 0;
    uint64_t first = flight->first + from;
    int r = block_measure(&sealing->rows[from], n, &draft, &size);
    r = r != 0 ? r : log_append_room(flight->log, first, n, size, &room);
    if (r == 0) {
        block_write(draft, first, sealing->run, room);
    }
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

// The log first: what is shown is on disk.
static int commit(struct flight *flight) {
    bool has_events = flight->n_records > 0;
    int r = has_events ? append_events(flight) : 0;
    if (r != 0) {
        return r;
    }
    FAULTPOINT("before-commits");
    r = log_commit(STEAL(flight->log));
    if (r != 0 || !has_events) {
        return r;
    }
    FAULTPOINT("between-commits");
    return view_show(flight->broker->view, flight->changes);
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

// Sealed with the customers' keys: those that are new get theirs first.
static int flush(struct tick *tick) {
    int r = keys_ensure(tick->broker->keys, tick->customers_last);
    return r != 0 ? r : fold_flush(tick->fold, tick->view);
}

int commit_ahead(struct tick *tick, bool *ret_more) {
    struct sealing *sealing = &tick->sealing;
    *ret_more = false;
    if (tick->n_records == 0) {
        return 0;
    }
    int r = flush(tick);
    r = r != 0 ? r : keys_reader_begin(tick->seal_keys);
    if (r != 0) {
        return r;
    }
    for (unsigned i = 0; r == 0 && i < AHEAD_RECORDS && sealing->n < tick->n_records; i++) {
        sealing_ahead(tick->seal_keys, &tick->records[sealing->n], tick->n_records - sealing->n);
        r = sealing_add(sealing, tick->seal_keys, &tick->records[sealing->n]);
    }
    keys_reader_end(tick->seal_keys);
    *ret_more = sealing->n < tick->n_records;
    return r;
}

int commit_prepare(struct tick *tick) {
    int r = tick->n_records > 0 ? flush(tick) : 0;
    r = r == 0 && tick->n_records > 0
            ? view_set_applied(tick->view, tick->first + tick->n_records - 1)
            : r;
    r = r != 0 ? r : timers_note(tick);
    r = r != 0 ? r : policy_told_note(tick);
    return r != 0 ? r : producers_write(tick->producers, tick->log);
}
