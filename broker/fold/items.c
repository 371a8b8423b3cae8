// SPDX-License-Identifier: Apache-2.0
#include "broker/fold/items.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

static const char *const names[ITEM_KINDS_MAX] = {
    [ITEM_ORDER] = "order",       [ITEM_QUOTE] = "quote",
    [ITEM_CASE] = "case",         [ITEM_CALL] = "call",
    [ITEM_CHAT] = "conversation", [ITEM_CART] = "cart",
    [ITEM_PROMISE] = "promise",   [ITEM_ANSWER] = "answer",
    [ITEM_CONSENT] = "consent",   [ITEM_CONTACT] = "contact",
    [ITEM_CONTENT] = "content",   [ITEM_OFFER] = "offer",
    [ITEM_LEAD] = "lead",         [ITEM_OPPORTUNITY] = "opportunity",
    [ITEM_CREDIT] = "credit",     [ITEM_INVOICE] = "invoice",
    [ITEM_ASSET] = "asset",       [ITEM_GROUP] = "group",
    [ITEM_MESSAGE] = "message",   [ITEM_PRIVACY] = "privacy",
    [ITEM_PRICE] = "price",       [ITEM_SUPPLY] = "supply",
    [ITEM_AGENT] = "agent",       [ITEM_BUDGET] = "budget",
};

bool item_is_lifted(const char *state) {
    static const char *const words[] = {"lifted", "withdrawn", "revoked", "ended",
                                        "off",    "rejected",  "declined"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i], state) == 0) {
            return true;
        }
    }
    return false;
}

const char *item_kind_name(enum item_kind kind) {
    return kind < ITEM_KINDS_MAX ? names[kind] : NULL;
}

bool item_shared_key(const uint8_t secret[static 16], enum item_kind kind, const char *id,
                     uint8_t ret[static ITEM_SHARED_KEY_BYTES]) {
    const char *name = item_kind_name(kind);
    assert(name != NULL);
    ret[0] = (uint8_t)kind;
    return lookup_reference(secret, name, id, ret + 1);
}

bool item_key(const uint8_t secret[static 16], uint64_t customer, enum item_kind kind,
              const char *id, uint8_t ret[static ITEM_KEY_BYTES]) {
    uint64_t number = htobe64(customer);
    memcpy(ret, &number, sizeof(number));
    return item_shared_key(secret, kind, id, ret + sizeof(number));
}

// ---- rows

static char nothing[] = "";

// The first member that the same event wrote, before this one; NULL: there is none.
static View__Attribute *first_of_event(const View__Item *item, size_t i) {
    for (size_t k = 0; k < i; k++) {
        if (item->members[k]->sequence == item->members[i]->sequence) {
            return item->members[k];
        }
    }
    return NULL;
}

static void name_writers(View__Item *item) {
    for (size_t i = 1; i < item->n_members; i++) {
        View__Attribute *member = item->members[i];
        const View__Attribute *first = first_of_event(item, i);
        if (first != NULL && member->time_us == 0 && *member->id == '\0') {
            member->time_us = first->time_us;
            member->id = first->id;
        }
    }
}

size_t item_packed_size(View__Item *item) {
    for (size_t i = item->n_members; i-- > 1;) {
        View__Attribute *member = item->members[i];
        const View__Attribute *first = first_of_event(item, i);
        if (first != NULL && first->time_us == member->time_us &&
            strcmp(first->id, member->id) == 0) {
            member->time_us = 0;
            member->id = nothing;
        }
    }
    return view__item__get_packed_size(item);
}

size_t item_pack(View__Item *item, uint8_t *ret) {
    size_t size = view__item__pack(item, ret);
    name_writers(item);
    return size;
}

View__Item *item_unpack(ProtobufCAllocator *allocator, size_t size, const uint8_t *packed) {
    View__Item *item = view__item__unpack(allocator, size, packed);
    if (item != NULL) {
        name_writers(item);
    }
    return item;
}
