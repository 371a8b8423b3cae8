// SPDX-License-Identifier: Apache-2.0
// What log_journal.c (the thread) and log_point.c (points, starts) share.
#pragma once

#include <pthread.h>

#include "broker/stores/journal.h"
#include "broker/stores/log_internal.h"
#include "broker/stores/log_journal.h"

enum { LOG_META_BYTES = 512 }; // of a meta page: all that LMDB uses

// A point of the log's file, as it stands in the journal.
struct log_point {
    uint64_t number; // of the last record that it holds
    uint64_t txn_id;
    uint8_t incarnation[INCARNATION_BYTES];
    uint32_t page_bytes, reserved;
    uint8_t meta[LOG_META_BYTES];
};
_Static_assert(sizeof(struct log_point) <= JOURNAL_POINT_BYTES_MAX, "a point fits its slot");

struct log_journal {
    struct log *log;
    char *dir;
    struct journal *files;
    struct store_txn *pin;  // reads the commit of the point on disk, so that its pages stay
    struct log_point point; // that one
    pthread_mutex_t lock;   // a commit, or what a point begins with
    pthread_cond_t wake, done;
    pthread_t thread;
    bool has_thread, stop, wanted;
    uint64_t n_tried, n_taken; // points
    uint64_t begun;            // the last record when a point last began
    int64_t interval_us;
};

// What the file is now, pinned. No commit may be under way.
int log_point_describe(struct log_journal *journal, struct store_txn **ret_pin,
                       struct log_point *ret);
// Makes the file as it was at the point durable and then the point itself.
int log_point_write(struct log_journal *journal, const struct log_point *point);
int log_journal_start(struct log_journal *journal); // the thread
