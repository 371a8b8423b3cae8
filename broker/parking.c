// SPDX-License-Identifier: Apache-2.0
// Parked lanes: what a lane holds back is kept as its first and last sequence only, and looked up
// again when an operator releases it. The cursor goes on meanwhile, because the row says what is
// still owed. An event of many lanes that meets a parked one parks its other lanes behind it, from
// itself on, and they are released with it. Rows and cursor are written together, so they agree.
#include "broker/parking.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schemas/base/logging.h"

void parking_list(struct subscription *subscription, struct parked *parked) {
    parked->previous = subscription->parked_last;
    parked->next = NULL;
    if (parked->previous)
        parked->previous->next = parked;
    else
        subscription->parked = parked;
    subscription->parked_last = parked;
}

static void list_remove(struct subscription *subscription, struct parked *parked) {
    if (parked->previous)
        parked->previous->next = parked->next;
    else
        subscription->parked = parked->next;
    if (parked->next)
        parked->next->previous = parked->previous;
    else
        subscription->parked_last = parked->previous;
}

void parking_forget(struct subscription *subscription, struct parked *parked) {
    list_remove(subscription, parked);
    free(parked->extra);
    free(parked);
}

struct parked *parking_find(const struct subscription *subscription, uint64_t lane) {
    const struct lane *found = lanes_find(&subscription->lanes, lane);
    return found ? found->parked : NULL;
}

static bool parked_under_way(const struct parked *parked) {
    return parked->state == PARKED_RELEASED || parked->state == PARKED_DRAINING;
}

// Half a parking cannot be taken back; what is on disk is whole.
static void __attribute__((noreturn)) memory_fatal(void) {
    logging_error("what=parking error=out-of-memory");
    _exit(EXIT_FATAL);
}

// ---- events that name a lane beside their own

static int extra_add(struct parked *parked, uint64_t sequence) {
    if (parked->scan)
        return 0;
    size_t i = parked->n_extra;
    while (i > 0 && parked->extra[i - 1] > sequence)
        i--;
    if (i > 0 && parked->extra[i - 1] == sequence)
        return 0;
    if (parked->n_extra == PARKED_EXTRA_MAX) {
        parked->scan = true;
        return 0;
    }
    uint64_t *extra = realloc(parked->extra, (parked->n_extra + 1) * sizeof *extra);
    if (!extra)
        return -ENOMEM;
    parked->extra = extra;
    memmove(&extra[i + 1], &extra[i], (parked->n_extra - i) * sizeof *extra);
    extra[i] = sequence;
    parked->n_extra++;
    return 0;
}

// Everything of the lane below sequence is settled.
void parking_advance(struct parked *parked, uint64_t sequence) {
    parked->first = sequence;
    parked->dirty = true;
    size_t n = 0;
    while (n < parked->n_extra && parked->extra[n] < sequence)
        n++;
    if (n) {
        memmove(parked->extra, &parked->extra[n], (parked->n_extra - n) * sizeof *parked->extra);
        parked->n_extra -= n;
    }
}

// ---- parking

// The row of a lane, made where it flowed until now. NULL: memory.
static struct parked *parked_get(struct subscription *subscription, uint64_t number,
                                 uint64_t sequence, uint64_t behind, int64_t now_us) {
    struct lane *lane = lanes_get(&subscription->lanes, number);
    if (!lane || lane->parked)
        return lane ? lane->parked : NULL;
    struct parked *parked = calloc(1, sizeof *parked);
    if (!parked) {
        lanes_release(&subscription->lanes, lane);
        return NULL;
    }
    parked->lane = number;
    parked->first = sequence;
    parked->behind = behind;
    parked->since_us = now_us;
    lane->parked = parked;
    parking_list(subscription, parked);
    subscription->n_parked++;
    subscription->budget->n_parked++;
    return parked;
}

// Stops a release: its slots go, its next try starts at its first event.
static void parked_stop(struct subscription *subscription, struct parked *parked) {
    struct lane *lane = lanes_find(&subscription->lanes, parked->lane);
    for (struct lane_link *link = lane->last, *previous; link; link = previous) {
        previous = link->previous;
        struct slot *slot = link->slot;
        if (slot->kind != SLOT_DRAIN)
            continue;
        slot_unlink(&subscription->lanes, slot, (unsigned)(link - slot->links));
        bool linked = false;
        for (unsigned i = 0; i < slot->n_links; i++)
            linked |= slot->links[i].lane != NULL;
        if (!linked)
            subscription_discard(subscription, slot);
    }
    parked->n_drain_slots = 0;
    subscription->n_draining -= parked->state == PARKED_DRAINING;
    parked->state = PARKED_WAITING;
    parked->dirty = true;
    list_remove(subscription, parked);
    parking_list(subscription, parked);
}

