// SPDX-License-Identifier: Apache-2.0
// What a named subscription reads: ahead in the log as far as its state machine wants, the events
// of released lanes, and history that goes out once more. Released lanes are looked up by the
// customer's index, other lanes by reading the log from where they parked.
#include <errno.h>
#include <string.h>

#include "broker/delivery/delivery_internal.h"
#include "schemas/base/logging.h"

enum { DRAIN_BLOCKS = 64 }; // read in one turn for a lane without an index

static const uint64_t lane_of_subject = UINT64_C(1) << 63; // else it is a customer's number

// One block's events above `after`, at most n_max that pass. Returns the last sequence looked at.
static uint64_t offer_block(struct delivery *delivery, struct named *named,
                            const struct block_head *block, uint64_t after, size_t n_max) {
    struct block_entry entry;
    uint64_t lanes[EVENT_LANES_MAX];
    if (filter_judge(&named->filter, block, &named->names) < 0)
        named_memory_short(named);
    uint32_t i = after >= block->first ? (uint32_t)(after - block->first) + 1 : 0;
    for (; i < block->n_events && n_max > 0; i++) {
        if (block_entry_get(block, i, &entry) < 0) {
            named_stop_at_damage(named, block->first + i);
            break;
        }
        if (!filter_passes(&named->filter, &named->names, &entry))
            continue;
        unsigned n = feed_lanes(&entry, lanes);
        if (entry.flags & ENTRY_ERASES)
            erased_at(named, entry.customer, entry.sequence);
        if (subscription_offer(named->subscription, entry.sequence, lanes, n, delivery->now_us) < 0)
            named_memory_short(named);
        n_max--;
    }
    return block->first + i - 1;
}

// True where something was read and there may be more.
bool named_read_ahead(struct delivery *delivery, struct named *named) {
    struct subscription *subscription = named->subscription;
    size_t room = subscription_room(subscription);
    if (room == 0 || named->again || subscription->position >= feed_visible(delivery->feed))
        return false;
    if (room > PUMP_EVENTS)
        room = PUMP_EVENTS;
    const struct block_head *block;
    bool was_read = false;
    int r = feed_block(delivery->feed, subscription->position + 1, &block, &was_read);
    named->blocks_read += was_read;
    if (r == -EBADMSG)
        named_stop_at_damage(named, subscription->position + 1);
    if (r != 0)
        return false;
    named->damaged = 0;
    subscription_pass(subscription,
                      offer_block(delivery, named, block, subscription->position, room));
    return !named->damaged;
}

// ---- released lanes

static void feed_one(struct delivery *delivery, struct named *named, struct parked *parked,
                     const struct block_head *block, const struct block_entry *entry) {
    uint64_t lanes[EVENT_LANES_MAX];
    if (filter_judge(&named->filter, block, &named->names) < 0)
        named_memory_short(named);
    if (!filter_passes(&named->filter, &named->names, entry))
        return;
    unsigned n = feed_lanes(entry, lanes);
    unsigned i = 0;
    while (i < n && lanes[i] != parked->lane)
        i++;
    if (i < n && parking_feed(named->subscription, parked, entry->sequence, lanes, n) < 0)
        named_memory_short(named);
    (void)delivery;
}

static size_t merge_extra(const struct parked *parked, uint64_t *sequences, size_t n,
                          size_t n_max) {
    for (size_t i = 0; i < parked->n_extra && n < n_max; i++) {
        uint64_t extra = parked->extra[i];
        if (extra <= parked->looked)
            continue;
        size_t k = n;
        while (k > 0 && sequences[k - 1] > extra)
            k--;
        if (k > 0 && sequences[k - 1] == extra)
            continue;
        memmove(&sequences[k + 1], &sequences[k], (n - k) * sizeof *sequences);
        sequences[k] = extra;
        n++;
    }
    return n;
}

// By the customer's index: a bounded batch.
static void drain_by_index(struct delivery *delivery, struct named *named, struct parked *parked) {
    uint64_t sequences[PARKED_DRAIN_SLOTS / 2 + PARKED_EXTRA_MAX], upto;
    size_t n = 0, n_max = PARKED_DRAIN_SLOTS / 2;
    uint64_t last = parked->last, looked = parked->looked;
    int merged = feed_had_leaves(delivery->feed, parked->lane);
    if (merged != 0 ||
        feed_customer(delivery->feed, parked->lane, looked, sequences, n_max, &n, &upto) < 0) {
        if (merged != 1)
            logging_error("event=index-unreadable subscription=%s", named->name);
        parked->scan = true; // the log itself says the same, slower
        return;
    }
    if (upto > last)
        upto = last;
    n = merge_extra(parked, sequences, n, sizeof sequences / sizeof *sequences);
    for (size_t i = 0; i < n && sequences[i] <= upto; i++) {
        const struct block_head *block;
        struct block_entry entry;
        bool was_read = false;
        int r = feed_entry(delivery->feed, sequences[i], &block, &entry, &was_read);
        named->blocks_read += was_read;
        if (r == -EBADMSG) {
            named_stop_at_damage(named, sequences[i]);
            return;
        }
        if (r == 0)
            feed_one(delivery, named, parked, block, &entry);
    }
    parking_looked(named->subscription, parked, upto);
}

