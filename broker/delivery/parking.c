// SPDX-License-Identifier: Apache-2.0
// Parked lanes: what a lane holds back is kept as its first and last sequence only, and looked up
// again when an operator releases it. The cursor goes on meanwhile, because the row says what is
// still owed. An event of many lanes that meets a parked one parks its other lanes behind it, from
// itself on, and they are released with it. Rows and cursor are written together, so they agree.
#include "broker/delivery/subscription_internal.h"

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

void parking_unlist(struct subscription *subscription, struct parked *parked) {
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
    parking_unlist(subscription, parked);
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
    parking_unlist(subscription, parked);
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
