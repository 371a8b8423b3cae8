// SPDX-License-Identifier: Apache-2.0
// Row by row out of the old tables into the new ones, in bounded transactions. What becomes of a
// row: base_upgrade_rows.c and base_upgrade_items.c.
#include "broker/stores/base_upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/fold/fold.h"
#include "broker/stores/base_upgrade_internal.h"
#include "broker/stores/state_internal.h"
#include "broker/stores/store.h"
#include "schemas/base/logging.h"

enum {
    BATCH_ROWS = 5000,
    ARENA_BYTES_MAX = 16 << 20, // one row, read and sealed
    OLD_TABLES_MAX = 14,
};

// The tables of each version that is upgraded, in the order in which they are carried over.
static const struct old_base {
    uint64_t version;
    size_t n_tables;
    const char *names[OLD_TABLES_MAX];
    struct {
        upgrade_row row;
        enum view_table to;
    } tables[OLD_TABLES_MAX];
} OLD[] = {
    {1,
     8,
     {"meta", "names", "timeline", "keys", "references", "customers", "orders", "quotes"},
     {{upgrade_copy, VIEW_META},
      {upgrade_copy, VIEW_NAMES},
      {upgrade_run, VIEW_TIMELINE},
      {upgrade_key, VIEW_LOOKUPS},
      {upgrade_reference, VIEW_LOOKUPS},
      {upgrade_customer, VIEW_CUSTOMERS},
      {upgrade_order, VIEW_ITEMS},
      {upgrade_quote, VIEW_ITEMS}}},
    {2,
     7,
     {"meta", "names", "timeline", "lookups", "customers", "orders", "quotes"},
     {{upgrade_copy, VIEW_META},
      {upgrade_copy, VIEW_NAMES},
      {upgrade_run, VIEW_TIMELINE},
      {upgrade_copy, VIEW_LOOKUPS},
      {upgrade_customer, VIEW_CUSTOMERS},
      {upgrade_order, VIEW_ITEMS},
      {upgrade_quote, VIEW_ITEMS}}},
    {3,
     13,
     {"meta", "customers", "lookups", "timeline", "names", "items", "shared", "ledger", "contested",
      "timers", "due", "waiting", "scores"},
     {{upgrade_copy, VIEW_META},
      {upgrade_recent, VIEW_CUSTOMERS},
      {upgrade_copy, VIEW_LOOKUPS},
      {upgrade_run, VIEW_TIMELINE},
      {upgrade_copy, VIEW_NAMES},
      {upgrade_item, VIEW_ITEMS},
      {upgrade_copy, VIEW_SHARED},
      {upgrade_copy, VIEW_LEDGER},
      {upgrade_copy, VIEW_CONTESTED},
      {upgrade_copy, VIEW_TIMERS},
      {upgrade_copy, VIEW_DUE},
      {upgrade_copy, VIEW_WAITING},
      {upgrade_copy, VIEW_SCORES}}},
    {4,
     14,
     {"meta", "customers", "lookups", "timeline", "names", "items", "shared", "ledger", "contested",
      "timers", "due", "waiting", "scores", "index"},
     {{upgrade_copy, VIEW_META},
      {upgrade_recent, VIEW_CUSTOMERS},
      {upgrade_copy, VIEW_LOOKUPS},
      {upgrade_run, VIEW_TIMELINE},
      {upgrade_copy, VIEW_NAMES},
      {upgrade_copy, VIEW_ITEMS},
      {upgrade_copy, VIEW_SHARED},
      {upgrade_copy, VIEW_LEDGER},
      {upgrade_copy, VIEW_CONTESTED},
      {upgrade_copy, VIEW_TIMERS},
      {upgrade_copy, VIEW_DUE},
      {upgrade_copy, VIEW_WAITING},
      {upgrade_copy, VIEW_SCORES},
      {upgrade_copy, VIEW_INDEX}}},
};
static const char key_fold_version[] = "fold-version";

static int begin(struct upgrade *upgrade) {
    int r = view_begin(upgrade->view, true, &upgrade->txn);
    if (r == 0) {
        view_use_keys(upgrade->txn, upgrade->secrets);
    }
    return r;
}

static int commit(struct upgrade *upgrade) {
    struct view_txn *txn = upgrade->txn;
    upgrade->txn = NULL;
    return view_commit(txn);
}

struct scan {
    struct upgrade *upgrade;
    upgrade_row row;
};

