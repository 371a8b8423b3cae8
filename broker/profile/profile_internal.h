// SPDX-License-Identifier: Apache-2.0
// Between profile_items.c and profile_index.c.
#pragma once

#include "broker/fold/item_index.h"
#include "broker/profile/profile.h"

// A row of an item, of one leaf or of several.
struct profile_row {
    uint64_t order; // of its place in the index, or the sequence that changed it
    uint8_t lookup[LOOKUP_BYTES];
};

void profile_row_key(uint64_t customer, enum item_kind kind,
                     const uint8_t lookup[static LOOKUP_BYTES], uint8_t ret[static ITEM_KEY_BYTES]);
// Each lookup once, the greatest order first. How many are left.
size_t profile_sort_rows(struct profile_row *rows, size_t n);

// Whether the index has this kind in the order of changes; else all of its rows are looked through.
bool profile_index_has_changes(enum item_kind kind);
// A leaf's items that changed last, open or not; ret has room for max.
int profile_index_changes(const struct profile *profile, size_t leaf, enum item_kind kind,
                          size_t max, struct profile_row *ret, size_t *ret_n);
