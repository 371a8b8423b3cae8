// SPDX-License-Identifier: Apache-2.0
// Decide: judges an event against the configuration and the view as the tick's own transaction
// shows it, and stamps what it found into the event, so that the fold needs no look-up. It writes
// nothing. Numbers, sequence and receipt are the tick's to stamp.
#pragma once

#include <stdint.h>

#include "broker/configuration.h"
#include "broker/fold/fold.h"
#include "broker/policy/policy.h"
#include "broker/rules/rules.h"
#include "broker/stores/keys.h"
#include "broker/stores/lookup.h"
#include "broker/stores/view.h"
#include "broker/tick/normalise.h"
#include "schemas/base/arena.h"
#include "schemas/catalogue.h"
#include "touchbus.pb-c.h"

struct decide;

// What decide found beside what stands in the event. findings.code REASON_QUARANTINED: its detail
// says why, nothing was stamped; another code: refused by a rule, nothing was stamped either.
struct decision {
    struct findings findings;
    uint64_t owner; // the customer that it leads to, also where it is put aside; 0: none
};

// An identity as a key: what comes of it by the policy alone, whoever has it.
struct event_key {
    const Touchbus__Identity *identity;
    const char *value; // normalised
    enum key_class class;
    uint8_t lookup[LOOKUP_BYTES];
};
struct event_keys {
    struct event_key *rows;
    size_t n;
};

// What was read of an event without asking anybody.
struct event_reading {
    const struct event_keys *keys;
    const struct body_members *members; // of its data
};

// Where an event is judged: the tick's transaction and its time.
struct decide_place {
    struct fold *fold; // asked what it holds, changed by fold_flush alone
    struct view_txn *txn;
    struct arena *arena;
    int64_t now_us;   // receipt of the events
    int64_t timer_us; // the time by which timers are judged
};

// Borrows configuration, policy, catalogue, secret (16 bytes, for lookups and lanes) and keys
// (asked who was erased; NULL: nobody) for its life. -EINVAL after one log line where a --rank is
// malformed.
int decide_new(const struct configuration *configuration, const struct policy *policy,
               const struct catalogue *catalogue, const uint8_t *secret, struct keys *keys,
               struct decide **ret);
struct decide *decide_free(struct decide *decide); // takes NULL; returns NULL

// The keys among the event's identities, without those that are nobody's or shared by many, in the
// arena. Looks at the policy alone, so it may come long before the event is decided. 0 or -ENOMEM.
int decide_keys(const struct decide *decide, struct arena *arena, const Touchbus__Event *event,
                struct event_keys *ret);
// event is as published, in the arena, and is changed in place. reading: NULL: it is made here.
// sequence: the one it will get. *customers_last: the last customer number
// given; raised by one where the event makes a customer. 0, or a negative errno.
int decide_event(const struct decide *decide, const struct decide_place *place,
                 Touchbus__Event *event, const struct event_reading *reading, uint64_t sequence,
                 uint64_t *customers_last, struct decision *ret);
// After the event, one of its own or one of decision's follow-ups, was folded: adds the follow-ups
// that it causes to decision, with rank and lanes. 0, or a negative errno.
int decide_follow(const struct decide *decide, const struct decide_place *place,
                  Touchbus__Event *event, struct decision *decision);
// What comes of a due time, as decision's follow-ups, with rank and lanes. 0, or a negative errno.
int decide_due(const struct decide *decide, const struct decide_place *place,
               const struct timer_due *due, struct decision *ret);
// The schema alone: 0; REASON_QUARANTINED with *ret_detail in the arena; -ENOMEM.
int decide_check(const struct decide *decide, struct arena *arena, const Touchbus__Event *event,
                 const char **ret_detail);
// For events by the system: rank, survivor and lanes (where it has none) only; the customer, who
// has come by an event before, is given.
int decide_own(const struct decide *decide, const struct decide_place *place,
               Touchbus__Event *event);
