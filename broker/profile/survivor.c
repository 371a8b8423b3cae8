// SPDX-License-Identifier: Apache-2.0
// From a leaf to the customer it is a part of: up the pointers, of which no chain is longer than a
// customer has leaves.
#include <endian.h>
#include <errno.h>

#include "broker/profile/profile.h"

int profile_survivor(struct view_txn *txn, struct arena *arena, uint64_t leaf, uint64_t *ret) {
    for (unsigned i = 0; i <= STAMP_LEAVES_MAX; i++) {
        uint64_t key = htobe64(leaf);
        const void *value;
        size_t size;
        int r = view_get(txn, VIEW_CUSTOMERS, &key, sizeof(key), &value, &size);
        if (r != 0) {
            return r;
        }
        const View__Customer *record = view__customer__unpack(arena_allocator(arena), size, value);
        if (record == NULL) {
            return -EBADMSG;
        }
        if (record->into == 0) {
            *ret = leaf;
            return 0;
        }
        leaf = record->into;
    }
    return -EBADMSG;
}
