// SPDX-License-Identifier: Apache-2.0
// Orders and quotes of an older base become items, and items get their place in the index, which
// version 3 did not have. Those of version 1 were readable, those of
// version 2 are sealed under letters of their own. Who wrote a member and when is not known any
// more: it stands as of the row's last change, with the least rank and id, so that whatever comes
// later wins.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/fold/item_index.h"
#include "broker/stores/base_upgrade_internal.h"
#include "broker/stores/lookup.h"
#include "broker/stores/store.h"
#include "schemas/body.h"
#include "view.pb-c.h"

enum { NUMBER_BYTES = sizeof(uint64_t), OLD_KEY_BYTES = NUMBER_BYTES + LOOKUP_BYTES };

// The plain row of an order or quote; *ret_size 0: its key is destroyed.
static int open_row(struct upgrade *upgrade, char letter, const uint8_t *key, size_t key_size,
                    const uint8_t *value, size_t size, const uint8_t **ret, size_t *ret_size) {
    uint8_t place[1 + OLD_KEY_BYTES];
    *ret = value;
    *ret_size = size;
    if (key_size < NUMBER_BYTES) {
        return -EBADMSG;
    }
    if (upgrade->version == 1) {
        return 0;
    }
    if (key_size != OLD_KEY_BYTES || size < NUMBER_BYTES) {
        return -EBADMSG;
    }
    *ret_size = 0;
    if (size < NUMBER_BYTES + KEYS_ROW_OVERHEAD) {
        return 0; // sealed after the key was destroyed: empty
    }
    place[0] = (uint8_t)letter;
    memcpy(place + 1, key, key_size);
    bool reads = keys_reader_reads(upgrade->secrets);
    size_t sealed_size = size - NUMBER_BYTES;
    uint8_t *plain = arena_alloc(upgrade->arena, sealed_size);
    int r = plain == NULL ? -ENOMEM : reads ? 0 : keys_reader_begin(upgrade->secrets);
    r = r == 0 ? keys_open_row(upgrade->secrets, store_from_be64(key), place, sizeof(place),
                               value + NUMBER_BYTES, sealed_size, plain)
               : r;
    if (!reads && plain != NULL) {
        keys_reader_end(upgrade->secrets);
    }
    *ret = plain;
    *ret_size = r == 0 ? sealed_size - KEYS_ROW_OVERHEAD : 0;
    return r < 0 ? r : 0;
}

static int item_new(struct upgrade *upgrade, enum item_kind kind, char *id, uint64_t first,
                    uint64_t changed, View__Item **ret) {
    enum { MEMBERS_MAX = 10 };
    View__Item *item = arena_alloc(upgrade->arena, sizeof(*item));
    if (item == NULL) {
        return -ENOMEM;
    }
    view__item__init(item);
    item->kind = kind;
    item->id = id;
    item->first_sequence = first;
    item->changed_sequence = changed;
    item->members = arena_calloc(upgrade->arena, MEMBERS_MAX, sizeof(*item->members));
    *ret = item;
    return item->members == NULL ? -ENOMEM : 0;
}

// What a member of an item says, and since when.
struct told {
    uint64_t sequence, revision;
    int64_t time_us;
};

// Takes value, in the arena.
static int add_bytes(struct upgrade *upgrade, View__Item *item, const char *name,
                     ProtobufCBinaryData value, const struct told *told) {
    View__Attribute *member = arena_alloc(upgrade->arena, sizeof(*member));
    if (member == NULL) {
        return -ENOMEM;
    }
    view__attribute__init(member);
    member->name = arena_strdup(upgrade->arena, name);
    member->value = value;
    member->sequence = told->sequence;
    member->revision = told->revision;
    member->time_us = told->time_us;
    item->members[item->n_members++] = member;
    return member->name == NULL ? -ENOMEM : 0;
}

