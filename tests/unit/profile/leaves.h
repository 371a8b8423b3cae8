// SPDX-License-Identifier: Apache-2.0
// Leaves of a customer written into a view by hand, as the fold would leave them.
#pragma once

#include "../tick/support.h"
#include "broker/fold/item_index.h"

struct leaf {
    struct fixture *fixture;
    uint64_t number;
    View__Customer record;
    View__Person person;
};

// A leaf of this number, standing for itself.
struct leaf *leaf_new(struct fixture *fixture, uint64_t number);
// value is JSON text; rank, time and id as of the event that set it.
void leaf_set(struct leaf *leaf, const char *name, const char *value, uint32_t rank,
              int64_t time_us, const char *id, uint64_t sequence);
void leaf_interest(struct leaf *leaf, uint32_t kind, const char *term, uint32_t day,
                   uint32_t number);
// Merged: `leaf` is a part of `into`, which is the surviving one.
void leaf_merge(struct leaf *leaf, struct leaf *into);
void leaf_put(struct leaf *leaf); // writes record and person

struct item {
    struct leaf *leaf;
    View__Item row;
};
struct item *item_new(struct leaf *leaf, enum item_kind kind, const char *id, uint64_t changed);
void item_set(struct item *item, const char *name, const char *value, uint64_t revision,
              int64_t time_us);
void item_put(struct item *item);
