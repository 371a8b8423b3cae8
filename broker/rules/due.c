// SPDX-License-Identifier: Apache-2.0
// What comes of a due time: the table by kind, and what holds for all of them. Their events have
// ids that follow from the timer, so that whoever reads the log can tell what made them; the first
// one takes the timer out, so that it is due once; and none arms what is due already, or the tick
// would go round for ever.
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "broker/rules/rules_internal.h"
#include "schemas/base/guards.h"
#include "schemas/limits.h"

#define AGAIN_US INT64_C(1000000) // what is armed anew is due no sooner than that

static const struct due_row {
    uint32_t kind;
    const char *name;
    int (*due)(struct judging *judging, const struct timer_due *due);
} DUE[] = {
    {TIMER_CONTACT, "contact", rules_contact_due},      {TIMER_CHECKOUT, "checkout", checkout_due},
    {TIMER_DEMOTION, "demotion", standing_due},         {TIMER_ROUTING, "routing", routing_due},
    {TIMER_CALLBACK, "callback", routing_callback_due},
};

static const struct due_row *find_row(uint32_t kind) {
    static const struct due_row other = {0, "other", NULL};
    for (size_t i = 0; i < sizeof(DUE) / sizeof(DUE[0]); i++) {
        if (DUE[i].kind == kind) {
            return &DUE[i];
        }
    }
    return &other;
}

// The follow-up that takes the timer out: the first of its customer.
static int find_taker(struct judging *judging, const struct timer_due *due, const char *kind,
                      Touchbus__Event **ret) {
    struct findings *findings = judging->findings;
    for (size_t i = 0; i < findings->n_follow_ups; i++) {
        if (findings->follow_ups[i]->customer == due->customer) {
            *ret = findings->follow_ups[i];
            return 0;
        }
    }
    int r = rules_follow_up(judging, "timer", "timer.passed", json_pack("{s:s}", "kind", kind),
                            due->customer, ret);
    assert(r <= 0); // no row of the table causes as many as that
    return r;
}

// Before what its own stamp arms.
static int take_out(struct judging *judging, const struct timer_due *due, Touchbus__Event *event) {
    int r = GUARD(due_taken_out) ? rules_arm(judging->arena, event, due->kind, due->id, 0) : 1;
    if (r == 0) {
        Touchbus__Stamp *stamp = event->stamp;
        Touchbus__Timer *off = stamp->timers[stamp->n_timers - 1];
        memmove(stamp->timers + 1, stamp->timers, (stamp->n_timers - 1) * sizeof(*stamp->timers));
        stamp->timers[0] = off;
    }
    return r < 0 ? r : 0;
}

static void push_back(const struct judging *judging, Touchbus__Stamp *stamp) {
    for (size_t i = 0; stamp != NULL && i < stamp->n_timers; i++) {
        Touchbus__Timer *timer = stamp->timers[i];
        if (timer->due_us > 0 && timer->due_us < judging->timer_us + AGAIN_US) {
            timer->due_us = judging->timer_us + AGAIN_US;
        }
    }
}

int rules_due(struct judging *judging, const struct timer_due *due) {
    const struct due_row *row = find_row(due->kind);
    struct findings *findings = judging->findings;
    Touchbus__Event *taker;
    char id[2 * LOOKUP_BYTES + 1];
    sodium_bin2hex(id, sizeof(id), due->id, LOOKUP_BYTES);
    judging->now_us = judging->timer_us;
    int r = row->due == NULL ? 0 : row->due(judging, due);
    r = r != 0 ? r : find_taker(judging, due, row->name, &taker);
    r = r != 0 ? r : take_out(judging, due, taker);
    for (size_t i = 0; r == 0 && i < findings->n_follow_ups; i++) {
        Touchbus__Event *event = findings->follow_ups[i];
        push_back(judging, event->stamp);
        event->id = arena_printf(judging->arena, "%s-%" PRIu64 "-%s-%" PRId64 "-%zu", row->name,
                                 due->customer, id, due->due_us, i);
        r = event->id == NULL ? -ENOMEM : 0;
    }
    return r;
}
