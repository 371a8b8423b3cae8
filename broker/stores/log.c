// SPDX-License-Identifier: Apache-2.0
// The log over one LMDB environment with full synchronisation: table `blocks` (key: first sequence,
// big-endian) and the small tables beside it. What all threads ask (next, first, bytes) stands in
// atomics that a commit moves.
#include "broker/stores/log.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/stores/log_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/limits.h"

static const char *const table_names[LOG_STORE_TABLES] = {
    [LOG_PRODUCERS] = "producers", [LOG_SUBSCRIPTIONS] = "subscriptions",
    [LOG_PARKED] = "parked",       [LOG_QUARANTINE] = "quarantine",
    [LOG_META] = "meta",           [LOG_BLOCKS] = "blocks",
};

static int create(struct store_txn *txn, void *user) {
    (void)user;
    return log_put_new_incarnation(txn);
}

static int sum_bytes(struct store_txn *txn, uint64_t *ret) {
    uint64_t sum = 0;
    for (unsigned table = 0; table < LOG_STORE_TABLES; table++) {
        uint64_t bytes = 0;
        int r = store_table_bytes(txn, table, &bytes, NULL);
        if (r < 0) {
            return r;
        }
        sum += bytes;
    }
    *ret = sum;
    return 0;
}

int log_load(struct log *log) {
    struct store_txn *txn = NULL;
    int r = store_begin(log->store, false, &txn);
    if (r < 0) {
        return r;
    }
    uint64_t first = 0, next = 0, bytes = 0;
    r = log_get_id(txn, LOG_KEY_INCARNATION, log->incarnation);
    if (r == 0) {
        r = log_get_id(txn, LOG_KEY_BEFORE, log->before); // most have none
        r = r < 0 ? r : log_get_parting(txn, &log->parting);
    } else if (r == 1) {
        r = -EBADMSG;
    }
    if (r >= 0) {
        r = log_read_ends(txn, &first, &next);
    }
    if (r == 0) {
        r = sum_bytes(txn, &bytes);
    }
    store_abort(txn);
    if (r == 0) {
        atomic_store(&log->first, first);
        atomic_store(&log->next, next);
        atomic_store(&log->bytes, bytes);
    }
    return r;
}

static int take_lock(struct log *log, const char *dir) {
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s.lock", dir) >= sizeof(path)) {
        return -ENAMETOOLONG;
    }
    return store_lock(path, true, &log->lock);
}

int log_open(const char *dir, size_t map_bytes, bool read_only, struct log **ret) {
    if (sodium_init() < 0) {
        return -EIO;
    }
    struct log *log = calloc(1, sizeof(*log));
    if (log == NULL) {
        return -ENOMEM;
    }
    log->lock = -1;
    struct store_options options = {.tables = table_names,
                                    .n_tables = LOG_STORE_TABLES,
                                    .map_bytes = map_bytes,
                                    .read_only = read_only,
                                    .no_sync = !GUARD(log_sync),
                                    .create = create};
    int r = read_only || !GUARD(log_lock) ? 0 : take_lock(log, dir);
    if (r == 0) {
        r = store_open(dir, &options, &log->store);
    }
    if (r == 0 && !read_only) {
        r = log_renew_if_copied(log, dir);
    }
    if (r == 0) {
        r = log_load(log);
    }
    if (r < 0) {
        log_close(log);
        return r;
    }
    *ret = log;
    return 0;
}

struct log *log_close(struct log *log) {
    if (log != NULL) {
        store_close(log->store);
        if (log->lock >= 0) {
            close(log->lock);
        }
        free(log);
    }
    return NULL;
}

uint64_t log_next(const struct log *log) {
    return atomic_load(&log->next);
}

uint64_t log_first(const struct log *log) {
    return atomic_load(&log->first);
}

const uint8_t *log_incarnation(const struct log *log) {
    return log->incarnation;
}

const uint8_t *log_incarnation_before(const struct log *log) {
    return log->before;
}

uint64_t log_parting(const struct log *log) {
    return log->parting;
}

uint64_t log_bytes(const struct log *log) {
    return atomic_load(&log->bytes);
}

struct store *log_store(struct log *log) {
    return log->store;
}

int log_begin(struct log *log, struct log_txn **ret) {
    struct log_txn *txn = calloc(1, sizeof(*txn));
    struct pending *changes = pending_new(LOG_STORE_TABLES, LOG_CHANGES_BYTES_MAX);
    if (txn == NULL || changes == NULL) {
        free(txn);
        pending_free(changes);
        return -ENOMEM;
    }
    *txn = (struct log_txn){.log = log, .changes = changes};
    *ret = txn;
    return 0;
}

