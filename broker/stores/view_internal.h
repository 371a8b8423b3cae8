// SPDX-License-Identifier: Apache-2.0
// What the view_*.c files and snapshot.c share.
#pragma once

#include <limits.h>
#include <stdatomic.h>

#include "broker/stores/pending.h"
#include "broker/stores/store.h"
#include "broker/stores/view.h"
#include "broker/stores/view_behind.h"

struct view {
    struct store *store;
    char *dir;
    struct store_txn *pin; // reads the commit of the restore point, so that its pages stay
    atomic_uint_fast64_t restorable;
    struct view_behind *behind; // NULL: what is shown is written at once
};

struct view_txn {
    struct view *view;
    struct store_txn *txn;
    bool is_layered;         // something lies over txn: view_ahead.c reads
    struct pending *changes; // what is written ahead (view_ahead.c); NULL: into txn itself
    struct pending *before;  // of the transaction ahead of this one, held; NULL: none
    struct view_held held[BEHIND_BATCHES]; // what is shown and not yet in txn
    struct keys_reader *keys;              // NULL: nothing is sealed or opened here
    bool keys_begun;                       // by us
    uint64_t rows_touched;
};

// ---- view_ahead.c: the same as view_get and so on, of a transaction with changes
int view_ahead_get(const struct view_txn *txn, enum view_table table, const void *key,
                   size_t key_size, const void **ret, size_t *ret_size);
int view_ahead_put(struct view_txn *txn, enum view_table table, const void *key, size_t key_size,
                   const void *value, size_t size);
int view_ahead_put_new(struct view_txn *txn, enum view_table table, const void *key,
                       size_t key_size, const void *value, size_t size, const void **ret,
                       size_t *ret_size);
int view_ahead_delete(struct view_txn *txn, enum view_table table, const void *key,
                      size_t key_size);
int view_ahead_scan(const struct view_txn *txn, enum view_table table, const void *prefix,
                    size_t prefix_size, const void *from, size_t from_size, bool reverse,
                    store_row row, void *user);

// ---- snapshot.c and snapshot_copy.c
int view_point_path(const char *dir, const char *suffix, char ret[static PATH_MAX]);
// What was written aside, and synced, becomes the restore point: pin, given up on success and then
// NULL, keeps its pages, NULL where it has its own. As view_snapshot_finish.
int view_publish_point(struct view *view, struct store_txn **pin, uint64_t applied);
// What a copy says of itself. 0; 1: it is no whole copy; negative errno.
int view_read_copy(const char *path, struct view_identity *ret, uint64_t *ret_applied);

void view_end_keys(struct view_txn *txn); // view_seal.c
