// SPDX-License-Identifier: Apache-2.0
// The scorecard's rules: what an event adds to which cell (score.c and the files beside it), and
// what a channel has cost against its budget line. What they find stands in Stamp.scores; the fold
// only sums it.
#pragma once

#include <stdint.h>

#include "broker/fold/scores.h"
#include "broker/rules/rules.h"

// ---- for the contact policy
// What the channel has cost in this month (score_month), in millionths of the organisation's
// currency. Reads txn, so fold_flush comes first. 0 or a negative errno.
int score_month_cost(struct view_txn *txn, const char *channel, uint32_t month, int64_t *ret_micro);
// The month (UTC) of a time.
uint32_t score_month(int64_t time_us);
