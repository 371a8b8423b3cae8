// SPDX-License-Identifier: Apache-2.0
// The verb segment.ls: without a name the policy's segments, with one who is in it. All surviving
// customers are read once, a slice at a time; each slice has a snapshot of its own, so that a long
// walk holds nothing back. Who was merged or erased on the way is not in it.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/policy/holder.h"
#include "broker/query/verbs_all.h"
#include "broker/query/verbs_profile.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/money.h"
#include "schemas/envelope.h"

enum { SEGMENT_ARENA_BYTES = 16 << 20, TOLD_US = 200000 };

struct walk {
    uint64_t next; // the customer to read
    uint64_t n_customers, n_in;
    struct arena *arena; // for one customer
    int64_t told_us;     // monotonic: when a part said last how far it is
    int64_t now_us;      // as of which conditions are judged: the walk's beginning
};

static void walk_free(void *progress) {
    struct walk *walk = progress;
    arena_free(walk->arena);
    free(walk);
}

// ---- the segments

static json_t *condition_json(const struct policy_condition *condition) {
    json_t *json = json_pack("{s:s}", "field", condition->field);
    if (condition->is != NULL) {
        json_object_set_new(json, "is", json_string(condition->is));
    }
    if (condition->is_not != NULL) {
        json_object_set_new(json, "is_not", json_string(condition->is_not));
    }
    if (condition->at_least != NULL) {
        json_object_set_new(json, "at_least", json_real(*condition->at_least));
    }
    if (condition->below != NULL) {
        json_object_set_new(json, "below", json_real(*condition->below));
    }
    return json;
}

static const char *number_words(struct arena *arena, const char *text, const char *word,
                                const double *number) {
    return number != NULL && text != NULL ? arena_printf(arena, "%s %s %g", text, word, *number)
                                          : text;
}

static const char *text_words(struct arena *arena, const char *text, const char *word,
                              const char *value) {
    return value != NULL && text != NULL ? arena_printf(arena, "%s %s %s", text, word, value)
                                         : text;
}

// The conditions in words: "tier is mvc and orders at least 2". NULL where memory is short.
static const char *words(struct arena *arena, const struct policy_segment *segment) {
    const char *text = "";
    for (unsigned i = 0; text != NULL && i < segment->n_all; i++) {
        const struct policy_condition *one = &segment->all[i];
        text = arena_printf(arena, "%s%s%s", text, i > 0 ? " and " : "", one->field);
        text = text_words(arena, text, "is", one->is);
        text = text_words(arena, text, "is not", one->is_not);
        text = number_words(arena, text, "at least", one->at_least);
        text = number_words(arena, text, "below", one->below);
    }
    return text;
}

static int answer_segments(struct call *call, const struct policy *policy) {
    json_t *rows = json_array();
    for (unsigned i = 0; i < policy->n_segments; i++) {
        json_t *all = json_array();
        for (unsigned k = 0; k < policy->segments[i].n_all; k++) {
            json_array_append_new(all, condition_json(&policy->segments[i].all[k]));
        }
        json_array_append_new(
            rows, json_pack("{s:s, s:s, s:o}", "name", policy->segments[i].name, "text",
                            words(call_reads(call)->arena, &policy->segments[i]), "all", all));
    }
    return call_answer(call, json_pack("{s:o}", "rows", rows));
}

// ---- who is in one

static json_t *row_json(const struct reading *reading) {
    char number[24], amount[MONEY_TEXT_BYTES];
    json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "customer",
                             envelope_format_customer(reading->profile.customer, number), "tier",
                             reading->standing.tier, "phase", reading->standing.phase, "value",
                             money_format(reading->standing.value_micro, amount));
    const char *name = profile_name(&reading->profile);
    json_object_set_new(json, "name", json_string(name != NULL ? name : ""));
    return json;
}

// Whether the customer stands for itself and is a person still.
static bool stands(const struct reading *reading, uint64_t number) {
    return (!GUARD(segment_survivors) || reading->profile.customer == number) &&
           reading->profile.leaves[0].record->erased_sequence == 0 &&
           !keys_is_destroyed(call_broker(reading->call)->keys, number);
}

