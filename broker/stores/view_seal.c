// SPDX-License-Identifier: Apache-2.0
// Sealed content in the view's rows, with the keys that a transaction was given. It binds content
// to its row: what was sealed for one opens in no other.
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "broker/stores/keys.h"
#include "broker/stores/view_internal.h"

enum { PLACE_BYTES_MAX = 1 + STORE_KEY_BYTES_MAX };
_Static_assert((int)VIEW_SEAL_OVERHEAD == (int)KEYS_ROW_OVERHEAD, "a row is sealed by keys.h");

// Tables with sealed rows, by a letter that stays where their numbers change.
static const char letters[VIEW_N_TABLES] = {[VIEW_CUSTOMERS] = 'c', [VIEW_ITEMS] = 'i'};

void view_use_keys(struct view_txn *txn, struct keys_reader *reader) {
    assert(txn->keys == NULL);
    txn->keys = reader;
}

const uint8_t *view_lookup_secret(const struct view_txn *txn) {
    assert(txn->keys != NULL);
    return keys_reader_hash_secret(txn->keys);
}

void view_end_keys(struct view_txn *txn) {
    if (txn->keys_begun) {
        keys_reader_end(txn->keys);
        txn->keys_begun = false;
    }
}

static int begin_keys(struct view_txn *txn) {
    assert(txn->keys != NULL);
    if (keys_reader_reads(txn->keys)) {
        return 0;
    }
    int r = keys_reader_begin(txn->keys);
    txn->keys_begun = r == 0;
    return r;
}

// Table and key, and whose row it is.
static size_t place_of(enum view_table table, const void *key, size_t key_size,
                       uint8_t ret[static PLACE_BYTES_MAX], uint64_t *ret_customer) {
    assert(key_size >= sizeof(*ret_customer) && key_size < PLACE_BYTES_MAX && letters[table] != 0);
    ret[0] = (uint8_t)letters[table];
    memcpy(ret + 1, key, key_size);
    *ret_customer = store_from_be64(ret + 1);
    return 1 + key_size;
}

void view_seal_ahead(const struct view_txn *txn, uint64_t customer, unsigned step) {
    if (txn->keys == NULL || !keys_reader_reads(txn->keys)) {
        return;
    }
    if (step == 0) {
        keys_reader_row_far_ahead(txn->keys, customer);
    } else {
        keys_reader_ahead(txn->keys, customer);
    }
}

int view_seal(struct view_txn *txn, enum view_table table, const void *key, size_t key_size,
              const void *plain, size_t size, uint8_t *ret, size_t *ret_size) {
    uint8_t place[PLACE_BYTES_MAX];
    uint64_t customer = 0;
    size_t place_size = place_of(table, key, key_size, place, &customer);
    int r = begin_keys(txn);
    r = r == 0 ? keys_seal_row(txn->keys, customer, place, place_size, plain, size, ret) : r;
    if (r >= 0) {
        *ret_size = r == 0 ? size + KEYS_ROW_OVERHEAD : 0;
    }
    return r < 0 ? r : 0;
}

int view_unseal(struct view_txn *txn, enum view_table table, const void *key, size_t key_size,
                const void *sealed, size_t size, uint8_t *ret, size_t *ret_size) {
    uint8_t place[PLACE_BYTES_MAX];
    uint64_t customer = 0;
    size_t place_size = place_of(table, key, key_size, place, &customer);
    *ret_size = 0;
    if (size == 0) {
        return 0;
    }
    int r = begin_keys(txn);
    r = r == 0 ? keys_open_row(txn->keys, customer, place, place_size, sealed, size, ret) : r;
    if (r == 0) {
        *ret_size = size - KEYS_ROW_OVERHEAD;
    }
    return r < 0 ? r : 0;
}
