// SPDX-License-Identifier: Apache-2.0
// Transactions of a store. Readers are kept in a small pool after their end (mdb_txn_reset) and
// renewed, which costs no lock and no allocation; there is one writer. What is read and written in
// them is store_rows.c's.
#include <assert.h>
#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>

#include "broker/stores/store_internal.h"

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

int store_next_part(struct store_txn *txn) {
    assert(txn->write);
    int r = store_end_part(txn);
    MDB_txn *part = NULL;
    r = r == 0 ? store_error(mdb_txn_begin(txn->store->env, txn->txn, 0, &part)) : r;
    if (r == 0) {
        txn->whole = txn->txn;
        txn->txn = part;
    }
    return r;
}

int store_end_part(struct store_txn *txn) {
    if (txn->whole == NULL) {
        return 0;
    }
    MDB_txn *part = txn->txn;
    txn->txn = txn->whole;
    txn->whole = NULL;
    return store_error(mdb_txn_commit(part));
}

int store_commit(struct store_txn *txn) {
    assert(txn->write && txn->whole == NULL);
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
        MDB_txn *inner = txn->whole != NULL ? txn->whole : txn->txn; // its part ends with it
        txn->txn = txn->whole = NULL;
        mdb_txn_abort(inner);
        return;
    }
    mdb_txn_reset(txn->txn);
    pthread_mutex_lock(&store->pool_lock);
    bool kept = store->n_pool < STORE_POOL_MAX;
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
