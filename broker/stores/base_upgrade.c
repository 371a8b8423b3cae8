// SPDX-License-Identifier: Apache-2.0
// Row by row out of the old tables into the new ones, in bounded transactions. A customer of
// version 1 is the bytes of a Person and of a Customer one behind the other, which is how it is
// read: each message takes its own fields.
#include "broker/stores/base_upgrade.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/fold/fold.h"
#include "broker/stores/lookup.h"
#include "broker/stores/state_internal.h"
#include "broker/stores/store.h"
#include "broker/stores/view.h"
#include "schemas/base/arena.h"
#include "schemas/base/logging.h"
#include "view.pb-c.h"

enum {
    VERSION_READABLE = 1, // the only one that is upgraded
    BATCH_ROWS = 5000,
    ARENA_BYTES_MAX = 16 << 20, // one row, read and sealed
    NUMBER_BYTES = sizeof(uint64_t),
};

// The tables of version 1.
enum old_table {
    OLD_META,
    OLD_CUSTOMERS,
    OLD_KEYS,
    OLD_REFERENCES,
    OLD_TIMELINE,
    OLD_ORDERS,
    OLD_QUOTES,
    OLD_NAMES,
    OLD_N_TABLES
};
static const char *const old_names[OLD_N_TABLES] = {"meta",     "customers", "keys",   "references",
                                                    "timeline", "orders",    "quotes", "names"};
static const char key_fold_version[] = "fold-version";

struct upgrade {
    struct keys_reader *secrets;
    struct view *view; // the new base
    struct view_txn *txn;
    struct arena *arena; // of a row
    enum view_table table;
    uint64_t n_rows;
};

typedef int (*upgrade_row)(struct upgrade *upgrade, const uint8_t *key, size_t key_size,
                           const void *value, size_t size);

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

// ---- rows

static int copy_row(struct upgrade *upgrade, const uint8_t *key, size_t key_size, const void *value,
                    size_t size) {
    return view_put(upgrade->txn, upgrade->table, key, key_size, value, size);
}

// kind \0 value -> customer.
static int put_lookup(struct upgrade *upgrade, const uint8_t *key, size_t key_size,
                      const void *value, size_t size, bool is_key) {
    const uint8_t *secret = view_lookup_secret(upgrade->txn);
    uint8_t lookup[LOOKUP_BYTES];
    const char *kind = arena_printf(upgrade->arena, "%.*s", (int)key_size, (const char *)key);
    if (kind == NULL) {
        return -ENOMEM;
    }
    size_t n_kind = strlen(kind) + 1;
    if (n_kind > key_size) {
        return -EBADMSG;
    }
    const char *text =
        arena_printf(upgrade->arena, "%.*s", (int)(key_size - n_kind), (const char *)key + n_kind);
    if (text == NULL) {
        return -ENOMEM;
    }
    bool fits = is_key ? lookup_key(secret, kind, text, lookup)
                       : lookup_reference(secret, kind, text, lookup);
    return fits ? view_put(upgrade->txn, VIEW_LOOKUPS, lookup, sizeof(lookup), value, size) : 0;
}

static int key_row(struct upgrade *upgrade, const uint8_t *key, size_t key_size, const void *value,
                   size_t size) {
    return put_lookup(upgrade, key, key_size, value, size, true);
}

static int reference_row(struct upgrade *upgrade, const uint8_t *key, size_t key_size,
                         const void *value, size_t size) {
    return put_lookup(upgrade, key, key_size, value, size, false);
}

// The columns of the customer's keys.
static int hash_keys(struct upgrade *upgrade, const View__Person *person,
                     ProtobufCBinaryData *ret) {
    const uint8_t *secret = view_lookup_secret(upgrade->txn);
    uint8_t *lookups = arena_alloc(upgrade->arena, person->n_keys * LOOKUP_KEY_BYTES + 1);
    if (lookups == NULL) {
        return -ENOMEM;
    }
    *ret = (ProtobufCBinaryData){.data = lookups};
    for (size_t i = 0; i < person->n_keys; i++) {
        const View__Key *key = person->keys[i];
        if (lookup_key(secret, key->kind, key->value, lookups + ret->len)) {
            lookups[ret->len + LOOKUP_BYTES] = key->verified ? 1 : 0;
            ret->len += LOOKUP_KEY_BYTES;
        }
    }
    return 0;
}

static int customer_row(struct upgrade *upgrade, const uint8_t *key, size_t key_size,
                        const void *value, size_t size) {
    struct arena *arena = upgrade->arena;
    View__Customer *record = view__customer__unpack(arena_allocator(arena), size, value);
    View__Person *person = view__person__unpack(arena_allocator(arena), size, value);
    if (record == NULL || person == NULL || key_size != NUMBER_BYTES) {
        return -EBADMSG;
    }
    record->base.n_unknown_fields = person->base.n_unknown_fields = 0; // each other's
    int r = hash_keys(upgrade, person, &record->key_lookups);
    size_t plain_size = view__person__get_packed_size(person);
    uint8_t *plain = arena_alloc(arena, plain_size + 1);
    record->person.data = arena_alloc(arena, plain_size + VIEW_SEAL_OVERHEAD);
    if (r != 0 || plain == NULL || record->person.data == NULL) {
        return r != 0 ? r : -ENOMEM;
    }
    view__person__pack(person, plain);
    r = plain_size == 0 ? 0
                        : view_seal(upgrade->txn, VIEW_CUSTOMERS, key, key_size, plain, plain_size,
                                    record->person.data, &record->person.len);
    uint8_t *packed = arena_alloc(arena, view__customer__get_packed_size(record) + 1);
    if (r != 0 || packed == NULL) {
        return r != 0 ? r : -ENOMEM;
    }
    return view_put(upgrade->txn, VIEW_CUSTOMERS, key, key_size, packed,
                    view__customer__pack(record, packed));
}