static int scan_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    const struct scan *scan = user;
    struct upgrade *upgrade = scan->upgrade;
    arena_reset(upgrade->arena);
    int r = scan->row(upgrade, key, key_size, value, size);
    if (r == 0 && ++upgrade->n_rows % BATCH_ROWS == 0) {
        r = commit(upgrade);
        r = r == 0 ? begin(upgrade) : r;
    }
    return r > 0 ? -EBADMSG : r;
}

static int carry_over(struct upgrade *upgrade, const struct old_base *base, struct store_txn *old) {
    int r = begin(upgrade);
    for (unsigned i = 0; r == 0 && i < base->n_tables; i++) {
        struct scan scan = {.upgrade = upgrade, .row = base->tables[i].row};
        upgrade->table = base->tables[i].to;
        r = store_scan(old, i, NULL, 0, NULL, 0, false, scan_row, &scan);
    }
    struct view_identity identity;
    r = r == 0 ? view_get_identity(upgrade->txn, &identity) : r;
    if (r == 0) {
        identity.fold_version = FOLD_VERSION;
        r = view_set_identity(upgrade->txn, &identity);
    }
    if (r == 0) {
        return commit(upgrade);
    }
    view_abort(upgrade->txn);
    return r > 0 ? -EBADMSG : r;
}

// Into the folder `aside`.
static int build(const struct old_base *base, const char *dir, const char *aside, size_t map_bytes,
                 struct keys *keys, uint64_t *ret_rows) {
    struct store_options options = {
        .tables = base->names, .n_tables = (unsigned)base->n_tables, .read_only = true};
    struct upgrade upgrade = {.arena = arena_new(ARENA_BYTES_MAX), .version = base->version};
    struct store *store = NULL;
    struct store_txn *old = NULL;
    int r = upgrade.arena == NULL ? -ENOMEM : store_remove_folder(aside);
    r = r == 0 ? store_open(dir, &options, &store) : r;
    r = r == 0 ? store_begin(store, false, &old) : r;
    r = r == 0 ? view_open(aside, VIEW_BASE, map_bytes, false, &upgrade.view) : r;
    r = r == 0 ? keys_reader_new(keys, &upgrade.secrets) : r;
    r = r == 0 ? carry_over(&upgrade, base, old) : r;
    view_close(upgrade.view);
    keys_reader_free(upgrade.secrets);
    store_abort(old);
    store_close(store);
    arena_free(upgrade.arena);
    *ret_rows = upgrade.n_rows;
    return r;
}

// The version that wrote the base; 0: none yet.
static int read_version(const char *dir, uint64_t *ret) {
    struct store_options options = {.tables = OLD[0].names, .n_tables = 1, .read_only = true};
    struct store *store = NULL;
    struct store_txn *txn = NULL;
    const void *value = NULL;
    size_t size = 0;
    int r = store_open(dir, &options, &store);
    r = r == 0 ? store_begin(store, false, &txn) : r;
    r = r == 0 ? store_get(txn, 0, key_fold_version, strlen(key_fold_version), &value, &size) : r;
    *ret = r == 0 && size == sizeof(*ret) ? store_from_be64(value) : 0;
    store_abort(txn);
    store_close(store);
    return r < 0 ? r : 0;
}

static const struct old_base *find_old(uint64_t version) {
    for (size_t i = 0; i < sizeof(OLD) / sizeof(OLD[0]); i++) {
        if (OLD[i].version == version) {
            return &OLD[i];
        }
    }
    return NULL;
}

int base_upgrade(const char *dir, size_t map_bytes, struct keys *keys) {
    char aside[STATE_PATH_BYTES];
    struct stat status;
    uint64_t version = 0, n_rows = 0;
    if ((size_t)snprintf(aside, sizeof(aside), "%s.upgrade", dir) >= sizeof(aside)) {
        return -ENAMETOOLONG;
    }
    int r = stat(dir, &status) == 0 ? read_version(dir, &version) : 0;
    const struct old_base *base = r == 0 ? find_old(version) : NULL;
    if (base != NULL) {
        r = build(base, dir, aside, map_bytes, keys, &n_rows);
        // One takes the other's place; a crash leaves one of them to be removed.
        if (r == 0 && renameat2(AT_FDCWD, aside, AT_FDCWD, dir, RENAME_EXCHANGE) != 0) {
            r = -errno;
        }
        r = r == 0 ? store_sync_parent(dir) : r;
        if (r == 0) {
            logging_info("base=upgraded from=%" PRIu64 " to=%" PRIu32 " rows=%" PRIu64, version,
                         FOLD_VERSION, n_rows);
        }
    }
    int removed = store_remove_folder(aside);
    return r == 0 ? removed : r;
}
