// SPDX-License-Identifier: Apache-2.0
// The window of a named subscription: what was read from the log and is not settled, in log order.
// The cursor is not kept but follows from it: it stands just below the oldest unsettled slot. What
// is settled above the cursor is the space between the slots, so that acks in any order cost the
// same and the ranges to be kept are what lies between. Lanes gate (lane.c), parking.c takes lanes
// out, outage.c tells a dead sink from a poison event.
#include "broker/delivery/subscription.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/delivery/outage.h"
#include "broker/delivery/subscription_internal.h"

int subscription_new(const struct subscription_options *options, struct subscription_budget *budget,
                     uint64_t cursor, const struct settled_range *ranges, size_t n_ranges,
                     uint64_t seed, struct subscription **ret) {
    struct subscription *subscription = calloc(1, sizeof *subscription);
    if (!subscription)
        return -ENOMEM;
    if (n_ranges) {
        subscription->loaded = malloc(n_ranges * sizeof *ranges);
        if (!subscription->loaded) {
            free(subscription);
            return -ENOMEM;
        }
        memcpy(subscription->loaded, ranges, n_ranges * sizeof *ranges);
    }
    subscription->n_loaded = n_ranges;
    subscription->options = *options;
    subscription->budget = budget;
    subscription->lanes.spare = &budget->spare;
    subscription->position = cursor;
    subscription->random = seed | 1;
    *ret = subscription;
    return 0;
}

// ---- slots

struct slot *subscription_slot_new(struct subscription *subscription, uint64_t sequence,
                                   enum slot_kind kind, const uint64_t *lanes, unsigned n_lanes) {
    if (lane_table_reserve(&subscription->slots) < 0)
        return NULL;
    struct slot *slot = slot_new(&subscription->lanes, sequence, kind, lanes, n_lanes);
    if (!slot)
        return NULL;
    lane_table_put(&subscription->slots, sequence, slot);
    subscription->budget->n_slots++;
    return slot;
}

// Frees a slot that is in no list.
void subscription_discard(struct subscription *subscription, struct slot *slot) {
    if (subscription->probe == slot)
        subscription->probe = NULL;
    lane_table_remove(&subscription->slots, slot->sequence);
    subscription->budget->n_slots--;
    slot_free(&subscription->lanes, slot);
}

static void window_append(struct subscription *subscription, struct slot *slot) {
    slot->previous = subscription->last;
    if (subscription->last) {
        subscription->last->next = slot;
        slot->settled_before = subscription->settled_after; // the count goes over to it
    } else {
        subscription->first = slot;
    }
    subscription->settled_after = false;
    subscription->last = slot;
    subscription->n_window++;
    if (!subscription->frontier)
        subscription->frontier = slot;
}

// A settled event lies behind the last slot. Below the oldest slot nothing needs to be kept.
static void window_note_settled(struct subscription *subscription) {
    if (!subscription->last || subscription->settled_after)
        return;
    subscription->settled_after = true;
    subscription->n_ranges++;
}

// What was between this slot and its neighbours becomes one settled span.
void window_remove(struct subscription *subscription, struct slot *slot) {
    bool *after = slot->next ? &slot->next->settled_before : &subscription->settled_after;
    if (slot == subscription->first) {
        subscription->n_ranges -= *after; // it falls below the cursor
        *after = false;
    } else {
        subscription->n_ranges -= slot->settled_before;
        subscription->n_ranges += !*after;
        *after = true;
    }
    if (subscription->frontier == slot)
        subscription->frontier = slot->next;
    if (slot->previous)
        slot->previous->next = slot->next;
    else
        subscription->first = slot->next;
    if (slot->next)
        slot->next->previous = slot->previous;
    else
        subscription->last = slot->previous;
    subscription->n_window--;
    subscription->dirty = true;
    subscription_discard(subscription, slot);
}

void subscription_again_remove(struct subscription *subscription, struct slot *slot) {
    if (slot->previous)
        slot->previous->next = slot->next;
    else
        subscription->again_first = slot->next;
    if (slot->next)
        slot->next->previous = slot->previous;
    else
        subscription->again_last = slot->previous;
    subscription->dirty = true;
    subscription_discard(subscription, slot);
}

void subscription_detach(struct slot *slot) {
    struct member *member = slot->member;
    if (member->subscription->run == slot)
        member->subscription->run = NULL;
    if (slot->held_previous)
        slot->held_previous->held_next = slot->held_next;
    else
        member->held_first = slot->held_next;
    if (slot->held_next)
        slot->held_next->held_previous = slot->held_previous;
    else
        member->held_last = slot->held_previous;
    slot->member = NULL;
    slot->held_previous = slot->held_next = NULL;
    member->n_held--;
}

static void discard_all(struct subscription *subscription) {
    for (struct member *member = subscription->members; member; member = member->next)
        while (member->held_first) {
            struct slot *slot = member->held_first;
            subscription_detach(slot);
            slot_wake(&subscription->lanes, slot);
        }
    for (size_t i = 0; i < subscription->slots.n_cells;) {
        struct slot *slot = subscription->slots.cells[i].value;
        if (slot)
            subscription_discard(subscription, slot); // shifts others back: look at it again
        else
            i++;
    }
    subscription->first = subscription->last = subscription->frontier = NULL;
    subscription->again_first = subscription->again_last = NULL;
    subscription->n_window = subscription->n_ranges = 0;
    subscription->settled_after = false;
    outage_end(subscription);
}

