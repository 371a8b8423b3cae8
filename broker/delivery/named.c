// SPDX-License-Identifier: Apache-2.0
// A named subscription at work: reads ahead for its state machine, as far as that wants, and puts
// what it hands out into its members' frames. Live and catching up are the same path. Released
// lanes are looked up by the customer's index, other lanes by reading the log from where they
// parked; history that goes out again is read like the log, before what follows in it.
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/delivery/delivery_internal.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/reasons.h"

struct named *named_find(const struct delivery *delivery, const char *name) {
    struct named *named = delivery->named;
    while (named && strcmp(named->name, name) != 0)
        named = named->next;
    return named;
}

struct named *named_new(struct delivery *delivery, const char *name, struct filter *filter) {
    struct named *named = calloc(1, sizeof *named);
    if (!named) {
        filter_clear(filter);
        return NULL;
    }
    snprintf(named->name, sizeof named->name, "%s", name);
    named->filter = *filter;
    *filter = (struct filter){0};
    named->created_us = clock_now_us();
    named->creating = true;
    named->floor = UINT64_MAX;
    named->next = delivery->named;
    if (named->next)
        named->next->previous = named;
    else
        delivery->named_last = named;
    delivery->named = named;
    delivery->n_named++;
    return named;
}

struct named *named_free(struct delivery *delivery, struct named *named) {
    assert(!named->peers);
    if (named->previous)
        named->previous->next = named->next;
    else
        delivery->named = named->next;
    if (named->next)
        named->next->previous = named->previous;
    else
        delivery->named_last = named->previous;
    delivery->n_named--;
    record_abandon(named);
    subscription_free(named->subscription);
    filter_clear(&named->filter);
    filter_names_clear(&named->names);
    filter_clear(&named->again_filter);
    filter_names_clear(&named->again_names);
    free(named);
    return NULL;
}

void named_add_peer(struct named *named, struct peer *peer) {
    peer->named = named;
    peer->named_previous = NULL;
    peer->named_next = named->peers;
    if (named->peers)
        named->peers->named_previous = peer;
    named->peers = peer;
}

void named_remove_peer(struct named *named, struct peer *peer) {
    if (peer->named_previous)
        peer->named_previous->named_next = peer->named_next;
    else
        named->peers = peer->named_next;
    if (peer->named_next)
        peer->named_next->named_previous = peer->named_previous;
    peer->named_previous = peer->named_next = NULL;
    peer->named = NULL;
}

int subscription_make(struct delivery *delivery, uint64_t cursor,
                      const struct settled_range *ranges, size_t n_ranges,
                      struct subscription **ret) {
    const struct configuration *configuration = &delivery->broker->configuration;
    struct subscription_options options = {
        .retry_us_min = configuration->retry_min_us,
        .retry_us_max = configuration->retry_max_us,
        .retry_attempts = (uint32_t)configuration->retry_attempts,
        .parked_lanes_max = PARKED_LANES_MAX,
    };
    uint64_t seed;
    randombytes_buf(&seed, sizeof seed);
    return subscription_new(&options, &delivery->budget, cursor, ranges, n_ranges, seed, ret);
}

static struct peer *peer_of(struct member *member) {
    return (struct peer *)(void *)((uint8_t *)member - offsetof(struct peer, member));
}

// ---- telling the members

static void tell_progress(struct delivery *delivery, struct named *named) {
    bool told = false;
    named->told_us = delivery->now_us;
    for (struct peer *peer = named->peers, *next; peer; peer = next) {
        next = peer->named_next;
        Touchbus__Progress progress;
        touchbus__progress__init(&progress);
        Touchbus__BrokerMessage message;
        touchbus__broker_message__init(&message);
        progress.position = subscription_cursor(named->subscription);
        progress.head = feed_visible(delivery->feed);
        progress.blocks_read = named->blocks_read;
        progress.lost_first = named->lost_first;
        progress.lost_last = named->lost_last;
        message.body_case = TOUCHBUS__BROKER_MESSAGE__BODY_PROGRESS;
        message.progress = &progress;
        told |= !peer->waits && peer_say(delivery, peer, &message);
    }
    if (told) // a loss is told again until somebody has taken it
        named->lost_first = named->lost_last = 0;
}

