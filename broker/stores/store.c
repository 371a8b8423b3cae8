// SPDX-License-Identifier: Apache-2.0
// LMDB, opened by our rules; see store.h. Read transactions are kept in a small pool after their
// end (mdb_txn_reset) and renewed, which costs no lock and no allocation.
#include "broker/stores/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/stores/store_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"

enum { POOL_MAX = 16, FILE_MODE = 0600, FOLDER_MODE = 0700 };

struct store {
    MDB_env *env;
    MDB_dbi tables[STORE_TABLES_MAX];
    unsigned n_tables;
    const char *const *names; // of the tables, its opener's
    bool read_only;
    struct store_txn write; // the only one
    pthread_mutex_t pool_lock;
    struct store_txn *pool[POOL_MAX]; // ended readers
    unsigned n_pool;
};

int store_error(int code) {
    switch (code) {
    case MDB_SUCCESS:
        return 0;
    case MDB_NOTFOUND:
    case MDB_KEYEXIST:
        return 1;
    case MDB_MAP_FULL:
        return -ENOSPC;
    case MDB_PAGE_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
        return -EBADMSG;
    case MDB_PANIC:
        return -EIO;
    case MDB_READERS_FULL:
        return -EAGAIN;
    case MDB_MAP_RESIZED:
        return -EAGAIN;
    case MDB_BAD_VALSIZE:
    case MDB_BAD_TXN:
    case MDB_BAD_RSLOT:
    case MDB_BAD_DBI:
        return -EINVAL;
    default:
        // The rest of LMDB's own codes are ours to avoid; what is positive is errno.
        return code > 0 ? -code : -EINVAL;
    }
}

static int open_tables(struct store *store, const struct store_options *options, bool create) {
    MDB_txn *txn = NULL;
    int r = mdb_txn_begin(store->env, NULL, options->read_only ? MDB_RDONLY : 0, &txn);
    for (unsigned i = 0; r == 0 && i < options->n_tables; i++) {
        r = mdb_dbi_open(txn, options->tables[i], options->read_only ? 0 : MDB_CREATE,
                         &store->tables[i]);
    }
    r = store_error(r);
    if (r != 0) {
        mdb_txn_abort(txn);
        return r > 0 ? -EBADMSG : r; // a table is missing: not one of ours
    }
    store->n_tables = options->n_tables;
    store->names = options->tables;
    if (create && options->create != NULL) {
        store->write = (struct store_txn){.store = store, .txn = txn, .write = true};
        r = options->create(&store->write, options->user);
        store->write.txn = NULL;
        if (r < 0) {
            mdb_txn_abort(txn);
            return r;
        }
    }
    return store_error(mdb_txn_commit(txn));
}

static int open_environment(const char *dir, const struct store_options *options, bool create,
                            struct store **ret) {
    assert(options->n_tables <= STORE_TABLES_MAX);
    struct store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return -ENOMEM;
    }
    pthread_mutex_init(&store->pool_lock, NULL);
    store->read_only = options->read_only;
    unsigned flags = MDB_NOTLS | (options->read_only ? MDB_RDONLY : 0U) |
                     (options->no_sync && !options->read_only ? MDB_NOSYNC : 0U);
    int r = mdb_env_create(&store->env);
    if (r == 0) {
        r = mdb_env_set_maxdbs(store->env, STORE_TABLES_MAX);
    }
    if (r == 0) {
        r = mdb_env_set_maxreaders(store->env, STORE_READERS_MAX);
    }
    if (r == 0 && options->map_bytes != 0) {
        r = mdb_env_set_mapsize(store->env, options->map_bytes);
    }
    if (r == 0) {
        r = mdb_env_open(store->env, dir, flags, FILE_MODE);
    }
    r = store_error(r);
    // What a killed predecessor wrote may lie in the page cache only; once somebody has seen it, it
    // must be on disk.
    if (GUARD(startup_sync) && r == 0 && !options->read_only) {
        r = store_sync(store);
    }
    unsigned n_stale = 0;
    if (GUARD(stale_readers) && r == 0 && !options->read_only) {
        r = store_check_readers(store, &n_stale);
    }
    if (r == 0) {
        r = open_tables(store, options, create);
    }
    if (r != 0) {
        store_close(store);
        return r > 0 ? -EBADMSG : r;
    }
    *ret = store;
    return 0;
}

