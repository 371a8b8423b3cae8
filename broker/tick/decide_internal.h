// SPDX-License-Identifier: Apache-2.0
// Who an event belongs to: between decide.c and the files resolve*.c.
#pragma once

#include <jansson.h>

#include "broker/bounds.h"
#include "broker/fold/fold.h"
#include "broker/policy/policy.h"
#include "broker/stores/keys.h"
#include "broker/stores/lookup.h"
#include "broker/stores/view.h"
#include "broker/tick/decide.h"
#include "broker/tick/normalise.h"
#include "schemas/base/arena.h"
#include "schemas/body.h"
#include "schemas/catalogue.h"
#include "schemas/limits.h"
#include "touchbus.pb-c.h"

// Where it is asked.
struct resolve {
    const struct policy *policy;
    const uint8_t *secret; // of lookups
    struct keys *keys;     // NULL: nobody was erased
    struct fold *fold;
    struct view_txn *txn;
    struct arena *arena;
    int64_t now_us;
};

// What becomes of a key.
enum key_fate {
    KEY_NEW,     // nobody's yet: it attaches
    KEY_HELD,    // the customer's
    KEY_LINKS,   // another customer's, who is merged with this one
    KEY_TAKEN,   // another customer's device: it leads to this one from here on
    KEY_FOREIGN, // another customer's, and stays so
    KEY_OVER,    // nobody's, but the customer may not have it: a limit
    KEY_ERASED,  // an erased person's: it leads to nobody
};

// An identity that is a key, with its owner.
struct candidate {
    const Touchbus__Identity *identity;
    const char *value; // normalised
    enum key_class class;
    uint64_t owner;    // the leaf that has it; 0: nobody's yet
    uint64_t survivor; // the customer whose leaf that is
    bool explicit;     // said to be the same person's as the others (customer.aliased)
    bool contested;    // medium, and lately came with other customers than its owner
    enum key_fate fate;
    const char *reason; // why it is KEY_FOREIGN or KEY_OVER; NULL: nothing to be said
    uint8_t lookup[LOOKUP_BYTES];
};

// What an event refers to, with its customer.
struct referred {
    uint64_t owner; // a leaf; 0: nobody's yet
    bool direct;    // by the customer's number or address: nothing is to be bound
    uint8_t lookup[LOOKUP_BYTES];
};

// Merged with one another, in this order: from[i] becomes a part of into.
struct merge_plan {
    uint64_t into;
    uint64_t from[MERGES_AT_ONCE_MAX];
    size_t n;
    const char *reason; // what links them
};

// Whose an event is, as the view says it.
struct resolution {
    struct candidate candidates[EVENT_IDENTITIES_MAX];
    size_t n_candidates;
    struct referred referred[EVENT_REFERENCES_MAX];
    size_t n_referred;
    uint64_t customer; // the living leaf it goes to; 0: nobody, or one to be made
    uint64_t survivor; // the customer that this is a leaf of; 0: none yet
    bool erased;       // it leads to erased persons only: to be logged redacted
    bool ambiguous;    // it fits several and goes to none
    struct merge_plan merge;
};

// A customer as rules of identity look at it: all its leaves.
struct joined {
    uint64_t customer;
    uint64_t leaves[STAMP_LEAVES_MAX]; // the surviving one first
    size_t n_leaves;
    unsigned class; // of its strongest key, bits as in LOOKUP_CLASS; LOOKUP_CLASS where it has none
    uint64_t first_sequence;
    size_t n_keys;
    uint64_t merges;
    unsigned merges_today;
    bool bound; // it has, or had, a strong or medium key
    bool erased, vetoes_full;
};

// ---- resolve_references.c
// Stamps references: what the type's fields and the envelope's case refer to.
int resolve_references(const struct catalogue_type *type, struct arena *arena,
                       Touchbus__Event *event);
// The text of a field that refers to something; "" where it holds nothing usable, NULL where memory
// is short.
const char *resolve_text(struct arena *arena, const struct body_value *value);
// The owners of what the event refers to.
int resolve_referred(const struct resolve *resolve, const Touchbus__Event *event,
                     struct resolution *ret);

