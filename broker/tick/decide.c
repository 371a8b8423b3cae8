// SPDX-License-Identifier: Apache-2.0
// In order: whose it is (an erased person's is redacted, whatever its schema), schema, direction,
// rank, customer, lanes. Nothing refuses after the customer was stamped, so that a customer number
// is never given for an event that is not logged.
#include "broker/tick/decide.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/tick/decide_internal.h"
#include "broker/tick/dedup.h"
#include "schemas/base/logging.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

enum { RANK_MAX = 1000, RANK_SYSTEM = RANK_MAX };

struct rank_row {
    char *glob;
    uint32_t rank;
};

struct decide {
    const struct policy *policy;
    const struct catalogue *catalogue;
    const uint8_t *secret;
    struct keys *keys; // NULL: nobody was erased
    struct rank_row *ranks;
    size_t n_ranks;
};

// "GLOB=N"; the last = counts, a source may hold others.
static int rank_parse(const char *text, struct rank_row *ret) {
    const char *equals = strrchr(text, '=');
    if (equals == NULL || equals == text || equals[1] < '0' || equals[1] > '9') {
        return -EINVAL;
    }
    char *end;
    unsigned long rank = strtoul(equals + 1, &end, 10);
    if (*end != '\0' || rank > RANK_MAX) {
        return -EINVAL;
    }
    ret->glob = strndup(text, (size_t)(equals - text));
    ret->rank = (uint32_t)rank;
    return ret->glob == NULL ? -ENOMEM : 0;
}

int decide_new(const struct configuration *configuration, const struct policy *policy,
               const struct catalogue *catalogue, const uint8_t *secret, struct keys *keys,
               struct decide **ret) {
    struct decide *decide = calloc(1, sizeof(*decide));
    if (decide == NULL) {
        return -ENOMEM;
    }
    decide->policy = policy;
    decide->catalogue = catalogue;
    decide->secret = secret;
    decide->keys = keys;
    decide->ranks = calloc(configuration->ranks.n_values + 1, sizeof(*decide->ranks));
    int r = decide->ranks == NULL ? -ENOMEM : 0;
    for (size_t i = 0; r == 0 && i < configuration->ranks.n_values; i++) {
        r = rank_parse(configuration->ranks.values[i], &decide->ranks[i]);
        decide->n_ranks += r == 0;
        if (r == -EINVAL) {
            logging_error("event=bad-option option=rank value=%s expected=GLOB=N,0-%d",
                          configuration->ranks.values[i], RANK_MAX);
        }
    }
    if (r != 0) {
        decide_free(decide);
        return r;
    }
    *ret = decide;
    return 0;
}

struct decide *decide_free(struct decide *decide) {
    if (decide == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < decide->n_ranks; i++) {
        free(decide->ranks[i].glob);
    }
    free(decide->ranks);
    free(decide);
    return NULL;
}

static uint32_t rank_of(const struct decide *decide, const char *source) {
    for (size_t i = 0; i < decide->n_ranks; i++) {
        if (envelope_glob(decide->ranks[i].glob, source)) {
            return decide->ranks[i].rank;
        }
    }
    return 0;
}

// The direction of a type that has only one.
static Touchbus__Direction direction_of(const struct catalogue_type *type) {
    switch (type == NULL ? 0 : type->directions) {
    case DIRECTION_MAY_INBOUND:
        return TOUCHBUS__DIRECTION__INBOUND;
    case DIRECTION_MAY_OUTBOUND:
        return TOUCHBUS__DIRECTION__OUTBOUND;
    case DIRECTION_MAY_DECIDED:
        return TOUCHBUS__DIRECTION__DECIDED;
    default:
        return TOUCHBUS__DIRECTION__DIRECTION_UNSET;
    }
}

#define LANE_NOBODY (UINT64_C(1) << 63)

