// SPDX-License-Identifier: Apache-2.0
// identity.changed: what an event changed between customers, said to everyone it names. Merges and
// keys that become shared are carried out by the fold from these events' stamps; a refusal says
// why, and changes nothing.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/profile/profile.h"
#include "broker/tick/decide_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/envelope.h"

#define DAY_US (INT64_C(24) * 3600 * 1000000)

// ---- the event

static json_t *changed_data(const struct identity_change *change) {
    char text[24];
    json_t *from = json_array();
    for (size_t i = 0; i < change->n_from; i++) {
        json_array_append_new(from, json_string(envelope_format_customer(change->from[i], text)));
    }
    return json_pack("{s:s, s:o, s:s, s:s}", "kind", change->kind, "from", from, "to",
                     envelope_format_customer(change->to, text), "reason", change->reason);
}

static int set_lanes(struct arena *arena, const struct identity_change *change,
                     Touchbus__Event *event) {
    uint64_t *lanes = arena_alloc(arena, (change->n_from + 1) * sizeof(*lanes));
    if (lanes == NULL) {
        return -ENOMEM;
    }
    lanes[event->n_lanes++] = change->to;
    for (size_t i = 0; i < change->n_from; i++) {
        if (change->from[i] != change->to) {
            lanes[event->n_lanes++] = change->from[i];
        }
    }
    event->lanes = lanes;
    return 0;
}

int resolve_changed(struct arena *arena, const struct identity_change *change,
                    const Touchbus__Event *cause, uint64_t sequence, unsigned index,
                    Touchbus__Event **ret) {
    _cleanup_free_ void *data = NULL;
    size_t size = 0;
    json_t *json = changed_data(change);
    int r = json == NULL ? -ENOMEM : body_from_json(json, &data, &size);
    json_decref(json);
    Touchbus__Event *event = arena_alloc(arena, sizeof(*event));
    if (r != 0 || event == NULL) {
        return r != 0 ? r : -ENOMEM;
    }
    touchbus__event__init(event);
    event->data = (ProtobufCBinaryData){.len = size, .data = arena_copy(arena, data, size)};
    event->id = index == 0
                    ? arena_printf(arena, "%s-%" PRIu64, change->kind, sequence)
                    : arena_printf(arena, "%s-%" PRIu64 "-%u", change->kind, sequence, index);
    event->source = arena_strdup(arena, "/touchbus");
    event->type = arena_strdup(arena, "identity.changed");
    event->traceparent = cause->traceparent;
    event->direction = TOUCHBUS__DIRECTION__DECIDED;
    event->cause = sequence;
    event->customer = change->leaf;
    r = set_lanes(arena, change, event);
    if (r != 0 || event->data.data == NULL || event->id == NULL || event->source == NULL ||
        event->type == NULL) {
        return -ENOMEM;
    }
    *ret = event;
    return 0;
}

static int add(const struct resolve *resolve, const struct identity_change *change,
               const Touchbus__Event *cause, uint64_t sequence, unsigned index,
               Touchbus__Event **follow_ups, size_t *n_follow_ups, Touchbus__Stamp **ret_stamp) {
    Touchbus__Event *event = NULL;
    *ret_stamp = NULL;
    if (*n_follow_ups >= FOLLOW_UPS_MAX) {
        return 0;
    }
    int r = resolve_changed(resolve->arena, change, cause, sequence, index, &event);
    if (r != 0) {
        return r;
    }
    *ret_stamp = resolve_make_stamp(resolve->arena, event);
    follow_ups[(*n_follow_ups)++] = event;
    return *ret_stamp == NULL ? -ENOMEM : 0;
}

// ---- merged

