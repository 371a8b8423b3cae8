// SPDX-License-Identifier: Apache-2.0
// What the files of keys share.
#pragma once

#include <stdatomic.h>

#include "broker/stores/keys.h"
#include "broker/stores/store.h"

enum keys_table { KEYS_TABLE_KEYS, KEYS_TABLE_META, KEYS_TABLE_DESTROYED, KEYS_N_TABLES };
enum { KEYS_RECORD_BYTES = KEYS_RECORD * KEYS_SECRET_BYTES, KEYS_DERIVED_BYTES = 64 };
enum {
    KEYS_FOUND_MAX = 4096,      // records a reader remembers; a power of two
    KEYS_DERIVED_MAX = 1 << 17, // customers whose derived keys a reader keeps; a power of two
};

// The destroyed customers in memory: read by any thread without a lock, written by the tick's. A
// set that is full is replaced by one twice as large; those before it stay until the end, because
// somebody may be reading them.
struct keys_gone {
    struct keys_gone *before;
    size_t n_slots;                // a power of two
    _Atomic(uint64_t) customers[]; // open addressing, 0: empty
};

struct keys {
    struct store *store;
    atomic_uint_fast64_t made; // keys 0 to made - 1 exist and are on disk
    atomic_uint_fast64_t n_destroyed;
    _Atomic(struct keys_gone *) gone; // NULL while there are none
    atomic_bool needs_scrub;
    uint8_t hash_secret[KEYS_HASH_SECRET_BYTES];
};

// Where a record lies in the slice's snapshot: LMDB's pages do not move under a transaction, nor
// between two of the same commit, and a search in its tree costs half as much as unsealing an
// event.
struct keys_found {
    uint64_t slice; // 0: empty
    uint64_t record;
    const void *value;
};

// Derived keys by customer, the newest of those that share a slot. Nothing here is trusted: a
// look-up finds the customer's secret first, which is gone where it was destroyed.
struct keys_derived {
    uint64_t customers[KEYS_DERIVED_MAX]; // 0: empty
    uint8_t keys[KEYS_DERIVED_MAX][KEYS_DERIVED_BYTES];
};

struct keys_reader {
    struct keys *keys;
    struct store_txn *txn; // NULL outside of a slice
    uint64_t commit;       // that the slice reads
    uint64_t slice;        // counts those of different commits; what was found in an older one is
                           // worth nothing
    struct keys_found found[KEYS_FOUND_MAX];
    // What keys_row.c derived last in this slice: an event opens and seals several rows of one
    // customer. Wiped with the slice.
    bool has_derived;
    uint64_t derived_of;
    uint8_t derived[KEYS_DERIVED_BYTES];
    struct keys_derived *kept; // over slices, or NULL: keys_reader_keep_derived
};

// The record that holds the customer's key, as of txn. 0; 1: not made yet.
int keys_find_record(struct store_txn *txn, uint64_t customer, const void **ret, size_t *ret_size);
// 0 and the secret (valid until the slice's end); 1: destroyed, or never made.
int keys_find_secret(struct keys_reader *reader, uint64_t customer, const uint8_t **ret);
// LMDB reuses the memory of written pages as it is, so that a secret could come to lie in the
// unused rest of another page: overwrites it. After every transaction that touched secrets.
int keys_wash(struct keys *keys);

// ---- keys_destroyed.c
int keys_gone_load(struct keys *keys, struct store_txn *txn);
void keys_gone_free(struct keys *keys);
