// SPDX-License-Identifier: Apache-2.0
// Where rules find the few items they look for among all that a customer ever had: a row of
// VIEW_INDEX for each quote, case and consent of a leaf, in the order in which it is looked for. A
// row follows from the item's own row alone, so it is as independent of arrival order as that is;
// it says what the leaf knows, and readers of merged customers join (profile_index.c).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/fold/items.h"

enum item_index_part {
    INDEX_CLOSED = 0,   // quotes and cases that are not open
    INDEX_OPEN = 1,     // open ones; expired quotes as well, in front of the others
    INDEX_CONSENTS = 2, // consents
};

enum {
    ITEM_INDEX_PART_BYTES = 8 + 1 + 1, // of a key: customer, kind, part
    ITEM_INDEX_KEY_BYTES = ITEM_INDEX_PART_BYTES + 8 + LOOKUP_BYTES,
};

// In the order of: quotes, the time until which they hold (item_index_until); cases, the sequence
// that changed them last; consents, channel and purpose (item_index_consent).
struct item_place {
    bool is_kept; // else items of this kind are not in the index, or not this one
    enum item_index_part part;
    uint64_t order;
};

// secret: of the lookups.
struct item_place item_index_place(const uint8_t secret[static 16], const View__Item *item);
bool item_index_is_same(const struct item_place *one, const struct item_place *other);
// A time as an order; INT64_MAX: for ever.
uint64_t item_index_until(int64_t time_us);
// Of what was said of a channel and a purpose, "" any. Two of them may share one: who reads looks
// at the item.
uint64_t item_index_consent(const uint8_t secret[static 16], const char *channel,
                            const char *purpose);

void item_index_part_key(uint64_t customer, enum item_kind kind, enum item_index_part part,
                         uint8_t ret[static ITEM_INDEX_PART_BYTES]);
// item_key: of the row in VIEW_ITEMS.
void item_index_key(const uint8_t item_key[static ITEM_KEY_BYTES], const struct item_place *place,
                    uint8_t ret[static ITEM_INDEX_KEY_BYTES]);
// The order in a key, and behind it the lookup.
uint64_t item_index_order(const uint8_t key[static ITEM_INDEX_KEY_BYTES]);