static void note_lost(struct delivery *delivery, struct named *named, uint64_t first,
                      uint64_t last) {
    if (!named->lost_first || first < named->lost_first)
        named->lost_first = first;
    if (last > named->lost_last)
        named->lost_last = last;
    atomic_fetch_add(&delivery->broker->counters.lost, last - first + 1);
    logging_warning("event=lost subscription=%s first=%" PRIu64 " last=%" PRIu64, named->name,
                    first, last);
    tell_progress(delivery, named);
}

// A damaged block is never skipped in silence: reading stops there until an operator moves it on.
void named_stop_at_damage(struct named *named, uint64_t sequence) {
    if (named->damaged == sequence)
        return;
    named->damaged = sequence;
    logging_error("event=delivery-stopped subscription=%s sequence=%" PRIu64 " reason=damaged",
                  named->name, sequence);
}

bool named_stands_at_damage(const struct named *named) {
    return named->damaged && subscription_cursor(named->subscription) + 1 >= named->damaged;
}

// Told when what comes before the damage is settled.
static void refuse_damaged(struct delivery *delivery, struct named *named) {
    uint64_t sequence = named->damaged;
    snprintf(delivery->detail, sizeof delivery->detail, "the log is damaged at %" PRIu64, sequence);
    for (struct peer *peer = named->peers, *next; peer; peer = next) {
        next = peer->named_next;
        peer_refuse(delivery, peer, REASON_DAMAGED, 0, delivery->detail);
    }
}

void named_memory_short(const struct named *named) {
    logging_error("event=delivery-stopped subscription=%s reason=out-of-memory", named->name);
    _Exit(EXIT_FATAL); // what is on disk is whole; the next start recovers
}

// ---- handing out

// A frame that could not go out before goes first: what it holds was handed out before the failures
// that came since, and says so.
static void refresh_members(struct delivery *delivery, struct named *named) {
    for (struct peer *peer = named->peers, *next; peer; peer = next) {
        next = peer->named_next;
        peer->member.blocked = !peer_flush(delivery, peer) || !peer_can_take(peer);
    }
}

static void hand_out(struct delivery *delivery, struct named *named, struct slot *slot,
                     struct peer *peer) {
    const struct block_head *block;
    struct block_entry entry;
    bool was_read = false;
    int r = feed_entry(delivery->feed, slot->sequence, &block, &entry, &was_read);
    named->blocks_read += was_read;
    if (peer->frame.n_events == 0)
        peer->frame.failures =
            GUARD(ahead_heard) && peer->member.lane_ahead > 1 ? peer->n_failures : 0;
    if (r == 0)
        r = feed_write(delivery->feed, block, &entry, slot->handed, &peer->frame);
    if (r == -ENOMEM)
        named_memory_short(named);
    if (r == 1) { // retention was faster
        uint64_t sequence = slot->sequence;
        subscription_lose(named->subscription, slot);
        note_lost(delivery, named, sequence, sequence);
        return;
    }
    if (r < 0) { // its lane waits for an operator, with this in the row
        logging_error("event=damaged subscription=%s sequence=%" PRIu64, named->name,
                      slot->sequence);
        subscription_settle(named->subscription, &peer->member, slot->sequence, SETTLE_REJECT,
                            "the log is damaged here", delivery->now_us);
        return;
    }
    if (frame_is_full(&peer->frame) && !peer_flush(delivery, peer))
        peer->member.blocked = true;
}

static bool take_some(struct delivery *delivery, struct named *named) {
    struct member *member;
    struct slot *slot;
    unsigned n = 0;
    while (n < PUMP_EVENTS && named->peers &&
           (slot = subscription_take(named->subscription, delivery->now_us, &member))) {
        hand_out(delivery, named, slot, peer_of(member));
        n++;
    }
    return n > 0;
}

