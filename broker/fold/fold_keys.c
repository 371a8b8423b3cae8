// SPDX-License-Identifier: Apache-2.0
// Keys and references: who a key or an order belongs to. The first owner keeps it until it is
// erased, or decide stamped that it is taken (a shared device) or leads to nobody any more. The
// table is a function of the events' open halves alone: what decide stamped as lookups is bound, so
// that a rebuild binds the same where the sealed half cannot be read any more.
//
// Events logged before fold version 2 carry no lookups. Up to the first event that does ("stamped"
// in VIEW_META) they are made of the sealed half's keys and references.
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"
#include "schemas/base/guards.h"
#include "schemas/limits.h"

static const char stamped_key[] = "stamped";

int fold_stamped_load(struct view_txn *txn, bool *ret) {
    const void *value;
    size_t size;
    int r = view_get(txn, VIEW_META, stamped_key, sizeof(stamped_key) - 1, &value, &size);
    *ret = r == 0;
    return r < 0 ? r : 0;
}

static uint8_t *find_held(const View__Customer *customer, const uint8_t *lookup) {
    uint8_t *at = customer->key_lookups.data;
    for (size_t i = 0; i < customer->key_lookups.len; i += LOOKUP_KEY_BYTES) {
        if (memcmp(at + i, lookup, LOOKUP_BYTES) == 0) {
            return at + i;
        }
    }
    return NULL;
}

// ---- whose it is

static void cut_out(ProtobufCBinaryData *held, uint8_t *at) {
    size_t behind = (size_t)(held->data + held->len - (at + LOOKUP_KEY_BYTES));
    memmove(at, at + LOOKUP_KEY_BYTES, behind);
    held->len -= LOOKUP_KEY_BYTES;
}

// What the former owner calls it goes too: found by its lookup, since the event may tell nothing.
static int forget_name(struct fold_step *former, const uint8_t *lookup) {
    View__Person *person;
    int r = fold_person(former, &person);
    for (size_t i = 0; r == 0 && i < person->n_keys; i++) {
        const View__Key *key = person->keys[i];
        uint8_t other[LOOKUP_BYTES];
        if (lookup_key(view_lookup_secret(former->txn), key->kind, key->value, other) &&
            memcmp(other, lookup, LOOKUP_BYTES) == 0) {
            memmove(&person->keys[i], &person->keys[i + 1],
                    (person->n_keys - i - 1) * sizeof(person->keys[0]));
            person->n_keys--;
            former->touched->person_changed = true;
            break;
        }
    }
    return r;
}

// Takes the key out of its owner's record.
static int release(struct fold_step *step, const uint8_t *lookup, uint64_t owner) {
    struct fold_step former = {.fold = step->fold, .txn = step->txn};
    int r = fold_customers_get(step->fold, step->txn, owner, &former.touched);
    if (r != 0) {
        return r;
    }
    View__Customer *record = former.touched->record;
    uint8_t *there = find_held(record, lookup);
    if (there == NULL) {
        return 0;
    }
    cut_out(&record->key_lookups, there);
    return forget_name(&former, lookup);
}

int fold_keys_unbind(struct fold_step *step, const uint8_t lookup[static LOOKUP_BYTES]) {
    uint64_t owner;
    int r = fold_owner(step->fold, step->txn, lookup, &owner);
    int erased = r != 0 || owner == 0 ? 0 : fold_is_erased(step->fold, step->txn, owner);
    if (r != 0 || erased != 0 || owner == 0) {
        return r != 0 ? r : erased < 0 ? erased : 0; // of an erased person it is the tombstone
    }
    r = release(step, lookup, owner);
    return r != 0 ? r : fold_owner_drop(step->fold, step->txn, lookup);
}

// 1 where the lookup belongs to someone else; otherwise it leads to the customer from here on.
static int bind(struct fold_step *step, const uint8_t lookup[static LOOKUP_BYTES], bool taken) {
    uint64_t customer = step->event->customer, owner;
    int r = fold_owner_claim(step->fold, step->txn, lookup, customer, &owner);
    if (r != 0 || owner == customer) {
        return r;
    }
    r = fold_is_erased(step->fold, step->txn, owner);
    if (r == 0 && !taken) {
        return 1;
    }
    r = r < 0 ? r : r == 1 ? 0 : release(step, lookup, owner);
    return r != 0 ? r : fold_owner_set(step->fold, step->txn, lookup, customer);
}

// Whether the event changed it: the key is new here, or verified from here on.
static int attach(struct fold_step *step, const uint8_t *lookup, uint8_t flags, bool *ret_changed) {
    View__Customer *customer = step->customer;
    ProtobufCBinaryData *held = &customer->key_lookups;
    uint8_t *there = find_held(customer, lookup);
    if (there != NULL) {
        if ((flags & LOOKUP_VERIFIED) != 0 && (there[LOOKUP_BYTES] & LOOKUP_VERIFIED) == 0) {
            there[LOOKUP_BYTES] |= LOOKUP_VERIFIED;
            *ret_changed = true;
        }
        return 0;
    }
    size_t n = held->len / LOOKUP_KEY_BYTES;
    if (n >= CUSTOMER_KEYS_MAX) {
        customer->dropped++;
        return 0;
    }
    int r = bind(step, lookup, (flags & LOOKUP_TAKEN) != 0);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    uint8_t *grown = fold_grow(step, ROOM_KEY_LOOKUPS, held->data, n, LOOKUP_KEY_BYTES);
    if (grown == NULL) {
        return -ENOMEM;
    }
    memcpy(grown + held->len, lookup, LOOKUP_BYTES);
    grown[held->len + LOOKUP_BYTES] = flags & (LOOKUP_VERIFIED | LOOKUP_CLASS);
    held->data = grown;
    held->len += LOOKUP_KEY_BYTES;
    uint8_t class = flags & LOOKUP_CLASS;
    customer->bound = customer->bound || class == LOOKUP_STRONG || class == LOOKUP_MEDIUM;
    *ret_changed = true;
    return 0;
}

