// SPDX-License-Identifier: Apache-2.0
// The log: the truth. One writer (the tick thread), any number of readers, one a thread. Blocks are
// immutable; a commit that returned 0 is on disk; one that failed has an unknown outcome and the
// caller must exit (broker_fatal). An implementation that replicates can stand behind this header:
// log_append's `expected` is the fence it would use.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/stores/block.h"

struct log;
struct store;
struct log_txn;
struct log_reader;

// What stands in the log beside the blocks, by key. Values are the owners' own bytes.
enum log_table {
    LOG_PRODUCERS,
    LOG_SUBSCRIPTIONS,
    LOG_PARKED,
    LOG_QUARANTINE,
    LOG_META,
    LOG_N_TABLES
};

// Opens or creates dir (built aside, synced, renamed), takes its lock (-EBUSY: another broker has
// it), syncs once before anything is trusted. map_bytes is address space, not disk.
int log_open(const char *dir, size_t map_bytes, bool read_only, struct log **ret);
struct log *log_close(struct log *log);
uint64_t log_next(const struct log *log); // the sequence the next event gets
uint64_t
log_first(const struct log *log); // the first sequence still there (= next where empty); any thread
const uint8_t *log_incarnation(const struct log *log); // INCARNATION_BYTES
// The incarnation before this one, where the log was opened from a copy (backup); else all zero.
const uint8_t *log_incarnation_before(const struct log *log);
// Where the two part: sequences from here on are the one's or the other's, not both's. 0: there is
// no incarnation before, or nobody wrote down where.
uint64_t log_parting(const struct log *log);
uint64_t
log_bytes(const struct log *log); // what the log holds, on disk, without free pages; any thread
struct store *log_store(struct log *log); // for upkeep: readers, file size

// How often a point of the log's own file is taken at least, so that its journal stays short
// (journal.md).
void log_set_point_interval(struct log *log, int64_t interval_us);

// ---- write. What is put, deleted and appended is gathered; log_commit writes it, on whichever
// thread, one at a time. log_append, too, must wait until the transaction before has committed.
// What log_delete and log_trim see is the store as it is and the transaction's own changes: nothing
// else may be on its way.
int log_begin(struct log *log, struct log_txn **ret);
// One block whose first sequence must be `expected` == log_next. 1 where it is not (a gap is
// refused, nothing written).
int log_append(struct log_txn *txn, uint64_t expected, const void *block, size_t size);
// The same for a block of n_events that is not written yet: *ret is the room for it, which has to
// be filled before anything else is asked of the transaction.
int log_append_room(struct log_txn *txn, uint64_t expected, uint64_t n_events, size_t size,
                    void **ret);
int log_put(struct log_txn *txn, enum log_table table, const void *key, size_t key_size,
            const void *value, size_t size);
// 1: it was not there.
int log_delete(struct log_txn *txn, enum log_table table, const void *key, size_t key_size);
// Removes whole blocks that end below `floor`, at most n_max of them. *ret_n: removed. The last
// block always stays: it carries the next sequence.
int log_trim(struct log_txn *txn, uint64_t floor, unsigned n_max, unsigned *ret_n);
int log_commit(struct log_txn *txn); // on disk when it returns 0. Consumes txn, whatever it returns
void log_abort(struct log_txn *txn);

// ---- read, one reader a thread; slices of at most READ_SLICE_MS_MAX between begin and end
int log_reader_new(struct log *log, struct log_reader **ret);
struct log_reader *log_reader_free(struct log_reader *reader);
int log_reader_begin(struct log_reader *reader); // a snapshot
void log_reader_end(struct log_reader *reader);  // what was read becomes invalid
// The block that holds sequence, or the first one after it. 0 and *ret (valid until end); 1: none
// (beyond the head); -EBADMSG: damaged, ret->first and n_events say which sequences it held, its
// other fields are 0.
int log_reader_block(struct log_reader *reader, uint64_t sequence, struct block_head *ret);
// The same for a caller that comes back to a few blocks again and again: those that begin with one
// of `checked`, which it has read before and not long ago, are not compared with their checksum.
int log_reader_block_again(struct log_reader *reader, uint64_t sequence, const uint64_t *checked,
                           size_t n_checked, struct block_head *ret);
uint64_t log_reader_first(struct log_reader *reader);
uint64_t log_reader_next(struct log_reader *reader);
// The first sequence received at or after time_us (binary search over blocks); log_next where none.
int log_reader_find_time(struct log_reader *reader, int64_t time_us, uint64_t *ret);
// 0 and the value (valid until end); 1 not found.
int log_reader_get(struct log_reader *reader, enum log_table table, const void *key,
                   size_t key_size, const void **ret, size_t *ret_size);
// Calls row for every entry whose key starts with prefix, in order, from `from` (may be NULL) on,
// until it returns other than 0.
int log_reader_scan(struct log_reader *reader, enum log_table table, const void *prefix,
                    size_t prefix_size, const void *from, size_t from_size,
                    int (*row)(void *user, const void *key, size_t key_size, const void *value,
                               size_t size),
                    void *user);
// A consistent compacted copy as a new folder `dir` (backup). Whoever opens the copy gets a log of
// a new incarnation.
int log_copy(struct log *log, const char *dir);
// What makes a folder such a copy: backup/cut.c copies the log by itself.
int log_mark_copied(struct log *log, const char *dir);
// Makes this log another one, from its end on. At a start, before anything reads it.
int log_renew(struct log *log);
