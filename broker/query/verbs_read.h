// SPDX-License-Identifier: Apache-2.0
// What several verbs read the same way: a customer by its arguments, a customer's record as JSON,
// an event of the log unsealed.
#pragma once

#include "broker/bounds.h"
#include "broker/fold/interactions.h"
#include "broker/query/verbs.h"
#include "broker/stores/block.h"
#include "broker/stores/lookup.h"
#include "touchbus.pb-c.h"
#include "view.pb-c.h"

// Runs one verb inside a read transaction of the view; the answer is as of its snapshot.
int read_with_view(struct call *call, int (*body)(struct call *call, struct view_txn *txn));
// The customer of the arguments and its record. False: the call is refused, or *ret_error is set.
bool read_customer_of_call(struct call *call, struct view_txn *txn, uint64_t *ret_customer,
                           View__Customer **ret, int *ret_error);
// The customer that the arguments customer=c42, key=KIND=VALUE or reference=KIND=ID name; exactly
// one of them stands in the call. False: the call is refused (bad argument, not found).
bool read_customer_argument(struct call *call, struct view_txn *txn, uint64_t *ret);
// Who the argument key may mean, the likeliest first, of those who came with it since then; none
// where the call has no such argument, or was refused. 0 or a negative errno.
int read_candidates(struct call *call, struct view_txn *txn, int64_t since_us,
                    uint64_t ret[static CANDIDATES_MAX], size_t *ret_n);
// The record, in the call's arena. 0; 1 there is none; -EBADMSG, -ENOMEM.
int read_customer_record(struct call *call, struct view_txn *txn, uint64_t customer,
                         View__Customer **ret);
// What is sealed in the record, opened, in the call's arena; empty where its key is destroyed.
int read_person(struct call *call, struct view_txn *txn, uint64_t customer,
                const View__Customer *record, View__Person **ret);
// One interaction: sequence, time, type, channel.
json_t *read_interaction_json(struct call *call, struct view_txn *txn,
                              const struct fold_interaction *interaction);

// Begin and end a slice over log and keys.
int read_begin(struct call *call);
void read_end(struct call *call);
// Takes what names erased persons out of an event of somebody else. 0 or a negative errno.
int read_drop_erased(struct call *call, struct arena *arena, Touchbus__Event *event);
// An event of a block, unsealed, in the arena, without what names erased persons. 0; 1: its
// customer's key is destroyed (*ret is what stands open, flagged redacted); -EBADMSG, -ENOMEM.
int read_event(struct call *call, struct arena *arena, const struct block_head *block,
               uint32_t index, Touchbus__Event **ret);
// RFC 3339 as a new JSON string.
json_t *read_time_json(int64_t time_us);
