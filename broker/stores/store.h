// SPDX-License-Identifier: Apache-2.0
// A thin layer over LMDB: environments, tables, transactions, cursors. The only code that knows
// LMDB; log, keys and view know what the bytes mean. It holds the rules that LMDB leaves to its
// user (TRUST: one open per process, sync right after opening, creation aside and renamed,
// transactions not tied to threads, no sub-databases with duplicates, stale readers cleared).
//
// Errors, here and in everything built on it: negative errno. -EBADMSG: the file is damaged or not
// ours. -ENOSPC: the map is full. -EIO: disk error or disk full. After a failed commit or sync the
// outcome is unknown: never retry, exit.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STORE_KEY_BYTES_MAX = 511, STORE_TABLES_MAX = 24, STORE_READERS_MAX = 126 };

struct store;
struct store_txn;
struct store_cursor;

struct store_options {
    const char *const *tables; // names; a table's number is its index
    unsigned n_tables;
    size_t map_bytes; // address space; 0: what the file says (read-only openers)
    bool read_only;
    bool no_sync; // commits are not synced: what a power cut leaves is not to be trusted
    bool is_file; // dir is a file of store_copy_file, which nobody writes; only with read_only
    // Fills a new store, in the transaction that makes its tables. May be NULL.
    int (*create)(struct store_txn *txn, void *user);
    void *user;
};

// Opens dir, or makes it: built in `dir.new`, synced, renamed, the parent synced. A folder that is
// there without its data file is refused (-ENOENT), not filled anew. A writer syncs at once, before
// anything in the file is trusted, and clears readers that died. Never twice in one process.
int store_open(const char *dir, const struct store_options *options, struct store **ret);
struct store *store_close(struct store *store); // takes NULL; every transaction must have ended
int store_sync(struct store *store);
// From here on as store_options.no_sync says. Between two commits.
int store_set_no_sync(struct store *store, bool no_sync);
// Readers of dead processes are cleared (they would pin pages). *ret_n: how many.
int store_check_readers(struct store *store, unsigned *ret_n);
// How many commits the oldest reader is behind, and the commit it reads; 0 where nobody is behind.
// Approximate, any thread.
uint64_t store_reader_lag(struct store *store, uint64_t *ret_oldest);
// A copy of the committed state in `dir` (which must not exist): written aside, synced, renamed.
int store_copy(struct store *store, const char *dir, bool compact);
// Called after each piece that is on disk, with the bytes copied so far: the caller's progress, and
// its pause. Other than 0 ends the copy with that.
typedef int (*store_piece)(void *user, uint64_t bytes);
// As store_copy, of what `from` sees, a read transaction of this store (store_copy.c). Not written
// aside: what a failure leaves in dir is the caller's to remove. piece may be NULL.
int store_copy_pinned(struct store *store, struct store_txn *from, const char *dir,
                      store_piece piece, void *user);
// The names it was opened with; *ret_n: how many.
const char *const *store_tables(const struct store *store, unsigned *ret_n);
// Bytes of the file that are in use up to its last page, and the map's size.
void store_file_bytes(struct store *store, uint64_t *ret_used, uint64_t *ret_map);

// Bytes of the pages that hold entries now: what is free within the file is not counted.
int store_live_bytes(struct store *store, uint64_t *ret);

// One write transaction at a time (a second thread waits); readers are cheap, kept for reuse, and
// may move between threads.
int store_begin(struct store *store, bool write, struct store_txn **ret);
// A large transaction in parts: what follows goes into a part of its own, whose changed pages LMDB
// keeps apart until the next part begins or the last one ends. Nothing of it is seen before
// store_commit. A part that is not ended goes with store_abort.
int store_next_part(struct store_txn *txn);
int store_end_part(struct store_txn *txn);
int store_commit(struct store_txn *txn); // consumes txn, whatever it returns
void store_abort(struct store_txn *txn); // takes NULL
uint64_t store_txn_id(const struct store_txn *txn);

// 0, or 1 where the key is not there. The value lies in the file's map: valid until the next write
// in txn, or its end.
int store_get(struct store_txn *txn, unsigned table, const void *key, size_t key_size,
              const void **ret, size_t *ret_size);
int store_put(struct store_txn *txn, unsigned table, const void *key, size_t key_size,
              const void *value, size_t size);
// Where nothing stands yet; 1 and the value where something does.
int store_put_new(struct store_txn *txn, unsigned table, const void *key, size_t key_size,
                  const void *value, size_t size, const void **ret, size_t *ret_size);
// As put, for a key behind every other of its table; 1 where it is not.
int store_append(struct store_txn *txn, unsigned table, const void *key, size_t key_size,
                 const void *value, size_t size);
int store_delete(struct store_txn *txn, unsigned table, const void *key, size_t key_size);
// Pages a table occupies, in bytes, and its entries. Either may be NULL.
int store_table_bytes(struct store_txn *txn, unsigned table, uint64_t *ret_bytes,
                      uint64_t *ret_entries);