int resolve_merged(const struct resolve *resolve, const struct merge_plan *plan,
                   const Touchbus__Event *cause, uint64_t sequence, Touchbus__Event **follow_ups,
                   size_t *n_follow_ups) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < plan->n; i++) {
        struct identity_change change = {.kind = "merged",
                                         .from = &plan->from[i],
                                         .n_from = 1,
                                         .to = plan->into,
                                         .reason = plan->reason,
                                         .leaf = plan->into};
        Touchbus__Stamp *stamp;
        r = add(resolve, &change, cause, sequence, (unsigned)i, follow_ups, n_follow_ups, &stamp);
        if (r == 0 && stamp != NULL) {
            stamp->merge_from = plan->from[i];
            stamp->merge_into = plan->into;
        }
    }
    return r;
}

// ---- refused

static void add_customer(uint64_t *customers, size_t *n, uint64_t customer) {
    for (size_t i = 0; i < *n; i++) {
        if (customers[i] == customer) {
            return;
        }
    }
    customers[(*n)++] = customer;
}

// Whether it was said today that the customer's keys are over a limit.
static int was_limited(const struct resolve *resolve, const Touchbus__Event *event, bool *ret) {
    const View__Customer *record;
    *ret = false;
    int r =
        event->created ? 0 : fold_customer(resolve->fold, resolve->txn, event->customer, &record);
    if (r == 0 && !event->created) {
        *ret = record->limit_day != 0 && record->limit_day == (uint32_t)(resolve->now_us / DAY_US);
    }
    return r;
}

// One event, that names the first reason: the customers whose keys these are, and whose event it
// is.
static int refused(const struct resolve *resolve, const Touchbus__Event *event, uint64_t sequence,
                   const struct resolution *resolution, Touchbus__Event **follow_ups,
                   size_t *n_follow_ups) {
    uint64_t from[EVENT_IDENTITIES_MAX];
    size_t n = 0;
    const char *reason = NULL;
    bool limited = false, said = false;
    for (size_t i = 0; i < resolution->n_candidates; i++) {
        const struct candidate *candidate = &resolution->candidates[i];
        if (candidate->reason == NULL) {
            continue;
        }
        if (candidate->fate == KEY_FOREIGN || candidate->fate == KEY_TAKEN) {
            reason = n == 0 ? candidate->reason : reason;
            add_customer(from, &n, candidate->survivor);
        } else if (candidate->fate == KEY_OVER) {
            limited = true;
            reason = reason != NULL ? reason : candidate->reason;
        }
    }
    int r = limited ? was_limited(resolve, event, &said) : 0;
    if (r != 0 || (n == 0 && (!limited || said))) {
        return r;
    }
    uint64_t to = event->survivor != 0 ? event->survivor : event->customer;
    struct identity_change change = {.kind = "refused",
                                     .from = from,
                                     .n_from = n,
                                     .to = to,
                                     .reason = reason,
                                     .leaf = event->customer};
    Touchbus__Stamp *stamp;
    r = add(resolve, &change, event, sequence, 0, follow_ups, n_follow_ups, &stamp);
    if (r == 0 && stamp != NULL) {
        stamp->limited = limited;
    }
    return r;
}

// ---- shared

static bool brings_strong(const struct resolution *resolution) {
    for (size_t i = 0; i < resolution->n_candidates; i++) {
        const struct candidate *candidate = &resolution->candidates[i];
        if (candidate->class == KEY_STRONG &&
            (candidate->fate == KEY_NEW || candidate->fate == KEY_HELD)) {
            return true;
        }
    }
    return false;
}

// Adds the leaf's customer where it has a strong key, or gets one by this event.
static int add_strong(const struct resolve *resolve, uint64_t leaf, uint64_t *customers,
                      size_t *n) {
    struct joined joined;
    uint64_t survivor = 0;
    int r = fold_survivor(resolve->fold, resolve->txn, leaf, &survivor);
    r = r != 0 ? r : resolve_joined(resolve, survivor, &joined);
    if (r == 0 && joined.class == LOOKUP_STRONG && !joined.erased) {
        add_customer(customers, n, survivor);
    }
    return r;
}

