// SPDX-License-Identifier: Apache-2.0
// Generated histories against a plain model: random publishing, acks out of order, retries,
// rejects, members that come, leave and die, restarts from an earlier record, parking, release and
// dropping, events of several lanes. Members tell what they did in messages that come late; some
// are handed events ahead, and keep Subscribe.lane_ahead's rule. The model knows only which events
// there are, their lanes, what was applied and what was settled, and judges every hand-out:
//   - an event is with one member at a time, and never again once settled (until a restart);
//   - it goes out only when every earlier event of each of its lanes is settled or given up, or is
//     with the same member, who takes events ahead, and not more of a lane than it said;
//   - a member's sink never applies an event before an earlier one of its lanes;
//   - after a failure the broker and the member agree about what the member still has;
//   - a record's cursor and ranges cover nothing but settled events and those parked rows owe;
//   - in the end every event was settled at least once or given up, and nothing is parked.
// A failure prints its seed: TOUCHBUS_SEED=n runs that one alone.
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/delivery/subscription.h"

enum { EVENTS_MAX = 400, MEMBERS_OF_MODEL = 4, LANES_OF_EVENT = 3, STEPS = 1500, SEEDS = 1500 };
enum { LANES_MAX = 30, CREDIT_MAX = 30, WORDS_MAX = 64, ENTRIES_MAX = 1024 };

struct model_event {
    uint64_t lanes[LANES_OF_EVENT];
    unsigned n_lanes;
    bool matches, poison, crippled;
    bool applied;                  // by a member's sink, ever
    bool settled;                  // ever
    bool settled_since;            // since the last restart
    bool given_up[LANES_OF_EVENT]; // by an operator, in that lane
    struct member *holder;
};

// What a member was handed and has not forgotten or settled, in that order.
struct model_entry {
    uint64_t sequence;
    uint64_t heard; // failures the broker had heard of
    bool used;      // by its sink, not settled yet
};

struct model_member {
    struct member member;
    struct model_entry entries[ENTRIES_MAX];
    size_t n_entries;
    uint64_t delivered[WORDS_MAX], failed[WORDS_MAX]; // not told yet
    enum settle_outcome outcomes[WORDS_MAX];
    size_t n_delivered, n_failed;
    uint64_t n_failures, n_heard;     // failures it decided on; that the broker heard of
    uint64_t failures[LANES_MAX + 1]; // by lane: the last one
};

struct model {
    uint64_t seed, random;
    struct model_event events[EVENTS_MAX + 1]; // by sequence, from 1
    uint64_t n_events;
    unsigned n_lanes;
    bool outage_now;
    int64_t now_us;
    struct subscription_budget budget;
    struct subscription_options options;
    struct subscription *subscription;
    struct model_member members[MEMBERS_OF_MODEL];
    // the record as the log has it
    uint64_t cursor;
    struct settled_range *ranges;
    size_t n_ranges;
    struct parked *rows;
    size_t n_rows;
};

static uint64_t draw(struct model *model, uint64_t n) {
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return (model->random >> 11) % n;
}

#define CHECK(model, condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_error("seed=%llu: %s\n", (unsigned long long)(model)->seed, #condition);         \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

static bool given_up(const struct model_event *event) {
    unsigned n = 0;
    for (unsigned i = 0; i < event->n_lanes; i++)
        n += event->given_up[i];
    return n == event->n_lanes;
}

static bool given_up_once(const struct model_event *event) {
    return event->given_up[0] || event->given_up[1] || event->given_up[2];
}

static bool given_up_in(const struct model_event *event, uint64_t lane) {
    for (unsigned i = 0; i < event->n_lanes; i++)
        if (event->lanes[i] == lane)
            return event->given_up[i];
    return false;
}

static bool owed(const struct model *model, const struct model_event *event, uint64_t sequence) {
    for (unsigned i = 0; i < event->n_lanes; i++)
        for (size_t k = 0; k < model->n_rows; k++)
            if (model->rows[k].lane == event->lanes[i] && model->rows[k].first <= sequence &&
                sequence <= model->rows[k].last)
                return true;
    return false;
}

// ---- the record