static int create_aside(const char *dir, const struct store_options *options) {
    char aside[PATH_MAX];
    if ((size_t)snprintf(aside, sizeof(aside), "%s.new", dir) >= sizeof(aside)) {
        return -ENAMETOOLONG;
    }
    int r = store_remove_folder(aside); // left by a start that was cut short
    if (r < 0) {
        return r;
    }
    if (mkdir(aside, FOLDER_MODE) != 0) {
        return -errno;
    }
    struct store *store = NULL;
    r = open_environment(aside, options, true, &store);
    if (r == 0) {
        r = store_sync(store);
    }
    store_close(store);
    return r == 0 ? store_publish_folder(aside, dir) : r;
}

int store_open(const char *dir, const struct store_options *options, struct store **ret) {
    struct stat status;
    if (stat(dir, &status) != 0) {
        if (errno != ENOENT || options->read_only) {
            return -errno;
        }
        int r = create_aside(dir, options);
        if (r < 0) {
            return r;
        }
    }
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s/data.mdb", dir) >= sizeof(path)) {
        return -ENAMETOOLONG;
    }
    // LMDB would make an empty one and call it a log.
    if (GUARD(store_data_file) && stat(path, &status) != 0) {
        return -errno;
    }
    return open_environment(dir, options, false, ret);
}

struct store *store_close(struct store *store) {
    if (store == NULL) {
        return NULL;
    }
    assert(store->write.txn == NULL);
    for (unsigned i = 0; i < store->n_pool; i++) {
        mdb_txn_abort(store->pool[i]->txn);
        free(store->pool[i]);
    }
    if (store->env != NULL) {
        mdb_env_close(store->env);
    }
    pthread_mutex_destroy(&store->pool_lock);
    free(store);
    return NULL;
}

int store_sync(struct store *store) {
    int descriptor = -1;
    mdb_env_get_fd(store->env, &descriptor);
    int r = store_write_out(descriptor);
    return r == 0 ? store_error(mdb_env_sync(store->env, 1)) : r;
}

int store_set_no_sync(struct store *store, bool no_sync) {
    return store_error(mdb_env_set_flags(store->env, MDB_NOSYNC, no_sync));
}

int store_check_readers(struct store *store, unsigned *ret_n) {
    int dead = 0;
    int r = store_error(mdb_reader_check(store->env, &dead));
    if (r == 0) {
        *ret_n = (unsigned)dead;
    }
    return r;
}

// LMDB gives its reader table as text only: a heading, then "pid thread txnid" lines.
static int oldest_reader(const char *line, void *user) {
    uint64_t *oldest = user;
    unsigned long long pid = 0, thread = 0, txn = 0;
    if (sscanf(line, "%llu %llx %llu", &pid, &thread, &txn) == 3 && txn < *oldest) {
        *oldest = txn;
    }
    return 0;
}

uint64_t store_reader_lag(struct store *store, uint64_t *ret_oldest) {
    uint64_t oldest = UINT64_MAX;
    MDB_envinfo info;
    if (mdb_reader_list(store->env, oldest_reader, &oldest) < 0 ||
        mdb_env_info(store->env, &info) != 0 || oldest >= info.me_last_txnid) {
        return 0;
    }
    *ret_oldest = oldest;
    return info.me_last_txnid - oldest;
}

int store_copy(struct store *store, const char *dir, bool compact) {
    char aside[PATH_MAX], path[PATH_MAX];
    if ((size_t)snprintf(aside, sizeof(aside), "%s.new", dir) >= sizeof(aside) ||
        (size_t)snprintf(path, sizeof(path), "%s.new/data.mdb", dir) >= sizeof(path)) {
        return -ENAMETOOLONG;
    }
    int r = store_remove_folder(aside);
    if (r < 0) {
        return r;
    }
    if (mkdir(aside, FOLDER_MODE) != 0) {
        return -errno;
    }
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (descriptor < 0) {
        return -errno;
    }
    r = store_error(mdb_env_copyfd2(store->env, descriptor, compact ? MDB_CP_COMPACT : 0));
    if (r == 0 && fsync(descriptor) != 0) {
        r = -errno;
    }
    if (close(descriptor) != 0 && r == 0) {
        r = -errno;
    }
    return r == 0 ? store_publish_folder(aside, dir) : r;
}

const char *const *store_tables(const struct store *store, unsigned *ret_n) {
    *ret_n = store->n_tables;
    return store->names;
}