// A lane that has no index: everything since it parked is looked at.
static void drain_by_reading(struct delivery *delivery, struct named *named,
                             struct parked *parked) {
    uint64_t at = parked->looked, last = parked->last;
    for (unsigned n = 0;
         n < DRAIN_BLOCKS && at < last && parked->n_drain_slots < PARKED_DRAIN_SLOTS; n++) {
        const struct block_head *block;
        bool was_read = false;
        int r = feed_block(delivery->feed, at + 1, &block, &was_read);
        named->blocks_read += was_read;
        if (r == -EBADMSG)
            named_stop_at_damage(named, at + 1);
        if (r != 0)
            return;
        uint32_t i = at >= block->first ? (uint32_t)(at - block->first) + 1 : 0;
        for (; i < block->n_events && block->first + i <= last &&
               parked->n_drain_slots < PARKED_DRAIN_SLOTS;
             i++) {
            struct block_entry entry;
            if (block_entry_get(block, i, &entry) < 0)
                return;
            at = entry.sequence;
            if (entry.lane == parked->lane || (entry.flags & ENTRY_MANY_LANES))
                feed_one(delivery, named, parked, block, &entry);
        }
    }
    parking_looked(named->subscription, parked, at < last ? at : last);
}

bool named_drain(struct delivery *delivery, struct named *named) {
    struct parked *parked = parking_wants(named->subscription);
    if (!parked)
        return false;
    uint64_t looked = parked->looked;
    if (parked->scan || (parked->lane & lane_of_subject))
        drain_by_reading(delivery, named, parked);
    else
        drain_by_index(delivery, named, parked);
    return parked->looked != looked; // at damage it stands still until the next turn
}

// ---- history again

static size_t again_allowance(const struct delivery *delivery, const struct named *named) {
    size_t room = subscription_again_room(named->subscription);
    if (!named->again_rate)
        return room;
    uint64_t due =
        (uint64_t)((delivery->now_us - named->again_since_us) / 1000) * named->again_rate / 1000 +
        1;
    uint64_t allowed = due > named->again_sent ? due - named->again_sent : 0;
    return allowed < room ? (size_t)allowed : room;
}

bool named_read_again(struct delivery *delivery, struct named *named) {
    struct subscription *subscription = named->subscription;
    uint64_t at = subscription->again_looked;
    if (!named->again)
        return false;
    if (!named->again_since_us)
        named->again_since_us = delivery->now_us;
    if (at >= named->again_until) {
        if (!subscription->again_first) {
            named->again = false;
            subscription->dirty = true;
            logging_info("event=replay-done subscription=%s", named->name);
        }
        return !named->again;
    }
    size_t allowed = again_allowance(delivery, named);
    const struct block_head *block;
    if (allowed == 0 || feed_block(delivery->feed, at + 1, &block, NULL) != 0 ||
        filter_judge(&named->filter, block, &named->names) < 0 ||
        filter_judge(&named->again_filter, block, &named->again_names) < 0)
        return false;
    uint32_t i = at >= block->first ? (uint32_t)(at - block->first) + 1 : 0;
    for (; i < block->n_events && block->first + i <= named->again_until && allowed > 0; i++) {
        struct block_entry entry;
        uint64_t lanes[EVENT_LANES_MAX];
        if (block_entry_get(block, i, &entry) < 0)
            return false;
        if (!filter_passes(&named->filter, &named->names, &entry) ||
            !filter_passes(&named->again_filter, &named->again_names, &entry))
            continue;
        unsigned n = feed_lanes(&entry, lanes);
        if (subscription_again_offer(subscription, entry.sequence, lanes, n) < 0)
            named_memory_short(named);
        named->again_sent++;
        allowed--;
    }
    uint64_t looked = block->first + i - 1;
    if (looked > named->again_until)
        looked = named->again_until;
    if (looked > subscription->again_looked)
        subscription->again_looked = looked;
    subscription->dirty = true;
    return true;
}