static void rows_forget(struct model *model) {
    for (size_t i = 0; i < model->n_rows; i++)
        free(model->rows[i].extra);
    free(model->rows);
    model->rows = NULL;
    model->n_rows = 0;
}

static void model_record(struct model *model) {
    struct subscription *subscription = model->subscription;
    assert(subscription);
    model->cursor = subscription_cursor(subscription);
    free(model->ranges);
    model->n_ranges = subscription_ranges(subscription, NULL, 0);
    model->ranges = calloc(model->n_ranges + 1, sizeof *model->ranges);
    subscription_ranges(subscription, model->ranges, model->n_ranges);
    CHECK(model, subscription->n_ranges <= model->n_ranges);
    parking_sweep(subscription);
    rows_forget(model);
    for (struct parked *parked = subscription->parked; parked; parked = parked->next)
        model->n_rows++;
    model->rows = calloc(model->n_rows + 1, sizeof *model->rows);
    size_t n = 0;
    for (struct parked *parked = subscription->parked; parked; parked = parked->next, n++) {
        model->rows[n] = *parked;
        model->rows[n].extra = calloc(parked->n_extra + 1, sizeof(uint64_t));
        if (parked->n_extra)
            memcpy(model->rows[n].extra, parked->extra, parked->n_extra * sizeof(uint64_t));
    }
    uint64_t before = model->cursor;
    for (size_t i = 0; i < model->n_ranges; i++) {
        CHECK(model, model->ranges[i].first > before);
        CHECK(model, model->ranges[i].first <= model->ranges[i].last);
        before = model->ranges[i].last;
    }
    for (uint64_t sequence = 1; sequence <= model->n_events; sequence++) {
        struct model_event *event = &model->events[sequence];
        bool covered = sequence <= model->cursor;
        for (size_t i = 0; i < model->n_ranges; i++)
            covered |= model->ranges[i].first <= sequence && sequence <= model->ranges[i].last;
        if (covered && event->matches)
            CHECK(model, event->settled || given_up(event) || owed(model, event, sequence));
    }
}

// It dies: what it has not told is lost.
static void model_leave(struct model *model, struct model_member *member) {
    for (uint64_t i = 1; i <= model->n_events; i++)
        if (model->events[i].holder == &member->member)
            model->events[i].holder = NULL;
    subscription_leave(model->subscription, &member->member);
    *member = (struct model_member){0};
}

static void model_restart(struct model *model) {
    for (int i = 0; i < MEMBERS_OF_MODEL; i++)
        if (model->members[i].member.subscription)
            model_leave(model, &model->members[i]);
    subscription_free(model->subscription);
    CHECK(model, model->budget.n_slots == 0 && model->budget.n_parked == 0);
    for (uint64_t i = 1; i <= model->n_events; i++) {
        model->events[i].settled_since = false;
        model->events[i].holder = NULL;
    }
    assert_int_equal(subscription_new(&model->options, &model->budget, model->cursor, model->ranges,
                                      model->n_ranges, draw(model, 1 << 30), &model->subscription),
                     0);
    CHECK(model, subscription_cursor(model->subscription) == model->cursor);
    for (size_t i = 0; i < model->n_rows; i++) {
        uint64_t *extra = calloc(model->rows[i].n_extra + 1, sizeof *extra);
        memcpy(extra, model->rows[i].extra, model->rows[i].n_extra * sizeof *extra);
        assert_int_equal(parking_load(model->subscription, &model->rows[i], extra), 0);
    }
}

// ---- what the owner does

static void model_read(struct model *model, uint64_t n_most) {
    struct subscription *subscription = model->subscription;
    assert(subscription);
    while (n_most-- > 0 && subscription_room(subscription) > 0 &&
           subscription->position < model->n_events) {
        uint64_t sequence = subscription->position + 1;
        const struct model_event *event = &model->events[sequence];
        if (event->matches)
            assert_int_equal(subscription_offer(subscription, sequence, event->lanes,
                                                event->n_lanes, model->now_us),
                             0);
        else
            subscription_pass(subscription, sequence);
    }
}

static bool names(const struct model_event *event, uint64_t lane) {
    for (unsigned i = 0; i < event->n_lanes; i++)
        if (event->lanes[i] == lane)
            return true;
    return false;
}

