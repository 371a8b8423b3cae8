// SPDX-License-Identifier: Apache-2.0
// The table of rules by event type, in the order of names, and what they share.
#include "broker/rules/rules_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/rules/rules_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/type_order.h"
#include "schemas/body.h"
#include "schemas/limits.h"
#include "view.pb-c.h"

typedef int (*rule)(struct judging *judging);

// By type, in the order of names; several rows of one type run from the top down. NULL: nothing to
// do at that moment.
static const struct rule_row {
    const char *type;
    rule refuse, stamp, follow;
} RULES[] = {
    {"agent.state", NULL, routing_stamp_agent, routing_follow_agent},
    {"call.answered", NULL, routing_stamp, NULL},
    {"call.ended", NULL, routing_stamp, NULL},
    {"call.ended", NULL, rules_contact_failed, NULL},
    {"call.placed", NULL, rules_contact_handed, NULL},
    {"call.received", NULL, routing_stamp, routing_follow},
    {"callback.requested", NULL, routing_stamp, routing_follow},
    {"cart.changed", NULL, checkout_stamp_cart, NULL},
    {"chat.message", NULL, routing_stamp, NULL},
    {"chat.state", NULL, routing_stamp, routing_follow},
    {"contact.requested", NULL, NULL, rules_contact_requested},
    {"customer.changed", NULL, NULL, standing_follow_attributes},
    {"customer.identified", NULL, NULL, standing_follow_attributes},
    {"customer.registered", NULL, NULL, standing_follow},
    {"identity.changed", NULL, NULL, standing_follow_identity},
    {"kiosk.session.ended", NULL, NULL, standing_follow_visit},
    {"merge.requested", identity_refuse_merge, NULL, identity_follow_merge},
    {"message.outcome", NULL, rules_contact_failed, NULL},
    {"message.sent", NULL, rules_contact_handed, NULL},
    {"order.changed", NULL, NULL, standing_follow},
    {"order.placed", NULL, checkout_stamp_order, standing_follow},
    {"page.viewed", NULL, NULL, standing_follow_visit},
    {"quote.issued", quotes_refuse, NULL, NULL},
    {"split.requested", identity_refuse_split, NULL, identity_follow_split},
    {"visit.recorded", NULL, NULL, standing_follow_visit},
};

// Of every type, after those of its own.
static const struct rule_row EVERY = {"*", NULL, score_stamp, score_follow};

enum { N_RULES = sizeof(RULES) / sizeof(RULES[0]) };

