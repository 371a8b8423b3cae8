// SPDX-License-Identifier: Apache-2.0
// LMDB's environments, opened by our rules; see store.h. Transactions are in store_txn.c, rows and
// cursors in store_rows.c.
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
#include "schemas/base/guards.h"

enum { FILE_MODE = 0600, FOLDER_MODE = 0700 };

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
                     (options->no_sync && !options->read_only ? MDB_NOSYNC : 0U) |
                     (options->is_file ? MDB_NOSUBDIR | MDB_NOLOCK : 0U);
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
    if (options->is_file) {
        assert(options->read_only);
        return open_environment(dir, options, false, ret);
    }
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

int store_environment(struct store_txn *txn, size_t *ret_page_bytes) {
    MDB_stat status;
    int descriptor = -1;
    mdb_env_stat(txn->store->env, &status);
    mdb_env_get_fd(txn->store->env, &descriptor);
    *ret_page_bytes = status.ms_psize;
    return descriptor;
}
