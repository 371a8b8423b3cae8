// SPDX-License-Identifier: Apache-2.0
// view/ and base/: the tables the fold keeps. The same code serves the live view (not synced at
// commit; restored from its restore point at every start), the base (synced; the fold of what
// retention trimmed) and a scratch rebuild. One writer at a time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schemas/limits.h"

// Keys are bytes in B-tree order: numbers big-endian. Nothing personal stands readable: lookups are
// keyed hashes (lookup.h), what a person said or is called is sealed with its key (view_seal).
enum view_table {
    VIEW_META,      // "fold-version", "applied", "incarnation", "customers" (last number given),
                    // "stamped" (see fold_keys.c), counters of the whole
    VIEW_CUSTOMERS, // customer u64 -> Customer, the Person in it sealed
    VIEW_LOOKUPS,   // lookup of a key or a reference -> customer u64
    VIEW_TIMELINE,  // customer u64, first sequence u64 -> Run
    VIEW_NAMES,     // u32 -> name (1 up; 0 is "other")
    VIEW_ITEMS,     // customer u64, kind u8, lookup of the id -> sequence changed u64, Item sealed
    VIEW_SHARED,    // kind u8, lookup of the id -> Item as it is: what belongs to nobody (prices,
                    // agents)
    VIEW_LEDGER,    // sequence u64 -> Ledger
    VIEW_CONTESTED, // lookup of a key -> Contested: who else came with it
    VIEW_TIMERS,    // customer u64, kind u8, id -> due u64
    VIEW_DUE,       // due u64, customer u64, kind u8, id -> nothing
    VIEW_WAITING,   // live interactions, who waits, who is held: see fold/waiting.h
    VIEW_SCORES,    // hour u32, channel u32 (name), tier u32 (name) -> Cell; and see fold/scores.h
    VIEW_INDEX,     // customer u64, kind u8, part u8, order u64, lookup of the id -> nothing: see
                    // fold/item_index.h
    VIEW_N_TABLES,
};

struct keys_reader;
struct store;
struct view;
struct view_txn;

enum view_kind { VIEW_LIVE, VIEW_BASE, VIEW_SCRATCH, VIEW_COPY }; // VIEW_COPY: a file, read only

int view_open(const char *dir, enum view_kind kind, size_t map_bytes, bool read_only,
              struct view **ret);
struct view *view_close(struct view *view);

int view_begin(struct view *view, bool write, struct view_txn **ret);
int view_commit(struct view_txn *txn); // consumes txn, whatever it returns
void view_abort(struct view_txn *txn); // takes NULL
// 0 and the value (valid until the next write in txn or its end); 1: not there.
int view_get(struct view_txn *txn, enum view_table table, const void *key, size_t key_size,
             const void **ret, size_t *ret_size);
int view_put(struct view_txn *txn, enum view_table table, const void *key, size_t key_size,
             const void *value, size_t size);
// 1 and the value that stands there: nothing was written. One search where a get and a put are two.
int view_put_new(struct view_txn *txn, enum view_table table, const void *key, size_t key_size,
                 const void *value, size_t size, const void **ret, size_t *ret_size);
int view_delete(struct view_txn *txn, enum view_table table, const void *key, size_t key_size);
// As log_reader_scan; `reverse` from the end of the prefix.
int view_scan(struct view_txn *txn, enum view_table table, const void *prefix, size_t prefix_size,
              bool reverse,
              int (*row)(void *user, const void *key, size_t key_size, const void *value,
                         size_t size),
              void *user);
// The same from within the prefix: forward from the first key that is not below `from`, in reverse
// from the last one that is.
int view_scan_from(struct view_txn *txn, enum view_table table, const void *prefix,
                   size_t prefix_size, const void *from, size_t from_size, bool reverse,
                   int (*row)(void *user, const void *key, size_t key_size, const void *value,
                              size_t size),
                   void *user);

// ---- ahead: a transaction whose writes come later, so that the next one can decide by them while
// they are written (view_ahead.c). Two `changes` take turns.
struct pending;
enum { VIEW_CHANGES_BYTES_MAX = 512 << 20 }; // an erasure deletes all that a customer had
struct pending *view_changes_new(void);      // pending_free; NULL where memory is short
// Reads what is shown, `before` on top of it (whose writing may still go on, or be done; NULL:
// nothing is on its way), and what it writes itself, which goes into `changes` and nowhere else.
// Both are borrowed, and before may be exchanged meanwhile. Ends with view_abort, which leaves them
// as they are.
int view_begin_ahead(struct view *view, struct pending *changes, struct pending *before,
                     struct view_txn **ret);
// Into a transaction of view_begin that writes.
int view_write_changes(struct view_txn *txn, struct pending *changes);