// Cursors end before their transaction does.
int store_cursor_new(struct store_txn *txn, unsigned table, struct store_cursor **ret);
struct store_cursor *store_cursor_free(struct store_cursor *cursor); // takes NULL
enum store_move { STORE_FIRST, STORE_LAST, STORE_NEXT, STORE_PREVIOUS, STORE_AT_OR_AFTER };
// Moves; key and key_size are the target of STORE_AT_OR_AFTER, otherwise ignored. 0; 1: nothing
// there. Any of the outputs may be NULL.
int store_cursor_move(struct store_cursor *cursor, enum store_move move, const void *key,
                      size_t key_size, const void **ret_key, size_t *ret_key_size,
                      const void **ret_value, size_t *ret_size);

// The last key below this one; key_size 0: the last of all. As store_cursor_move.
int store_cursor_below(struct store_cursor *cursor, const void *key, size_t key_size,
                       const void **ret_key, size_t *ret_key_size, const void **ret_value,
                       size_t *ret_size);

// The first key behind every key with the prefix; 0: there is none.
size_t store_behind(const void *prefix, size_t prefix_size,
                    uint8_t ret[static STORE_KEY_BYTES_MAX]);
bool store_has_prefix(const void *key, size_t key_size, const void *prefix, size_t prefix_size);
// Where a scan begins: forward with the first key not below `begin`, in reverse with the last one
// below it; size 0: with the first or last of all. The sizes are at most STORE_KEY_BYTES_MAX.
struct store_range {
    uint8_t begin[STORE_KEY_BYTES_MAX];
    size_t size;
};
struct store_range store_range_of(const void *prefix, size_t prefix_size, const void *from,
                                  size_t from_size, bool reverse);

typedef int (*store_row)(void *user, const void *key, size_t key_size, const void *value,
                         size_t size);
// Calls row for every entry whose key starts with prefix (prefix_size 0: all), in key order from
// `from` on (NULL: the first), or backwards from the last, until it returns other than 0; returns
// that.
int store_scan(struct store_txn *txn, unsigned table, const void *prefix, size_t prefix_size,
               const void *from, size_t from_size, bool reverse, store_row row, void *user);

// ---- raw meta pages, for restore points. LMDB keeps the last two commits' meta pages at the
// file's start; commit T's is page T & 1 until commit T + 2 overwrites it.
enum { STORE_PAGE_BYTES_MAX = 65536 };
// The meta page of the commit that the read transaction sees. Only while no commit can happen
// (view_snapshot_begin says why). page has room for STORE_PAGE_BYTES_MAX; *ret_size: the page size.
int store_read_meta(struct store_txn *txn, uint8_t *page, size_t *ret_size);
// On a file that nobody has open: makes the commit of that meta page the current one. 0; 1 with
// *ret_why (static text) where the file cannot hold that commit: missing, too short, or older than
// it.
int store_write_meta(const char *dir, const uint8_t *page, size_t size, uint64_t txn_id,
                     const char **ret_why);

// ---- a commit as one file (store_compact.c)
// The newest commit, and nothing that is free, in the file `path`, written over where it is there.
// Any thread. On disk when it returns 0; else it is gone. 1: the disk has failed to write the
// store's own pages, so that what was read of them may be what they were before: exit.
int store_copy_file(struct store *store, const char *path);
// 0: the file is such a copy, whole; 1: it is not; negative errno.
int store_check_file(const char *path);
// Makes the copy's commit the one of dir, whose data file nobody has open; what that file held, or
// whether it was there, does not matter. 0; 1: no whole copy. Not synced: whoever opens dir does
// that, and until then the copy stays what to trust.
int store_put_back(const char *path, const char *dir);

// A mark in the data file that LMDB does not see: on disk when it returns; all zeros take it away.
enum { STORE_MARK_BYTES = 16 };
int store_set_mark(const char *dir, const uint8_t mark[static STORE_MARK_BYTES]);
int store_get_mark(const char *dir, uint8_t ret[static STORE_MARK_BYTES]); // 0; 1: there is none

// ---- pages that no commit needs: what they held stays in the file until they are used again
// Zeroes, up to n_max of them, what commits before *ret_below have freed, and syncs. Pages that a
// reader or the last commit but one may still need are left alone. 0; 1: there are more. Not on a
// thread that has a write transaction open.
int store_wipe_free(struct store *store, unsigned n_max, uint64_t *ret_below);
// Zeroes the memory of n_pages pages that LMDB keeps for writing: a page is written whole, with
// what its memory held before in its unused rest. Writes nothing; `table` is any of the store's.
int store_wash(struct store *store, unsigned table, unsigned n_pages);

// ---- small files beside the stores
// Takes an exclusive (or shared) lock on the file, made if missing, held until *ret_descriptor is
// closed or the process ends. -EBUSY: another process holds it.
int store_lock(const char *path, bool exclusive, int *ret_descriptor);
// Whether some process holds path exclusively.
bool store_is_locked(const char *path);
// The names in a folder are on disk: in dir itself, in the folder that path is in. 0; negative
// errno.
int store_sync_folder(const char *dir);
int store_sync_parent(const char *path);
// Removes a folder of plain files and their subfolders (two levels). Missing is fine.
int store_remove_folder(const char *dir);

// Numbers in keys are big-endian, so that byte order is number order.
static inline void store_be64(uint8_t ret[static 8], uint64_t number) {
    for (int i = 7; i >= 0; i--) {
        ret[i] = (uint8_t)number;
        number >>= 8;
    }
}
static inline uint64_t store_from_be64(const uint8_t *bytes) {
    uint64_t number = 0;
    for (int i = 0; i < 8; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}