// Counts the event in each of its lanes. fresh: it was in the window, so no row has it yet.
static int lanes_swallow(struct subscription *subscription, uint64_t sequence,
                         const uint64_t *lanes, unsigned n_lanes, uint64_t behind, bool fresh,
                         int64_t now_us) {
    for (unsigned i = 0; i < n_lanes; i++) {
        struct parked *parked =
            parked_get(subscription, lanes[i], sequence, lanes[i] == behind ? 0 : behind, now_us);
        if (!parked)
            return -ENOMEM;
        if (sequence < parked->first) { // an earlier event of the lane is held back now
            if (parked_under_way(parked))
                parked_stop(subscription, parked);
            parking_advance(parked, sequence);
            parked->behind = lanes[i] == behind ? 0 : behind;
        }
        if (fresh || sequence > parked->last)
            parked->waiting++;
        if (sequence > parked->last)
            parked->last = sequence;
        parked->dirty = true;
        if (i > 0 && extra_add(parked, sequence) < 0)
            return -ENOMEM;
    }
    return 0;
}

// The parked lane that holds this event back; NULL: it flows.
static struct parked *holding(const struct subscription *subscription, uint64_t sequence,
                              const uint64_t *lanes, unsigned n_lanes) {
    for (unsigned i = 0; i < n_lanes; i++) {
        struct parked *parked = parking_find(subscription, lanes[i]);
        if (parked && parked->first <= sequence)
            return parked;
    }
    return NULL;
}

int parking_swallow(struct subscription *subscription, uint64_t sequence, const uint64_t *lanes,
                    unsigned n_lanes, int64_t now_us) {
    if (subscription->n_parked == 0)
        return 0;
    const struct parked *parked = holding(subscription, sequence, lanes, n_lanes);
    if (!parked)
        return 0;
    int r = lanes_swallow(subscription, sequence, lanes, n_lanes, parked->lane, false, now_us);
    return r < 0 ? r : 1;
}

static unsigned slot_numbers(const struct slot *slot, uint64_t ret[static EVENT_LANES_MAX]) {
    assert(slot->n_links > 0);
    for (unsigned i = 0; i < slot->n_links; i++)
        ret[i] = slot->links[i].number;
    return slot->n_links;
}

static void parked_fail(struct parked *parked, const struct slot *slot, bool rejected,
                        const char *detail, int64_t now_us) {
    parked->failures = slot->failures;
    parked->rejected = rejected;
    parked->behind = 0;
    parked->since_us = now_us;
    parked->dirty = true;
    snprintf(parked->detail, sizeof parked->detail, "%s", detail);
}

// A released lane failed again: it waits again, from this event on.
static void park_again(struct subscription *subscription, struct slot *slot, bool rejected,
                       const char *detail, int64_t now_us) {
    struct parked *parked[EVENT_LANES_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < slot->n_links; i++)
        if (slot->links[i].lane) // a waived lane is past it
            parked[n++] = slot->links[i].lane->parked;
    for (unsigned i = 0; i < n; i++) {
        parked_fail(parked[i], slot, rejected, detail, now_us);
        parking_advance(parked[i], slot->sequence);
    }
    for (unsigned i = 0; i < n; i++)
        parked_stop(subscription, parked[i]); // the last one frees the slot
}

static bool has_no_room(const struct subscription *subscription) {
    return subscription->n_parked >= subscription->options.parked_lanes_max ||
           subscription->budget->n_parked >= subscription->budget->n_parked_max;
}

bool parking_is_full(const struct subscription *subscription) {
    return subscription->parked_full && has_no_room(subscription);
}

bool parking_park(struct subscription *subscription, struct slot *slot, bool rejected,
                  const char *detail, int64_t now_us) {
    subscription->dirty = true;
    if (slot->kind == SLOT_DRAIN) {
        park_again(subscription, slot, rejected, detail, now_us);
        return true;
    }
    if (has_no_room(subscription)) {
        subscription->parked_full = true;
        return false;
    }
    // In log order, so that lanes parked on the way hold back what comes after.
    uint64_t numbers[EVENT_LANES_MAX];
    for (struct slot *each = slot, *next; each; each = next) {
        next = each->next;
        unsigned n = slot_numbers(each, numbers);
        uint64_t behind = numbers[0];
        if (each != slot) {
            const struct parked *parked = holding(subscription, each->sequence, numbers, n);
            if (!parked)
                continue;
            behind = parked->lane;
            assert(each->state != SLOT_HELD && each->state != SLOT_RESTING);
        }
        if (lanes_swallow(subscription, each->sequence, numbers, n, behind, true, now_us) < 0)
            memory_fatal();
        for (unsigned i = 0; each == slot && i < n; i++)
            parked_fail(parking_find(subscription, numbers[i]), slot, rejected, detail, now_us);
        window_remove(subscription, each);
    }
    return true;
}

// ---- release

static void parked_activate(struct subscription *subscription, struct parked *parked) {
    parked->state = PARKED_DRAINING;
    parked->looked = parked->first - 1;
    subscription->n_draining++;
    list_remove(subscription, parked); // those under way stand in front
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