void store_file_bytes(struct store *store, uint64_t *ret_used, uint64_t *ret_map) {
    MDB_envinfo info;
    MDB_stat status;
    // Neither call can fail on an open environment.
    mdb_env_info(store->env, &info);
    mdb_env_stat(store->env, &status);
    *ret_used = ((uint64_t)info.me_last_pgno + 1) * status.ms_psize;
    *ret_map = info.me_mapsize;
}

static struct store_txn *pool_take(struct store *store) {
    pthread_mutex_lock(&store->pool_lock);
    struct store_txn *txn = store->n_pool > 0 ? store->pool[--store->n_pool] : NULL;
    pthread_mutex_unlock(&store->pool_lock);
    return txn;
}

static int begin_read(struct store *store, struct store_txn **ret) {
    struct store_txn *txn = pool_take(store);
    if (txn != NULL) {
        int r = store_error(mdb_txn_renew(txn->txn));
        if (r == 0) {
            *ret = txn;
            return 0;
        }
        mdb_txn_abort(txn->txn);
        free(txn);
    }
    txn = calloc(1, sizeof(*txn));
    if (txn == NULL) {
        return -ENOMEM;
    }
    txn->store = store;
    int r = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn->txn);
    if (r == MDB_MAP_RESIZED && store->read_only) {
        // The writer in another process has a larger map: take its size. A read-only opener has
        // one thread and no transaction at this point.
        r = mdb_env_set_mapsize(store->env, 0);
        r = r == 0 ? mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn->txn) : r;
    }
    if (r != 0) {
        free(txn);
        r = store_error(r);
        return r < 0 ? r : -EIO;
    }
    *ret = txn;
    return 0;
}

int store_begin(struct store *store, bool write, struct store_txn **ret) {
    if (!write) {
        return begin_read(store, ret);
    }
    assert(!store->read_only);
    MDB_txn *txn = NULL;
    int r = store_error(mdb_txn_begin(store->env, NULL, 0, &txn));
    if (r != 0) {
        return r;
    }
    store->write = (struct store_txn){.store = store, .txn = txn, .write = true};
    *ret = &store->write;
    return 0;
}

int store_commit(struct store_txn *txn) {
    assert(txn->write);
    MDB_txn *inner = txn->txn;
    txn->txn = NULL;
    return store_error(mdb_txn_commit(inner));
}

void store_abort(struct store_txn *txn) {
    if (txn == NULL) {
        return;
    }
    struct store *store = txn->store;
    if (txn->write) {
        MDB_txn *inner = txn->txn;
        txn->txn = NULL;
        mdb_txn_abort(inner);
        return;
    }
    mdb_txn_reset(txn->txn);
    pthread_mutex_lock(&store->pool_lock);
    bool kept = store->n_pool < POOL_MAX;
    if (kept) {
        store->pool[store->n_pool++] = txn;
    }
    pthread_mutex_unlock(&store->pool_lock);
    if (!kept) {
        mdb_txn_abort(txn->txn);
        free(txn);
    }
}

uint64_t store_txn_id(const struct store_txn *txn) {
    return mdb_txn_id(txn->txn);
}

// LMDB takes its input as void *, and does not write to it.
static MDB_val value_of(const void *data, size_t size) {
    union {
        const void *in;
        void *out;
    } bytes = {.in = data};
    return (MDB_val){.mv_size = size, .mv_data = bytes.out};
}

int store_get(struct store_txn *txn, unsigned table, const void *key, size_t key_size,
              const void **ret, size_t *ret_size) {
    if (key_size == 0 || key_size > STORE_KEY_BYTES_MAX) {
        return 1; // nothing can be there
    }
    MDB_val k = value_of(key, key_size), v;
    int r = mdb_get(txn->txn, txn->store->tables[table], &k, &v);
    if (r == 0) {
        *ret = v.mv_data;
        *ret_size = v.mv_size;
    }
    return store_error(r);
}

static int put(struct store_txn *txn, unsigned table, const void *key, size_t key_size,
               const void *value, size_t size, unsigned flags) {
    MDB_val k = value_of(key, key_size), v = value_of(value, size);
    return store_error(mdb_put(txn->txn, txn->store->tables[table], &k, &v, flags));
}

int store_put(struct store_txn *txn, unsigned table, const void *key, size_t key_size,
              const void *value, size_t size) {
    return put(txn, table, key, key_size, value, size, 0);
}

