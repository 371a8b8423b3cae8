// SPDX-License-Identifier: Apache-2.0
// The upkeep thread: restore points of the view, retention (fold into the base, then small trims
// through the tick), room on the disk, dead readers. It writes base/ and restore points; the log is
// written for it by the tick.
#pragma once

#include <stdint.h>

#include "broker/broker.h"

struct upkeep;

int upkeep_new(struct broker *broker, struct upkeep **ret);
struct upkeep *upkeep_free(struct upkeep *upkeep); // after its thread was joined; takes NULL
// The thread's body, for pthread_create, until broker->stop; the tick must run as long as it does
// (join it, then end the tick), or a wait for the tick lasts up to UPKEEP_STOP_MS.
void *upkeep_run(void *upkeep);
enum { UPKEEP_STOP_MS = 2000 };

// `log.trim` by command. On the upkeep thread: a job posted to broker->to_upkeep runs there with
// the struct upkeep * as its context. Removes whole blocks that end below sequence, folded into the
// base first; never what a subscription still needs. 0 and *ret_first, the log's first sequence
// now; or a reason code with *ret_detail (static): REASON_IN_USE (a subscription needs it),
// REASON_BAD_CURSOR (beyond the head), REASON_BUSY (a verify or a backup holds trimming).
int upkeep_trim_before(struct upkeep *upkeep, uint64_t sequence, uint64_t *ret_first,
                       const char **ret_detail);