// How many customers with strong keys the key has met within its window, this one included.
static int count_met(const struct resolve *resolve, const Touchbus__Event *event,
                     const struct resolution *resolution, const struct candidate *candidate,
                     size_t *ret) {
    uint64_t leaves[CONTESTED_CUSTOMERS_MAX], met[CONTESTED_CUSTOMERS_MAX + 2];
    size_t n = 0, n_met = 0;
    bool shared;
    int r = resolve_contested(resolve, candidate->lookup, leaves, &n, &shared);
    if (brings_strong(resolution)) {
        add_customer(met, &n_met, event->survivor != 0 ? event->survivor : event->customer);
    } else if (r == 0 && !event->created) {
        r = add_strong(resolve, event->customer, met, &n_met);
    }
    r = r != 0 ? r : add_strong(resolve, candidate->owner, met, &n_met);
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = add_strong(resolve, leaves[i], met, &n_met);
    }
    *ret = n_met;
    return r;
}

static int shared(const struct resolve *resolve, const Touchbus__Event *event, uint64_t sequence,
                  const struct resolution *resolution, const struct candidate *candidate,
                  unsigned index, Touchbus__Event **follow_ups, size_t *n_follow_ups) {
    size_t n_met = 0;
    int r = count_met(resolve, event, resolution, candidate, &n_met);
    if (r != 0 || !GUARD(contested_shared) || n_met <= resolve->policy->identity.contested_max) {
        return r;
    }
    struct identity_change change = {.kind = "shared",
                                     .from = &candidate->survivor,
                                     .n_from = 1,
                                     .to = event->survivor != 0 ? event->survivor : event->customer,
                                     .reason = "contested",
                                     .leaf = event->customer};
    Touchbus__Stamp *stamp;
    r = add(resolve, &change, event, sequence, index, follow_ups, n_follow_ups, &stamp);
    if (r != 0 || stamp == NULL) {
        return r;
    }
    stamp->shared = (ProtobufCBinaryData){
        .len = LOOKUP_BYTES, .data = arena_copy(resolve->arena, candidate->lookup, LOOKUP_BYTES)};
    return stamp->shared.data == NULL ? -ENOMEM : 0;
}

// ---- who an ambiguous event may be

int resolve_candidates(const struct resolve *resolve, const struct resolution *resolution,
                       json_t **ret) {
    uint8_t lookups[EVENT_IDENTITIES_MAX * LOOKUP_BYTES];
    uint64_t customers[CANDIDATES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < resolution->n_candidates; i++) {
        memcpy(lookups + i * LOOKUP_BYTES, resolution->candidates[i].lookup, LOOKUP_BYTES);
    }
    int r = fold_flush(resolve->fold, resolve->txn); // it is read as others read it
    r = r != 0
            ? r
            : identity_candidates(resolve->txn, resolve->arena, lookups, resolution->n_candidates,
                                  resolve->now_us - resolve->policy->identity.contested_us,
                                  customers, &n);
    if (r != 0) {
        return r;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        char text[24];
        json_array_append_new(list, json_string(envelope_format_customer(customers[i], text)));
    }
    *ret = json_pack("{s:o}", "candidates", list);
    return *ret == NULL ? -ENOMEM : 0;
}

int resolve_follow(const struct resolve *resolve, Touchbus__Event *event, uint64_t sequence,
                   const struct resolution *resolution, Touchbus__Event **follow_ups,
                   size_t *n_follow_ups) {
    if (resolution->n_candidates == 0 || resolution->ambiguous || resolution->erased) {
        return 0;
    }
    int r = resolve_merged(resolve, &resolution->merge, event, sequence, follow_ups, n_follow_ups);
    r = r != 0 ? r : refused(resolve, event, sequence, resolution, follow_ups, n_follow_ups);
    for (size_t i = 0; r == 0 && i < resolution->n_candidates; i++) {
        const struct candidate *candidate = &resolution->candidates[i];
        if (candidate->fate == KEY_FOREIGN && candidate->class == KEY_MEDIUM) {
            r = shared(resolve, event, sequence, resolution, candidate, (unsigned)i, follow_ups,
                       n_follow_ups);
        }
    }
    return r;
}
