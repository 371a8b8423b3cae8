// SPDX-License-Identifier: Apache-2.0
// What decide asks the fold, as of everything applied. Whom it asks about is decoded for the events
// to come anyway; nothing is changed here.
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"
#include "schemas/limits.h"

int fold_customer(struct fold *fold, struct view_txn *txn, uint64_t customer,
                  const View__Customer **ret) {
    struct fold_customer *touched;
    int r = fold_customers_read(fold, txn, customer, &touched);
    *ret = r == 0 ? touched->record : NULL;
    return r;
}

int fold_customer_person(struct fold *fold, struct view_txn *txn, uint64_t customer,
                         const View__Person **ret) {
    struct fold_step step = {.fold = fold, .txn = txn};
    View__Person *person = NULL;
    int r = fold_customers_read(fold, txn, customer, &step.touched);
    r = r != 0 ? r : fold_person(&step, &person);
    *ret = person;
    return r;
}

int fold_recent(struct fold *fold, struct view_txn *txn, uint64_t customer,
                const struct fold_interaction **ret, size_t *ret_n) {
    struct fold_customer *kept;
    int r = fold_customers_read(fold, txn, customer, &kept);
    if (r != 0) {
        return r;
    }
    struct fold_interaction *interactions =
        arena_alloc(fold->scratch, TIMELINE_RECENT_MAX * sizeof(*interactions));
    if (interactions == NULL) {
        return -ENOMEM;
    }
    *ret_n = fold_recent_read(kept->recent, interactions, TIMELINE_RECENT_MAX);
    *ret = interactions;
    return 0;
}

int fold_survivor(struct fold *fold, struct view_txn *txn, uint64_t leaf, uint64_t *ret) {
    for (unsigned i = 0; i <= STAMP_LEAVES_MAX; i++) {
        const View__Customer *record;
        int r = fold_customer(fold, txn, leaf, &record);
        if (r != 0 || record->into == 0) {
            *ret = leaf;
            return r;
        }
        leaf = record->into;
    }
    return -EBADMSG;
}

int fold_holds_key(struct fold *fold, struct view_txn *txn, uint64_t customer,
                   const uint8_t lookup[static LOOKUP_BYTES]) {
    const View__Customer *record;
    int r = fold_customer(fold, txn, customer, &record);
    if (r != 0) {
        return r;
    }
    for (size_t i = 0; i < record->key_lookups.len; i += LOOKUP_KEY_BYTES) {
        const uint8_t *held = record->key_lookups.data + i;
        if (memcmp(held, lookup, LOOKUP_BYTES) == 0) {
            return (held[LOOKUP_BYTES] & LOOKUP_VERIFIED) != 0 ? FOLD_HOLDS_VERIFIED : FOLD_HOLDS;
        }
    }
    return FOLD_HOLDS_NOT;
}
