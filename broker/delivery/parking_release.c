// SPDX-License-Identifier: Apache-2.0
// Releasing parked lanes: their events are fed again, a few at a time, and go through the same gate
// as everything else. The row's first moves with each ack, so a release goes on after a restart.
#include <assert.h>
#include <errno.h>

#include "broker/delivery/subscription_internal.h"

static void parked_activate(struct subscription *subscription, struct parked *parked) {
    parked->state = PARKED_DRAINING;
    parked->looked = parked->first - 1;
    subscription->n_draining++;
    parking_unlist(subscription, parked); // those under way stand in front
    parked->next = subscription->parked;
    parked->previous = NULL;
    if (parked->next)
        parked->next->previous = parked;
    else
        subscription->parked_last = parked;
    subscription->parked = parked;
}

static void parked_release(struct subscription *subscription, struct parked *parked) {
    parked->state = PARKED_RELEASED;
    parked->failures = 0;
    parked->behind = 0;
    parked->dirty = true;
    subscription->dirty = true;
    subscription->some_released = true;
}

static void take_turns(struct subscription *subscription) {
    while (subscription->some_released && subscription->n_draining < PARKED_DRAINS_MAX) {
        struct parked *parked = subscription->parked;
        while (parked && parked->state != PARKED_RELEASED)
            parked = parked->next;
        if (parked)
            parked_activate(subscription, parked);
        else
            subscription->some_released = false;
    }
}

// Events of other released lanes wait for this one no more, where they are below sequence.
void parking_waive(struct subscription *subscription, uint64_t number, uint64_t sequence) {
    for (struct parked *parked = subscription->parked; parked; parked = parked->next) {
        if (parked->state == PARKED_WAITING || parked->state == PARKED_RELEASED)
            break; // those under way stand in front
        struct lane *lane = lanes_find(&subscription->lanes, parked->lane);
        for (struct lane_link *link = lane ? lane->first : NULL; link; link = link->next)
            for (unsigned i = 0; link->slot->kind == SLOT_DRAIN && i < link->slot->n_links; i++) {
                struct lane_link *other = &link->slot->links[i];
                if (link->slot->sequence < sequence && other->number == number && !other->lane &&
                    !other->waived)
                    slot_waive(&subscription->lanes, link->slot, i);
            }
    }
}

// Nothing of it is owed any more: it flows again from here, and so does what waited for it.
void parking_end(struct subscription *subscription, struct parked *parked) {
    struct lane *lane = lanes_find(&subscription->lanes, parked->lane);
    subscription->n_draining -= parked->state == PARKED_DRAINING;
    subscription->n_parked--;
    subscription->budget->n_parked--;
    subscription->parked_full = false;
    subscription->dirty = true;
    parked->state = PARKED_GONE;
    parked->waiting = 0;
    lane->parked = NULL;
    lanes_release(&subscription->lanes, lane);
    parking_waive(subscription, parked->lane, UINT64_MAX);
    struct parked *next;
    for (struct parked *each = subscription->parked; each; each = next) {
        next = each->next;
        if (each->state == PARKED_WAITING && each->behind == parked->lane)
            parked_release(subscription, each);
    }
}

static void parked_end_if_done(struct subscription *subscription, struct parked *parked) {
    if (parked->state == PARKED_DRAINING && parked->n_drain_slots == 0 &&
        parked->looked >= parked->last)
        parking_end(subscription, parked);
}

bool parking_retry(struct subscription *subscription, uint64_t number) {
    struct parked *parked = parking_find(subscription, number);
    if (!parked || parked->state != PARKED_WAITING)
        return false;
    parked_release(subscription, parked);
    return true;
}

bool parking_drop(struct subscription *subscription, uint64_t number, bool all, uint64_t *ret_first,
                  uint64_t *ret_last, uint64_t *ret_n) {
    struct parked *parked = parking_find(subscription, number);
    if (!parked || parked->state != PARKED_WAITING)
        return false;
    uint64_t sequence = parked->first;
    *ret_first = sequence;
    *ret_last = all ? parked->last : sequence;
    *ret_n = all ? parked->waiting : 1;
    if (all) {
        parking_end(subscription, parked);
        return true;
    }
    // An event of many lanes is given up in all that begin with it.
    struct parked *next;
    for (struct parked *each = subscription->parked; each; each = next) {
        next = each->next;
        if (each->state != PARKED_WAITING || each->first != sequence)
            continue;
        each->waiting -= each->waiting > 0;
        parking_advance(each, sequence + 1);
        parking_waive(subscription, each->lane, sequence + 1);
        if (each->first > each->last)
            parking_end(subscription, each);
        else
            parked_release(subscription, each);
    }
    return true;
}