// As by index: the lane's own events, and those of other lanes that the row names; or by scanning.
static void model_feed(struct model *model) {
    struct parked *parked;
    while ((parked = parking_wants(model->subscription))) {
        uint64_t upto = parked->last;
        unsigned n = 0;
        for (uint64_t sequence = parked->looked + 1; sequence <= parked->last; sequence++) {
            const struct model_event *event = &model->events[sequence];
            bool found = event->matches && event->lanes[0] == parked->lane;
            if (event->matches && parked->scan)
                found = names(event, parked->lane);
            for (size_t i = 0; i < parked->n_extra; i++)
                found |= parked->extra[i] == sequence;
            if (!found)
                continue;
            if (++n > 7) {
                upto = sequence - 1;
                break;
            }
            assert_int_equal(
                parking_feed(model->subscription, parked, sequence, event->lanes, event->n_lanes),
                0);
        }
        parking_looked(model->subscription, parked, upto);
    }
}

static unsigned count_held(const struct model *model, uint64_t lane, const struct member *member) {
    unsigned n = 0;
    for (uint64_t i = 1; i <= model->n_events; i++)
        n += names(&model->events[i], lane) && model->events[i].holder == member &&
             !given_up_once(&model->events[i]); // else it may be past this lane
    return n;
}

static void judge_hand_out(struct model *model, uint64_t sequence, struct member *member) {
    struct model_event *event = &model->events[sequence];
    bool is_ahead = false;
    CHECK(model, event->matches && !event->holder);
    // Never twice; but what was given up in one of its lanes may still come with another.
    CHECK(model,
          !event->settled_since || event->given_up[0] || event->given_up[1] || event->given_up[2]);
    for (uint64_t earlier = 1; earlier < sequence; earlier++) {
        const struct model_event *other = &model->events[earlier];
        for (unsigned i = 0; other->matches && i < event->n_lanes; i++) {
            uint64_t lane = event->lanes[i];
            if (!names(other, lane) || event->given_up[i] || given_up_in(other, lane))
                continue;
            // One given up in another lane may be out for a second time.
            bool done = other->settled && (!other->holder || given_up_once(other));
            bool before_it = !done && other->holder == member && member->lane_ahead > 1;
            is_ahead |= before_it;
            done |= before_it;
            if (!done)
                print_error("event=%llu goes before=%llu lane=%llu\n", (unsigned long long)sequence,
                            (unsigned long long)earlier, (unsigned long long)lane);
            CHECK(model, done);
        }
    }
    event->holder = member;
    for (unsigned i = 0; is_ahead && i < event->n_lanes; i++)
        CHECK(model, count_held(model, event->lanes[i], member) <= member->lane_ahead);
}

static void model_take(struct model *model, uint64_t n_most) {
    model_feed(model);
    struct member *member;
    struct slot *slot;
    while (n_most-- > 0 &&
           (slot = subscription_take(model->subscription, model->now_us, &member))) {
        CHECK(model, member->n_held <= member->credit);
        judge_hand_out(model, slot->sequence, member);
        struct model_member *taker = (struct model_member *)member;
        CHECK(model, taker->n_entries < ENTRIES_MAX);
        taker->entries[taker->n_entries++] =
            (struct model_entry){.sequence = slot->sequence, .heard = taker->n_heard};
    }
}

// ---- what a member does

static void entry_remove(struct model_member *member, size_t index) {
    member->n_entries--;
    memmove(&member->entries[index], &member->entries[index + 1],
            (member->n_entries - index) * sizeof member->entries[0]);
}

// Whether the entry is behind a failure that the broker had not heard of; its lanes are then, too.
static bool entry_is_stale(struct model *model, struct model_member *member,
                           const struct model_entry *entry) {
    const struct model_event *event = &model->events[entry->sequence];
    uint64_t failure = 0;
    for (unsigned i = 0; i < event->n_lanes; i++)
        if (member->failures[event->lanes[i]] > entry->heard &&
            member->failures[event->lanes[i]] > failure)
            failure = member->failures[event->lanes[i]];
    for (unsigned i = 0; failure && i < event->n_lanes; i++)
        if (member->failures[event->lanes[i]] < failure)
            member->failures[event->lanes[i]] = failure;
    return failure != 0;
}

