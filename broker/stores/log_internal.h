// SPDX-License-Identifier: Apache-2.0
// What log.c (writing) and log_read.c share.
#pragma once

#include <stdatomic.h>

#include "broker/stores/log.h"
#include "broker/stores/store.h"
#include "schemas/limits.h"

enum { LOG_BLOCKS = LOG_N_TABLES, LOG_STORE_TABLES }; // the store's table of blocks

struct journal_change;
struct journal_record;

// A transaction is what it will change: the store is written when it commits.
struct log_txn {
    struct log *log;
    struct journal_record *changes;
    uint64_t next;  // once there is a block; else 0
    uint64_t first; // once something was trimmed; else 0
};

// A tick is decided, one is committed, one has been: its megabyte of memory is the next one's.
enum { LOG_SPARES = 3 };

struct log {
    struct store *store;
    struct log_journal *journal; // NULL: the store syncs its commits itself
    int lock;                    // descriptor, -1
    uint8_t incarnation[INCARNATION_BYTES], before[INCARNATION_BYTES];
    uint64_t parting;
    atomic_uint_fast64_t next, first, bytes;
    _Atomic(struct journal_record *) spares[LOG_SPARES]; // of transactions before; NULL: none
};

struct log_reader {
    struct log *log;
    struct store_txn *txn; // NULL outside of a slice
};

// Does to the store what a journal's record says.
int log_apply(struct store_txn *txn, const struct journal_change *change);

// The first sequence that is there and the one behind the last; both 1 in a new log. -EBADMSG: the
// last block's head is damaged (said on the log, with its sequence).
int log_read_ends(struct store_txn *txn, uint64_t *ret_first, uint64_t *ret_next);

// Ids of LOG_META (log_copy.c). 0; 1: there is none.
#define LOG_KEY_INCARNATION "incarnation"
#define LOG_KEY_BEFORE "incarnation-before"
#define LOG_KEY_PARTING "incarnation-parting" // a sequence, big-endian
int log_get_id(struct store_txn *txn, const char *name, uint8_t *ret);
int log_get_parting(struct store_txn *txn, uint64_t *ret);
void log_new_incarnation(uint8_t ret[static INCARNATION_BYTES]);
int log_load(struct log *log); // what stands in the struct, from the file
// A folder that log_copy made becomes a log of its own when it is first opened.
int log_renew_if_copied(struct log *log, const char *dir);
