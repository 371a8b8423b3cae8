// SPDX-License-Identifier: Apache-2.0
// The upkeep thread: restore points of the view, retention (fold into the base, then small trims
// through the tick), room on the disk, dead and stuck readers. It writes base/ and restore points;
// the log is written for it by the tick. What ends below log_first was folded into the base before
// it went; a subscription whose next event is below log_first has lost what lies between, and an
// events.lost in the log says so.
#pragma once

#include <stdint.h>

#include "broker/broker.h"

struct upkeep;

int upkeep_new(struct broker *broker, struct upkeep **ret);
struct upkeep *upkeep_free(struct upkeep *upkeep); // after its thread was joined; takes NULL
// The thread's body, for pthread_create, until broker->stop. It waits for its jobs in the tick: run
// the tick, or drain it, until this thread is joined. broker->delivery is read and may be NULL.
void *upkeep_run(void *upkeep);

// `log.trim` by command. On the upkeep thread: a job posted to broker->to_upkeep runs there with
// the struct upkeep * as its context. Removes whole blocks that end below sequence, folded into the
// base first; never what a subscription still needs. 0 and *ret_first, the log's first sequence
// now; or a reason code with *ret_detail (static): REASON_IN_USE (a subscription needs it),
// REASON_BAD_CURSOR (beyond the head), REASON_BUSY (a verify or a backup holds trimming, or the
// broker ends).
int upkeep_trim_before(struct upkeep *upkeep, uint64_t sequence, uint64_t *ret_first,
                       const char **ret_detail);
