// SPDX-License-Identifier: Apache-2.0
// Members of a named subscription: who gets the next event, and what becomes of it. The one place
// that decides what may go out: ready by its lanes or right behind what the member has, in log
// order where there is one member, within the ranges that can be kept.
#include <assert.h>

#include "broker/delivery/outage.h"
#include "broker/delivery/subscription.h"
#include "broker/delivery/subscription_internal.h"
#include "schemas/base/guards.h"

static void subscription_remove(struct subscription *subscription, struct slot *slot) {
    switch (slot->kind) {
    case SLOT_LIVE:
        window_remove(subscription, slot);
        break;
    case SLOT_DRAIN:
        parking_drained(subscription, slot);
        break;
    case SLOT_AGAIN:
        subscription_again_remove(subscription, slot);
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

void subscription_release(struct subscription *subscription, struct slot *slot) {
    subscription_detach(slot);
    if (subscription->probe == slot)
        subscription->probe = NULL;
    slot_wake(&subscription->lanes, slot);
}

void subscription_leave(struct subscription *subscription, struct member *member) {
    assert(member->subscription == subscription);
    while (member->held_first)
        subscription_release(subscription, member->held_first);
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

static bool member_can_take(const struct member *member) {
    return !member->blocked && member->n_held < member->credit;
}

static struct member *member_pick(const struct subscription *subscription) {
    struct member *best = NULL;
    for (struct member *member = subscription->members; member; member = member->next)
        if (member_can_take(member) &&
            (!best || member->credit - member->n_held > best->credit - best->n_held))
            best = member;
    return best;
}

// With one member that did not say any_lane, log order: no slot goes out before an earlier one,
// except past those that wait for one that rests after a failure. The first that was not handed out
// yet; NULL: all were.
static struct slot *frontier_find(struct subscription *subscription) {
    struct slot *frontier = subscription->frontier;
    while (frontier && (frontier->state == SLOT_HELD || slot_excused(frontier)))
        frontier = frontier->next;
    subscription->frontier = frontier;
    return frontier;
}

static bool in_order(struct subscription *subscription, const struct slot *slot) {
    const struct member *lone = subscription->members;
    if (subscription->n_members > 1 || (GUARD(any_lane) && lone && lone->any_lane))
        return true;
    const struct slot *frontier = frontier_find(subscription);
    return !frontier || slot->sequence <= frontier->sequence;
}

// At the bound of ranges only what cannot add another one goes out.
static bool within_ranges(const struct subscription *subscription, const struct slot *slot) {
    if (subscription->n_ranges < ACK_RANGES_MAX || slot == subscription->first)
        return true;
    return slot->settled_before ||
           (slot->next ? slot->next->settled_before : subscription->settled_after);
}

static bool may_go(struct subscription *subscription, const struct slot *slot) {
    return slot->kind != SLOT_LIVE ||
           (in_order(subscription, slot) && within_ranges(subscription, slot));
}

static bool may_follow(struct subscription *subscription, const struct slot *slot,
                       const struct member *member) {
    return member->lane_ahead > 1 && member_can_take(member) &&
           slot_may_follow(slot, member, member->lane_ahead) && may_go(subscription, slot);
}

// What stands behind the one handed out last, in one of its lanes.
static struct slot *next_of_run(struct subscription *subscription) {
    const struct slot *run = subscription->run;
    for (unsigned i = 0; run && i < run->n_links; i++) {
        const struct lane_link *next = run->links[i].lane ? run->links[i].next : NULL;
        if (next && may_follow(subscription, next->slot, run->member))
            return next->slot;
    }
    return NULL;
}

// The next slot, and the member it is for; NULL: any. First what follows the last one, then what is
// ready; and where log order stands at one that waits for its only member's ack, that one.
static struct slot *slot_next(struct subscription *subscription, struct member **ret_member) {
    struct slot *slot = next_of_run(subscription);
    *ret_member = slot ? subscription->run->member : NULL;
    if (slot)
        return slot;
    slot = lanes_ready(&subscription->lanes);
    if (slot && may_go(subscription, slot))
        return slot;
    slot = subscription->n_members == 1 ? frontier_find(subscription) : NULL;
    *ret_member = subscription->members;
    return slot && may_follow(subscription, slot, subscription->members) ? slot : NULL;
}

struct slot *subscription_take(struct subscription *subscription, int64_t now_us,
                               struct member **ret_member) {
    if (subscription->paused)
        return NULL;
    for (struct slot *slot;
         (slot = lanes_resting(&subscription->lanes)) && (int64_t)slot->heap_key <= now_us;)
        slot_wake(&subscription->lanes, slot);
    struct member *member = NULL;
    struct slot *slot = subscription->outage ? outage_probe(subscription, now_us)
                                             : slot_next(subscription, &member);
    if (slot && !member)
        member = member_pick(subscription);
    if (!slot || !member)
        return NULL;
    slot_hold(&subscription->lanes, slot);
    slot_attach(slot, member);
    slot->handed++;
    subscription->run = slot;
    if (subscription->outage)
        subscription->probe = slot;
    *ret_member = member;
    return slot;
}

static void settle_retry(struct subscription *subscription, struct slot *slot, const char *detail,
                         int64_t now_us) {
    subscription->n_retried++;
    slot->alone = true;
    if (outage_failed(subscription, slot, now_us)) {
        slot_wake(&subscription->lanes, slot);
        return;
    }
    slot->failures++;
    uint32_t attempts = subscription->options.retry_attempts;
    if (attempts && slot->failures >= attempts) {
        if (slot->kind == SLOT_AGAIN) { // it was settled once: nothing is lost
            subscription_again_remove(subscription, slot);
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
        subscription_again_remove(subscription, slot);
        return;
    }
    slot->failures++;
    slot->alone = true;
    if (!parking_park(subscription, slot, true, detail, now_us))
        slot_rest(&subscription->lanes, slot, now_us + subscription->options.retry_us_max);
}

bool subscription_settle(struct subscription *subscription, struct member *member,
                         uint64_t sequence, enum settle_outcome outcome, const char *detail,
                         int64_t now_us) {
    struct slot *slot = lane_table_get(&subscription->slots, sequence);
    if (!slot || slot->member != member)
        return false;
    if (outcome != SETTLE_DELIVERED && slot->n_blocked > 0) {
        member->n_failed++; // out of turn: again when it is first
        slot->alone = true;
        subscription_release(subscription, slot);
        return true;
    }
    subscription_detach(slot);
    if (outcome == SETTLE_DELIVERED) {
        member->n_delivered++;
        subscription->n_settled++;
        outage_end(subscription);
        subscription_remove(subscription, slot);
        return true;
    }
    assert(!slot_is_followed(slot)); // it was taken back
    member->n_failed++;
    if (outcome == SETTLE_RETRY)
        settle_retry(subscription, slot, detail, now_us);
    else
        settle_reject(subscription, slot, detail, now_us);
    return true;
}

void subscription_lose(struct subscription *subscription, struct slot *slot) {
    subscription_detach(slot);
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
