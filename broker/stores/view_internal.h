// SPDX-License-Identifier: Apache-2.0
// What view.c and snapshot.c share.
#pragma once

#include <stdatomic.h>

#include "broker/stores/store.h"
#include "broker/stores/view.h"

struct view {
    struct store *store;
    char *dir;
    struct store_txn *pin; // reads the commit of the restore point, so that its pages stay
    atomic_uint_fast64_t restorable;
};

struct view_txn {
    struct store_txn *txn;
    struct keys_reader *keys; // NULL: nothing is sealed or opened here
    bool keys_begun;          // by us
    uint64_t rows_touched;
};

void view_end_keys(struct view_txn *txn); // view_seal.c