static int add_json(struct upgrade *upgrade, View__Item *item, const char *name, json_t *json,
                    const struct told *told) {
    void *bytes = NULL;
    size_t size = 0;
    int r = json == NULL ? -ENOMEM : body_from_json(json, &bytes, &size);
    ProtobufCBinaryData value = {.len = size,
                                 .data = r == 0 ? arena_copy(upgrade->arena, bytes, size) : NULL};
    json_decref(json);
    free(bytes);
    return r == 0 && value.data != NULL ? add_bytes(upgrade, item, name, value, told)
                                        : (r != 0 ? r : -ENOMEM);
}

// Nothing where the text is empty.
static int add_text(struct upgrade *upgrade, View__Item *item, const char *name, const char *text,
                    const struct told *told) {
    return *text == '\0' ? 0 : add_json(upgrade, item, name, json_string(text), told);
}

// key: in VIEW_ITEMS.
static int put_place(struct upgrade *upgrade, const uint8_t *key, const View__Item *item) {
    const struct item_place place = item_index_place(view_lookup_secret(upgrade->txn), item);
    uint8_t index_key[ITEM_INDEX_KEY_BYTES];
    if (!place.is_kept) {
        return 0;
    }
    item_index_key(key, &place, index_key);
    return view_put(upgrade->txn, VIEW_INDEX, index_key, sizeof(index_key), "", 0);
}

static int put_item(struct upgrade *upgrade, const uint8_t *key, View__Item *item) {
    uint8_t new_key[ITEM_KEY_BYTES];
    uint64_t changed = htobe64(item->changed_sequence);
    size_t size = item_packed_size(item), sealed_size = 0;
    uint8_t *packed = arena_alloc(upgrade->arena, size + 1);
    uint8_t *row = arena_alloc(upgrade->arena, sizeof(changed) + size + VIEW_SEAL_OVERHEAD);
    if (packed == NULL || row == NULL) {
        return -ENOMEM;
    }
    if (!item_key(view_lookup_secret(upgrade->txn), store_from_be64(key),
                  (enum item_kind)item->kind, item->id, new_key)) {
        return 0;
    }
    item_pack(item, packed);
    memcpy(row, &changed, sizeof(changed));
    int r = put_place(upgrade, new_key, item);
    r = r != 0 ? r
               : view_seal(upgrade->txn, VIEW_ITEMS, new_key, sizeof(new_key), packed, size,
                           row + sizeof(changed), &sealed_size);
    return r != 0 ? r
                  : view_put(upgrade->txn, VIEW_ITEMS, new_key, sizeof(new_key), row,
                             sizeof(changed) + sealed_size);
}

// One more order of this customer was placed.
static int count_order(struct upgrade *upgrade, const uint8_t *key) {
    const void *value;
    size_t size;
    int r = view_get(upgrade->txn, VIEW_CUSTOMERS, key, NUMBER_BYTES, &value, &size);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    View__Customer *record = view__customer__unpack(arena_allocator(upgrade->arena), size, value);
    if (record == NULL) {
        return -EBADMSG;
    }
    record->orders++;
    return upgrade_put_customer(upgrade, key, NUMBER_BYTES, record);
}

