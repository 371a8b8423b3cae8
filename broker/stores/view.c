// SPDX-License-Identifier: Apache-2.0
// The fold's tables over one LMDB environment: live (commits not synced), base (synced) or a
// scratch copy. It knows the tables' names and VIEW_META's few keys, and nothing of what the
// records mean.
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "broker/stores/view_internal.h"

static const char *const table_names[VIEW_N_TABLES] = {
    [VIEW_META] = "meta",
    [VIEW_CUSTOMERS] = "customers",
    [VIEW_LOOKUPS] = "lookups",
    [VIEW_TIMELINE] = "timeline",
    [VIEW_NAMES] = "names",
    [VIEW_ITEMS] = "items",
    [VIEW_SHARED] = "shared",
    [VIEW_LEDGER] = "ledger",
    [VIEW_CONTESTED] = "contested",
    [VIEW_TIMERS] = "timers",
    [VIEW_DUE] = "due",
    [VIEW_WAITING] = "waiting",
    [VIEW_SCORES] = "scores",
    [VIEW_INDEX] = "index",
};
static const char key_applied[] = "applied";
static const char key_fold_version[] = "fold-version";
static const char key_incarnation[] = "incarnation";

int view_open(const char *dir, enum view_kind kind, size_t map_bytes, bool read_only,
              struct view **ret) {
    if (sodium_init() < 0) {
        return -EIO;
    }
    struct view *view = calloc(1, sizeof(*view));
    if (view == NULL) {
        return -ENOMEM;
    }
    struct store_options options = {.tables = table_names,
                                    .n_tables = VIEW_N_TABLES,
                                    .map_bytes = map_bytes,
                                    .read_only = read_only,
                                    .no_sync = kind != VIEW_BASE,
                                    .is_file = kind == VIEW_COPY};
    view->dir = strdup(dir);
    int r = view->dir != NULL ? store_open(dir, &options, &view->store) : -ENOMEM;
    if (r < 0) {
        view_close(view);
        return r;
    }
    *ret = view;
    return 0;
}

struct view *view_close(struct view *view) {
    if (view != NULL) {
        view_behind_free(view->behind);
        store_abort(view->pin);
        store_close(view->store);
        free(view->dir);
        free(view);
    }
    return NULL;
}

int view_begin(struct view *view, bool write, struct view_txn **ret) {
    struct view_txn *txn = calloc(1, sizeof(*txn));
    if (txn == NULL) {
        return -ENOMEM;
    }
    txn->view = view;
    int r = !write && view->behind != NULL ? view_behind_read(view->behind, &txn->txn, txn->held)
                                           : store_begin(view->store, write, &txn->txn);
    if (r < 0) {
        free(txn);
        return r;
    }
    txn->is_layered = txn->held[0].n + txn->held[1].n > 0;
    *ret = txn;
    return 0;
}

int view_commit(struct view_txn *txn) {
    assert(txn->changes == NULL);
    view_end_keys(txn);
    int r = store_commit(txn->txn);
    free(txn);
    return r;
}

void view_abort(struct view_txn *txn) {
    if (txn != NULL) {
        view_end_keys(txn);
        store_abort(txn->txn);
        if (txn->view->behind != NULL) {
            view_behind_release(txn->view->behind, txn->held);
            view_behind_drop(txn->view->behind, txn->before);
        }
        free(txn);
    }
}

int view_get(struct view_txn *txn, enum view_table table, const void *key, size_t key_size,
             const void **ret, size_t *ret_size) {
    txn->rows_touched++;
    return txn->is_layered ? view_ahead_get(txn, table, key, key_size, ret, ret_size)
                           : store_get(txn->txn, table, key, key_size, ret, ret_size);
}

int view_put(struct view_txn *txn, enum view_table table, const void *key, size_t key_size,
             const void *value, size_t size) {
    txn->rows_touched++;
    return txn->changes != NULL ? view_ahead_put(txn, table, key, key_size, value, size)
                                : store_put(txn->txn, table, key, key_size, value, size);
}

int view_put_new(struct view_txn *txn, enum view_table table, const void *key, size_t key_size,
                 const void *value, size_t size, const void **ret, size_t *ret_size) {
    return txn->changes != NULL
               ? view_ahead_put_new(txn, table, key, key_size, value, size, ret, ret_size)
               : store_put_new(txn->txn, table, key, key_size, value, size, ret, ret_size);
}

int view_delete(struct view_txn *txn, enum view_table table, const void *key, size_t key_size) {
    txn->rows_touched++;
    return txn->changes != NULL ? view_ahead_delete(txn, table, key, key_size)
                                : store_delete(txn->txn, table, key, key_size);
}

struct counting {
    struct view_txn *txn;
    int (*row)(void *user, const void *key, size_t key_size, const void *value, size_t size);
    void *user;
};

static int count_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    const struct counting *counting = user;
    counting->txn->rows_touched++;
    return counting->row(counting->user, key, key_size, value, size);
}

int view_scan(struct view_txn *txn, enum view_table table, const void *prefix, size_t prefix_size,
              bool reverse,
              int (*row)(void *user, const void *key, size_t key_size, const void *value,
                         size_t size),
              void *user) {
    return view_scan_from(txn, table, prefix, prefix_size, NULL, 0, reverse, row, user);
}

