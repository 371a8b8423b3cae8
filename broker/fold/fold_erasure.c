// SPDX-License-Identifier: Apache-2.0
// An erased customer: its rows go, of its record only the fact stays. Its lookups stay as well:
// with the destroyed key they are the tombstone by which late events are known.
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/fold/fold_internal.h"
#include "schemas/base/guards.h"

enum { BATCH_ROWS = 256, ROW_KEY_BYTES_MAX = 64 };

// Keys of rows to delete: a table is not changed while it is scanned.
struct batch {
    uint8_t keys[BATCH_ROWS][ROW_KEY_BYTES_MAX];
    size_t sizes[BATCH_ROWS];
    size_t n;
};

static int batch_add(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    (void)value, (void)size;
    struct batch *batch = user;
    if (key_size > ROW_KEY_BYTES_MAX) {
        return -EBADMSG;
    }
    memcpy(batch->keys[batch->n], key, key_size);
    batch->sizes[batch->n++] = key_size;
    return batch->n == BATCH_ROWS;
}

static int delete_rows(struct fold_step *step, enum view_table table) {
    uint64_t prefix = htobe64(step->event->customer);
    struct batch batch;
    int r = 1;
    while (r == 1) {
        batch.n = 0;
        r = view_scan(step->txn, table, &prefix, sizeof(prefix), false, batch_add, &batch);
        for (size_t i = 0; r >= 0 && i < batch.n; i++) {
            int deleted = view_delete(step->txn, table, batch.keys[i], batch.sizes[i]);
            r = deleted < 0 ? deleted : r;
        }
    }
    return r;
}

int fold_erasure(struct fold_step *step) {
    static const enum view_table tables[] = {VIEW_TIMELINE, VIEW_ITEMS, VIEW_INDEX};
    View__Customer *record = step->customer;
    uint64_t erased = record->erased_sequence;
    fold_customer_empty(step->touched);
    record->erased_sequence = erased != 0 ? erased : step->event->sequence;
    fold_customers_drop(step->fold); // what was opened of it lies in their memory
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(tables) / sizeof(tables[0]); i++) {
        r = delete_rows(step, tables[i]);
    }
    return r != 0 ? r : GUARD(timers_erased) ? fold_timers_erase(step) : 0;
}
