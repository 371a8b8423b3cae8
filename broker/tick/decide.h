// SPDX-License-Identifier: Apache-2.0
// Decide: judges an event against the configuration and the view as the tick's own transaction
// shows it, and stamps what it found into the event, so that the fold needs no look-up. It writes
// nothing. Numbers, sequence and receipt are the tick's to stamp.
#pragma once

#include <stdint.h>

#include "broker/bounds.h"
#include "broker/configuration.h"
#include "broker/fold/fold.h"
#include "broker/stores/keys.h"
#include "broker/stores/view.h"
#include "schemas/base/arena.h"
#include "schemas/catalogue.h"
#include "touchbus.pb-c.h"

struct decide;

// What decide found beside what stands in the event.
struct decision {
    uint32_t code;      // 0 accepted; REASON_QUARANTINED: detail says why, nothing was stamped
    const char *detail; // in the arena
    uint64_t owner;     // the customer that it leads to, also where it is put aside; 0: none
    size_t n_follow_ups;
    Touchbus__Event *follow_ups[FOLLOW_UPS_MAX]; // stamped but for sequence, receipt and cause
};

// Borrows configuration, catalogue, secret (16 bytes, for lookups and lanes) and keys (asked who
// was erased; NULL: nobody) for its life. -EINVAL after one log line where a --rank is malformed.
int decide_new(const struct configuration *configuration, const struct catalogue *catalogue,
               const uint8_t *secret, struct keys *keys, struct decide **ret);
struct decide *decide_free(struct decide *decide); // takes NULL; returns NULL

// event is as published, in the arena, and is changed in place. fold: asked what it holds, never
// changed. sequence: the one it will get.
// *customers_last: the last customer number given; raised by one where the event makes a customer.
// 0, or a negative errno.
int decide_event(const struct decide *decide, struct fold *fold, struct view_txn *txn,
                 struct arena *arena, Touchbus__Event *event, uint64_t sequence,
                 uint64_t *customers_last, struct decision *ret);
// The schema alone: 0; REASON_QUARANTINED with *ret_detail in the arena; -ENOMEM.
int decide_check(const struct decide *decide, struct arena *arena, const Touchbus__Event *event,
                 const char **ret_detail);
// For events by the system: rank and lanes only; the customer is given.
int decide_own(const struct decide *decide, struct arena *arena, Touchbus__Event *event);
