// SPDX-License-Identifier: Apache-2.0
// Folding the log into a view: catch-up after a start, a rebuild from the base, the base's own
// advance and the scratch copy of verify are all this. It reads blocks, unseals with the keys,
// unpacks and folds, in transactions of at most REBUILD_EVENTS_MAX events. Where a customer's key
// was destroyed, the open half is folded alone.
#pragma once

#include <stdint.h>

#include "broker/stores/keys.h"
#include "broker/stores/log.h"
#include "broker/stores/view.h"

enum { REBUILD_EVENTS_MAX = 4000 };

struct rebuild;

// Everything is borrowed. Whoever holds it is the target's only writer.
int rebuild_new(struct log *log, struct keys *keys, struct view *target, struct rebuild **ret);
struct rebuild *rebuild_free(struct rebuild *rebuild); // takes NULL
// One transaction: folds what follows the target's applied, up to `last` at most. 0: applied is
// `last`, or beyond; 1: more to do. *ret_applied: where it is now (set on 0 and 1). -EBADMSG: a
// block is damaged, or cannot be unsealed (said on the log with its sequences). -ENODATA: what
// follows was trimmed away. After an error the target holds what it held.
int rebuild_step(struct rebuild *rebuild, uint64_t last, uint64_t *ret_applied);
