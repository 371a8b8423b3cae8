// SPDX-License-Identifier: Apache-2.0
// The fold: (view, stamped event) -> changes. Pure: no clock, no randomness, no configuration, no
// log. Total: whatever is in the log folds; a type it does not know goes on the timeline and is
// counted.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/fold/interactions.h"
#include "broker/stores/lookup.h"
#include "broker/stores/view.h"
#include "schemas/body.h"
#include "touchbus.pb-c.h"
#include "view.pb-c.h"

// Raise it with any change of what the fold writes: a view of another version is rebuilt at start.
// 2: sealed rows, lookups. 3: items, merged customers, stamps. 4: the index. 5: interactions by
// difference.
#define FOLD_VERSION UINT32_C(5)

#define FOLD_AHEAD_US (INT64_C(5) * 60 * 1000000) // a source's clock may be ahead by this

struct View__Customer;
// Holds what it keeps of VIEW_NAMES and VIEW_LOOKUPS, and what is not written yet: where a
// transaction that was folded into is aborted, the fold is freed.
struct fold;

int fold_new(struct view_txn *txn, struct fold **ret);
struct fold *fold_free(struct fold *fold); // takes NULL
// Computes the changes of one event; txn has keys (view_use_keys). Records of customers are kept
// decoded, also from one transaction to the next, and what changed of them is written by
// fold_flush, in key order; everything else is written to txn at once. event is borrowed for the
// call. 0, or a negative errno: txn must be aborted and the fold freed.
int fold_apply(struct fold *fold, struct view_txn *txn, const Touchbus__Event *event);
// The same, where the members of the event's data were read; NULL, or of other data: they were not.
int fold_apply_read(struct fold *fold, struct view_txn *txn, const Touchbus__Event *event,
                    const struct body_members *members);
// Writes what fold_apply kept; before every commit of txn. fold_apply calls it by itself when much
// is to be written; a fold's memory is bounded by FOLD_KEPT_BYTES_MAX and FOLD_ARENA_BYTES_MAX.
// view_set_applied stays the caller's.
int fold_flush(struct fold *fold, struct view_txn *txn);
// Whether this customer holds this key, as of everything applied: FOLD_HOLDS..., or a negative
// errno. Spares decide a look-up in the table: the record is decoded for the fold anyway.
enum { FOLD_HOLDS_NOT, FOLD_HOLDS, FOLD_HOLDS_VERIFIED };
int fold_holds_key(struct fold *fold, struct view_txn *txn, uint64_t customer,
                   const uint8_t lookup[static LOOKUP_BYTES]);
// Has memory fetch where fold_owner will look: worth it a while before.
void fold_prefetch_owner(const struct fold *fold, const uint8_t lookup[static LOOKUP_BYTES]);
// The owner, where it is kept in memory; else 0.
uint64_t fold_owner_at_hand(const struct fold *fold, const uint8_t lookup[static LOOKUP_BYTES]);
// Has memory fetch the customer's record, where it is kept: the first step, numbered 0, where it is
// looked up, each further one what the step before leads to. Worth a while between them.
void fold_prefetch_customer(const struct fold *fold, uint64_t customer, unsigned step);
// The leaf that a key or a reference leads to, as of everything applied; 0: none. 0 or a negative
// errno.
int fold_owner(struct fold *fold, struct view_txn *txn, const uint8_t lookup[static LOOKUP_BYTES],
               uint64_t *ret);
// False: VIEW_CONTESTED has no row for the lookup, which spares asking for it: nearly no key has.
bool fold_may_be_contested(const struct fold *fold, const uint8_t lookup[static LOOKUP_BYTES]);
// The customer's record, and what is sealed in it (empty where its key is destroyed), as of
// everything applied. The customer was given. Borrowed until the next fold_apply or fold_flush.
int fold_customer(struct fold *fold, struct view_txn *txn, uint64_t customer,
                  const View__Customer **ret);
int fold_customer_person(struct fold *fold, struct view_txn *txn, uint64_t customer,
                         const View__Person **ret);
// The last interactions of the customer's own that stand in the record, the oldest first. *ret is
// borrowed as the record is.
int fold_recent(struct fold *fold, struct view_txn *txn, uint64_t customer,
                const struct fold_interaction **ret, size_t *ret_n);
// The customer that the leaf is a part of: itself, where it was not merged.
int fold_survivor(struct fold *fold, struct view_txn *txn, uint64_t leaf, uint64_t *ret);
// The customer's key is destroyed: what was opened with it is not to be looked at any more.
void fold_forget(struct fold *fold, uint64_t customer);
// 1 where the customer was erased, as of everything applied; 0, or a negative errno.
int fold_is_erased(struct fold *fold, struct view_txn *txn, uint64_t customer);
// Bytes of records that were read to be rewritten since fold_count_anew: what a
// transaction makes dirty beside what its events bring. Its owner ends it at FOLD_RECORD_BYTES_MAX.
size_t fold_record_bytes(const struct fold *fold);
void fold_count_anew(struct fold *fold);
// Whether a due time changed since it was asked last.
bool fold_timers_moved(struct fold *fold);
// What the channel has cost in this month (scores.h), in millionths, as of everything applied.
int fold_month_cost(struct fold *fold, struct view_txn *txn, const char *channel, uint32_t month,
                    int64_t *ret_micro);
// The last customer number given, as of what was folded.
uint64_t fold_customers_last(const struct fold *fold);
// Name of an interned number, "other" for 0 and unknown ones.
const char *fold_name(const struct fold *fold, uint32_t number);