// ---- what the person is called, sealed

static View__Key *find_key(const View__Person *person, const Touchbus__Identity *identity) {
    for (size_t i = 0; i < person->n_keys; i++) {
        View__Key *key = person->keys[i];
        if (strcmp(key->value, identity->value) == 0 && strcmp(key->kind, identity->kind) == 0) {
            return key;
        }
    }
    return NULL;
}

static View__Key *add_key(struct fold_step *step, View__Person *person,
                          const Touchbus__Identity *identity) {
    struct arena *arena = step->fold->arena;
    View__Key *key = arena_alloc(arena, sizeof(*key));
    View__Key **keys = fold_grow(step, ROOM_KEYS, person->keys, person->n_keys, sizeof(*keys));
    if (key == NULL || keys == NULL) {
        return NULL;
    }
    view__key__init(key);
    key->kind = arena_strdup(arena, identity->kind);
    key->value = arena_strdup(arena, identity->value);
    key->sequence = step->event->sequence;
    key->attached_us = step->event->received_us;
    keys[person->n_keys++] = key;
    person->keys = keys;
    return key->kind == NULL || key->value == NULL ? NULL : key;
}

// Writes down the keys that the customer holds, in clear under its seal.
static int write_keys(struct fold_step *step) {
    const Touchbus__Event *event = step->event;
    View__Person *person;
    int r = event->n_keys > 0 ? fold_person(step, &person) : 0;
    for (size_t i = 0; r == 0 && i < event->n_keys; i++) {
        const Touchbus__Identity *identity = event->keys[i];
        uint8_t lookup[LOOKUP_BYTES];
        const uint8_t *held =
            lookup_key(view_lookup_secret(step->txn), identity->kind, identity->value, lookup)
                ? find_held(step->customer, lookup)
                : NULL;
        if (held == NULL) {
            continue; // another customer's, or over the limit
        }
        View__Key *key = find_key(person, identity);
        key = key != NULL ? key : add_key(step, person, identity);
        if (key == NULL) {
            return -ENOMEM;
        }
        key->verified = (held[LOOKUP_BYTES] & LOOKUP_VERIFIED) != 0;
        step->touched->person_changed = true;
    }
    return r;
}

// ---- events without lookups

static int attach_unstamped(struct fold_step *step, bool *ret_changed) {
    const uint8_t *secret = view_lookup_secret(step->txn);
    int r = 0;
    for (size_t i = 0; r == 0 && i < step->event->n_keys; i++) {
        const Touchbus__Identity *key = step->event->keys[i];
        uint8_t lookup[LOOKUP_BYTES];
        if (lookup_key(secret, key->kind, key->value, lookup)) {
            r = attach(step, lookup, key->verified ? LOOKUP_VERIFIED : 0, ret_changed);
        } else {
            step->customer->dropped++;
        }
    }
    return r;
}

static int bind_unstamped(struct fold_step *step) {
    const uint8_t *secret = view_lookup_secret(step->txn);
    for (size_t i = 0; i < step->event->n_references; i++) {
        const Touchbus__Reference *reference = step->event->references[i];
        uint8_t lookup[LOOKUP_BYTES];
        int r = lookup_reference(secret, reference->kind, reference->id, lookup)
                    ? bind(step, lookup, false)
                    : 1;
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static int note_stamped(struct fold_step *step) {
    if (step->fold->stamped || step->event->key_lookups.len == 0) {
        return 0;
    }
    step->fold->stamped = true;
    return view_put(step->txn, VIEW_META, stamped_key, sizeof(stamped_key) - 1, "", 0);
}

// ---- all of it

int fold_keys(struct fold_step *step) {
    ProtobufCBinaryData lookups = step->event->key_lookups;
    bool changed = false;
    int r = note_stamped(step);
    if (r == 0 && !step->fold->stamped) {
        r = attach_unstamped(step, &changed);
    }
    for (size_t i = 0; r == 0 && i + LOOKUP_KEY_BYTES <= lookups.len; i += LOOKUP_KEY_BYTES) {
        const uint8_t *lookup = lookups.data + i;
        r = attach(step, lookup, lookup[LOOKUP_BYTES], &changed);
    }
    return r == 0 && changed ? write_keys(step) : r;
}

int fold_references(struct fold_step *step) {
    ProtobufCBinaryData lookups = step->event->reference_lookups;
    if (!step->fold->stamped) {
        return bind_unstamped(step);
    }
    for (size_t i = 0; i + LOOKUP_BYTES <= lookups.len; i += LOOKUP_BYTES) {
        int r = bind(step, lookups.data + i, false);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}