static int stamp_lane(const struct decide *decide, struct arena *arena, Touchbus__Event *event) {
    uint64_t *lane = arena_alloc(arena, sizeof(*lane));
    if (lane == NULL) {
        return -ENOMEM;
    }
    const char *text = *event->subject != '\0' ? event->subject : event->source;
    *lane = event->survivor != 0   ? event->survivor
            : event->customer != 0 ? event->customer
                                   : LANE_NOBODY | dedup_hash_text(decide->secret, text);
    event->n_lanes = 1;
    event->lanes = lane;
    return 0;
}

int decide_own(const struct decide *decide, const struct decide_place *place,
               Touchbus__Event *event) {
    event->rank = RANK_SYSTEM;
    if (event->customer != 0 && event->survivor == 0) {
        uint64_t survivor = 0;
        int r = fold_survivor(place->fold, place->txn, event->customer, &survivor);
        if (r != 0) {
            return r;
        }
        event->survivor = survivor != event->customer ? survivor : 0;
    }
    if (event->n_lanes == 0 && event->erases && event->survivor != 0) {
        // What waits for the leaf's own events waits under its number, too.
        uint64_t lanes[] = {event->customer, event->survivor};
        event->lanes = arena_copy(place->arena, lanes, sizeof(lanes));
        event->n_lanes = sizeof(lanes) / sizeof(lanes[0]);
        return event->lanes == NULL ? -ENOMEM : 0;
    }
    return event->n_lanes == 0 ? stamp_lane(decide, place->arena, event) : 0;
}

static int check_schema(const struct catalogue_type *type, struct arena *arena,
                        const struct body_members *members, const char **ret_detail) {
    char detail[DETAIL_BYTES_MAX];
    if (type == NULL || catalogue_check_members(type, members, detail, sizeof(detail)) == 0) {
        return 0;
    }
    *ret_detail = arena_strdup(arena, detail);
    return *ret_detail == NULL ? -ENOMEM : REASON_QUARANTINED;
}

int decide_check(const struct decide *decide, struct arena *arena, const Touchbus__Event *event,
                 const char **ret_detail) {
    struct body_members members;
    body_members_read(event->data.data, event->data.len, &members);
    return check_schema(catalogue_find(decide->catalogue, event->type), arena, &members,
                        ret_detail);
}

static struct judging judge(const struct decide *decide, const struct decide_place *place,
                            Touchbus__Event *event, uint64_t sequence, uint64_t customer,
                            struct findings *findings) {
    return (struct judging){
        .policy = decide->policy,
        .keys = decide->keys,
        .secret = decide->secret,
        .fold = place->fold,
        .txn = place->txn,
        .arena = place->arena,
        .now_us = place->now_us,
        .timer_us = place->timer_us,
        .event = event,
        .sequence = sequence,
        .customer = customer,
        .findings = findings,
    };
}

// Before anything is stamped. *ret->code: 0, or why not.
static int check(const struct catalogue_type *type, const struct body_members *members,
                 struct judging *judging) {
    struct findings *findings = judging->findings;
    int r = check_schema(type, judging->arena, members, &findings->detail);
    findings->code = r > 0 ? (uint32_t)r : 0;
    return r < 0 ? r : r > 0 ? 0 : rules_refuse(judging);
}

// Rank, survivor and lanes of the follow-ups from the nth on.
static int stamp_follow_ups(const struct decide *decide, const struct decide_place *place,
                            struct judging *judging, size_t n) {
    const struct findings *findings = judging->findings;
    int r = 0;
    for (size_t i = n; r == 0 && i < findings->n_follow_ups; i++) {
        r = decide_own(decide, place, findings->follow_ups[i]);
        r = r != 0 ? r : rules_stamp_follow_up(judging, findings->follow_ups[i]);
    }
    return r;
}

int decide_keys(const struct decide *decide, struct arena *arena, const Touchbus__Event *event,
                struct event_keys *ret) {
    return resolve_make_keys(decide->policy, decide->secret, arena, event, ret);
}

