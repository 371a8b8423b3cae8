// SPDX-License-Identifier: Apache-2.0
// Keys and references: who a key or an order belongs to. The first writer wins: decide stamps only
// keys that are free or the customer's own, so a second owner never appears here; a reference that
// another customer holds stays where it is.
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"

// kind \0 value, as the tables' keys are. 0 where it does not fit.
static size_t key_bytes(uint8_t key[static FOLD_KEY_BYTES_MAX], const char *kind,
                        const char *value) {
    size_t n_kind = strlen(kind) + 1;
    size_t n_value = strlen(value);
    if (n_value == 0 || n_kind + n_value > FOLD_KEY_BYTES_MAX) {
        return 0;
    }
    mempcpy(mempcpy(key, kind, n_kind), value, n_value);
    return n_kind + n_value;
}

// 1 where the row belongs to someone already; otherwise it is written.
static int bind(struct fold_step *step, enum view_table table, const uint8_t *key, size_t size) {
    const void *value;
    size_t value_size;
    int r = view_get(step->txn, table, key, size, &value, &value_size);
    if (r != 1) {
        return r < 0 ? r : 1;
    }
    uint64_t number = htobe64(step->event->customer);
    return view_put(step->txn, table, key, size, &number, sizeof(number));
}

static View__Key *find_key(const View__Customer *customer, const char *kind, const char *value) {
    for (size_t i = 0; i < customer->n_keys; i++) {
        View__Key *key = customer->keys[i];
        if (strcmp(key->value, value) == 0 && strcmp(key->kind, kind) == 0) {
            return key;
        }
    }
    return NULL;
}

static int attach(struct fold_step *step, const Touchbus__Identity *identity) {
    View__Customer *customer = step->customer;
    struct arena *arena = step->fold->arena;
    View__Key *key = find_key(customer, identity->kind, identity->value);
    if (key != NULL) {
        key->verified = key->verified || identity->verified;
        return 0;
    }
    uint8_t bytes[FOLD_KEY_BYTES_MAX];
    size_t size = key_bytes(bytes, identity->kind, identity->value);
    if (size == 0 || customer->n_keys >= CUSTOMER_KEYS_MAX) {
        customer->dropped++;
        return 0;
    }
    int r = bind(step, VIEW_KEYS, bytes, size);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    key = arena_alloc(arena, sizeof(*key));
    View__Key **keys = fold_grow(arena, customer->keys, customer->n_keys, sizeof(*keys));
    if (key == NULL || keys == NULL) {
        return -ENOMEM;
    }
    view__key__init(key);
    key->kind = arena_strdup(arena, identity->kind);
    key->value = arena_strdup(arena, identity->value);
    key->verified = identity->verified;
    key->sequence = step->event->sequence;
    keys[customer->n_keys++] = key;
    customer->keys = keys;
    return key->kind == NULL || key->value == NULL ? -ENOMEM : 0;
}

int fold_keys(struct fold_step *step) {
    for (size_t i = 0; i < step->event->n_keys; i++) {
        int r = attach(step, step->event->keys[i]);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

int fold_references(struct fold_step *step) {
    for (size_t i = 0; i < step->event->n_references; i++) {
        const Touchbus__Reference *reference = step->event->references[i];
        uint8_t bytes[FOLD_KEY_BYTES_MAX];
        size_t size = key_bytes(bytes, reference->kind, reference->id);
        int r = size == 0 ? 1 : bind(step, VIEW_REFERENCES, bytes, size);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int fold_holds_key(struct fold *fold, struct view_txn *txn, uint64_t customer, const char *kind,
                   const char *value) {
    View__Customer *record;
    int r = fold_customers_get(fold, txn, customer, &record);
    return r != 0 ? r : find_key(record, kind, value) != NULL;
}
