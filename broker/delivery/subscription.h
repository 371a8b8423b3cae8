// SPDX-License-Identifier: Apache-2.0
// A named subscription as a pure state machine: no socket, no store, no clock. The owner offers it
// the events that pass its filter, in log order, takes what may be handed out, and tells it what
// members did with it; `now` and the randomness of the back-off come from outside.
//
//   log order  ->  offer -> [window of unsettled slots] -> take -> member -> settle
//                   cursor = everything below the oldest unsettled slot
//
// Invariants: every event offered is settled by a member or stands in a parked lane; within a lane
// events are handed out in log order, the next only after the one before it is settled or, ahead of
// that, to the member that has the one before it; a failure takes back what went ahead behind it;
// no event is with two members at once; what record and parked rows say together is a point from
// which nothing is lost.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bounds.h"
#include "broker/delivery/lane.h"
#include "schemas/limits.h"

enum {
    SUBSCRIPTION_WINDOW_MAX = SUBSCRIBE_CREDIT_MAX, // unsettled events read ahead
    SUBSCRIPTION_WINDOW_MIN = 256,                  // of them whatever the budget says
    SUBSCRIPTION_MEMBERS_MAX = 256,
    OUTAGE_LANES = 5,        // lanes that fail with no success in between: the sink is out
    PARKED_DRAINS_MAX = 64,  // lanes released at the same time; further ones wait their turn
    PARKED_DRAIN_SLOTS = 32, // events of a released lane looked up ahead
    PARKED_EXTRA_MAX = 256,  // see struct parked
};

struct settled_range {
    uint64_t first, last;
};

// What all subscriptions share: slots and parked lanes there may be in all, so that memory is
// bounded.
struct subscription_budget {
    size_t n_slots, n_slots_max;
    size_t n_parked, n_parked_max;
    struct spare spare;
};

struct subscription_options {
    int64_t retry_us_min, retry_us_max;
    uint32_t retry_attempts; // failures until a lane parks; 0: never
    size_t parked_lanes_max;
};

// A member's share, embedded in whatever the owner keeps of it.
struct member {
    struct subscription *subscription; // NULL: not joined
    struct member *previous, *next;
    uint32_t credit, n_held;
    uint32_t lane_ahead; // the owner's: how many of one lane it may hold; 0, 1: one
    bool any_lane;       // the owner's: alone, too, it gets what is past a busy lane
    bool blocked;        // the owner's: hand it nothing now
    struct slot *held_first, *held_last; // in the order of handing out
    uint64_t n_delivered, n_failed;
};

enum parked_state {
    PARKED_WAITING,  // until an operator says retry or drop
    PARKED_RELEASED, // waits for its turn to drain
    PARKED_DRAINING, // its events go out in order
    PARKED_GONE,     // caught up: its row is to be deleted
};

// A lane that is held back, with everything of it from `first` on.
struct parked {
    uint64_t lane;
    enum parked_state state;
    uint64_t first;   // everything of the lane below it is settled
    uint64_t last;    // the last one seen by the subscription
    uint64_t waiting; // how many
    uint64_t behind;  // parked only because an event of many lanes waits for this one; 0: itself
    uint64_t looked;  // draining: everything up to here has its slot or is settled
    int64_t since_us;
    uint32_t failures;
    bool rejected;
    bool dirty; // its row is not what it is
    char detail[DETAIL_BYTES_MAX + 1];
    // Events that name this lane beside their own one: an index of their own lane misses them here.
    // Ascending; beyond the bound `scan` is set and the log is read through instead.
    uint64_t *extra;
    size_t n_extra;
    bool scan;
    size_t n_drain_slots;
    struct parked *previous, *next;
};

struct subscription {
    struct subscription_options options;
    struct subscription_budget *budget;
    uint64_t position; // everything up to here was offered or passed over
    struct slot *first, *last;
    struct slot *frontier; // the first slot of the window not handed out yet, in log order
    bool settled_after;    // settled events lie between the last slot and the position
    size_t n_window, n_ranges;
    struct settled_range *loaded; // settled above the cursor when it was loaded, not reached yet
    size_t n_loaded, loaded_next;
    struct lanes lanes;
    struct lane_table slots; // by sequence, every kind
    struct member *members;
    size_t n_members;
    struct slot *run; // handed out last; what follows it in its lanes may go with it. NULL: none
    uint64_t credit_total;

    struct parked *parked; // in the order of parking
    struct parked *parked_last;
    size_t n_parked, n_draining;
    bool some_released; // lanes may wait for their turn to drain
    bool parked_full;   // no room for another one: paused

    struct slot *again_first, *again_last; // SLOT_AGAIN, unsettled
    uint64_t again_looked;                 // offered again up to here

    uint64_t outage_lanes[OUTAGE_LANES];
    unsigned n_outage_lanes;
    bool outage;
    struct slot *probe;
    unsigned n_probes;
    int64_t probe_due_us;

    bool paused;
    bool dirty;  // something was settled since the last record
    bool passed; // the position moved since then
    uint64_t random;
    uint64_t n_settled, n_retried, n_rejected, n_lost;
};