// In the order in which they came: those in front, where it wants its next one; all, when the
// broker hears of its failures, for all of them came before that.
static void member_forget(struct model *model, struct model_member *member, bool all) {
    for (size_t i = 0; member->member.lane_ahead > 1 && i < member->n_entries;) {
        struct model_entry *entry = &member->entries[i];
        if (!entry->used && entry_is_stale(model, member, entry)) {
            entry_remove(member, i);
            continue;
        }
        if (!entry->used && !all)
            return;
        entry->heard = all ? member->n_failures : entry->heard; // it is past those
        i++;
    }
}

static bool lane_is_in_use(const struct model *model, const struct model_member *member,
                           const struct model_event *event) {
    for (size_t i = 0; i < member->n_entries; i++)
        for (unsigned k = 0; member->entries[i].used && k < event->n_lanes; k++)
            if (names(&model->events[member->entries[i].sequence], event->lanes[k]))
                return true;
    return false;
}

// The sink never applies an event before an earlier one of its lanes.
static void judge_use(struct model *model, uint64_t sequence) {
    const struct model_event *event = &model->events[sequence];
    for (uint64_t earlier = 1; earlier < sequence; earlier++) {
        const struct model_event *other = &model->events[earlier];
        for (unsigned i = 0; other->matches && i < event->n_lanes; i++) {
            uint64_t lane = event->lanes[i];
            if (names(other, lane) && !event->given_up[i] && !given_up_in(other, lane))
                CHECK(model, other->applied);
        }
    }
}

// Takes its next event where the lanes of that are free.
static void member_use(struct model *model, struct model_member *member) {
    member_forget(model, member, false);
    size_t i = 0;
    while (i < member->n_entries && member->entries[i].used)
        i++;
    if (i == member->n_entries)
        return;
    const struct model_event *event = &model->events[member->entries[i].sequence];
    if (member->member.lane_ahead > 1 && lane_is_in_use(model, member, event))
        return;
    judge_use(model, member->entries[i].sequence);
    member->entries[i].used = true;
}

static enum settle_outcome draw_outcome(struct model *model, const struct model_event *event) {
    if (event->poison)
        return event->crippled ? SETTLE_REJECT : SETTLE_RETRY;
    return model->outage_now || draw(model, 12) == 0 ? SETTLE_RETRY : SETTLE_DELIVERED;
}

// Decides about one of those in use, to be told later.
static void member_settle(struct model *model, struct model_member *member) {
    size_t n_used = 0, index = 0;
    for (size_t i = 0; i < member->n_entries; i++)
        n_used += member->entries[i].used;
    if (!n_used || member->n_delivered == WORDS_MAX || member->n_failed == WORDS_MAX)
        return;
    for (uint64_t skip = draw(model, n_used); skip > 0 || !member->entries[index].used; index++)
        skip -= member->entries[index].used;
    uint64_t sequence = member->entries[index].sequence;
    struct model_event *event = &model->events[sequence];
    enum settle_outcome outcome = draw_outcome(model, event);
    entry_remove(member, index);
    if (outcome == SETTLE_DELIVERED) {
        event->applied = true;
        member->delivered[member->n_delivered++] = sequence;
        return;
    }
    member->failed[member->n_failed] = sequence;
    member->outcomes[member->n_failed++] = outcome;
    member->n_failures++;
    for (unsigned i = 0; i < event->n_lanes; i++)
        member->failures[event->lanes[i]] = member->n_failures;
}

// The broker's account of who has what is the members'.
static void judge_held(struct model *model, struct model_member *member) {
    for (uint64_t i = 1; i <= model->n_events; i++)
        if (model->events[i].holder == &member->member)
            model->events[i].holder = NULL;
    CHECK(model, member->member.n_held == member->n_entries);
    const struct slot *slot = member->member.held_first;
    for (size_t i = 0; i < member->n_entries; i++, slot = slot->held_next) {
        CHECK(model, slot->sequence == member->entries[i].sequence);
        model->events[slot->sequence].holder = &member->member;
    }
}

