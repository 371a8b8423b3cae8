// SPDX-License-Identifier: Apache-2.0
// What a subscription says of itself: cursor, settled ranges, floor, state; and moving it. The
// ranges are the spaces between the slots of the window; nothing is kept twice.
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "broker/delivery/subscription.h"
#include "broker/delivery/subscription_internal.h"

uint64_t subscription_cursor(const struct subscription *subscription) {
    return subscription->first ? subscription->first->sequence - 1 : subscription->position;
}

uint64_t subscription_floor(const struct subscription *subscription) {
    uint64_t floor = subscription_cursor(subscription) + 1;
    uint64_t parked = parking_floor(subscription);
    if (parked < floor)
        floor = parked;
    if (subscription->again_first && subscription->again_first->sequence < floor)
        floor = subscription->again_first->sequence;
    return floor;
}

static void range_add(struct settled_range *ret, size_t n_max, size_t *n, uint64_t first,
                      uint64_t last) {
    assert(first <= last);
    if (*n < n_max)
        ret[*n] = (struct settled_range){first, last};
    (*n)++;
}

size_t subscription_ranges(const struct subscription *subscription, struct settled_range *ret,
                           size_t n_max) {
    size_t n = 0;
    for (const struct slot *slot = subscription->first; slot; slot = slot->next)
        if (slot->settled_before)
            range_add(ret, n_max, &n, slot->previous->sequence + 1, slot->sequence - 1);
    if (subscription->settled_after)
        range_add(ret, n_max, &n, subscription->last->sequence + 1, subscription->position);
    for (size_t i = subscription->loaded_next; i < subscription->n_loaded; i++) {
        struct settled_range range = subscription->loaded[i];
        if (range.last <= subscription->position)
            continue;
        if (range.first <= subscription->position)
            range.first = subscription->position + 1;
        range_add(ret, n_max, &n, range.first, range.last);
    }
    return n;
}

const char *subscription_state(const struct subscription *subscription) {
    if (subscription->paused || parking_is_full(subscription))
        return "paused";
    if (subscription->outage)
        return "outage";
    return subscription->members ? "active" : "idle";
}

void subscription_set_paused(struct subscription *subscription, bool paused) {
    subscription->dirty |= subscription->paused != paused;
    subscription->paused = paused;
}

size_t subscription_again_room(const struct subscription *subscription) {
    if (!subscription->members || subscription->paused)
        return 0;
    size_t n = 0;
    for (const struct slot *slot = subscription->again_first; slot; slot = slot->next)
        n++;
    return n < SUBSCRIPTION_WINDOW_MIN ? SUBSCRIPTION_WINDOW_MIN - n : 0;
}

uint64_t subscription_again_done(const struct subscription *subscription) {
    return subscription->again_first ? subscription->again_first->sequence - 1
                                     : subscription->again_looked;
}

int subscription_again_offer(struct subscription *subscription, uint64_t sequence,
                             const uint64_t *lanes, unsigned n_lanes) {
    assert(sequence > subscription->again_looked && n_lanes > 0 && n_lanes <= EVENT_LANES_MAX);
    subscription->again_looked = sequence;
    if (lane_table_get(&subscription->slots, sequence))
        return 0; // it is on its way already
    for (unsigned i = 0; i < n_lanes; i++) {
        const struct parked *parked = parking_find(subscription, lanes[i]);
        if (parked && parked->first <= sequence)
            return 0;
    }
    struct slot *slot = subscription_slot_new(subscription, sequence, SLOT_AGAIN, lanes, n_lanes);
    if (!slot)
        return -ENOMEM;
    slot->previous = subscription->again_last;
    if (slot->previous)
        slot->previous->next = slot;
    else
        subscription->again_first = slot;
    subscription->again_last = slot;
    for (unsigned i = 0; i < n_lanes; i++)
        if (slot_enqueue(&subscription->lanes, slot, i) < 0)
            return -ENOMEM;
    return 0;
}
