// SPDX-License-Identifier: Apache-2.0
// What becomes of one row of an older base: look-ups, and customers. A customer of version 1 is the
// bytes of a Person and of a Customer one behind the other, which is how it is read: each message
// takes its own fields. Up to version 4 sequences and times of interactions stood whole, under the
// numbers that their differences have now.
#include <errno.h>
#include <string.h>

#include "broker/fold/interactions.h"
#include "broker/stores/base_upgrade_internal.h"
#include "broker/stores/lookup.h"
#include "schemas/body.h"
#include "view.pb-c.h"

enum { NUMBER_BYTES = sizeof(uint64_t) };

int upgrade_copy(struct upgrade *upgrade, const uint8_t *key, size_t key_size, const void *value,
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

int upgrade_key(struct upgrade *upgrade, const uint8_t *key, size_t key_size, const void *value,
                size_t size) {
    return put_lookup(upgrade, key, key_size, value, size, true);
}

int upgrade_reference(struct upgrade *upgrade, const uint8_t *key, size_t key_size,
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

// What says so is an attribute from before there was a column for it.
static bool is_registered(const View__Person *person) {
    for (size_t i = 0; i < person->n_attributes; i++) {
        const View__Attribute *attribute = person->attributes[i];
        struct body_value value;
        if (strcmp(attribute->name, "registered") == 0) {
            return body_read(attribute->value.data, attribute->value.len, &value) &&
                   value.kind == BODY_BOOL && value.integer == 1;
        }
    }
    return false;
}

int upgrade_put_customer(struct upgrade *upgrade, const void *key, size_t key_size,
                         const View__Customer *record) {
    uint8_t *packed = arena_alloc(upgrade->arena, view__customer__get_packed_size(record) + 1);
    return packed == NULL ? -ENOMEM
                          : view_put(upgrade->txn, VIEW_CUSTOMERS, key, key_size, packed,
                                     view__customer__pack(record, packed));
}

// The person of version 1, sealed now.
static int seal_person(struct upgrade *upgrade, const uint8_t *key, size_t key_size,
                       View__Person *person, View__Customer *record) {
    struct arena *arena = upgrade->arena;
    record->base.n_unknown_fields = person->base.n_unknown_fields = 0; // each other's
    int r = hash_keys(upgrade, person, &record->key_lookups);
    size_t size = view__person__get_packed_size(person);
    uint8_t *plain = arena_alloc(arena, size + 1);
    record->person.data = arena_alloc(arena, size + VIEW_SEAL_OVERHEAD);
    if (r != 0 || plain == NULL || record->person.data == NULL) {
        return r != 0 ? r : -ENOMEM;
    }
    view__person__pack(person, plain);
    return size == 0 ? 0
                     : view_seal(upgrade->txn, VIEW_CUSTOMERS, key, key_size, plain, size,
                                 record->person.data, &record->person.len);
}

// The person of version 2, in the same place as ever.
static int open_person(struct upgrade *upgrade, const uint8_t *key, size_t key_size,
                       const View__Customer *record, View__Person **ret) {
    size_t size = 0;
    uint8_t *plain = arena_alloc(upgrade->arena, record->person.len + 1);
    int r = plain == NULL ? -ENOMEM
                          : view_unseal(upgrade->txn, VIEW_CUSTOMERS, key, key_size,
                                        record->person.data, record->person.len, plain, &size);
    *ret = r == 0 ? view__person__unpack(arena_allocator(upgrade->arena), size, plain) : NULL;
    return r == 0 && *ret == NULL ? -EBADMSG : r;
}

static int by_difference(View__Customer *record) {
    size_t n = record->n_recent_sequence_delta;
    if (record->n_recent_time_delta_us != n || record->n_recent_type != n ||
        record->n_recent_channel != n) {
        return -EBADMSG;
    }
    return n == 0
               ? 0
               : interactions_by_difference(record->recent_sequence_delta,
                                            record->recent_time_delta_us, n,
                                            &record->recent_last_sequence, &record->recent_last_us);
}

int upgrade_recent(struct upgrade *upgrade, const uint8_t *key, size_t key_size, const void *value,
                   size_t size) {
    View__Customer *record = view__customer__unpack(arena_allocator(upgrade->arena), size, value);
    int r = record == NULL ? -EBADMSG : by_difference(record);
    return r != 0 ? r : upgrade_put_customer(upgrade, key, key_size, record);
}

int upgrade_run(struct upgrade *upgrade, const uint8_t *key, size_t key_size, const void *value,
                size_t size) {
    View__Run *run = view__run__unpack(arena_allocator(upgrade->arena), size, value);
    if (run == NULL || run->n_sequence_delta == 0 ||
        run->n_sequence_delta != run->n_time_delta_us) {
        return -EBADMSG;
    }
    int r = interactions_by_difference(run->sequence_delta, run->time_delta_us,
                                       run->n_sequence_delta, &run->last_sequence, &run->last_us);
    uint8_t *packed = arena_alloc(upgrade->arena, view__run__get_packed_size(run) + 1);
    if (r != 0 || packed == NULL) {
        return r != 0 ? r : -ENOMEM;
    }
    return view_put(upgrade->txn, VIEW_TIMELINE, key, key_size, packed,
                    view__run__pack(run, packed));
}

int upgrade_customer(struct upgrade *upgrade, const uint8_t *key, size_t key_size,
                     const void *value, size_t size) {
    struct arena *arena = upgrade->arena;
    View__Customer *record = view__customer__unpack(arena_allocator(arena), size, value);
    View__Person *person = NULL;
    if (record == NULL || key_size != NUMBER_BYTES) {
        return -EBADMSG;
    }
    int r;
    if (upgrade->version == 1) {
        person = view__person__unpack(arena_allocator(arena), size, value);
        r = person == NULL ? -EBADMSG : seal_person(upgrade, key, key_size, person, record);
    } else {
        r = open_person(upgrade, key, key_size, record, &person);
    }
    r = r != 0 ? r : by_difference(record);
    if (r != 0) {
        return r;
    }
    record->registered = is_registered(person);
    return upgrade_put_customer(upgrade, key, key_size, record);
}