// One Settle reaches the broker.
static void member_tell(struct model *model, struct model_member *member) {
    struct subscription *subscription = model->subscription;
    for (size_t i = 0; i < member->n_delivered; i++) {
        uint64_t sequence = member->delivered[i];
        struct model_event *event = &model->events[sequence];
        event->settled = event->settled_since = true;
        CHECK(model, subscription_settle(subscription, &member->member, sequence, SETTLE_DELIVERED,
                                         "", model->now_us));
        CHECK(model, !subscription_settle(subscription, &member->member, sequence, SETTLE_DELIVERED,
                                          "late", model->now_us));
    }
    CHECK(model, subscription_take_back(subscription, &member->member, member->failed,
                                        member->n_failed) == 0);
    for (size_t i = 0; i < member->n_failed; i++)
        CHECK(model, subscription_settle(subscription, &member->member, member->failed[i],
                                         member->outcomes[i], "as drawn", model->now_us));
    member_forget(model, member, true);
    member->n_heard = member->n_failures;
    member->n_delivered = member->n_failed = 0;
    judge_held(model, member);
}

static void member_work(struct model *model, struct model_member *member) {
    switch (draw(model, 5)) {
    case 0:
    case 1:
        member_use(model, member);
        break;
    case 2:
    case 3:
        member_settle(model, member);
        break;
    default:
        member_tell(model, member);
        break;
    }
}

static void member_join(struct model *model, struct model_member *member, uint32_t credit) {
    static const uint32_t lane_ahead[] = {0, 1, 2, 3, 5, LANE_AHEAD_MAX};
    member->member.lane_ahead = lane_ahead[draw(model, sizeof lane_ahead / sizeof lane_ahead[0])];
    subscription_join(model->subscription, &member->member, credit);
}

static void model_operator(struct model *model) {
    struct parked *parked = model->subscription->parked;
    for (uint64_t skip = draw(model, 3); parked && parked->next && skip > 0; skip--)
        parked = parked->next;
    if (!parked || parked->state == PARKED_GONE)
        return;
    uint64_t lane = parked->lane;
    if (draw(model, 3) > 0) {
        parking_retry(model->subscription, lane);
        return;
    }
    bool all = draw(model, 3) == 0;
    uint64_t first, last, n;
    bool begins[LANES_MAX + 1] = {false}; // lanes that begin with the event to be dropped
    uint64_t head = parked->first;
    for (struct parked *each = model->subscription->parked; each; each = each->next)
        if (each->state == PARKED_WAITING && each->first == head)
            begins[each->lane] = true;
    if (!parking_drop(model->subscription, lane, all, &first, &last, &n))
        return;
    for (uint64_t i = first; i <= last; i++)
        for (unsigned k = 0; model->events[i].matches && k < model->events[i].n_lanes; k++)
            if (all ? model->events[i].lanes[k] == lane : begins[model->events[i].lanes[k]])
                model->events[i].given_up[k] |= !model->events[i].settled_since;
    // What was dropped is not owed by an older record either: the drop is written before it is
    // answered.
    model_record(model);
}

static void model_publish(struct model *model) {
    if (model->n_events == EVENTS_MAX)
        return;
    struct model_event *event = &model->events[++model->n_events];
    event->n_lanes = draw(model, 15) == 0 ? 2 + (unsigned)draw(model, 2) : 1;
    for (unsigned i = 0; i < event->n_lanes; i++)
        event->lanes[i] = 1 + draw(model, model->n_lanes);
    if (event->n_lanes > 1 && event->lanes[1] == event->lanes[0])
        event->n_lanes = 1;
    if (event->n_lanes > 2 &&
        (event->lanes[2] == event->lanes[0] || event->lanes[2] == event->lanes[1]))
        event->n_lanes = 2;
    event->matches = draw(model, 5) > 0;
    event->poison = draw(model, 40) == 0;
    event->crippled = draw(model, 2) == 0;
}

