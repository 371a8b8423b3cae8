// SPDX-License-Identifier: Apache-2.0
// Who an event belongs to: between decide.c and resolve.c.
#pragma once

#include "broker/fold/fold.h"
#include "broker/stores/view.h"
#include "schemas/base/arena.h"
#include "schemas/catalogue.h"
#include "schemas/limits.h"
#include "touchbus.pb-c.h"

// Every customer that one of the event's keys belongs to, the chosen one first.
struct resolution {
    uint64_t owners[EVENT_IDENTITIES_MAX];
    size_t n_owners;
};

// Stamps references: what the type's fields and the envelope's case refer to.
int resolve_references(const struct catalogue_type *type, struct arena *arena,
                       Touchbus__Event *event);
// Stamps customer, created, keys and the lookups that are new. After resolve_references. secret: of
// lookups.
int resolve_customer(struct fold *fold, struct view_txn *txn, const uint8_t secret[static 16],
                     struct arena *arena, Touchbus__Event *event, uint64_t *customers_last,
                     struct resolution *ret);
// The identity.changed that says a merge was refused, for the event with this sequence.
int resolve_refusal(struct arena *arena, const Touchbus__Event *event, uint64_t sequence,
                    const struct resolution *resolution, Touchbus__Event **ret);
