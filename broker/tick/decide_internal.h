// SPDX-License-Identifier: Apache-2.0
// Who an event belongs to: between decide.c and resolve.c.
#pragma once

#include "broker/fold/fold.h"
#include "broker/stores/keys.h"
#include "broker/stores/lookup.h"
#include "broker/stores/view.h"
#include "broker/tick/normalise.h"
#include "schemas/base/arena.h"
#include "schemas/catalogue.h"
#include "schemas/limits.h"
#include "touchbus.pb-c.h"

// An identity that is a key, with its owner.
struct candidate {
    const Touchbus__Identity *identity;
    const char *value; // normalised
    enum key_class class;
    uint64_t owner; // 0: nobody's yet
    bool erased;    // its owner was erased: it leads to nobody
    uint8_t lookup[LOOKUP_BYTES];
};

// What an event refers to, with its customer.
struct referred {
    uint64_t owner; // 0: nobody's yet
    uint8_t lookup[LOOKUP_BYTES];
};

// Whose an event is, as the view says it.
struct resolution {
    struct candidate candidates[EVENT_IDENTITIES_MAX];
    size_t n_candidates;
    struct referred referred[EVENT_REFERENCES_MAX];
    size_t n_referred;
    uint64_t customer; // the living one it goes to; 0: nobody, or one to be made
    bool erased;       // it leads to erased persons only: to be logged redacted
    // Every living customer that one of its keys belongs to, the chosen one first.
    uint64_t owners[EVENT_IDENTITIES_MAX];
    size_t n_owners;
};

// Stamps references: what the type's fields and the envelope's case refer to.
int resolve_references(const struct catalogue_type *type, struct arena *arena,
                       Touchbus__Event *event);
// Finds whose it is and changes nothing. After resolve_references. secret: of lookups. keys may be
// NULL: nobody was erased.
int resolve_find(const uint8_t secret[static 16], struct keys *keys, struct fold *fold,
                 struct view_txn *txn, struct arena *arena, const Touchbus__Event *event,
                 struct resolution *ret);
// Stamps customer, created, keys and the lookups that are new, and takes identities of erased
// persons out.
int resolve_stamp(const struct keys *keys, struct fold *fold, struct view_txn *txn,
                  struct arena *arena, Touchbus__Event *event, uint64_t *customers_last,
                  struct resolution *resolution);
// Takes everything out that would be sealed, and flags it: of an erased person only what stands
// open is logged, as nobody's.
void resolve_redact(Touchbus__Event *event);
// The identity.changed that says a merge was refused, for the event with this sequence.
int resolve_refusal(struct arena *arena, const Touchbus__Event *event, uint64_t sequence,
                    const struct resolution *resolution, Touchbus__Event **ret);
