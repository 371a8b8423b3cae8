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