// Everything up to cursor is settled, and ranges (ascending, above it) besides; copied.
int subscription_new(const struct subscription_options *options, struct subscription_budget *budget,
                     uint64_t cursor, const struct settled_range *ranges, size_t n_ranges,
                     uint64_t seed, struct subscription **ret);
// Members must have left.
struct subscription *subscription_free(struct subscription *subscription);

// ---- reading

// How many more events it wants to be offered now.
size_t subscription_room(const struct subscription *subscription);
// The next event that passes the filter; sequences ascend and are above position. lanes: its own
// first. 0 or -ENOMEM.
int subscription_offer(struct subscription *subscription, uint64_t sequence, const uint64_t *lanes,
                       unsigned n_lanes, int64_t now_us);
// Everything up to sequence was looked at.
void subscription_pass(struct subscription *subscription, uint64_t sequence);
// Retention removed everything below floor: what is not handed out is gone. True where events
// were lost: *ret_first to *ret_last.
bool subscription_trim(struct subscription *subscription, uint64_t floor, uint64_t *ret_first,
                       uint64_t *ret_last);

// ---- members

void subscription_join(struct subscription *subscription, struct member *member, uint32_t credit);
// What it holds goes to the others.
void subscription_leave(struct subscription *subscription, struct member *member);
// The next event to hand out and to whom; NULL: none now. It is the member's until settled.
struct slot *subscription_take(struct subscription *subscription, int64_t now_us,
                               struct member **ret_member);

enum settle_outcome { SETTLE_DELIVERED, SETTLE_RETRY, SETTLE_REJECT };
// Before the failures of one message are settled: what the member was handed after one of these, in
// any of its lanes, it has forgotten, and so what is behind that. It is taken back; where one of
// them is not with the member any more (a reset came in between), everything it holds is. 0 or
// -ENOMEM.
int subscription_take_back(struct subscription *subscription, struct member *member,
                           const uint64_t *sequences, size_t n_sequences);
// False where the member does not hold it (a late word after it went to another one).
bool subscription_settle(struct subscription *subscription, struct member *member,
                         uint64_t sequence, enum settle_outcome outcome, const char *detail,
                         int64_t now_us);
// What was taken cannot be read any more (trimmed away): counts as lost.
void subscription_lose(struct subscription *subscription, struct slot *slot);
// When take may have something without anything else happening; INT64_MAX: never.
int64_t subscription_due(const struct subscription *subscription);

// ---- account

uint64_t subscription_cursor(const struct subscription *subscription);
// The lowest sequence it still needs from the log.
uint64_t subscription_floor(const struct subscription *subscription);
// The settled ranges above the cursor. Returns how many there are; writes at most n_max.
size_t subscription_ranges(const struct subscription *subscription, struct settled_range *ret,
                           size_t n_max);
const char *subscription_state(const struct subscription *subscription);
void subscription_set_paused(struct subscription *subscription, bool paused);
// Forgets everything above cursor and starts there. Parked lanes that begin above it are dropped,
// for their events come anew; the others stay.
void subscription_reset(struct subscription *subscription, uint64_t cursor);

// ---- history once more (replay --into): before what follows in the log, through the same lanes.
// Events of parked lanes are left out: they come when the lane is released.
size_t subscription_again_room(const struct subscription *subscription);
int subscription_again_offer(struct subscription *subscription, uint64_t sequence,
                             const uint64_t *lanes, unsigned n_lanes);
// Everything handed out again up to here is settled.
uint64_t subscription_again_done(const struct subscription *subscription);

// ---- parked lanes (parking.c)

// A row from the log, before anything is offered. Takes extra (malloc'ed). 0 or -ENOMEM.
int parking_load(struct subscription *subscription, const struct parked *row, uint64_t *extra);
struct parked *parking_find(const struct subscription *subscription, uint64_t lane);
// Releases the lane in order; false: it is not there or released already.
bool parking_retry(struct subscription *subscription, uint64_t lane);
// Gives up its first event, or all that wait, and releases the rest. False: not there, or released
// and under way. *ret_first, *ret_last: what was dropped lies between them, n of them.
bool parking_drop(struct subscription *subscription, uint64_t lane, bool all, uint64_t *ret_first,
                  uint64_t *ret_last, uint64_t *ret_n);
// Its person was erased as of `sequence`: what waits below it is given up, so that the erasing
// event comes through. False: nothing waits below it, or it is under way (and comes out redacted).
bool parking_erase(struct subscription *subscription, uint64_t lane, uint64_t sequence);
// A lane under release that wants its next events looked up in (looked, last]; NULL: none.
struct parked *parking_wants(struct subscription *subscription);
// The next event of that lane, ascending; lanes as for offer. 0 or -ENOMEM.
int parking_feed(struct subscription *subscription, struct parked *parked, uint64_t sequence,
                 const uint64_t *lanes, unsigned n_lanes);
// Everything of it up to sequence was fed. parked may be gone after this.
void parking_looked(struct subscription *subscription, struct parked *parked, uint64_t sequence);
// Forgets the rows that are PARKED_GONE, after their deletion was handed on.
void parking_sweep(struct subscription *subscription);
