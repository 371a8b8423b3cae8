// SPDX-License-Identifier: Apache-2.0
// Destroyed keys: a secret of zeros in the record, a row that says when, and a set in memory so
// that nobody reads a table to find out. The file's old pages are overwritten afterwards; a mark
// that is set with the first and deleted with the last makes sure of it across a crash.
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/stores/keys_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"

enum {
    SLOTS_FIRST = 256,
    SCRUB_PAGES = 256,       // overwritten while the writer's place is taken
    SCRUB_ROUNDS_MAX = 4096, // a file of 4 GiB of free pages
    SCRUB_TRIES_MAX = 100,   // for a reader of an older slice to go
    SCRUB_WAIT_MS = 10,
    // Pages that one transaction of this store dirties at most, and more: 171 leaves are made at
    // once.
    WASH_PAGES = 256,
};

static const char key_scrub[] = "scrub";

// ---- the set in memory

static size_t slot_of(const struct keys_gone *gone, uint64_t customer) {
    size_t i = (customer * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (gone->n_slots - 1);
    for (;; i = (i + 1) & (gone->n_slots - 1)) {
        uint64_t there = atomic_load_explicit(&gone->customers[i], memory_order_relaxed);
        if (there == 0 || there == customer) {
            return i;
        }
    }
}

static void gone_put(struct keys_gone *gone, uint64_t customer) {
    atomic_store_explicit(&gone->customers[slot_of(gone, customer)], customer,
                          memory_order_relaxed);
}

static int gone_grow(struct keys *keys, struct keys_gone *before) {
    size_t n_slots = before == NULL ? SLOTS_FIRST : 2 * before->n_slots;
    struct keys_gone *gone = calloc(1, sizeof(*gone) + n_slots * sizeof(gone->customers[0]));
    if (gone == NULL) {
        return -ENOMEM;
    }
    gone->n_slots = n_slots;
    gone->before = before;
    for (size_t i = 0; before != NULL && i < before->n_slots; i++) {
        if (before->customers[i] != 0) {
            gone_put(gone, before->customers[i]);
        }
    }
    atomic_store(&keys->gone, gone);
    return 0;
}

// Room for one more is made first, so that what is on disk always fits.
static int gone_reserve(struct keys *keys) {
    struct keys_gone *gone = atomic_load(&keys->gone);
    bool is_full = gone == NULL || 2 * (atomic_load(&keys->n_destroyed) + 1) > gone->n_slots;
    return is_full ? gone_grow(keys, gone) : 0;
}

static void gone_add(struct keys *keys, uint64_t customer) {
    gone_put(atomic_load(&keys->gone), customer);
    atomic_fetch_add(&keys->n_destroyed, 1);
}

void keys_gone_free(struct keys *keys) {
    for (struct keys_gone *gone = atomic_load(&keys->gone), *before = NULL; gone != NULL;
         gone = before) {
        before = gone->before;
        free(gone);
    }
}

static int load_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    (void)value;
    struct keys *keys = user;
    if (key_size != sizeof(uint64_t) || size != sizeof(uint64_t) || store_from_be64(key) == 0) {
        return -EBADMSG;
    }
    int r = gone_reserve(keys);
    if (r == 0) {
        gone_add(keys, store_from_be64(key));
    }
    return r;
}

int keys_gone_load(struct keys *keys, struct store_txn *txn) {
    const void *value = NULL;
    size_t size = 0;
    int r = store_get(txn, KEYS_TABLE_META, key_scrub, strlen(key_scrub), &value, &size);
    if (r < 0) {
        return r;
    }
    atomic_store(&keys->needs_scrub, r == 0);
    return store_scan(txn, KEYS_TABLE_DESTROYED, NULL, 0, NULL, 0, false, load_row, keys);
}

bool keys_is_destroyed(const struct keys *keys, uint64_t customer) {
    if (customer == 0 || atomic_load(&keys->n_destroyed) == 0) {
        return false;
    }
    const struct keys_gone *gone = atomic_load(&keys->gone);
    return gone->customers[slot_of(gone, customer)] == customer;
}

uint64_t keys_n_destroyed(const struct keys *keys) {
    return atomic_load(&keys->n_destroyed);
}

int keys_destroyed_at(struct keys *keys, uint64_t customer, int64_t *ret_time_us) {
    if (!keys_is_destroyed(keys, customer)) {
        return 1;
    }
    uint8_t key[8];
    const void *value = NULL;
    size_t size = 0;
    struct store_txn *txn = NULL;
    store_be64(key, customer);
    int r = store_begin(keys->store, false, &txn);
    if (r != 0) {
        return r;
    }
    r = store_get(txn, KEYS_TABLE_DESTROYED, key, sizeof(key), &value, &size);
    r = r == 0 && size == sizeof(*ret_time_us) ? 0 : r < 0 ? r : -EBADMSG;
    if (r == 0) {
        *ret_time_us = (int64_t)store_from_be64(value);
    }
    store_abort(txn);
    return r;
}

struct each {
    int (*row)(void *user, uint64_t customer, int64_t time_us);
    void *user;
};

static int each_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    const struct each *each = user;
    if (key_size != sizeof(uint64_t) || size != sizeof(uint64_t)) {
        return -EBADMSG;
    }
    return each->row(each->user, store_from_be64(key), (int64_t)store_from_be64(value));
}