static int decide_what_was_read(const struct decide *decide, const struct decide_place *place,
                                Touchbus__Event *event, const struct event_reading *reading,
                                uint64_t sequence, uint64_t *customers_last, struct decision *ret) {
    struct arena *arena = place->arena;
    const struct catalogue_type *type = catalogue_find(decide->catalogue, event->type);
    struct resolution resolution;
    struct resolve resolve = {decide->policy, decide->secret, decide->keys, place->fold,
                              place->txn,     arena,          place->now_us};
    int r = resolve_references(type, arena, event);
    r = r != 0 ? r : resolve_find(&resolve, event, reading->keys, &resolution);
    if (r != 0) {
        return r;
    }
    ret->owner = resolution.customer;
    struct judging judging =
        judge(decide, place, event, sequence, resolution.customer, &ret->findings);
    if (!resolution.erased) {
        r = check(type, reading->members, &judging);
        if (r != 0 || ret->findings.code != 0) {
            event->n_references = 0; // put aside as it was published
            return r;
        }
    } else {
        resolve_redact(event);
    }
    if (event->direction == TOUCHBUS__DIRECTION__DIRECTION_UNSET) {
        event->direction = direction_of(type);
    }
    event->rank = rank_of(decide, event->source);
    if (!resolution.erased) {
        r = resolve_stamp(&resolve, event, customers_last, &resolution);
        judging.customer = event->customer;
        r = r != 0 ? r
                   : resolve_follow(&resolve, event, sequence, &resolution,
                                    ret->findings.follow_ups, &ret->findings.n_follow_ups);
        r = r != 0 ? r : rules_stamp(&judging);
    }
    if (r == 0 && resolution.ambiguous && event->customer == 0) {
        json_t *verdict = NULL;
        r = resolve_candidates(&resolve, &resolution, &verdict);
        r = r != 0 ? r : rules_verdict(&judging, verdict);
    }
    r = r != 0 ? r : stamp_follow_ups(decide, place, &judging, 0);
    return r != 0 ? r : stamp_lane(decide, arena, event);
}

int decide_event(const struct decide *decide, const struct decide_place *place,
                 Touchbus__Event *event, const struct event_reading *reading, uint64_t sequence,
                 uint64_t *customers_last, struct decision *ret) {
    struct event_keys keys;
    struct body_members members;
    struct event_reading own = {.keys = &keys, .members = &members};
    *ret = (struct decision){.findings.detail = ""};
    if (reading == NULL) {
        body_members_read(event->data.data, event->data.len, &members);
        int r = decide_keys(decide, place->arena, event, &keys);
        if (r != 0) {
            return r;
        }
        reading = &own;
    }
    return decide_what_was_read(decide, place, event, reading, sequence, customers_last, ret);
}

int decide_follow(const struct decide *decide, const struct decide_place *place,
                  Touchbus__Event *event, struct decision *decision) {
    struct findings *findings = &decision->findings;
    size_t n = findings->n_follow_ups;
    struct judging judging =
        judge(decide, place, event, event->sequence, event->customer, findings);
    int r = event->redacted ? rules_redacted(&judging) : rules_follow(&judging);
    return r != 0 ? r : stamp_follow_ups(decide, place, &judging, n);
}

int decide_due(const struct decide *decide, const struct decide_place *place,
               const struct timer_due *due, struct decision *ret) {
    Touchbus__Event *none = arena_alloc(place->arena, sizeof(*none));
    *ret = (struct decision){.findings.detail = ""};
    if (none == NULL) {
        return -ENOMEM;
    }
    touchbus__event__init(none);
    none->customer = due->customer;
    struct judging judging = judge(decide, place, none, 0, due->customer, &ret->findings);
    int r = rules_due(&judging, due);
    return r != 0 ? r : stamp_follow_ups(decide, place, &judging, 0);
}
