// SPDX-License-Identifier: Apache-2.0
// Telling a dead sink from a poison event. Probes go round: the one tried least, then the oldest,
// so that a poison event at the front cannot make an outage last.
#include "broker/delivery/outage.h"

#include <assert.h>

static uint64_t random_next(struct subscription *subscription) {
    uint64_t x = subscription->random; // xorshift64
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return subscription->random = x;
}

int64_t outage_backoff(struct subscription *subscription, uint32_t n) {
    int64_t delay = subscription->options.retry_us_min, most = subscription->options.retry_us_max;
    for (uint32_t i = 0; i < n && delay < most; i++)
        delay *= 2;
    if (delay > most)
        delay = most;
    uint64_t quarter = (uint64_t)delay / 4;
    return delay - (int64_t)(quarter ? random_next(subscription) % (quarter + 1) : 0);
}

static void outage_begin(struct subscription *subscription, int64_t now_us) {
    subscription->outage = true;
    subscription->probe = NULL;
    subscription->n_probes = 0;
    subscription->probe_due_us = now_us + outage_backoff(subscription, 0);
    for (struct slot *slot; (slot = lanes_resting(&subscription->lanes));)
        slot_wake(&subscription->lanes, slot);
}

bool outage_failed(struct subscription *subscription, struct slot *slot, int64_t now_us) {
    if (subscription->outage) {
        slot->probes++;
        if (slot == subscription->probe) {
            subscription->probe = NULL;
            subscription->n_probes++;
            subscription->probe_due_us =
                now_us + outage_backoff(subscription, subscription->n_probes);
        }
        return true;
    }
    uint64_t lane = slot->links[0].number;
    for (unsigned i = 0; i < subscription->n_outage_lanes; i++)
        if (subscription->outage_lanes[i] == lane)
            return false;
    subscription->outage_lanes[subscription->n_outage_lanes++] = lane;
    if (subscription->n_outage_lanes < OUTAGE_LANES)
        return false;
    outage_begin(subscription, now_us);
    return true;
}

void outage_end(struct subscription *subscription) {
    subscription->outage = false;
    subscription->probe = NULL;
    subscription->n_outage_lanes = 0;
}

struct slot *outage_probe(struct subscription *subscription, int64_t now_us) {
    if (subscription->probe || now_us < subscription->probe_due_us)
        return NULL;
    struct slot *best = NULL;
    for (size_t i = 0; i < subscription->lanes.ready.n_slots; i++) {
        struct slot *slot = subscription->lanes.ready.cells[i].slot;
        if (!best || slot->probes < best->probes ||
            (slot->probes == best->probes && slot->sequence < best->sequence))
            best = slot;
    }
    return best;
}