// customer, id -> the row as it is, to be sealed behind the sequence that changed it.
static int seal_row(struct upgrade *upgrade, const char *kind, const uint8_t *key, size_t key_size,
                    uint64_t changed, const void *value, size_t size) {
    uint8_t new_key[NUMBER_BYTES + LOOKUP_BYTES];
    size_t sealed_size = 0;
    uint64_t open = htobe64(changed);
    uint8_t *row = arena_alloc(upgrade->arena, sizeof(open) + size + VIEW_SEAL_OVERHEAD);
    const char *id = arena_printf(upgrade->arena, "%.*s", (int)(key_size - NUMBER_BYTES),
                                  (const char *)key + NUMBER_BYTES);
    if (row == NULL || id == NULL) {
        return -ENOMEM;
    }
    memcpy(new_key, key, NUMBER_BYTES);
    if (!lookup_reference(view_lookup_secret(upgrade->txn), kind, id, new_key + NUMBER_BYTES)) {
        return 0;
    }
    memcpy(row, &open, sizeof(open));
    int r = view_seal(upgrade->txn, upgrade->table, new_key, sizeof(new_key), value, size,
                      row + sizeof(open), &sealed_size);
    return r != 0 ? r
                  : view_put(upgrade->txn, upgrade->table, new_key, sizeof(new_key), row,
                             sizeof(open) + sealed_size);
}

static int order_row(struct upgrade *upgrade, const uint8_t *key, size_t key_size,
                     const void *value, size_t size) {
    const View__Order *order = view__order__unpack(arena_allocator(upgrade->arena), size, value);
    return order == NULL || key_size < NUMBER_BYTES
               ? -EBADMSG
               : seal_row(upgrade, "order", key, key_size, order->changed_sequence, value, size);
}

static int quote_row(struct upgrade *upgrade, const uint8_t *key, size_t key_size,
                     const void *value, size_t size) {
    const View__Quote *quote = view__quote__unpack(arena_allocator(upgrade->arena), size, value);
    return quote == NULL || key_size < NUMBER_BYTES
               ? -EBADMSG
               : seal_row(upgrade, "quote", key, key_size, quote->changed_sequence, value, size);
}

// ---- tables

static const struct table_row {
    upgrade_row row;
    enum old_table from;
    enum view_table to;
} tables[] = {
    {copy_row, OLD_META, VIEW_META},
    {copy_row, OLD_NAMES, VIEW_NAMES},
    {copy_row, OLD_TIMELINE, VIEW_TIMELINE},
    {key_row, OLD_KEYS, VIEW_LOOKUPS},
    {reference_row, OLD_REFERENCES, VIEW_LOOKUPS},
    {customer_row, OLD_CUSTOMERS, VIEW_CUSTOMERS},
    {order_row, OLD_ORDERS, VIEW_ORDERS},
    {quote_row, OLD_QUOTES, VIEW_QUOTES},
};

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

static int carry_over(struct upgrade *upgrade, struct store_txn *old) {
    int r = begin(upgrade);
    for (size_t i = 0; r == 0 && i < sizeof(tables) / sizeof(tables[0]); i++) {
        struct scan scan = {.upgrade = upgrade, .row = tables[i].row};
        upgrade->table = tables[i].to;
        r = store_scan(old, tables[i].from, NULL, 0, NULL, 0, false, scan_row, &scan);
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
static int build(const char *dir, const char *aside, size_t map_bytes, struct keys *keys,
                 uint64_t *ret_rows) {
    struct store_options options = {
        .tables = old_names, .n_tables = OLD_N_TABLES, .read_only = true};
    struct upgrade upgrade = {.arena = arena_new(ARENA_BYTES_MAX)};
    struct store *store = NULL;
    struct store_txn *old = NULL;
    int r = upgrade.arena == NULL ? -ENOMEM : store_remove_folder(aside);
    r = r == 0 ? store_open(dir, &options, &store) : r;
    r = r == 0 ? store_begin(store, false, &old) : r;
    r = r == 0 ? view_open(aside, VIEW_BASE, map_bytes, false, &upgrade.view) : r;
    r = r == 0 ? keys_reader_new(keys, &upgrade.secrets) : r;
    r = r == 0 ? carry_over(&upgrade, old) : r;
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
    struct store_options options = {.tables = old_names, .n_tables = 1, .read_only = true};
    struct store *store = NULL;
    struct store_txn *txn = NULL;
    const void *value = NULL;
    size_t size = 0;
    int r = store_open(dir, &options, &store);
    r = r == 0 ? store_begin(store, false, &txn) : r;
    r = r == 0 ? store_get(txn, OLD_META, key_fold_version, strlen(key_fold_version), &value, &size)
               : r;
    *ret = r == 0 && size == sizeof(*ret) ? store_from_be64(value) : 0;
    store_abort(txn);
    store_close(store);
    return r < 0 ? r : 0;
}

int base_upgrade(const char *dir, size_t map_bytes, struct keys *keys) {
    char aside[STATE_PATH_BYTES];
    struct stat status;
    uint64_t version = 0, n_rows = 0;
    if ((size_t)snprintf(aside, sizeof(aside), "%s.upgrade", dir) >= sizeof(aside)) {
        return -ENAMETOOLONG;
    }
    int r = stat(dir, &status) == 0 ? read_version(dir, &version) : 0;
    if (r == 0 && version == VERSION_READABLE) {
        r = build(dir, aside, map_bytes, keys, &n_rows);
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
