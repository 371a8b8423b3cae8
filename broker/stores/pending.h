// SPDX-License-Identifier: Apache-2.0
// What a transaction will write, kept in key order until a store takes it. Whoever decides by it
// reads it as if it were written; the store's own writing happens later, elsewhere, at one go and
// in the order of its pages. One thread changes it; once nobody does, any number may read.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pending;
struct store_txn;

// A row of a table. value NULL: what stands under this key is deleted.
struct pending_row {
    const void *key, *value;
    size_t key_size, size;
};

// bytes_max bounds keys, values and rows together. NULL where memory is short.
struct pending *pending_new(unsigned n_tables, size_t bytes_max);
struct pending *pending_free(struct pending *pending); // takes NULL; returns NULL
void pending_reset(struct pending *pending);           // empty again; keeps its memory
size_t pending_bytes(const struct pending *pending);
size_t pending_rows(const struct pending *pending);

// Both copy. 0, or -ENOMEM beyond the bound.
int pending_put(struct pending *pending, unsigned table, const void *key, size_t key_size,
                const void *value, size_t size);
int pending_delete(struct pending *pending, unsigned table, const void *key, size_t key_size);

// NULL where nothing is said of this key. Rows stay until the reset, what is in them until the next
// put of the same key.
const struct pending_row *pending_get(const struct pending *pending, unsigned table,
                                      const void *key, size_t key_size);
// The first row whose key is not below this one; key_size 0: the first of all. NULL: none.
const struct pending_row *pending_from(const struct pending *pending, unsigned table,
                                       const void *key, size_t key_size);
// The last row whose key is below this one; key_size 0: the last of all. NULL: none.
const struct pending_row *pending_below(const struct pending *pending, unsigned table,
                                        const void *key, size_t key_size);
const struct pending_row *pending_next(const struct pending_row *row);

// ---- one filter over many: whether any of them may say something of a key (Bloom, "Space/Time
// Trade-offs in Hash Coding with Allowable Errors", CACM 13, 1970; with one bit a key)
enum { PENDING_FILTER_WORDS = 1 << 17, PENDING_PREFIX_BYTES = 8 };
typedef _Atomic uint64_t pending_filter[PENDING_FILTER_WORDS];
// What stands for a key of a table, or for all keys of a table that begin with these
// PENDING_PREFIX_BYTES bytes.
uint64_t pending_hash(unsigned table, const void *key, size_t key_size);
// Adds every key of pending, and the prefixes of those that are longer than one. One thread adds;
// any number may look meanwhile.
void pending_add_to(const struct pending *pending, pending_filter filter);
bool pending_may_have(const pending_filter filter, uint64_t hash);
// The same of one of them.
bool pending_has_seen(const struct pending *pending, uint64_t hash);
// As pending_get; hash: the key's.
const struct pending_row *pending_get_hashed(const struct pending *pending, uint64_t hash,
                                             unsigned table, const void *key, size_t key_size);

// ---- several owners: pending_new makes the first. Any thread.
void pending_hold(struct pending *pending);
bool pending_drop(struct pending *pending); // whether it was the last: free it, or reset and reuse

// Writes n of them into txn, the oldest first, as if one after the other: table by table, in key
// order, each row once, as the newest of them has it. 0, or a negative errno of the store.
enum { PENDING_APPLY_MAX = 512 };
int pending_apply(struct pending *const *layers, unsigned n, struct store_txn *txn);