// ---- resolve_keys.c
// See decide_keys.
int resolve_make_keys(const struct policy *policy, const uint8_t *secret, struct arena *arena,
                      const Touchbus__Event *event, struct event_keys *ret);
// The keys with who has them. Those that lead to nobody (by now shared by many) are left out.
int resolve_keys(const struct resolve *resolve, const Touchbus__Event *event,
                 const struct event_keys *keys, struct resolution *ret);
// Who else came with this key lately: leaves, the last one first, without erased ones. *ret_shared:
// it leads to nobody any more. 0 or a negative errno.
int resolve_contested(const struct resolve *resolve, const uint8_t lookup[static LOOKUP_BYTES],
                      uint64_t ret[static CONTESTED_CUSTOMERS_MAX], size_t *ret_n,
                      bool *ret_shared);

// ---- resolve_joined.c
int resolve_joined(const struct resolve *resolve, uint64_t customer, struct joined *ret);
// Whether a strong kind would have two values, were all these customers one, with the keys of the
// event that are KEY_NEW. 1, 0 or a negative errno.
int resolve_strong_twice(const struct resolve *resolve, const struct joined *joined, size_t n,
                         const struct resolution *resolution);
// How many keys of the kind the customer got within the time (0: ever). 0 or a negative errno.
int resolve_count_keys(const struct resolve *resolve, const struct joined *joined, const char *kind,
                       int64_t within_us, unsigned *ret);
// Why these customers may not become one; NULL: they may. 0 or a negative errno.
int resolve_may_merge(const struct resolve *resolve, const struct joined *joined, size_t n,
                      const struct resolution *resolution, const char **ret_reason);
// Which of them names them all, and in which order the others come. Sorts them.
void resolve_plan(struct joined *joined, size_t n, const char *reason, struct merge_plan *ret);

// ---- resolve_fates.c
// Decides for every key what becomes of it, once the leaf is found.
int resolve_fates(const struct resolve *resolve, const Touchbus__Event *event,
                  struct resolution *resolution);

// ---- resolve.c
// Finds whose it is and changes nothing. After resolve_references.
int resolve_find(const struct resolve *resolve, const Touchbus__Event *event,
                 const struct event_keys *keys, struct resolution *ret);

// ---- resolve_stamp.c
// Stamps customer, survivor, created, keys and the lookups that are new, and takes identities of
// erased persons out.
int resolve_stamp(const struct resolve *resolve, Touchbus__Event *event, uint64_t *customers_last,
                  struct resolution *resolution);
// As in LOOKUP_CLASS.
uint8_t resolve_class_bits(enum key_class class);
// Takes everything out that would be sealed, and flags it: of an erased person only what stands
// open is logged, as nobody's.
void resolve_redact(Touchbus__Event *event);

// The event's stamp, made where there is none. NULL where memory is short.
Touchbus__Stamp *resolve_make_stamp(struct arena *arena, Touchbus__Event *event);

// ---- resolve_changed.c: identity.changed
struct identity_change {
    const char *kind; // merged, split, refused, shared
    const uint64_t *from;
    size_t n_from;
    uint64_t to;
    const char *reason;
    uint64_t leaf; // whose event it is
};
// The event, caused by `cause`, in the lanes of everyone it names. Free to be stamped. 0 or
// -ENOMEM.
int resolve_changed(struct arena *arena, const struct identity_change *change,
                    const Touchbus__Event *cause, uint64_t sequence, unsigned index,
                    Touchbus__Event **ret);
// One merge after the other. Adds to follow_ups.
int resolve_merged(const struct resolve *resolve, const struct merge_plan *plan,
                   const Touchbus__Event *cause, uint64_t sequence, Touchbus__Event **follow_ups,
                   size_t *n_follow_ups);
// Of an ambiguous event, for its ack: {"candidates": ["c7", ...]}, a new reference. Flushes the
// fold.
int resolve_candidates(const struct resolve *resolve, const struct resolution *resolution,
                       json_t **ret);
// All that the event with this sequence changes between customers, as events. After resolve_stamp.
int resolve_follow(const struct resolve *resolve, Touchbus__Event *event, uint64_t sequence,
                   const struct resolution *resolution, Touchbus__Event **follow_ups,
                   size_t *n_follow_ups);
