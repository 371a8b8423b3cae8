// SPDX-License-Identifier: Apache-2.0
// What the store's own files share.
#pragma once

#include <pthread.h>

#include "broker/stores/store.h"

struct MDB_env;
struct MDB_txn;

enum { STORE_POOL_MAX = 16 };

struct store_txn {
    struct store *store;
    struct MDB_txn *txn;
    struct MDB_txn *whole; // what txn is a part of; NULL: it is the whole
    bool write;
};

struct store {
    struct MDB_env *env;
    unsigned tables[STORE_TABLES_MAX]; // LMDB's numbers
    unsigned n_tables;
    const char *const *names; // of the tables, its opener's
    bool read_only;
    struct store_txn write; // the only one
    pthread_mutex_t pool_lock;
    struct store_txn *pool[STORE_POOL_MAX]; // ended readers
    unsigned n_pool;
};

// LMDB's code as ours: 0, 1 for not found or exists, negative errno.
int store_error(int code);
// The folder's entries are synced, it gets its name, the parent is synced.
int store_publish_folder(const char *aside, const char *dir);
// The data file's descriptor, borrowed, and its page size.
int store_environment(struct store_txn *txn, size_t *ret_page_bytes);
// A copy of a store is marked as whole, and known by that again: its meta pages are as they were,
// and it ends with its last page (store_meta.c).
int store_seal_copy(int descriptor);
bool store_is_copy(int descriptor);
// Writes out what is dirty of the file, piece by piece. Not a sync: it says nothing of what the
// disk keeps. A negative errno is of the disk, and the file's next sync would not tell it again.
int store_write_out(int descriptor);
// What the kernel wrote of the file by itself: a negative errno where some of that failed, which is
// told once, to whoever asks first. Hardly waits.
int store_written(int descriptor);
// A cursor over LMDB's own list of free pages, in a read transaction: the commit that freed them ->
// their number and then each one's, all in the machine's size_t.
int store_cursor_free_pages(struct store_txn *txn, struct store_cursor **ret);
