// SPDX-License-Identifier: Apache-2.0
// Kinds of items and interests. Their numbers stand in keys of the view: never renumbered.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/stores/lookup.h"
#include "view.pb-c.h"

enum item_kind {
    ITEM_ORDER = 1,        // id: order_id
    ITEM_QUOTE = 2,        // quote_id
    ITEM_CASE = 3,         // case_id
    ITEM_CALL = 4,         // call_id
    ITEM_CHAT = 5,         // conversation_id
    ITEM_CART = 6,         // cart_id
    ITEM_PROMISE = 7,      // promise_id
    ITEM_ANSWER = 8,       // question
    ITEM_CONSENT = 9,      // address, channel, purpose: joined by a unit separator (0x1f), "" any
    ITEM_CONTACT = 10,     // contact_id
    ITEM_CONTENT = 11,     // content_id: shown
    ITEM_OFFER = 12,       // offer_id: answered
    ITEM_LEAD = 13,        // lead_id
    ITEM_OPPORTUNITY = 14, // opportunity_id
    ITEM_CREDIT = 15,      // application_id
    ITEM_INVOICE = 16,     // invoice_id
    ITEM_ASSET = 17,       // asset
    ITEM_GROUP = 18,       // group_id
    ITEM_MESSAGE = 19,     // ref, of what came in and is unanswered, and of outcomes
    ITEM_PRIVACY = 20,     // kind: restriction, objection, access
    // of nobody, in VIEW_SHARED
    ITEM_PRICE = 32,  // sku
    ITEM_SUPPLY = 33, // sku
    ITEM_AGENT = 34,  // actor
    ITEM_BUDGET = 35, // channel, period
    ITEM_KINDS_MAX = 64,
};

// Whether a restriction or an objection in this state holds no more.
bool item_is_lifted(const char *state);

enum interest_kind { INTEREST_NEED = 1, INTEREST_PRODUCT = 2 };

enum {
    ITEM_SHARED_KEY_BYTES = 1 + LOOKUP_BYTES,
    ITEM_KEY_BYTES = 8 + ITEM_SHARED_KEY_BYTES,
};

// The kind as lookups name it: for what events refer to the name of the reference ("order",
// "conversation"), so that an item and its reference share their lookup. NULL: no kind.
const char *item_kind_name(enum item_kind kind);
// The key of an item in VIEW_ITEMS; secret: of the lookups. False: no item may have this id.
bool item_key(const uint8_t secret[static 16], uint64_t customer, enum item_kind kind,
              const char *id, uint8_t ret[static ITEM_KEY_BYTES]);
// The same in VIEW_SHARED.
bool item_shared_key(const uint8_t secret[static 16], enum item_kind kind, const char *id,
                     uint8_t ret[static ITEM_SHARED_KEY_BYTES]);

// An item as it stands in a row: members that one event wrote have the event's time and id once, at
// the first of them; the others name its sequence.
size_t item_packed_size(View__Item *item);
// ret has room for item_packed_size, which comes first.
size_t item_pack(View__Item *item, uint8_t *ret);
// NULL: not an item, or memory is short. Text may be shared between members.
View__Item *item_unpack(ProtobufCAllocator *allocator, size_t size, const uint8_t *packed);
