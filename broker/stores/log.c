// SPDX-License-Identifier: Apache-2.0
// The log over one LMDB environment: table `blocks` (key: first sequence, big-endian) and the small
// tables beside it, with a journal before it (journal.md). A transaction gathers its changes; the
// commit does them to the store, has them on disk in the journal, and only then shows them. What
// all threads ask (next, first, bytes) stands in atomics that a commit moves.
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

#include "broker/faultpoint.h"
#include "broker/stores/journal.h"
#include "broker/stores/log_internal.h"
#include "broker/stores/log_journal.h"
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
    uint8_t incarnation[INCARNATION_BYTES];
    log_new_incarnation(incarnation);
    return store_put(txn, LOG_META, LOG_KEY_INCARNATION, strlen(LOG_KEY_INCARNATION), incarnation,
                     sizeof(incarnation));
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

// Whether a writer has it, whose journal this reader need not know.
static int check_reader(const char *dir) {
    char path[PATH_MAX];
    uint8_t mark[STORE_MARK_BYTES];
    if ((size_t)snprintf(path, sizeof(path), "%s.lock", dir) >= sizeof(path)) {
        return -ENAMETOOLONG;
    }
    return store_get_mark(dir, mark) == 0 && !store_is_locked(path) ? -EAGAIN : 0;
}

static int open_store(struct log *log, const char *dir, size_t map_bytes, bool read_only) {
    struct store_options options = {.tables = table_names,
                                    .n_tables = LOG_STORE_TABLES,
                                    .map_bytes = map_bytes,
                                    .read_only = read_only,
                                    .create = create};
    return store_open(dir, &options, &log->store);
}

static int open_to_write(struct log *log, const char *dir, size_t map_bytes) {
    struct log_journal *journal = NULL;
    int r = GUARD(log_lock) ? take_lock(log, dir) : 0;
    r = r == 0 ? log_journal_restore(dir, &journal) : r;
    r = r >= 0 ? open_store(log, dir, map_bytes, false) : r;
    if (r < 0) {
        log_journal_drop(journal);
        return r;
    }
    r = log_journal_begin(log, dir, journal, &log->journal);
    return r == 0 ? log_renew_if_copied(log, dir) : r;
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
    int r = read_only ? check_reader(dir) : open_to_write(log, dir, map_bytes);
    r = r == 0 && read_only ? open_store(log, dir, map_bytes, true) : r;
    r = r == 0 ? log_load(log) : r;
    if (r < 0) {
        log_close(log);
        return r;
    }
    *ret = log;
    return 0;
}

struct log *log_close(struct log *log) {
    if (log != NULL) {
        log_journal_close(log->journal);
        store_close(log->store);
        for (unsigned i = 0; i < LOG_SPARES; i++) {
            journal_record_free(atomic_exchange(&log->spares[i], NULL));
        }
        if (log->lock >= 0) {
            close(log->lock);
        }
        free(log);
    }
    return NULL;
}

