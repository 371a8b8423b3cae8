// SPDX-License-Identifier: Apache-2.0
// Reading the leaves of a customer and joining what they say of the person. A leaf is read as it
// stands; which of two values holds is register.h's rule alone.
#include "broker/profile/profile.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/fold/register.h"
#include "schemas/base/guards.h"
#include "schemas/body.h"

// ---- leaves

static int read_record(struct profile *profile, uint64_t number, View__Customer **ret) {
    uint64_t key = htobe64(number);
    const void *value;
    size_t size;
    int r = view_get(profile->txn, VIEW_CUSTOMERS, &key, sizeof(key), &value, &size);
    if (r != 0) {
        return r;
    }
    *ret = view__customer__unpack(arena_allocator(profile->arena), size, value);
    return *ret != NULL ? 0 : -EBADMSG;
}

static int open_person(struct profile *profile, struct profile_leaf *leaf) {
    const ProtobufCBinaryData *sealed = &leaf->record->person;
    uint64_t key = htobe64(leaf->number);
    size_t size = 0;
    uint8_t *plain = arena_alloc(profile->arena, sealed->len + 1);
    if (plain == NULL) {
        return -ENOMEM;
    }
    int r = view_unseal(profile->txn, VIEW_CUSTOMERS, &key, sizeof(key), sealed->data, sealed->len,
                        plain, &size);
    if (r != 0) {
        return r;
    }
    leaf->person = view__person__unpack(arena_allocator(profile->arena), size, plain);
    return leaf->person != NULL ? 0 : -EBADMSG;
}

static int add_leaf(struct profile *profile, uint64_t number) {
    struct profile_leaf leaf = {.number = number};
    int r = read_record(profile, number, &leaf.record);
    r = r == 0 ? open_person(profile, &leaf) : r;
    if (r == 0) {
        profile->leaves[profile->n_leaves++] = leaf;
    }
    return r;
}

static int compare_numbers(const void *a, const void *b) {
    const struct profile_leaf *left = a, *right = b;
    return left->number < right->number ? -1 : left->number > right->number;
}

int profile_read(struct view_txn *txn, struct arena *arena, uint64_t leaf, struct profile *ret) {
    *ret = (struct profile){.txn = txn, .arena = arena};
    int r = profile_survivor(txn, arena, leaf, &ret->customer);
    r = r == 0 ? add_leaf(ret, ret->customer) : r;
    if (r != 0) {
        return r;
    }
    const View__Customer *record = ret->leaves[0].record;
    for (size_t i = 0; r == 0 && i < record->n_leaves && ret->n_leaves < STAMP_LEAVES_MAX; i++) {
        r = add_leaf(ret, record->leaves[i]);
    }
    if (r == 0) {
        qsort(ret->leaves + 1, ret->n_leaves - 1, sizeof(ret->leaves[0]), compare_numbers);
    }
    return r > 0 ? -EBADMSG : r; // a leaf without a record
}

// ---- attributes

const View__Attribute *profile_attribute(const struct profile *profile, const char *name) {
    const View__Attribute *best = NULL;
    for (size_t i = 0; i < profile->n_leaves; i++) {
        const View__Person *person = profile->leaves[i].person;
        for (size_t j = 0; j < person->n_attributes; j++) {
            const View__Attribute *one = person->attributes[j];
            if (strcmp(one->name, name) == 0 &&
                (best == NULL || !GUARD(join_attributes) || register_beats(one, best))) {
                best = one;
            }
        }
    }
    return best;
}

const char *profile_value_text(const struct profile *profile, const View__Attribute *attribute) {
    struct body_value value;
    if (attribute == NULL || !body_read(attribute->value.data, attribute->value.len, &value)) {
        return NULL;
    }
    if (value.kind == BODY_INTEGER) {
        return arena_printf(profile->arena, "%" PRId64, value.integer);
    }
    if (value.kind != BODY_TEXT || memchr(value.text, '\0', value.text_size) != NULL) {
        return NULL;
    }
    char *text = arena_alloc(profile->arena, value.text_size + 1);
    if (text != NULL) {
        memcpy(text, value.text, value.text_size);
        text[value.text_size] = '\0';
    }
    return text;
}

const char *profile_text(const struct profile *profile, const char *name) {
    return profile_value_text(profile, profile_attribute(profile, name));
}

// By name, then the one that stands first.
static int compare_attributes(const void *a, const void *b) {
    const View__Attribute *const *left = a, *const *right = b;
    int order = strcmp((*left)->name, (*right)->name);
    if (order != 0) {
        return order;
    }
    return register_beats(*left, *right) ? -1 : register_beats(*right, *left);
}

int profile_attributes(const struct profile *profile, View__Attribute ***ret, size_t *ret_n) {
    size_t n = 0, n_kept = 0;
    for (size_t i = 0; i < profile->n_leaves; i++) {
        n += profile->leaves[i].person->n_attributes;
    }
    View__Attribute **all = arena_calloc(profile->arena, n + 1, sizeof(*all));
    if (all == NULL) {
        return -ENOMEM;
    }
    n = 0;
    for (size_t i = 0; i < profile->n_leaves; i++) {
        const View__Person *person = profile->leaves[i].person;
        for (size_t j = 0; j < person->n_attributes; j++) {
            all[n++] = person->attributes[j];
        }
    }
    qsort(all, n, sizeof(*all), compare_attributes);
    for (size_t i = 0; i < n; i++) {
        if (n_kept == 0 || strcmp(all[n_kept - 1]->name, all[i]->name) != 0) {
            all[n_kept++] = all[i];
        }
    }
    *ret = all;
    *ret_n = n_kept;
    return 0;
}