int keys_each_destroyed(struct keys *keys,
                        int (*row)(void *user, uint64_t customer, int64_t time_us), void *user) {
    struct each each = {.row = row, .user = user};
    struct store_txn *txn = NULL;
    int r = store_begin(keys->store, false, &txn);
    if (r == 0) {
        r = store_scan(txn, KEYS_TABLE_DESTROYED, NULL, 0, NULL, 0, false, each_row, &each);
        store_abort(txn);
    }
    return r;
}

// ---- destroying

int keys_wash(struct keys *keys) {
    return store_wash(keys->store, KEYS_TABLE_META, WASH_PAGES);
}

static int put_mark(struct store_txn *txn) {
    return store_put(txn, KEYS_TABLE_META, key_scrub, strlen(key_scrub), "", 0);
}

static int write_destroyed(struct store_txn *txn, uint64_t customer, int64_t time_us) {
    const void *value = NULL;
    size_t size = 0;
    uint8_t record[KEYS_RECORD_BYTES], number[8], key[8], time[8];
    int r = keys_find_record(txn, customer, &value, &size);
    if (r != 0) {
        return r > 0 ? -EBADMSG : r;
    }
    memcpy(record, value, sizeof(record));
    memset(record + customer % KEYS_RECORD * KEYS_SECRET_BYTES, 0, KEYS_SECRET_BYTES);
    store_be64(number, customer / KEYS_RECORD);
    store_be64(key, customer);
    store_be64(time, (uint64_t)time_us);
    r = store_put(txn, KEYS_TABLE_KEYS, number, sizeof(number), record, sizeof(record));
    sodium_memzero(record, sizeof(record));
    r = r == 0 ? store_put(txn, KEYS_TABLE_DESTROYED, key, sizeof(key), time, sizeof(time)) : r;
    return r == 0 ? put_mark(txn) : r;
}

int keys_destroy(struct keys *keys, uint64_t customer, int64_t time_us) {
    if (customer == 0 || customer >= keys_made(keys)) {
        return -EINVAL;
    }
    if (keys_is_destroyed(keys, customer)) {
        return 1;
    }
    struct store_txn *txn = NULL;
    int r = gone_reserve(keys);
    r = r == 0 ? store_begin(keys->store, true, &txn) : r;
    if (r != 0) {
        return r;
    }
    r = write_destroyed(txn, customer, time_us);
    if (r != 0) {
        store_abort(txn);
        return r > 0 ? -EBADMSG : r;
    }
    atomic_store(&keys->needs_scrub, true);
    r = store_commit(txn);
    if (r != 0) {
        return r;
    }
    gone_add(keys, customer);
    return keys_wash(keys);
}

// ---- overwriting what it was

bool keys_needs_scrub(const struct keys *keys) {
    return atomic_load(&keys->needs_scrub);
}

// Commits the mark once more: pages that the commit before freed are free for good then. Returns
// that commit, and how many were destroyed by then.
static int scrub_begin(struct keys *keys, uint64_t *ret_commit, uint64_t *ret_n) {
    struct store_txn *txn = NULL;
    int r = store_begin(keys->store, true, &txn);
    if (r != 0) {
        return r;
    }
    *ret_commit = store_txn_id(txn) - 1;
    r = store_table_bytes(txn, KEYS_TABLE_DESTROYED, NULL, ret_n);
    r = r == 0 ? put_mark(txn) : r;
    if (r != 0) {
        store_abort(txn);
        return r;
    }
    return store_commit(txn);
}

// 0; 1: a key was destroyed since scrub_begin, the mark stays.
static int scrub_end(struct keys *keys, uint64_t n_begun) {
    struct store_txn *txn = NULL;
    uint64_t n = 0;
    int r = store_begin(keys->store, true, &txn);
    if (r != 0) {
        return r;
    }
    r = store_table_bytes(txn, KEYS_TABLE_DESTROYED, NULL, &n);
    if (r == 0 && n != n_begun) {
        r = 1;
    }
    if (r == 0) {
        r = store_delete(txn, KEYS_TABLE_META, key_scrub, strlen(key_scrub));
        r = r == 1 ? 0 : r;
    }
    if (r != 0) {
        store_abort(txn);
        return r;
    }
    atomic_store(&keys->needs_scrub, false);
    return store_commit(txn);
}

// Zeroes everything that is free before *ret_below.
static int wipe(struct keys *keys, uint64_t *ret_below) {
    int r = 1;
    for (int round = 0; r == 1 && round < SCRUB_ROUNDS_MAX; round++) {
        r = store_wipe_free(keys->store, SCRUB_PAGES, ret_below);
    }
    return r;
}

int keys_scrub(struct keys *keys) {
    uint64_t commit = 0, below = 0, n = 0;
    int r = scrub_begin(keys, &commit, &n);
    r = r == 0 ? wipe(keys, &below) : r;
    for (int i = 0; r == 0 && below <= commit && i < SCRUB_TRIES_MAX; i++) {
        struct timespec wait = {.tv_nsec = SCRUB_WAIT_MS * 1000000L};
        nanosleep(&wait, NULL);
        r = wipe(keys, &below);
    }
    if (r == 0 && GUARD(scrub_waits_for_readers) && below <= commit) {
        r = 1;
    }
    return r == 0 ? scrub_end(keys, n) : r;
}