int store_put_new(struct store_txn *txn, unsigned table, const void *key, size_t key_size,
                  const void *value, size_t size, const void **ret, size_t *ret_size) {
    MDB_val k = value_of(key, key_size), v = value_of(value, size);
    int r = mdb_put(txn->txn, txn->store->tables[table], &k, &v, MDB_NOOVERWRITE);
    *ret = v.mv_data;
    *ret_size = v.mv_size;
    return r == MDB_KEYEXIST ? 1 : store_error(r);
}

int store_append(struct store_txn *txn, unsigned table, const void *key, size_t key_size,
                 const void *value, size_t size) {
    return put(txn, table, key, key_size, value, size, MDB_APPEND);
}

int store_delete(struct store_txn *txn, unsigned table, const void *key, size_t key_size) {
    if (key_size == 0 || key_size > STORE_KEY_BYTES_MAX) {
        return 1;
    }
    MDB_val k = value_of(key, key_size);
    return store_error(mdb_del(txn->txn, txn->store->tables[table], &k, NULL));
}

int store_table_bytes(struct store_txn *txn, unsigned table, uint64_t *ret_bytes,
                      uint64_t *ret_entries) {
    MDB_stat status;
    int r = mdb_stat(txn->txn, txn->store->tables[table], &status);
    if (r != 0) {
        return store_error(r);
    }
    if (ret_bytes != NULL) {
        *ret_bytes = (uint64_t)status.ms_psize *
                     (status.ms_branch_pages + status.ms_leaf_pages + status.ms_overflow_pages);
    }
    if (ret_entries != NULL) {
        *ret_entries = status.ms_entries;
    }
    return 0;
}

int store_live_bytes(struct store *store, uint64_t *ret) {
    struct store_txn *txn = NULL;
    uint64_t sum = 0;
    int r = store_begin(store, false, &txn);
    if (r != 0) {
        return r;
    }
    for (unsigned table = 0; r == 0 && table < store->n_tables; table++) {
        uint64_t bytes = 0;
        r = store_table_bytes(txn, table, &bytes, NULL);
        sum += bytes;
    }
    store_abort(txn);
    if (r == 0) {
        *ret = sum;
    }
    return r;
}

// A cursor is LMDB's own: nothing to add.
static MDB_cursor *inner_of(struct store_cursor *cursor) {
    return (MDB_cursor *)cursor;
}

static int new_cursor(struct store_txn *txn, MDB_dbi table, struct store_cursor **ret) {
    MDB_cursor *cursor = NULL;
    int r = mdb_cursor_open(txn->txn, table, &cursor);
    if (r == 0) {
        *ret = (struct store_cursor *)cursor;
    }
    return store_error(r);
}

int store_cursor_new(struct store_txn *txn, unsigned table, struct store_cursor **ret) {
    return new_cursor(txn, txn->store->tables[table], ret);
}

int store_cursor_free_pages(struct store_txn *txn, struct store_cursor **ret) {
    return new_cursor(txn, 0, ret); // LMDB's number for its list of free pages
}

struct store_cursor *store_cursor_free(struct store_cursor *cursor) {
    if (cursor != NULL) {
        mdb_cursor_close(inner_of(cursor));
    }
    return NULL;
}

int store_cursor_move(struct store_cursor *cursor, enum store_move move, const void *key,
                      size_t key_size, const void **ret_key, size_t *ret_key_size,
                      const void **ret_value, size_t *ret_size) {
    static const MDB_cursor_op operations[] = {
        [STORE_FIRST] = MDB_FIRST,
        [STORE_LAST] = MDB_LAST,
        [STORE_NEXT] = MDB_NEXT,
        [STORE_PREVIOUS] = MDB_PREV,
        [STORE_AT_OR_AFTER] = MDB_SET_RANGE,
    };
    MDB_val k = value_of(key, key_size), v;
    int r = mdb_cursor_get(inner_of(cursor), &k, &v, operations[move]);
    if (r != 0) {
        return store_error(r);
    }
    if (ret_key != NULL) {
        *ret_key = k.mv_data;
        *ret_key_size = k.mv_size;
    }
    if (ret_value != NULL) {
        *ret_value = v.mv_data;
        *ret_size = v.mv_size;
    }
    return 0;
}

int store_environment(struct store_txn *txn, size_t *ret_page_bytes) {
    MDB_stat status;
    int descriptor = -1;
    mdb_env_stat(txn->store->env, &status);
    mdb_env_get_fd(txn->store->env, &descriptor);
    *ret_page_bytes = status.ms_psize;
    return descriptor;
}
