// SPDX-License-Identifier: Apache-2.0
// The window of a named subscription: what was read from the log and is not settled, in log order.
// The cursor is not kept but follows from it: it stands just below the oldest unsettled slot. What
// is settled above the cursor is the space between the slots, so that acks in any order cost the
// same and the ranges to be kept are what lies between. Lanes gate (lane.c), parking.c takes lanes
// out, outage.c tells a dead sink from a poison event.
#include "broker/subscription.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/outage.h"
#include "broker/parking.h"

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

static void again_remove(struct subscription *subscription, struct slot *slot) {
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

static void subscription_remove(struct subscription *subscription, struct slot *slot) {
    switch (slot->kind) {
    case SLOT_LIVE:
        window_remove(subscription, slot);
        break;
    case SLOT_DRAIN:
        parking_drained(subscription, slot);
        break;
    case SLOT_AGAIN:
        again_remove(subscription, slot);
        break;
    }
}

static void slot_attach(struct slot *slot, struct member *member) {
    slot->member = member;
    slot->held_previous = member->held_last;
    slot->held_next = NULL;
    if (member->held_last)
        member->held_last->held_next = slot;
    else
        member->held_first = slot;
    member->held_last = slot;
    member->n_held++;
}

static void slot_detach(struct slot *slot) {
    struct member *member = slot->member;
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
            slot_detach(slot);
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
static int subscription_unload(struct subscription *subscription) {
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

// ---- members

void subscription_join(struct subscription *subscription, struct member *member, uint32_t credit) {
    assert(!member->subscription && member->n_held == 0);
    member->subscription = subscription;
    member->credit = credit;
    member->previous = NULL;
    member->next = subscription->members;
    if (member->next)
        member->next->previous = member;
    subscription->members = member;
    subscription->n_members++;
    subscription->credit_total += credit;
}

void subscription_leave(struct subscription *subscription, struct member *member) {
    assert(member->subscription == subscription);
    while (member->held_first) {
        struct slot *slot = member->held_first;
        slot_detach(slot);
        if (subscription->probe == slot)
            subscription->probe = NULL;
        slot_wake(&subscription->lanes, slot);
    }
    if (member->previous)
        member->previous->next = member->next;
    else
        subscription->members = member->next;
    if (member->next)
        member->next->previous = member->previous;
    subscription->n_members--;
    subscription->credit_total -= member->credit;
    member->subscription = NULL;
    member->previous = member->next = NULL;
    // Nobody is there: the window is given back. Short of memory it simply stays.
    if (!subscription->members)
        (void)subscription_unload(subscription);
}

static struct member *member_pick(const struct subscription *subscription) {
    struct member *best = NULL;
    for (struct member *member = subscription->members; member; member = member->next)
        if (!member->blocked && member->n_held < member->credit &&
            (!best || member->credit - member->n_held > best->credit - best->n_held))
            best = member;
    return best;
}

// With one member, log order: no slot goes out before an earlier one, except past those that wait
// for one that rests after a failure.
static bool in_order(struct subscription *subscription, const struct slot *slot) {
    if (subscription->n_members > 1)
        return true;
    struct slot *frontier = subscription->frontier;
    while (frontier && (frontier->state == SLOT_HELD || slot_excused(frontier)))
        frontier = frontier->next;
    subscription->frontier = frontier;
    return !frontier || slot->sequence <= frontier->sequence;
}

// At the bound of ranges only what cannot add another one goes out.
static bool within_ranges(const struct subscription *subscription, const struct slot *slot) {
    if (subscription->n_ranges < ACK_RANGES_MAX || slot == subscription->first)
        return true;
    return slot->settled_before ||
           (slot->next ? slot->next->settled_before : subscription->settled_after);
}

struct slot *subscription_take(struct subscription *subscription, int64_t now_us,
                               struct member **ret_member) {
    if (subscription->paused)
        return NULL;
    for (struct slot *slot;
         (slot = lanes_resting(&subscription->lanes)) && (int64_t)slot->heap_key <= now_us;)
        slot_wake(&subscription->lanes, slot);
    struct slot *slot = subscription->outage ? outage_probe(subscription, now_us)
                                             : lanes_ready(&subscription->lanes);
    if (!slot)
        return NULL;
    if (slot->kind == SLOT_LIVE && !subscription->outage &&
        (!in_order(subscription, slot) || !within_ranges(subscription, slot)))
        return NULL;
    struct member *member = member_pick(subscription);
    if (!member)
        return NULL;
    slot_hold(&subscription->lanes, slot);
    slot_attach(slot, member);
    slot->handed++;
    if (subscription->outage)
        subscription->probe = slot;
    *ret_member = member;
    return slot;
}

static void settle_retry(struct subscription *subscription, struct slot *slot, const char *detail,
                         int64_t now_us) {
    subscription->n_retried++;
    if (outage_failed(subscription, slot, now_us)) {
        slot_wake(&subscription->lanes, slot);
        return;
    }
    slot->failures++;
    uint32_t attempts = subscription->options.retry_attempts;
    if (attempts && slot->failures >= attempts) {
        if (slot->kind == SLOT_AGAIN) { // it was settled once: nothing is lost
            again_remove(subscription, slot);
            return;
        }
        if (parking_park(subscription, slot, false, detail, now_us))
            return;
    }
    slot_rest(&subscription->lanes, slot,
              now_us + outage_backoff(subscription, slot->failures - 1));
}

static void settle_reject(struct subscription *subscription, struct slot *slot, const char *detail,
                          int64_t now_us) {
    subscription->n_rejected++;
    outage_end(subscription); // it answers, so it is there
    if (slot->kind == SLOT_AGAIN) {
        again_remove(subscription, slot);
        return;
    }
    slot->failures++;
    if (!parking_park(subscription, slot, true, detail, now_us))
        slot_rest(&subscription->lanes, slot, now_us + subscription->options.retry_us_max);
}

bool subscription_settle(struct subscription *subscription, struct member *member,
                         uint64_t sequence, enum settle_outcome outcome, const char *detail,
                         int64_t now_us) {
    struct slot *slot = lane_table_get(&subscription->slots, sequence);
    if (!slot || slot->member != member)
        return false;
    slot_detach(slot);
    if (outcome == SETTLE_DELIVERED) {
        member->n_delivered++;
        subscription->n_settled++;
        outage_end(subscription);
        subscription_remove(subscription, slot);
        return true;
    }
    member->n_failed++;
    if (outcome == SETTLE_RETRY)
        settle_retry(subscription, slot, detail, now_us);
    else
        settle_reject(subscription, slot, detail, now_us);
    return true;
}

void subscription_lose(struct subscription *subscription, struct slot *slot) {
    slot_detach(slot);
    subscription->n_lost++;
    subscription_remove(subscription, slot);
}

int64_t subscription_due(const struct subscription *subscription) {
    if (subscription->paused || !member_pick(subscription))
        return INT64_MAX;
    if (subscription->outage)
        return subscription->probe || !lanes_ready(&subscription->lanes)
                   ? INT64_MAX
                   : subscription->probe_due_us;
    struct slot *slot = lanes_resting(&subscription->lanes);
    return slot ? (int64_t)slot->heap_key : INT64_MAX;
}