// The first row of the event's type; N_RULES where there is none.
static size_t first_row(const struct judging *judging) {
    size_t low = 0, high = N_RULES;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (type_order(RULES[middle].type, judging->event->type) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_of_type(size_t row, const struct judging *judging) {
    return row < N_RULES && type_order(RULES[row].type, judging->event->type) == 0;
}

static int run(rule one, struct judging *judging) {
    return one == NULL ? 0 : one(judging);
}

int rules_refuse(struct judging *judging) {
    int r = 0;
    for (size_t i = first_row(judging); r == 0 && is_of_type(i, judging); i++) {
        r = judging->findings->code != 0 ? 0 : run(RULES[i].refuse, judging);
    }
    return r;
}

int rules_stamp(struct judging *judging) {
    int r = 0;
    for (size_t i = first_row(judging); r == 0 && is_of_type(i, judging); i++) {
        r = run(RULES[i].stamp, judging);
    }
    return r != 0 ? r : run(EVERY.stamp, judging);
}

int rules_follow(struct judging *judging) {
    int r = 0;
    for (size_t i = first_row(judging); r == 0 && is_of_type(i, judging); i++) {
        r = run(RULES[i].follow, judging);
    }
    return r != 0 ? r : run(EVERY.follow, judging);
}

int rules_stamp_follow_up(struct judging *judging, Touchbus__Event *event) {
    struct judging own = *judging;
    own.event = event;
    own.customer = event->customer;
    return event->redacted ? 0 : run(EVERY.stamp, &own);
}

int64_t rules_time(const struct judging *judging) {
    const Touchbus__Event *event = judging->event;
    int64_t latest_us;
    if (__builtin_add_overflow(judging->now_us, FOLD_AHEAD_US, &latest_us)) {
        latest_us = INT64_MAX;
    }
    int64_t time_us = event->has_time ? event->time_us : judging->now_us;
    return time_us > latest_us ? latest_us : time_us;
}

int rules_tier(struct judging *judging, const char **ret) {
    uint64_t survivor;
    const View__Customer *record;
    *ret = judging->customer == 0 ? "" : "guest";
    if (judging->customer == 0 || judging->event->created) {
        return 0;
    }
    int r = fold_survivor(judging->fold, judging->txn, judging->customer, &survivor);
    r = r != 0 ? r : fold_customer(judging->fold, judging->txn, survivor, &record);
    if (r == 0 && *record->tier != '\0') {
        *ret = record->tier;
    }
    return r;
}

int rules_redacted(struct judging *judging) {
    return strcmp(judging->event->type, "contact.requested") == 0 ? rules_contact_redacted(judging)
                                                                  : 0;
}

Touchbus__Stamp *rules_make_stamp(struct judging *judging) {
    if (judging->event->stamp == NULL) {
        Touchbus__Stamp *stamp = arena_alloc(judging->arena, sizeof(*stamp));
        if (stamp == NULL) {
            return NULL;
        }
        touchbus__stamp__init(stamp);
        judging->event->stamp = stamp;
    }
    return judging->event->stamp;
}

int rules_data(struct arena *arena, json_t *json, ProtobufCBinaryData *ret) {
    _cleanup_free_ void *data = NULL;
    size_t size = 0;
    int r = json == NULL ? -ENOMEM : body_from_json(json, &data, &size);
    json_decref(json);
    if (r != 0) {
        return r;
    }
    *ret = (ProtobufCBinaryData){.len = size, .data = arena_copy(arena, data, size)};
    return ret->data == NULL ? -ENOMEM : 0;
}

int rules_follow_up_packed(struct judging *judging, const char *what, const char *type,
                           ProtobufCBinaryData data, uint64_t leaf, Touchbus__Event **ret) {
    struct arena *arena = judging->arena;
    struct findings *findings = judging->findings;
    if (findings->n_follow_ups >= FOLLOW_UPS_MAX) {
        return 1;
    }
    Touchbus__Event *event = arena_alloc(arena, sizeof(*event));
    if (event == NULL) {
        return -ENOMEM;
    }
    touchbus__event__init(event);
    event->data = data;
    event->id = arena_printf(arena, "%s-%" PRIu64, what, judging->sequence);
    event->source = arena_strdup(arena, "/touchbus");
    event->type = arena_strdup(arena, type);
    event->channel = judging->event->channel;
    event->traceparent = judging->event->traceparent;
    event->direction = TOUCHBUS__DIRECTION__DECIDED;
    event->cause = judging->sequence;
    event->customer = leaf;
    if (event->id == NULL || event->source == NULL || event->type == NULL) {
        return -ENOMEM;
    }
    findings->follow_ups[findings->n_follow_ups++] = event;
    *ret = event;
    return 0;
}

int rules_follow_up(struct judging *judging, const char *what, const char *type, json_t *data,
                    uint64_t leaf, Touchbus__Event **ret) {
    ProtobufCBinaryData packed = {0};
    if (judging->findings->n_follow_ups >= FOLLOW_UPS_MAX) {
        json_decref(data);
        return 1;
    }
    int r = rules_data(judging->arena, data, &packed);
    return r != 0 ? r : rules_follow_up_packed(judging, what, type, packed, leaf, ret);
}

int rules_arm(struct arena *arena, Touchbus__Event *event, uint32_t kind,
              const uint8_t id[static LOOKUP_BYTES], int64_t due_us) {
    Touchbus__Timer *timer = arena_alloc(arena, sizeof(*timer));
    if (event->stamp == NULL) {
        event->stamp = arena_alloc(arena, sizeof(*event->stamp));
        if (event->stamp != NULL) {
            touchbus__stamp__init(event->stamp);
        }
    }
    size_t n = event->stamp == NULL ? 0 : event->stamp->n_timers;
    Touchbus__Timer **timers = arena_alloc(arena, (n + 1) * sizeof(Touchbus__Timer *));
    if (timer == NULL || event->stamp == NULL || timers == NULL) {
        return -ENOMEM;
    }
    assert(n < STAMP_TIMERS_MAX);
    if (n > 0) {
        memcpy(timers, event->stamp->timers, n * sizeof(Touchbus__Timer *));
    }
    touchbus__timer__init(timer);
    timer->kind = kind;
    timer->id.data = arena_copy(arena, id, LOOKUP_BYTES);
    timer->id.len = LOOKUP_BYTES;
    timer->due_us = due_us;
    timers[n] = timer;
    event->stamp->timers = timers;
    event->stamp->n_timers = n + 1;
    return timer->id.data == NULL ? -ENOMEM : 0;
}

int rules_verdict(struct judging *judging, json_t *verdict) {
    return rules_data(judging->arena, verdict, &judging->findings->verdict);
}
