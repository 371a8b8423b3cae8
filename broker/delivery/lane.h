// SPDX-License-Identifier: Apache-2.0
// Lanes and slots of one subscription. A slot is one event that is not settled yet; a lane is the
// queue of the slots that must be settled one after the other (a customer's, or a subject's). A
// slot that stands first in every lane it belongs to is ready, and is handed out; one behind it
// only to the same member, who uses them one after the other: the gate that a sink's fence relies
// on. What is held of a lane stands in front in its queue. Knows no cursors or clocks.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schemas/base/lane_table.h"
#include "schemas/limits.h"

struct slot;
struct parked;
struct member;

// A slot's place in one lane's queue.
struct lane_link {
    struct lane *lane; // NULL: not in its queue yet, or it does not gate any more
    struct slot *slot;
    struct lane_link *previous, *next;
    uint64_t number; // of the lane
    bool waived;     // this lane has the event behind it already
};

struct lane {
    uint64_t number;
    struct lane_link *first, *last;
    size_t n_held;         // of its slots, all in front
    struct parked *parked; // NULL: it flows. Owned by the subscription
    struct lane *next_spare;
};

enum slot_state {
    SLOT_WAITING, // behind another one in a lane
    SLOT_READY,   // in the ready heap
    SLOT_RESTING, // failed, in the resting heap until due
    SLOT_HELD,    // a member has it
};

enum slot_kind {
    SLOT_LIVE,  // in the subscription's window, above the cursor
    SLOT_DRAIN, // of a parked lane that is being released
    SLOT_AGAIN, // history handed out once more (replay --into)
};

struct slot {
    uint64_t sequence;
    uint64_t heap_key;
    size_t heap_index;
    enum slot_state state;
    enum slot_kind kind;
    bool alone;          // something was wrong with it: nothing goes ahead with it
    bool failing;        // among what its member has failed just now
    bool settled_before; // settled events lie between this one and the one before it in the window
    uint32_t handed;     // times it was handed out
    uint32_t failures;
    uint32_t probes; // times it was tried during an outage
    uint32_t n_links, n_blocked;
    struct slot *previous, *next; // in the window, or in the list of SLOT_AGAIN
    struct member *member;        // SLOT_HELD: who has it
    struct slot *held_previous, *held_next;
    struct lane_link *links; // the event's own lane first
    struct lane_link own;    // links points here for an event of one lane
};

struct slot_heap {
    struct slot_heap_cell {
        uint64_t key; // the slot's heap_key, where it is compared
        struct slot *slot;
    } * cells;
    size_t n_slots, capacity;
};

enum { SPARE_MAX = 4096 }; // of either kind

// Slots and lanes that were given back, for the next ones of any subscription: they are still in
// the processor's cache, and cost no search for memory. Empty where no slot is alive.
struct spare {
    struct slot *slots; // by next
    struct lane *lanes; // by next_spare
    unsigned n_slots, n_lanes;
    size_t n_alive; // slots of all subscriptions
};

struct lanes {
    struct lane_table table;
    struct slot_heap ready;   // by sequence
    struct slot_heap resting; // by due time
    size_t n_slots;
    struct spare *spare; // shared with others; NULL: none is kept
};

void lanes_clear(struct lanes *lanes); // every slot must be gone, and no lane parked

// A slot that is in no queue yet; NULL where memory is short. Room in every heap is made here, so
// that nothing later can fail.
struct slot *slot_new(struct lanes *lanes, uint64_t sequence, enum slot_kind kind,
                      const uint64_t *numbers, unsigned n_numbers);
// Takes it out of its queues and heaps first.
struct slot *slot_free(struct lanes *lanes, struct slot *slot);

// The lane of a number, made where it is missing (NULL: memory), or NULL where it is missing.
struct lane *lanes_get(struct lanes *lanes, uint64_t number);
struct lane *lanes_find(const struct lanes *lanes, uint64_t number);
// Forgets a lane that is empty and not parked.
void lanes_release(struct lanes *lanes, struct lane *lane);

// Puts the slot at the end of one of its lanes' queues; it gets ready when it is first in all of
// them. 0 or -ENOMEM.
int slot_enqueue(struct lanes *lanes, struct slot *slot, unsigned link);
// The lane gates this slot no more (without ever having queued it).
void slot_waive(struct lanes *lanes, struct slot *slot, unsigned link);
// Leaves one lane's queue without being waived there: it waits to be put in again.
void slot_unlink(struct lanes *lanes, struct slot *slot, unsigned link);
// Leaves every queue; what stood behind it may get ready.
void slot_dequeue(struct lanes *lanes, struct slot *slot);

// State changes of a slot that is first everywhere; held and woken may also be one behind others.
void slot_hold(struct lanes *lanes, struct slot *slot);
void slot_rest(struct lanes *lanes, struct slot *slot, int64_t due_us);
// From held or resting to ready, or to waiting where it is not first.
void slot_wake(struct lanes *lanes, struct slot *slot);
// Whether it may go to this member although it is not first: in each of its lanes the one before it
// is with that member, nothing is wrong with either, and less than n_max are out.
bool slot_may_follow(const struct slot *slot, const struct member *member, size_t n_max);
// Whether one behind it is held.
bool slot_is_followed(const struct slot *slot);
// Whether it waits for a slot that rests, in any of its lanes.
bool slot_excused(const struct slot *slot);
bool slot_in_lane(const struct slot *slot, uint64_t number);

static inline struct slot *lanes_ready(const struct lanes *lanes) {
    return lanes->ready.n_slots ? lanes->ready.cells[0].slot : NULL;
}
static inline struct slot *lanes_resting(const struct lanes *lanes) {
    return lanes->resting.n_slots ? lanes->resting.cells[0].slot : NULL;
}