static int look_at(struct call *call, struct walk *walk, struct view_txn *txn,
                   const struct policy *policy, const struct policy_segment *segment,
                   json_t *rows) {
    struct reading reading = {.call = call, .policy = policy, .now_us = walk->now_us};
    uint64_t number = walk->next++;
    arena_reset(walk->arena);
    int r = reading_fill(&reading, txn, walk->arena, number);
    if (r != 0 || !stands(&reading, number)) {
        return r < 0 ? r : 0;
    }
    const struct facts facts = {policy, &reading.profile, &reading.standing, walk->now_us};
    walk->n_customers++;
    r = conditions_hold(&facts, segment->all, segment->n_all);
    if (r == 1) {
        walk->n_in++;
        r = json_array_append_new(rows, row_json(&reading)) == 0 ? 0 : -ENOMEM;
    }
    return r;
}

// The last customer number given.
static uint64_t customers_last(struct view_txn *txn) {
    static const char name[] = "customers";
    const void *value;
    size_t size;
    uint64_t last = 0;
    if (view_get(txn, VIEW_META, name, strlen(name), &value, &size) == 0 && size == sizeof(last)) {
        memcpy(&last, value, sizeof(last));
    }
    return be64toh(last);
}

// At most one part a slice: the rows, or now and then how far the walk is.
static int send(struct call *call, struct walk *walk, uint64_t last, json_t *rows) {
    int64_t now_us = clock_monotonic_us();
    json_t *part = NULL;
    if (json_array_size(rows) > 0) {
        part = json_pack("{s:O}", "rows", rows);
    } else if (walk->next <= last && now_us - walk->told_us >= TOLD_US) {
        walk->told_us = now_us;
        part = json_pack("{s:s, s:I, s:I}", "phase", "customers", "done",
                         (json_int_t)walk->next - 1, "total", (json_int_t)last);
    }
    int r = part != NULL ? call_part(call, part) : 0;
    return r < 0 ? r : walk->next <= last ? VERB_AGAIN : 0;
}

static int slice(struct call *call, struct walk *walk, struct view_txn *txn,
                 const struct policy *policy, const struct policy_segment *segment) {
    int64_t began_us = clock_monotonic_us();
    uint64_t last = customers_last(txn);
    json_t *rows = json_array();
    int r = rows != NULL ? 0 : -ENOMEM;
    do {
        r = r == 0 && walk->next <= last ? look_at(call, walk, txn, policy, segment, rows) : r;
    } while (r == 0 && walk->next <= last && json_array_size(rows) < CALL_ROWS_MAX &&
             !call_slice_over(began_us));
    r = r == 0 ? send(call, walk, last, rows) : r;
    json_decref(rows);
    return r;
}

static int begin_walk(struct call *call, struct walk **ret) {
    struct walk *walk = calloc(1, sizeof(*walk));
    if (walk == NULL) {
        return -ENOMEM;
    }
    call_keep(call, walk, walk_free);
    walk->next = 1;
    walk->now_us = clock_now_us();
    walk->arena = arena_new(SEGMENT_ARENA_BYTES);
    *ret = walk;
    return walk->arena != NULL ? 0 : -ENOMEM;
}

// One slice with the policy in force; a segment that a reload took away ends the walk.
static int walk_on(struct call *call, const struct policy *policy, const char *name) {
    struct walk *walk = call_progress(call);
    const struct policy_segment *segment = conditions_find(policy, name);
    struct view_txn *txn;
    if (segment == NULL) {
        return call_refuse(call, REASON_NOT_FOUND, "the policy has no such segment");
    }
    int r = walk == NULL ? begin_walk(call, &walk) : 0;
    r = r == 0 ? view_begin(call_broker(call)->view, false, &txn) : r;
    if (r != 0) {
        return r;
    }
    view_use_keys(txn, call_reads(call)->keys);
    call_as_of(call, view_applied(txn));
    r = slice(call, walk, txn, policy, segment);
    view_abort(txn);
    return r != 0 ? r
                  : call_answer(call, json_pack("{s:s, s:I, s:I, s:[]}", "segment", name,
                                                "customers", (json_int_t)walk->n_customers, "in",
                                                (json_int_t)walk->n_in, "rows"));
}

int verb_segment_ls(struct call *call) {
    struct policy_holder *holder = call_broker(call)->policy;
    const struct policy *policy = policy_take(holder);
    const char *name = call_argument(call, "name");
    int r =
        name == NULL || *name == '\0' ? answer_segments(call, policy) : walk_on(call, policy, name);
    policy_release(holder, policy);
    return r;
}