int view_scan_from(struct view_txn *txn, enum view_table table, const void *prefix,
                   size_t prefix_size, const void *from, size_t from_size, bool reverse,
                   int (*row)(void *user, const void *key, size_t key_size, const void *value,
                              size_t size),
                   void *user) {
    struct counting counting = {.txn = txn, .row = row, .user = user};
    txn->rows_touched++; // where it begins
    return txn->is_layered ? view_ahead_scan(txn, table, prefix, prefix_size, from, from_size,
                                             reverse, count_row, &counting)
                           : store_scan(txn->txn, table, prefix, prefix_size, from, from_size,
                                        reverse, count_row, &counting);
}

uint64_t view_rows_touched(const struct view_txn *txn) {
    return txn->rows_touched;
}

uint64_t view_applied(struct view_txn *txn) {
    const void *value = NULL;
    size_t size = 0;
    int r = view_get(txn, VIEW_META, key_applied, strlen(key_applied), &value, &size);
    return r == 0 && size == sizeof(uint64_t) ? store_from_be64(value) : 0;
}

int view_set_applied(struct view_txn *txn, uint64_t sequence) {
    uint8_t value[8];
    store_be64(value, sequence);
    return view_put(txn, VIEW_META, key_applied, strlen(key_applied), value, sizeof(value));
}

int view_set_identity(struct view_txn *txn, const struct view_identity *identity) {
    uint8_t version[8];
    store_be64(version, identity->fold_version);
    int r = view_put(txn, VIEW_META, key_fold_version, strlen(key_fold_version), version,
                     sizeof(version));
    return r < 0 ? r
                 : view_put(txn, VIEW_META, key_incarnation, strlen(key_incarnation),
                            identity->incarnation, sizeof(identity->incarnation));
}

int view_write_identity(struct view *view, const struct view_identity *identity) {
    struct view_txn *txn = NULL;
    int r = view_begin(view, true, &txn);
    if (r < 0) {
        return r;
    }
    r = view_set_identity(txn, identity);
    if (r < 0) {
        view_abort(txn);
        return r;
    }
    return view_commit(txn);
}

int view_claim(struct view *view, const struct view_identity *identity) {
    struct view_identity found;
    struct view_txn *txn = NULL;
    int r = view_begin(view, false, &txn);
    if (r < 0) {
        return r;
    }
    r = view_get_identity(txn, &found);
    view_abort(txn);
    bool is_claimed = r == 0 && found.fold_version == identity->fold_version &&
                      memcmp(found.incarnation, identity->incarnation, INCARNATION_BYTES) == 0;
    return r < 0 || is_claimed ? r : view_write_identity(view, identity);
}

int view_get_identity(struct view_txn *txn, struct view_identity *ret) {
    const void *version = NULL, *incarnation = NULL;
    size_t version_size = 0, size = 0;
    int r = view_get(txn, VIEW_META, key_fold_version, strlen(key_fold_version), &version,
                     &version_size);
    if (r == 0) {
        r = view_get(txn, VIEW_META, key_incarnation, strlen(key_incarnation), &incarnation, &size);
    }
    if (r != 0) {
        return r;
    }
    if (version_size != sizeof(uint64_t) || size != sizeof(ret->incarnation)) {
        return -EBADMSG;
    }
    ret->fold_version = (uint32_t)store_from_be64(version);
    memcpy(ret->incarnation, incarnation, size);
    return 0;
}

static int hash_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    uint64_t sizes[2] = {key_size, size};
    crypto_generichash_update(user, (const uint8_t *)sizes, sizeof(sizes));
    crypto_generichash_update(user, key, key_size);
    crypto_generichash_update(user, value, size);
    return 0;
}

int view_hash(struct view_txn *txn, char ret[static 65]) {
    assert(txn->changes == NULL);
    uint8_t hash[32];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof(hash));
    for (unsigned table = 0; table < VIEW_N_TABLES; table++) {
        // The name stands for the table, and parts its rows from those of the one before.
        crypto_generichash_update(&state, (const uint8_t *)table_names[table],
                                  strlen(table_names[table]) + 1);
        int r = view_scan(txn, table, "", 0, false, hash_row, &state);
        if (r < 0) {
            return r;
        }
    }
    crypto_generichash_final(&state, hash, sizeof(hash));
    sodium_bin2hex(ret, 65, hash, sizeof(hash));
    return 0;
}

// ---- what is shown

int view_write_behind(struct view *view) {
    return view_behind_new(view, &view->behind);
}

static int write_at_once(struct view *view, struct pending *changes) {
    struct view_txn *txn = NULL;
    int r = view_begin(view, true, &txn);
    if (r != 0) {
        return r;
    }
    r = view_write_changes(txn, changes);
    if (r != 0) {
        view_abort(txn);
        return r;
    }
    return view_commit(txn);
}

int view_show(struct view *view, struct pending *changes) {
    return view->behind != NULL ? view_behind_show(view->behind, changes)
                                : write_at_once(view, changes);
}

size_t view_unwritten_bytes(const struct view *view) {
    return view->behind != NULL ? view_behind_memory(view->behind) : 0;
}

void view_settle(struct view *view) {
    if (view->behind != NULL) {
        view_behind_settle(view->behind);
    }
}

struct pending *view_changes_exchange(struct view *view, struct pending *changes) {
    if (view->behind != NULL) {
        return view_behind_exchange(view->behind, changes);
    }
    pending_reset(changes);
    return changes;
}

void view_changes_free(struct view *view, struct pending *changes) {
    if (view->behind != NULL) {
        view_behind_drop(view->behind, changes);
    } else {
        pending_free(changes);
    }
}

int view_copy(struct view *view, const char *dir) {
    return store_copy(view->store, dir, false);
}

struct store *view_store(struct view *view) {
    return view->store;
}

struct store_txn *view_txn_store(struct view_txn *txn) {
    return txn->txn;
}
