// SPDX-License-Identifier: Apache-2.0
// Reading, merging and writing items: whatever has an id. A member is a register (register.h), so
// that the events of an item may come in any order; the row is written only where one was won. An
// item of a customer is sealed with the customer's key; one of nobody (prices, agents) stands as it
// is in VIEW_SHARED.
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"
#include "broker/fold/register.h"

// The row's bytes without its seal; *ret_size 0 where there is none or its key is destroyed.
static int read_row(const struct fold_step *step, const struct fold_item *item, const uint8_t **ret,
                    size_t *ret_size) {
    const void *value;
    size_t size;
    *ret_size = 0;
    int r = view_get(step->txn, item->table, item->key, item->key_size, &value, &size);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    step->fold->record_bytes += size;
    if (item->table == VIEW_SHARED) {
        *ret = value;
        *ret_size = size;
        return 0;
    }
    uint8_t *plain = arena_alloc(step->fold->scratch, size + 1);
    if (plain == NULL || size < sizeof(uint64_t)) {
        return plain == NULL ? -ENOMEM : -EBADMSG;
    }
    *ret = plain;
    return view_unseal(step->txn, item->table, item->key, item->key_size,
                       (const uint8_t *)value + sizeof(uint64_t), size - sizeof(uint64_t), plain,
                       ret_size);
}

static int make_new(struct fold_step *step, struct fold_item *item, const char *id) {
    item->item = arena_alloc(step->fold->scratch, sizeof(*item->item));
    if (item->item == NULL) {
        return -ENOMEM;
    }
    view__item__init(item->item);
    item->item->kind = item->kind;
    item->item->id = arena_strdup(step->fold->scratch, id);
    item->item->first_sequence = step->event->sequence;
    item->item->first_us = item->item->changed_us = step->time_us;
    item->changed = true;
    return item->item->id == NULL ? -ENOMEM : 0;
}

int fold_item_get(struct fold_step *step, enum item_kind kind, const char *id,
                  struct fold_item *ret) {
    const uint8_t *secret = view_lookup_secret(step->txn);
    uint64_t customer = step->event->customer;
    const uint8_t *plain = NULL;
    size_t size = 0;
    *ret = (struct fold_item){.kind = kind, .table = customer == 0 ? VIEW_SHARED : VIEW_ITEMS};
    ret->key_size = customer == 0 ? ITEM_SHARED_KEY_BYTES : ITEM_KEY_BYTES;
    if (!(customer == 0 ? item_shared_key(secret, kind, id, ret->key)
                        : item_key(secret, customer, kind, id, ret->key))) {
        if (step->customer != NULL) {
            step->customer->dropped++;
        }
        return 1;
    }
    int r = read_row(step, ret, &plain, &size);
    if (r != 0) {
        return r;
    }
    if (size == 0) {
        return make_new(step, ret, id);
    }
    ret->item = item_unpack(arena_allocator(step->fold->scratch), size, plain);
    if (ret->item == NULL) {
        return -EBADMSG;
    }
    fold_index_before(step, ret);
    return 0;
}

View__Attribute *fold_item_member(const struct fold_item *item, const char *name) {
    for (size_t i = 0; i < item->item->n_members; i++) {
        if (strcmp(item->item->members[i]->name, name) == 0) {
            return item->item->members[i];
        }
    }
    return NULL;
}

static int add_member(struct fold_step *step, View__Item *item, View__Attribute *member) {
    View__Attribute **members =
        arena_alloc(step->fold->scratch, (item->n_members + 1) * sizeof(*members));
    if (members == NULL) {
        return -ENOMEM;
    }
    if (item->n_members > 0) {
        memcpy(members, item->members, item->n_members * sizeof(*members));
    }
    members[item->n_members++] = member;
    item->members = members;
    return 0;
}

int fold_item_set(struct fold_step *step, struct fold_item *item, const View__Attribute *written) {
    struct arena *arena = step->fold->scratch;
    View__Attribute *standing = fold_item_member(item, written->name);
    if (standing != NULL && !register_beats(written, standing)) {
        return 0;
    }
    View__Attribute *member = arena_copy(arena, written, sizeof(*written));
    if (member == NULL) {
        return -ENOMEM;
    }
    item->changed = true;
    if (standing != NULL) {
        *standing = *member;
        return 0;
    }
    return add_member(step, item->item, member);
}

int fold_item_put(struct fold_step *step, struct fold_item *item) {
    View__Item *row = item->item;
    if (step->time_us < row->first_us || step->time_us > row->changed_us) {
        row->first_us = step->time_us < row->first_us ? step->time_us : row->first_us;
        row->changed_us = step->time_us > row->changed_us ? step->time_us : row->changed_us;
        item->changed = true;
    }
    if (!item->changed) {
        return 0;
    }
    row->changed_sequence = step->event->sequence;
    int r = fold_index_put(step, item);
    if (r != 0) {
        return r;
    }
    size_t size = item_packed_size(row), sealed_size = 0;
    uint64_t changed = htobe64(row->changed_sequence);
    uint8_t *packed = arena_alloc(step->fold->scratch, size + 1);
    uint8_t *sealed = arena_alloc(step->fold->scratch, sizeof(changed) + size + VIEW_SEAL_OVERHEAD);
    if (packed == NULL || sealed == NULL) {
        return -ENOMEM;
    }
    item_pack(row, packed);
    if (item->table == VIEW_SHARED) {
        return view_put(step->txn, item->table, item->key, item->key_size, packed, size);
    }
    memcpy(sealed, &changed, sizeof(changed));
    r = view_seal(step->txn, item->table, item->key, item->key_size, packed, size,
                  sealed + sizeof(changed), &sealed_size);
    return r != 0 ? r
                  : view_put(step->txn, item->table, item->key, item->key_size, sealed,
                             sizeof(changed) + sealed_size);
}