// From here on this thread is the store's writer.
static int begin_writing(struct log_txn *txn) {
    if (txn->write != NULL) {
        return 0;
    }
    store_abort(txn->read);
    txn->read = NULL;
    txn->next = log_next(txn->log);
    return store_begin(txn->log->store, true, &txn->write);
}

int log_append(struct log_txn *txn, uint64_t expected, const void *block, size_t size) {
    struct block_head head;
    int r = block_open(block, size, false, &head);
    r = r < 0 ? r : begin_writing(txn);
    if (r < 0) {
        return r;
    }
    if (GUARD(log_gap) && (expected != txn->next || head.first != expected)) {
        return 1;
    }
    uint8_t key[8];
    store_be64(key, expected);
    r = store_append(txn->write, LOG_BLOCKS, key, sizeof(key), block, size);
    if (r != 0) {
        return r > 0 ? -EBADMSG : r; // something lies beyond what the log calls its end
    }
    txn->next = head.first + head.n_events;
    return 0;
}

int log_put(struct log_txn *txn, enum log_table table, const void *key, size_t key_size,
            const void *value, size_t size) {
    assert(table < LOG_N_TABLES);
    if (key_size == 0 || key_size > STORE_KEY_BYTES_MAX) {
        return -EINVAL;
    }
    return pending_put(txn->changes, table, key, key_size, value, size);
}

static int begin_reading(struct log_txn *txn) {
    return txn->read != NULL ? 0 : store_begin(txn->log->store, false, &txn->read);
}

int log_delete(struct log_txn *txn, enum log_table table, const void *key, size_t key_size) {
    assert(table < LOG_N_TABLES);
    if (key_size == 0 || key_size > STORE_KEY_BYTES_MAX) {
        return 1;
    }
    const struct pending_row *row = pending_get(txn->changes, table, key, key_size);
    int r = row != NULL && row->value == NULL ? 1 : 0;
    if (row == NULL) {
        const void *value;
        size_t size;
        r = begin_reading(txn);
        r = r != 0 ? r : store_get(txn->read, table, key, key_size, &value, &size);
    }
    return r != 0 ? r : pending_delete(txn->changes, table, key, key_size);
}

int log_trim(struct log_txn *txn, uint64_t floor, unsigned n_max, unsigned *ret_n) {
    unsigned n = 0;
    struct store_cursor *cursor = NULL;
    int r = begin_reading(txn);
    r = r != 0 ? r : store_cursor_new(txn->read, LOG_BLOCKS, &cursor);
    if (r < 0) {
        return r;
    }
    const void *key = NULL;
    size_t size = 0;
    r = store_cursor_move(cursor, STORE_FIRST, NULL, 0, &key, &size, NULL, NULL);
    while (r == 0 && n < n_max) {
        uint8_t first[8];
        memcpy(first, key, sizeof(first));
        // Where the next block starts, this one ends; the last one has no next and stays.
        r = store_cursor_move(cursor, STORE_NEXT, NULL, 0, &key, &size, NULL, NULL);
        if (r != 0 || store_from_be64(key) > floor) {
            break;
        }
        txn->first = store_from_be64(key);
        r = pending_delete(txn->changes, LOG_BLOCKS, first, sizeof(first));
        n += r == 0;
    }
    store_cursor_free(cursor);
    if (r < 0) {
        return r;
    }
    *ret_n = n;
    return 0;
}

int log_commit(struct log_txn *txn) {
    struct log *log = txn->log;
    uint64_t bytes = 0;
    int r = begin_writing(txn);
    r = r != 0 ? r : pending_apply(txn->changes, txn->write);
    r = r != 0 ? r : sum_bytes(txn->write, &bytes);
    if (r == 0) {
        struct store_txn *write = txn->write;
        txn->write = NULL;
        r = store_commit(write);
    }
    if (r == 0) {
        atomic_store(&log->next, txn->next);
        atomic_store(&log->bytes, bytes);
        if (txn->first != 0) {
            atomic_store(&log->first, txn->first);
        }
    }
    log_abort(txn);
    return r;
}

void log_abort(struct log_txn *txn) {
    if (txn != NULL) {
        store_abort(txn->read);
        store_abort(txn->write);
        pending_free(txn->changes);
        free(txn);
    }
}