// ---- shown: the changes of one transaction after another, each whole, visible to every view_begin
// from then on. In the store's file at once, or, after view_write_behind, some time later
// (view_behind.h): on a thread of its own, which view_close ends when it has written everything,
// and which ends the process where it cannot.
enum {
    VIEW_BEHIND_PAGES = 40960,      // of 4 KiB, that LMDB holds changed at once,
    VIEW_BEHIND_BYTES = 672L << 20, // and memory with what waits for that; not counted: readers'
};
int view_write_behind(struct view *view);
// changes must not change any more until they are exchanged. 0, or a negative errno: nothing shown.
int view_show(struct view *view, struct pending *changes);
// Memory that it may take now for what is shown and not yet written: nothing while nothing is,
// VIEW_BEHIND_BYTES at most. Any thread.
size_t view_unwritten_bytes(const struct view *view);
// Waits until all that is shown at the call is in the store's file.
void view_settle(struct view *view);
// Empty changes for such as were shown or are not needed; NULL where memory is short.
struct pending *view_changes_exchange(struct view *view, struct pending *changes);
void view_changes_free(struct view *view, struct pending *changes); // shown or not; takes NULL

// Rows asked for, passed over by scans, written and deleted in txn so far: what an event costs, in
// a measure that no other load changes.
uint64_t view_rows_touched(const struct view_txn *txn);

// ---- sealed content (view_seal.c). The first eight bytes of a row's key are its customer
// in all of them; a row whose key is destroyed reads as empty and is written as empty.
enum { VIEW_SEAL_OVERHEAD = 32 };
// The keys that seal and open in txn: borrowed until it ends. A slice of theirs that is not open
// when it is needed is opened, and ends with txn.
void view_use_keys(struct view_txn *txn, struct keys_reader *reader);
// The secret of the lookups (lookup.h), of view_use_keys.
const uint8_t *view_lookup_secret(const struct view_txn *txn);
// Seals what belongs into the row `key` of its customer; ret has room for size +
// VIEW_SEAL_OVERHEAD.
int view_seal(struct view_txn *txn, enum view_table table, const void *key, size_t key_size,
              const void *plain, size_t size, uint8_t *ret, size_t *ret_size);
// A row of this customer is soon sealed: what leads to its key (step 0), and the key after a while
// (step 1) is fetched into the processor's cache.
void view_seal_ahead(const struct view_txn *txn, uint64_t customer, unsigned step);
// The other way; ret has room for size. -EBADMSG: not what was sealed for this row.
int view_unseal(struct view_txn *txn, enum view_table table, const void *key, size_t key_size,
                const void *sealed, size_t size, uint8_t *ret, size_t *ret_size);

// The sequence up to which txn's snapshot holds the fold; 0 for a new one.
uint64_t view_applied(struct view_txn *txn);
int view_set_applied(struct view_txn *txn, uint64_t sequence);
// Every table, every byte, in order (BLAKE2b-256, hex text of 65 bytes).
int view_hash(struct view_txn *txn, char ret[static 65]);

// ---- whose fold it is. Set when a view or base is made; both stand in VIEW_META.
struct view_identity {
    uint8_t incarnation[INCARNATION_BYTES]; // of the log it was folded from
    uint32_t fold_version;                  // that wrote it last
};
int view_set_identity(struct view_txn *txn, const struct view_identity *identity);
// The same in a transaction of its own.
int view_write_identity(struct view *view, const struct view_identity *identity);
// The same where it has another one, or none.
int view_claim(struct view *view, const struct view_identity *identity);
// 0; 1: has none, a new one.
int view_get_identity(struct view_txn *txn, struct view_identity *ret);

// A copy of the committed state as a new folder (written aside, synced, renamed).
int view_copy(struct view *view, const char *dir);
// For upkeep: readers, file size.
struct store *view_store(struct view *view);
// What txn is to the store, borrowed: for a copy of what it sees.
struct store_txn *view_txn_store(struct view_txn *txn);

// ---- restore points of the live view (restore.md beside this file): copies, and steady snapshots
// A copy of the newest commit is made the restore point; nothing stays pinned behind it. Any one
// thread but the tick's. 0; 1: it could not be made (said on the log), the point before stands;
// negative: a sync failed, its outcome is unknown: exit.
int view_take_copy(struct view *view);
// Whether the point on disk is one whose pages cannot be used again meanwhile: the file grows.
bool view_is_pinned(const struct view *view);

struct view_snapshot;
// Tick thread, between two ticks: pins the committed state and copies its meta page. At most one at
// a time: finish it before the next begins.
int view_snapshot_begin(struct view *view, struct view_snapshot **ret);
// Any thread: syncs the file, writes restore-point aside, syncs, renames; then the previous pin
// goes. Frees snapshot, whatever it returns. 0; 1: the point could not be written (said on the log)
// and the one before stands; negative: a sync failed, its outcome is unknown: exit.
int view_snapshot_finish(struct view *view, struct view_snapshot *snapshot);
uint64_t view_snapshot_applied(const struct view_snapshot *snapshot);
// The sequence of the last finished restore point: retention stays below it. Any thread.
uint64_t view_restorable(const struct view *view);
// At a start, before the live view is opened and by nobody but the holder of the state's lock:
// makes the file in dir the commit of its restore point, of either kind. 0 and *ret_applied; 1 with
// *ret_why (static text): nothing to restore from, build the view anew. *ret_applied is also set
// where the point was read but not fit, else 0: it is the log's high-water mark.
int view_restore(const char *dir, const struct view_identity *expected, uint64_t *ret_applied,
                 const char **ret_why);
// Right after view_open, before the first write: pins the restored commit again, so that its pages
// stay. 0; -EBADMSG: what was opened is not what view_restore left.
int view_pin_restored(struct view *view, uint64_t applied);