static void model_step(struct model *model) {
    struct model_member *member = &model->members[draw(model, MEMBERS_OF_MODEL)];
    switch (draw(model, 12)) {
    case 0:
    case 1:
    case 2:
        model_publish(model);
        break;
    case 3:
        model_read(model, 1 + draw(model, 40));
        break;
    case 4:
    case 5:
        model_take(model, 1 + draw(model, 10));
        break;
    case 6:
    case 7:
    case 8:
        for (int i = 0; member->member.subscription && i < 4; i++)
            member_work(model, member);
        break;
    case 9:
        model->now_us += (int64_t)draw(model, 3000);
        if (draw(model, 30) == 0)
            model->outage_now = !model->outage_now;
        break;
    case 10:
        if (draw(model, 6) > 0)
            model_record(model);
        else if (draw(model, 8) == 0)
            model_restart(model);
        break;
    case 11:
        if (!member->member.subscription)
            member_join(model, member, 1 + (uint32_t)draw(model, CREDIT_MAX));
        else if (draw(model, 4) == 0)
            model_leave(model, member);
        else
            model_operator(model);
        break;
    default:
        break;
    }
}

// The sink is mended: everything must come to its end.
static void model_finish(struct model *model) {
    model->outage_now = false;
    for (uint64_t i = 1; i <= model->n_events; i++)
        model->events[i].poison = false;
    if (!model->members[0].member.subscription)
        member_join(model, &model->members[0], 20);
    for (int round = 0; round < 20000; round++) {
        model_read(model, EVENTS_MAX);
        for (struct parked *parked = model->subscription->parked; parked; parked = parked->next)
            if (parking_retry(model->subscription, parked->lane))
                break;
        model_take(model, EVENTS_MAX);
        for (int i = 0; i < MEMBERS_OF_MODEL; i++)
            for (int k = 0; model->members[i].member.subscription && k < 6; k++)
                member_work(model, &model->members[i]);
        model->now_us += 500;
        if (model->subscription->position == model->n_events &&
            subscription_cursor(model->subscription) == model->n_events &&
            model->subscription->n_parked == 0)
            break;
    }
    CHECK(model, subscription_cursor(model->subscription) == model->n_events);
    for (struct parked *parked = model->subscription->parked; parked; parked = parked->next)
        if (parked->state != PARKED_GONE)
            print_error("parked lane=%llu state=%d first=%llu last=%llu behind=%llu looked=%llu "
                        "slots=%zu\n",
                        (unsigned long long)parked->lane, (int)parked->state,
                        (unsigned long long)parked->first, (unsigned long long)parked->last,
                        (unsigned long long)parked->behind, (unsigned long long)parked->looked,
                        parked->n_drain_slots);
    CHECK(model, model->subscription->n_parked == 0);
    for (uint64_t i = 1; i <= model->n_events; i++)
        if (model->events[i].matches)
            CHECK(model, model->events[i].settled || given_up(&model->events[i]));
    CHECK(model, subscription_ranges(model->subscription, NULL, 0) == 0);
}

static void run_history(uint64_t seed) {
    struct model *model = calloc(1, sizeof *model);
    model->seed = seed;
    model->random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    model->n_lanes = 1 + (unsigned)draw(model, LANES_MAX);
    model->budget.n_slots_max = draw(model, 2) ? 1000000 : 0;
    model->budget.n_parked_max = 1000000;
    model->options = (struct subscription_options){.retry_us_min = 100,
                                                   .retry_us_max = 2000,
                                                   .retry_attempts = 1 + (uint32_t)draw(model, 4),
                                                   .parked_lanes_max = draw(model, 4) ? 1000 : 2};
    assert_int_equal(
        subscription_new(&model->options, &model->budget, 0, NULL, 0, seed, &model->subscription),
        0);
    for (int i = 0; i < STEPS; i++)
        model_step(model);
    model_finish(model);
    for (int i = 0; i < MEMBERS_OF_MODEL; i++)
        if (model->members[i].member.subscription)
            model_leave(model, &model->members[i]);
    subscription_free(model->subscription);
    CHECK(model, model->budget.n_slots == 0 && model->budget.n_parked == 0);
    rows_forget(model);
    free(model->ranges);
    free(model);
}

static void test_histories_agree_with_the_model(void **state) {
    (void)state;
    const char *seed = getenv("TOUCHBUS_SEED");
    if (seed) {
        run_history(strtoull(seed, NULL, 10));
        return;
    }
    for (uint64_t i = 1; i <= SEEDS; i++)
        run_history(i);
    print_message("seeds 1 to %d\n", SEEDS);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_histories_agree_with_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