int upgrade_order(struct upgrade *upgrade, const uint8_t *key, size_t key_size, const void *value,
                  size_t size) {
    const uint8_t *plain = NULL;
    View__Item *item = NULL;
    int r = open_row(upgrade, 'o', key, key_size, value, size, &plain, &size);
    if (r != 0 || size == 0) {
        return r;
    }
    const View__Order *old = view__order__unpack(arena_allocator(upgrade->arena), size, plain);
    if (old == NULL) {
        return -EBADMSG;
    }
    struct told changed = {old->changed_sequence, 0, old->changed_us};
    struct told revised = {old->changed_sequence, old->revision, old->changed_us};
    struct told placed = {old->placed_sequence, 0, old->placed_us};
    bool is_placed = old->placed_sequence != 0;
    r = item_new(upgrade, ITEM_ORDER, old->order_id,
                 is_placed ? old->placed_sequence : old->changed_sequence, old->changed_sequence,
                 &item);
    if (r != 0) {
        return r;
    }
    item->first_us = is_placed ? old->placed_us : old->changed_us;
    item->changed_us = old->changed_us;
    if (is_placed) {
        r = add_json(upgrade, item, "placed", json_integer(old->placed_us), &placed);
        r = r == 0 ? count_order(upgrade, key) : r;
    }
    r = r == 0 ? add_text(upgrade, item, "status", old->status, &revised) : r;
    if (r == 0 && old->revision != 0) {
        r = add_json(upgrade, item, "revision", json_integer((json_int_t)old->revision), &revised);
    }
    r = r == 0 ? add_text(upgrade, item, "currency", old->currency, &revised) : r;
    if (r == 0 && old->lines.len > 0) {
        r = add_bytes(upgrade, item, "lines", old->lines, &revised);
    }
    r = r == 0 ? add_text(upgrade, item, "quote_id", old->quote_id, &placed) : r;
    r = r == 0 ? add_text(upgrade, item, "eta", old->eta, &changed) : r;
    r = r == 0 ? add_text(upgrade, item, "delivery", old->delivery_outcome, &changed) : r;
    r = r == 0 ? add_text(upgrade, item, "return_reason", old->return_reason, &changed) : r;
    return r == 0 ? put_item(upgrade, key, item) : r;
}

int upgrade_quote(struct upgrade *upgrade, const uint8_t *key, size_t key_size, const void *value,
                  size_t size) {
    const uint8_t *plain = NULL;
    View__Item *item = NULL;
    int r = open_row(upgrade, 'q', key, key_size, value, size, &plain, &size);
    if (r != 0 || size == 0) {
        return r;
    }
    const View__Quote *old = view__quote__unpack(arena_allocator(upgrade->arena), size, plain);
    if (old == NULL) {
        return -EBADMSG;
    }
    bool is_open = *old->outcome == '\0';
    struct told changed = {old->changed_sequence, 0, 0};
    struct told issued = {old->issued_sequence, old->revision, 0};
    r = item_new(upgrade, ITEM_QUOTE, old->quote_id,
                 old->issued_sequence != 0 ? old->issued_sequence : old->changed_sequence,
                 old->changed_sequence, &item);
    r = r == 0 ? add_text(upgrade, item, "state", is_open ? "open" : "closed", &changed) : r;
    r = r == 0 ? add_text(upgrade, item, "outcome", old->outcome, &changed) : r;
    if (r == 0 && old->issued_sequence != 0) {
        r = add_json(upgrade, item, "revision", json_integer((json_int_t)old->revision), &issued);
    }
    if (r == 0 && old->lines.len > 0) {
        r = add_bytes(upgrade, item, "lines", old->lines, &issued);
    }
    r = r == 0 ? add_text(upgrade, item, "valid_until", old->valid_until, &issued) : r;
    r = r == 0 ? add_text(upgrade, item, "currency", old->currency, &issued) : r;
    r = r == 0 ? add_text(upgrade, item, "channel", old->channel, &issued) : r;
    return r == 0 ? put_item(upgrade, key, item) : r;
}

// Of version 3: as it is.
int upgrade_item(struct upgrade *upgrade, const uint8_t *key, size_t key_size, const void *value,
                 size_t size) {
    size_t plain_size = 0;
    if (key_size != ITEM_KEY_BYTES || size < NUMBER_BYTES) {
        return -EBADMSG;
    }
    uint8_t *plain = arena_alloc(upgrade->arena, size);
    int r = plain == NULL ? -ENOMEM
                          : view_unseal(upgrade->txn, VIEW_ITEMS, key, key_size,
                                        (const uint8_t *)value + NUMBER_BYTES, size - NUMBER_BYTES,
                                        plain, &plain_size);
    r = r != 0 ? r : view_put(upgrade->txn, VIEW_ITEMS, key, key_size, value, size);
    if (r != 0 || plain_size == 0) { // its key is destroyed
        return r;
    }
    const View__Item *item = item_unpack(arena_allocator(upgrade->arena), plain_size, plain);
    return item == NULL ? -EBADMSG : put_place(upgrade, key, item);
}
