// SPDX-License-Identifier: Apache-2.0
// A batch's transaction in two round trips, by libpq's pipeline mode: fences, then everything else
// and the commit. Both are sent whole before the first answer is read.
#pragma once

#include "connectors/crm/batch.h"
#include "connectors/crm/postgres.h"

struct transaction_fence {
    int64_t lane, sequence;
    bool moved; // set: the event is new here
};

// Prepares every statement on a fresh connection.
enum postgres_class transaction_prepare(struct postgres *postgres, char *why);
// BEGIN, and the fences. *ret_other_log: the warehouse belongs to another log. A caller that does
// not commit rolls back.
enum postgres_class transaction_begin(struct postgres *postgres, const char *incarnation,
                                      struct transaction_fence *fences, size_t n_fences,
                                      int64_t timeout_ms, bool *ret_other_log, char *why);
// The rows of batch, without those of events in skip, and COMMIT. What happened where the
// connection broke in between nobody knows: the fences tell when the events come again.
enum postgres_class transaction_commit(struct postgres *postgres, const struct batch *batch,
                                       const bool *skip, int64_t timeout_ms, char *why);