// Starts reading at the cursor, with ranges (taken) settled above it.
static void start_over(struct subscription *subscription, uint64_t cursor,
                       struct settled_range *ranges, size_t n_ranges) {
    discard_all(subscription);
    subscription->position = cursor;
    free(subscription->loaded);
    subscription->loaded = ranges;
    subscription->n_loaded = n_ranges;
    subscription->loaded_next = 0;
}

void subscription_reset(struct subscription *subscription, uint64_t cursor) {
    start_over(subscription, cursor, NULL, 0);
    parking_rewind(subscription);
    parking_reset(subscription, cursor);
    subscription->dirty = true;
}

// Forgets all slots, so that reading starts again at the cursor with what is settled above it.
int subscription_unload(struct subscription *subscription) {
    size_t n = subscription_ranges(subscription, NULL, 0);
    struct settled_range *ranges = n ? malloc(n * sizeof *ranges) : NULL;
    if (n && !ranges)
        return -ENOMEM;
    subscription_ranges(subscription, ranges, n);
    uint64_t cursor = subscription_cursor(subscription);
    subscription->again_looked = subscription_again_done(subscription);
    start_over(subscription, cursor, ranges, n);
    parking_rewind(subscription);
    return 0;
}

struct subscription *subscription_free(struct subscription *subscription) {
    if (!subscription)
        return NULL;
    assert(!subscription->members);
    discard_all(subscription);
    parking_clear(subscription);
    lanes_clear(&subscription->lanes);
    lane_table_clear(&subscription->slots);
    free(subscription->loaded);
    free(subscription);
    return NULL;
}

// ---- reading

size_t subscription_room(const struct subscription *subscription) {
    if (!subscription->members || subscription->paused || subscription->n_ranges >= ACK_RANGES_MAX)
        return 0;
    if (parking_is_full(subscription) && subscription->n_draining == 0 &&
        !subscription->some_released)
        return 0;
    size_t limit = SUBSCRIPTION_WINDOW_MIN;
    bool rich = subscription->budget->n_slots < subscription->budget->n_slots_max;
    if (rich && 2 * subscription->credit_total > limit)
        limit = 2 * subscription->credit_total;
    if (limit > SUBSCRIPTION_WINDOW_MAX)
        limit = SUBSCRIPTION_WINDOW_MAX;
    return subscription->n_window < limit ? limit - subscription->n_window : 0;
}

static bool was_settled(struct subscription *subscription, uint64_t sequence) {
    while (subscription->loaded_next < subscription->n_loaded &&
           subscription->loaded[subscription->loaded_next].last < sequence)
        subscription->loaded_next++;
    return subscription->loaded_next < subscription->n_loaded &&
           subscription->loaded[subscription->loaded_next].first <= sequence;
}

// Writes each lane once. An event that names itself twice would wait for itself.
static unsigned lanes_distinct(const uint64_t *lanes, unsigned n_lanes,
                               uint64_t ret[static EVENT_LANES_MAX]) {
    unsigned n = 0;
    for (unsigned i = 0; i < n_lanes && n < EVENT_LANES_MAX; i++) {
        unsigned k = 0;
        while (k < n && ret[k] != lanes[i])
            k++;
        if (k == n)
            ret[n++] = lanes[i];
    }
    return n;
}

int subscription_offer(struct subscription *subscription, uint64_t sequence, const uint64_t *lanes,
                       unsigned n_lanes, int64_t now_us) {
    assert(sequence > subscription->position && n_lanes > 0);
    uint64_t numbers[EVENT_LANES_MAX];
    unsigned n = lanes_distinct(lanes, n_lanes, numbers);
    if (was_settled(subscription, sequence)) {
        window_note_settled(subscription);
    } else {
        int r = parking_swallow(subscription, sequence, numbers, n, now_us);
        if (r < 0)
            return r;
        if (r > 0) {
            window_note_settled(subscription);
            subscription->dirty = true;
        } else {
            struct slot *slot =
                subscription_slot_new(subscription, sequence, SLOT_LIVE, numbers, n);
            if (!slot)
                return -ENOMEM;
            window_append(subscription, slot);
            for (unsigned i = 0; i < n; i++)
                if (slot_enqueue(&subscription->lanes, slot, i) < 0)
                    return -ENOMEM;
        }
    }
    subscription->position = sequence;
    subscription->passed = true;
    return 0;
}

void subscription_pass(struct subscription *subscription, uint64_t sequence) {
    if (sequence <= subscription->position)
        return;
    subscription->position = sequence;
    subscription->passed = true;
}

bool subscription_trim(struct subscription *subscription, uint64_t floor, uint64_t *ret_first,
                       uint64_t *ret_last) {
    uint64_t first = UINT64_MAX;
    for (struct slot *slot = subscription->first, *next; slot && slot->sequence < floor;
         slot = next) {
        next = slot->next;
        if (slot->state == SLOT_HELD)
            continue; // its member has it: what it says still counts
        if (first == UINT64_MAX)
            first = slot->sequence;
        subscription->n_lost++;
        window_remove(subscription, slot);
    }
    if (subscription->position + 1 < floor) {
        if (first == UINT64_MAX)
            first = subscription->position + 1;
        window_note_settled(subscription);
        subscription->position = floor - 1;
        subscription->dirty = true;
    }
    uint64_t parked = parking_trim(subscription, floor);
    if (parked < first)
        first = parked;
    if (first == UINT64_MAX)
        return false;
    *ret_first = first;
    *ret_last = floor - 1;
    return true;
}
