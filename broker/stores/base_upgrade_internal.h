// SPDX-License-Identifier: Apache-2.0
// Between base_upgrade.c, base_upgrade_rows.c and base_upgrade_items.c.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "broker/stores/keys.h"
#include "broker/stores/view.h"
#include "schemas/base/arena.h"
#include "view.pb-c.h"

struct upgrade {
    struct keys_reader *secrets;
    struct view *view; // the new base
    struct view_txn *txn;
    struct arena *arena; // of a row
    enum view_table table;
    uint64_t version; // that wrote the old base
    uint64_t n_rows;
};

// One row of an old table, into the new base. 0 or a negative errno.
typedef int (*upgrade_row)(struct upgrade *upgrade, const uint8_t *key, size_t key_size,
                           const void *value, size_t size);
int upgrade_copy(struct upgrade *upgrade, const uint8_t *key, size_t key_size, const void *value,
                 size_t size);
int upgrade_key(struct upgrade *upgrade, const uint8_t *key, size_t key_size, const void *value,
                size_t size);
int upgrade_reference(struct upgrade *upgrade, const uint8_t *key, size_t key_size,
                      const void *value, size_t size);
int upgrade_customer(struct upgrade *upgrade, const uint8_t *key, size_t key_size,
                     const void *value, size_t size);
// Of versions 3 and 4, which differ from this one by how interactions stand in the columns.
int upgrade_recent(struct upgrade *upgrade, const uint8_t *key, size_t key_size, const void *value,
                   size_t size);
int upgrade_run(struct upgrade *upgrade, const uint8_t *key, size_t key_size, const void *value,
                size_t size);
int upgrade_order(struct upgrade *upgrade, const uint8_t *key, size_t key_size, const void *value,
                  size_t size);
int upgrade_quote(struct upgrade *upgrade, const uint8_t *key, size_t key_size, const void *value,
                  size_t size);
int upgrade_item(struct upgrade *upgrade, const uint8_t *key, size_t key_size, const void *value,
                 size_t size);
// The record into VIEW_CUSTOMERS.
int upgrade_put_customer(struct upgrade *upgrade, const void *key, size_t key_size,
                         const View__Customer *record);
