// SPDX-License-Identifier: Apache-2.0
// What is read and written in a transaction of a store: single rows, and cursors over a table's.
// Bytes only; whoever opened the store knows what they mean.
#include <lmdb.h>

#include "broker/stores/store_internal.h"

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
