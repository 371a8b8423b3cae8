// SPDX-License-Identifier: Apache-2.0
// Parked lanes as rows: loading them, forgetting them, and what retention or a reset does to them.
#include <errno.h>
#include <stdlib.h>

#include "broker/delivery/subscription_internal.h"

int parking_load(struct subscription *subscription, const struct parked *row, uint64_t *extra) {
    struct lane *lane = lanes_get(&subscription->lanes, row->lane);
    struct parked *parked = lane ? malloc(sizeof *parked) : NULL;
    if (!parked) {
        free(extra);
        return -ENOMEM;
    }
    *parked = *row;
    parked->extra = extra;
    parked->dirty = false;
    parked->n_drain_slots = 0;
    if (parked->state != PARKED_WAITING) {
        parked->state = PARKED_RELEASED;
        subscription->some_released = true;
    }
    lane->parked = parked;
    parking_list(subscription, parked);
    subscription->n_parked++;
    subscription->budget->n_parked++;
    return 0;
}

void parking_sweep(struct subscription *subscription) {
    for (struct parked *parked = subscription->parked, *next; parked; parked = next) {
        next = parked->next;
        if (parked->state == PARKED_GONE)
            parking_forget(subscription, parked);
    }
}

void parking_rewind(struct subscription *subscription) {
    for (struct parked *parked = subscription->parked; parked; parked = parked->next) {
        parked->n_drain_slots = 0;
        parked->looked = parked->first - 1;
    }
}

// Rows may move in the list while one ends, but only forward and each only once.
uint64_t parking_trim(struct subscription *subscription, uint64_t floor) {
    uint64_t lost = UINT64_MAX;
    for (struct parked *parked = subscription->parked, *next; parked; parked = next) {
        next = parked->next;
        if (parked->state == PARKED_GONE || parked->first >= floor || parked->n_drain_slots)
            continue; // slots that are out find their events missing one by one
        if (parked->first < lost && parked->first <= parked->last)
            lost = parked->first;
        if (parked->last < floor) {
            parking_end(subscription, parked);
            continue;
        }
        parking_advance(parked, floor);
        parking_waive(subscription, parked->lane, floor);
        if (parked->looked < floor - 1)
            parked->looked = floor - 1;
        if (parked->waiting > parked->last - floor + 1)
            parked->waiting = parked->last - floor + 1;
    }
    return lost;
}

void parking_reset(struct subscription *subscription, uint64_t cursor) {
    for (struct parked *parked = subscription->parked, *next; parked; parked = next) {
        next = parked->next;
        if (parked->state == PARKED_GONE)
            continue;
        if (parked->first > cursor) {
            parking_end(subscription, parked);
            continue;
        }
        parked->dirty = true;
        if (parked->last > cursor)
            parked->last = cursor;
        if (parked->waiting > parked->last - parked->first + 1)
            parked->waiting = parked->last - parked->first + 1;
    }
}

uint64_t parking_floor(const struct subscription *subscription) {
    uint64_t floor = UINT64_MAX;
    for (const struct parked *parked = subscription->parked; parked; parked = parked->next)
        if (parked->state != PARKED_GONE && parked->first < floor)
            floor = parked->first;
    return floor;
}

void parking_clear(struct subscription *subscription) {
    while (subscription->parked) {
        struct parked *parked = subscription->parked;
        struct lane *lane =
            parked->state == PARKED_GONE ? NULL : lanes_find(&subscription->lanes, parked->lane);
        if (lane) {
            subscription->budget->n_parked--;
            lane->parked = NULL;
            lanes_release(&subscription->lanes, lane);
        }
        parking_forget(subscription, parked);
    }
}