bool parking_erase(struct subscription *subscription, uint64_t number, uint64_t sequence) {
    struct parked *parked = parking_find(subscription, number);
    if (!parked || parked->state != PARKED_WAITING || parked->first >= sequence)
        return false;
    parking_advance(parked, sequence);
    parking_waive(subscription, number, sequence);
    if (parked->first > parked->last) {
        parking_end(subscription, parked);
        return true;
    }
    uint64_t left = parked->last - parked->first + 1;
    if (parked->waiting > left)
        parked->waiting = left;
    parked_release(subscription, parked);
    return true;
}

struct parked *parking_wants(struct subscription *subscription) {
    if (!subscription->members || subscription->paused)
        return NULL;
    take_turns(subscription);
    for (struct parked *parked = subscription->parked; parked; parked = parked->next) {
        if (parked->state == PARKED_WAITING || parked->state == PARKED_RELEASED)
            break; // those under way stand in front
        // Read anew after a start, the log must have been passed as far as the row reaches: what
        // comes before its first event stands in the queue then, and no event is missing here.
        if (parked->state == PARKED_DRAINING && parked->looked < parked->last &&
            parked->last <= subscription->position &&
            parked->n_drain_slots < PARKED_DRAIN_SLOTS / 2)
            return parked;
    }
    return NULL;
}

// The other lanes of a slot of a released lane: past it already, or to be released with it.
static void feed_others(struct subscription *subscription, struct slot *slot, uint64_t lane) {
    for (unsigned i = 0; i < slot->n_links; i++) {
        if (slot->links[i].number == lane)
            continue;
        struct parked *other = parking_find(subscription, slot->links[i].number);
        if (!other || other->first > slot->sequence) {
            slot_waive(&subscription->lanes, slot, i);
            continue;
        }
        if (other->state == PARKED_DRAINING && other->looked >= slot->sequence) {
            slot_waive(&subscription->lanes, slot, i); // it went past: nothing to wait for
            continue;
        }
        if (other->state == PARKED_WAITING && (other->behind || other->first == slot->sequence))
            parked_release(subscription, other);
        if (other->state == PARKED_RELEASED) // whatever the bound: this lane waits for it
            parked_activate(subscription, other);
    }
}

int parking_feed(struct subscription *subscription, struct parked *parked, uint64_t sequence,
                 const uint64_t *lanes, unsigned n_lanes) {
    assert(parked->state == PARKED_DRAINING && sequence > parked->looked);
    parked->looked = sequence;
    struct slot *slot = lane_table_get(&subscription->slots, sequence);
    if (slot && slot->kind != SLOT_DRAIN)
        return 0;
    bool shared = slot != NULL;
    if (!slot) {
        slot = subscription_slot_new(subscription, sequence, SLOT_DRAIN, lanes, n_lanes);
        if (!slot)
            return -ENOMEM;
    }
    for (unsigned i = 0; i < slot->n_links; i++) {
        struct lane_link *link = &slot->links[i];
        if (link->number != parked->lane || link->lane || link->waived)
            continue;
        if (slot_enqueue(&subscription->lanes, slot, i) < 0)
            return -ENOMEM;
        parked->n_drain_slots++;
    }
    if (!shared)
        feed_others(subscription, slot, parked->lane);
    return 0;
}

void parking_looked(struct subscription *subscription, struct parked *parked, uint64_t sequence) {
    if (sequence > parked->looked)
        parked->looked = sequence;
    // An event given up in this lane was not fed: others that have it must not wait for ever.
    parking_waive(subscription, parked->lane, parked->looked + 1);
    parked_end_if_done(subscription, parked);
}

void parking_drained(struct subscription *subscription, struct slot *slot) {
    uint64_t numbers[EVENT_LANES_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < slot->n_links; i++)
        if (slot->links[i].lane)
            numbers[n++] = slot->links[i].number;
    uint64_t sequence = slot->sequence;
    subscription->dirty = true;
    subscription_discard(subscription, slot);
    for (unsigned i = 0; i < n; i++) {
        struct parked *parked = parking_find(subscription, numbers[i]);
        assert(parked && parked->n_drain_slots > 0);
        parked->n_drain_slots--;
        parked->waiting -= parked->waiting > 0;
        parking_advance(parked, sequence + 1);
        parked_end_if_done(subscription, parked);
    }
}
