// SPDX-License-Identifier: Apache-2.0
// A fold at work on a fixture's view: events played in one after the other, and what they made.
#pragma once

#include "broker/fold/fold.h"
#include "broker/fold/items.h"
#include "support.h"

struct scene {
    struct fixture *fixture;
    struct arena *arena;
    struct view_txn *txn;
    struct fold *fold;
    uint64_t sequence;
};

// Starts from nothing: what an earlier scene of the fixture did is gone.
void scene_open(void **state, struct scene *ret);
void scene_close(struct scene *scene);
// Stamps what is not set (sequence, customer 1, receipt) and folds.
void scene_apply(struct scene *scene, Touchbus__Event *event);
// The same of nobody.
void scene_apply_nobodys(struct scene *scene, Touchbus__Event *event);
// An event of customer 1 with an id of its own.
void scene_play(struct scene *scene, const char *type, const char *data);
void scene_erase(struct scene *scene);
// Flushes first.
View__Customer *scene_customer(struct scene *scene, uint64_t number);
View__Person *scene_person(struct scene *scene); // of customer 1
// A member of customer 1's item as JSON text; NULL where it has none.
const char *scene_member(struct scene *scene, enum item_kind kind, const char *id,
                         const char *name);
unsigned scene_count_rows(struct scene *scene, enum view_table table);
// The same throws every time (splitmix64), as of the seed.
void scene_seed(uint64_t seed);
uint32_t scene_dice(void);
