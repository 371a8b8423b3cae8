// SPDX-License-Identifier: Apache-2.0
// Keeps VIEW_INDEX: where an item's place in it is another one than before its event, the row
// moves.
#include "broker/fold/fold_internal.h"
#include "schemas/base/guards.h"

// Of customers alone: what is nobody's has a key of its own.
static struct item_place place_of(const struct fold_step *step, const struct fold_item *item) {
    return item->table == VIEW_ITEMS ? item_index_place(view_lookup_secret(step->txn), item->item)
                                     : (struct item_place){.is_kept = false};
}

void fold_index_before(const struct fold_step *step, struct fold_item *item) {
    item->place = place_of(step, item);
}

int fold_index_put(struct fold_step *step, struct fold_item *item) {
    struct item_place place = place_of(step, item);
    uint8_t key[ITEM_INDEX_KEY_BYTES];
    int r = 0;
    if (item_index_is_same(&item->place, &place)) {
        return 0;
    }
    if (GUARD(index_row_moves) && item->place.is_kept) {
        item_index_key(item->key, &item->place, key);
        r = view_delete(step->txn, VIEW_INDEX, key, sizeof(key));
    }
    if (r >= 0 && place.is_kept) {
        item_index_key(item->key, &place, key);
        r = view_put(step->txn, VIEW_INDEX, key, sizeof(key), "", 0);
    }
    item->place = place;
    return r < 0 ? r : 0;
}