void log_set_point_interval(struct log *log, int64_t interval_us) {
    if (log->journal != NULL) {
        log_journal_set_interval(log->journal, interval_us);
    }
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

// ---- writing

static struct journal_record *take_spare(struct log *log) {
    struct journal_record *record = NULL;
    for (unsigned i = 0; i < LOG_SPARES && record == NULL; i++) {
        record = atomic_exchange(&log->spares[i], NULL);
    }
    return record;
}

// Any thread.
static void keep_or_free(struct log *log, struct journal_record *record) {
    journal_record_clear(record);
    for (unsigned i = 0; i < LOG_SPARES && record != NULL; i++) {
        record = atomic_exchange(&log->spares[i], record);
    }
    journal_record_free(record);
}

int log_begin(struct log *log, struct log_txn **ret) {
    struct log_txn *txn = calloc(1, sizeof(*txn));
    if (txn == NULL) {
        return -ENOMEM;
    }
    txn->log = log;
    txn->changes = take_spare(log);
    int r = txn->changes == NULL ? journal_record_new(&txn->changes) : 0;
    if (r < 0) {
        free(txn);
        return r;
    }
    *ret = txn;
    return 0;
}

static int change(struct log_txn *txn, enum journal_kind kind, unsigned table, const void *key,
                  size_t key_size, const void *value, size_t size) {
    struct journal_change what = {.kind = kind,
                                  .table = table,
                                  .key = key,
                                  .key_size = key_size,
                                  .value = value,
                                  .size = size};
    return key_size == 0 || key_size > STORE_KEY_BYTES_MAX
               ? -EINVAL
               : journal_record_add(txn->changes, &what);
}

// Room for a block that says of itself that it starts at `first`.
static int append(struct log_txn *txn, uint64_t expected, uint64_t first, uint64_t n_events,
                  size_t size, void **ret) {
    uint64_t next = txn->next != 0 ? txn->next : log_next(txn->log);
    if (GUARD(log_gap) && (expected != next || first != expected)) {
        return 1;
    }
    uint8_t key[8];
    store_be64(key, expected);
    struct journal_change what = {.kind = JOURNAL_APPEND,
                                  .table = LOG_BLOCKS,
                                  .key = key,
                                  .key_size = sizeof(key),
                                  .size = size};
    int r = journal_record_room(txn->changes, &what, ret);
    if (r == 0) {
        txn->next = first + n_events;
    }
    return r;
}

int log_append(struct log_txn *txn, uint64_t expected, const void *block, size_t size) {
    struct block_head head;
    void *room = NULL;
    int r = block_open(block, size, false, &head);
    r = r == 0 ? append(txn, expected, head.first, head.n_events, size, &room) : r;
    if (r == 0) {
        memcpy(room, block, size);
    }
    return r;
}

int log_append_room(struct log_txn *txn, uint64_t expected, uint64_t n_events, size_t size,
                    void **ret) {
    return append(txn, expected, expected, n_events, size, ret);
}

int log_put(struct log_txn *txn, enum log_table table, const void *key, size_t key_size,
            const void *value, size_t size) {
    assert(table < LOG_N_TABLES);
    return change(txn, JOURNAL_PUT, table, key, key_size, value, size);
}

// Whether the key is there: as the transaction has it, else as the log has it.
static int look_up(struct log_txn *txn, enum log_table table, const void *key, size_t key_size) {
    int kind = journal_record_find(txn->changes, table, key, key_size);
    struct store_txn *reader = NULL;
    const void *value = NULL;
    size_t size = 0;
    if (kind != 0) {
        return kind == JOURNAL_DELETE;
    }
    int r = store_begin(txn->log->store, false, &reader);
    r = r == 0 ? store_get(reader, table, key, key_size, &value, &size) : r;
    store_abort(reader);
    return r;
}

int log_delete(struct log_txn *txn, enum log_table table, const void *key, size_t key_size) {
    assert(table < LOG_N_TABLES);
    int r = look_up(txn, table, key, key_size);
    return r == 0 ? change(txn, JOURNAL_DELETE, table, key, key_size, NULL, 0) : r;
}

// Steps over one block of the cursor, which stands on it. 0; 1: it stays.
static int trim_block(struct log_txn *txn, struct store_cursor *cursor, uint64_t floor) {
    uint8_t key[8];
    const void *behind = NULL;
    size_t size = 0;
    store_be64(key, txn->first);
    // Where the next block starts, this one ends; the last one has no next and stays.
    int r = store_cursor_move(cursor, STORE_NEXT, NULL, 0, &behind, &size, NULL, NULL);
    if (r != 0 || size != sizeof(key) || store_from_be64(behind) > floor) {
        return r < 0 ? r : 1;
    }
    r = change(txn, JOURNAL_DELETE, LOG_BLOCKS, key, sizeof(key), NULL, 0);
    if (r == 0) {
        txn->first = store_from_be64(behind);
    }
    return r;
}

int log_trim(struct log_txn *txn, uint64_t floor, unsigned n_max, unsigned *ret_n) {
    unsigned n = 0;
    uint8_t first[8];
    struct store_txn *reader = NULL;
    struct store_cursor *cursor = NULL;
    txn->first = txn->first != 0 ? txn->first : log_first(txn->log);
    store_be64(first, txn->first);
    int r = store_begin(txn->log->store, false, &reader);
    r = r == 0 ? store_cursor_new(reader, LOG_BLOCKS, &cursor) : r;
    r = r == 0 ? store_cursor_move(cursor, STORE_AT_OR_AFTER, first, sizeof(first), NULL, NULL,
                                   NULL, NULL)
               : r;
    while (r == 0 && n < n_max) {
        r = trim_block(txn, cursor, floor);
        n += r == 0;
    }
    store_cursor_free(cursor);
    store_abort(reader);
    if (r < 0) {
        return r;
    }
    *ret_n = n;
    return 0;
}

int log_apply(struct store_txn *txn, const struct journal_change *change) {
    if (change->table >= LOG_STORE_TABLES) {
        return -EBADMSG;
    }
    int r = 0;
    switch (change->kind) {
    case JOURNAL_PUT:
        return store_put(txn, change->table, change->key, change->key_size, change->value,
                         change->size);
    case JOURNAL_APPEND:
        r = store_append(txn, change->table, change->key, change->key_size, change->value,
                         change->size);
        return r > 0 ? -EBADMSG : r; // something lies beyond what the log calls its end
    case JOURNAL_DELETE:
        r = store_delete(txn, change->table, change->key, change->key_size);
        return r < 0 ? r : 0;
    }
    return -EBADMSG;
}

static int apply(void *user, const struct journal_change *change) {
    return log_apply(user, change);
}

// The store's commit is what shows it; it is durable before. -ENOSPC: nothing was written.
static int commit(struct log_txn *txn, uint64_t *ret_bytes) {
    struct log *log = txn->log;
    struct store_txn *write = NULL;
    int r = store_begin(log->store, true, &write);
    if (r < 0) {
        return r;
    }
    r = journal_record_each(txn->changes, apply, write);
    r = r == 0 ? sum_bytes(write, ret_bytes) : r;
    r = r == 0 && log->journal != NULL ? log_journal_write(log->journal, txn->changes) : r;
    if (r < 0) {
        store_abort(write);
        return r;
    }
    FAULTPOINT("between-journal-and-log");
    return store_commit(write);
}

// As commit, with what its journal may have to wait for.
static int commit_journaled(struct log_txn *txn, uint64_t *ret_bytes) {
    struct log_journal *journal = txn->log->journal;
    log_journal_lock(journal);
    bool room = !log_journal_is_full(journal) || log_journal_make_room(journal);
    int r = room ? commit(txn, ret_bytes) : -ENOSPC;
    if (r == -ENOSPC && room && log_journal_make_room(journal)) {
        r = commit(txn, ret_bytes); // a full disk: into the file that has become free
    }
    log_journal_unlock(journal);
    return r;
}

int log_commit(struct log_txn *txn) {
    struct log *log = txn->log;
    uint64_t bytes = log_bytes(log);
    int r = journal_record_is_empty(txn->changes) ? 0
            : log->journal != NULL                ? commit_journaled(txn, &bytes)
                                                  : commit(txn, &bytes);
    if (r == 0) {
        atomic_store(&log->bytes, bytes);
        if (txn->next != 0) {
            atomic_store(&log->next, txn->next);
        }
        if (txn->first != 0) {
            atomic_store(&log->first, txn->first);
        }
    }
    log_abort(txn);
    return r;
}

void log_abort(struct log_txn *txn) {
    if (txn != NULL) {
        keep_or_free(txn->log, txn->changes);
        free(txn);
    }
}
