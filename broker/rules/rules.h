// SPDX-License-Identifier: Apache-2.0
// The rules that need the current view: what decide does beside finding out whose an event is. One
// table by event type (rules.c) with three moments, one file a concern. A rule reads the view as of
// every event ahead of this one, stamps what it used, and may cause events of its own. It writes
// nothing to the view: what it found reaches the fold in Event.stamp and in its events alone.
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bounds.h"
#include "broker/fold/fold.h"
#include "broker/fold/timers.h"
#include "broker/policy/policy.h"
#include "broker/stores/keys.h"
#include "broker/stores/view.h"
#include "schemas/base/arena.h"
#include "schemas/catalogue.h"
#include "touchbus.pb-c.h"

// What came of an event, and of those it caused.
struct findings {
    uint32_t code;               // refuse: a reason code, 0 accepted
    const char *detail;          // in the arena or static
    ProtobufCBinaryData verdict; // for the ack: a msgpack map in the arena; empty: none
    Touchbus__Event *follow_ups[FOLLOW_UPS_MAX]; // stamped but for sequence, receipt, rank, lanes
    size_t n_follow_ups;
};

// One event being judged.
struct judging {
    const struct policy *policy;
    struct keys *keys;     // NULL: nobody was erased
    const uint8_t *secret; // of lookups
    struct fold *fold;
    struct view_txn *txn; // the tick's; what the fold keeps decoded is in it after fold_flush
    struct arena *arena;  // the tick's
    int64_t now_us;       // receipt of the tick's events
    int64_t timer_us;     // the time by which timers are judged (tick/timer_clock.h): arm by it
    Touchbus__Event *event;
    uint64_t sequence; // it has, or will have
    uint64_t customer; // the leaf it goes to; 0: nobody, or one that is to be made
    struct findings *findings;
};

// Each 0 or a negative errno (fatal). An event without a rule passes at once.
// Before the customer is stamped: may set findings->code, detail and verdict.
int rules_refuse(struct judging *judging);
// After it: may set event->stamp.
int rules_stamp(struct judging *judging);
// After the event was folded: follow-ups and verdict. Follow-ups are judged in turn, after they
// were folded, until FOLLOW_UPS_MAX stand behind the first event.
int rules_follow(struct judging *judging);
// The same for an event that leads to an erased person only: what it asks for is answered.
int rules_redacted(struct judging *judging);
// The event is one that the one being judged caused, before it is logged: its scores.
int rules_stamp_follow_up(struct judging *judging, Touchbus__Event *event);
// What is due: judging->customer's timer of this kind and id. judging->event is an empty one,
// now_us becomes timer_us, so that it is no earlier than due_us. Adds the follow-ups that come of
// it, with ids that follow from their cause; one of them takes the timer out, "timer.passed" where
// nothing else came of it. What they arm themselves is due later than now.
int rules_due(struct judging *judging, const struct timer_due *due);

// ---- for the rules' files
// The event's stamp, made where there is none. NULL where memory is short.
Touchbus__Stamp *rules_make_stamp(struct judging *judging);
// An event by the system about this leaf, caused by the one being judged: id "WHAT-SEQUENCE", type,
// data (takes the reference; NULL: memory is short). *ret is then free to be stamped. 0; 1:
// FOLLOW_UPS_MAX are there, nothing was added; a negative errno.
int rules_follow_up(struct judging *judging, const char *what, const char *type, json_t *data,
                    uint64_t leaf, Touchbus__Event **ret);
// The same with data that is packed already (rules_map.h), in judging->arena.
int rules_follow_up_packed(struct judging *judging, const char *what, const char *type,
                           ProtobufCBinaryData data, uint64_t leaf, Touchbus__Event **ret);
// Adds a due time to the stamp: of that kind and id, 0 turns it off. 0 or -ENOMEM.
int rules_arm(struct arena *arena, Touchbus__Event *event, uint32_t kind,
              const uint8_t id[static LOOKUP_BYTES], int64_t due_us);
// The tier of the customer that the event goes to, as of now: the surviving one's, "guest" where it
// has none, "" where there is no customer. Borrowed from the fold.
int rules_tier(struct judging *judging, const char **ret);
// When the event happened, clamped as the fold does.
int64_t rules_time(const struct judging *judging);
// An event's data of JSON, as msgpack in the arena; takes the reference (NULL: memory is short). 0;
// -E2BIG, -EBADMSG: not what a body may be; -ENOMEM.
int rules_data(struct arena *arena, json_t *json, ProtobufCBinaryData *ret);
// The verdict for the ack; takes the reference. 0 or -ENOMEM.
int rules_verdict(struct judging *judging, json_t *verdict);