static void look_at_floor(struct delivery *delivery, struct named *named) {
    uint64_t first, last;
    if (named->floor < feed_first(delivery->feed) &&
        subscription_floor(named->subscription) < feed_first(delivery->feed) &&
        subscription_trim(named->subscription, feed_first(delivery->feed), &first, &last))
        note_lost(delivery, named, first, last);
}

void named_pump(struct delivery *delivery, struct named *named, int64_t until_us) {
    if (named->creating || !named->subscription)
        return;
    look_at_floor(delivery, named);
    refresh_members(delivery, named);
    bool more = true;
    while (more && clock_monotonic_us() < until_us) {
        more = named_read_again(delivery, named);
        more |= named_read_ahead(delivery, named);
        more |= named_drain(delivery, named);
        more |= take_some(delivery, named);
    }
    delivery->more |= more;
    if (named_stands_at_damage(named))
        refuse_damaged(delivery, named);
    for (struct peer *peer = named->peers, *next; peer; peer = next) {
        next = peer->named_next;
        peer_flush(delivery, peer);
    }
    bool moves = named->subscription->passed || named->subscription->dirty || named->lost_first;
    if (moves && delivery->now_us - named->told_us >= PROGRESS_MS * CLOCK_US_PER_MS)
        tell_progress(delivery, named);
}

// ---- settling

static void take_back(struct peer *peer, const Touchbus__Settle *settle) {
    uint64_t sequences[SETTLE_MAX];
    size_t n = settle->n_failures;
    assert(n <= SETTLE_MAX);
    for (size_t i = 0; i < n; i++)
        sequences[i] = settle->failures[i]->sequence;
    peer->n_failures += n;
    if (subscription_take_back(peer->named->subscription, &peer->member, sequences, n) < 0)
        named_memory_short(peer->named);
}

void named_settle(struct delivery *delivery, struct peer *peer, const Touchbus__Settle *settle) {
    struct named *named = peer->named;
    struct subscription *subscription = named->subscription;
    size_t n_parked = subscription->n_parked;
    bool outage = subscription->outage;
    for (size_t i = 0; i < settle->n_delivered; i++)
        subscription_settle(subscription, &peer->member, settle->delivered[i], SETTLE_DELIVERED, "",
                            delivery->now_us);
    take_back(peer, settle);
    for (size_t i = 0; i < settle->n_failures; i++) {
        const Touchbus__Failure *failure = settle->failures[i];
        enum settle_outcome outcome = failure->reject ? SETTLE_REJECT : SETTLE_RETRY;
        if (erased_gives_up(delivery, named, failure->sequence))
            outcome = SETTLE_DELIVERED;
        subscription_settle(subscription, &peer->member, failure->sequence, outcome,
                            failure->detail, delivery->now_us);
    }
    atomic_fetch_add(&delivery->broker->counters.retried, settle->n_failures);
    if (subscription->n_parked > n_parked) {
        atomic_fetch_add(&delivery->broker->counters.parked, subscription->n_parked - n_parked);
        logging_warning("event=parked subscription=%s lanes=%zu", named->name,
                        subscription->n_parked);
    }
    if (subscription->outage != outage)
        logging_warning("event=outage subscription=%s state=%s", named->name,
                        subscription->outage ? "begins" : "over");
}

int64_t named_due(const struct delivery *delivery, const struct named *named) {
    const struct subscription *subscription = named->subscription;
    int64_t due_us = subscription_due(subscription);
    if (!named->job && (subscription->dirty || subscription->passed || named->creating)) {
        int64_t record_us = named->recorded_us +
                            (subscription->dirty ? RECORD_MS : RECORD_PASSED_MS) * CLOCK_US_PER_MS;
        due_us = record_us < due_us ? record_us : due_us;
    }
    if (named->again && named->again_rate) {
        int64_t again_us = delivery->now_us + RETRY_SEND_MS * CLOCK_US_PER_MS;
        due_us = again_us < due_us ? again_us : due_us;
    }
    return due_us;
}
