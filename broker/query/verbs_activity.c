// SPDX-License-Identifier: Apache-2.0
// What a customer did, over all its leaves: how often, where and when, and the last interactions.
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/query/verbs_names.h"
#include "broker/query/verbs_profile.h"

struct counter {
    uint32_t channel, type;
    uint64_t number;
    int64_t first_us, last_us;
};

static int compare_counters(const void *a, const void *b) {
    const struct counter *left = a, *right = b;
    return left->channel != right->channel ? (left->channel < right->channel ? -1 : 1)
           : left->type != right->type     ? (left->type < right->type ? -1 : 1)
                                           : 0;
}

static int compare_first(const void *a, const void *b) {
    const struct counter *left = a, *right = b;
    return left->first_us != right->first_us ? (left->first_us < right->first_us ? -1 : 1)
                                             : compare_counters(a, b);
}

// Numbers add up; the first is the earliest, the last the latest.
static size_t join_counters(struct counter *counters, size_t n) {
    size_t n_kept = 0;
    qsort(counters, n, sizeof(*counters), compare_counters);
    for (size_t i = 0; i < n; i++) {
        if (n_kept == 0 || compare_counters(&counters[n_kept - 1], &counters[i]) != 0) {
            counters[n_kept++] = counters[i];
            continue;
        }
        struct counter *kept = &counters[n_kept - 1];
        kept->number += counters[i].number;
        kept->first_us =
            counters[i].first_us < kept->first_us ? counters[i].first_us : kept->first_us;
        kept->last_us = counters[i].last_us > kept->last_us ? counters[i].last_us : kept->last_us;
    }
    qsort(counters, n_kept, sizeof(*counters), compare_first);
    return n_kept;
}

static size_t collect_counters(const struct profile *profile, struct counter **ret) {
    size_t n = 0;
    for (size_t leaf = 0; leaf < profile->n_leaves; leaf++) {
        n += profile->leaves[leaf].record->n_counter_number;
    }
    *ret = arena_calloc(profile->arena, n + 1, sizeof(**ret));
    n = 0;
    for (size_t leaf = 0; *ret != NULL && leaf < profile->n_leaves; leaf++) {
        const View__Customer *record = profile->leaves[leaf].record;
        for (size_t i = 0; i < record->n_counter_number; i++) {
            (*ret)[n++] = (struct counter){record->counter_channel[i], record->counter_type[i],
                                           record->counter_number[i], record->counter_first_us[i],
                                           record->counter_last_us[i]};
        }
    }
    return n;
}

json_t *activity_counters_json(struct reading *reading) {
    struct names *names = call_reads(reading->call)->names;
    struct view_txn *txn = reading->profile.txn;
    struct counter *counters;
    size_t n = collect_counters(&reading->profile, &counters);
    json_t *list = counters != NULL ? json_array() : NULL;
    n = list != NULL ? join_counters(counters, n) : 0;
    for (size_t i = 0; i < n; i++) {
        const char *channel =
            counters[i].channel != 0 ? names_get(names, txn, counters[i].channel) : "";
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:o, s:o}", "channel", channel,
                                              "type", names_get(names, txn, counters[i].type),
                                              "number", (json_int_t)counters[i].number, "first",
                                              read_time_json(counters[i].first_us), "last",
                                              read_time_json(counters[i].last_us)));
    }
    return list;
}

static int compare_newest(const void *a, const void *b) {
    const struct fold_interaction *left = a, *right = b;
    return left->sequence > right->sequence ? -1 : left->sequence < right->sequence;
}

// The newest first; NULL where memory is short or a record is damaged.
static struct fold_interaction *collect_recent(const struct profile *profile, size_t *ret_n) {
    struct fold_interaction *all =
        arena_calloc(profile->arena, profile->n_leaves * TIMELINE_RECENT_MAX + 1, sizeof(*all));
    size_t n = 0;
    for (size_t leaf = 0; all != NULL && leaf < profile->n_leaves; leaf++) {
        size_t n_leaf;
        if (interactions_of_record(profile->leaves[leaf].record, all + n, &n_leaf) != 0) {
            return NULL;
        }
        n += n_leaf;
    }
    if (all != NULL) {
        qsort(all, n, sizeof(*all), compare_newest);
    }
    *ret_n = n;
    return all;
}

json_t *reading_recent_json(struct reading *reading, size_t max) {
    size_t n = 0;
    const struct fold_interaction *all = collect_recent(&reading->profile, &n);
    json_t *recent = all == NULL ? NULL : json_array();
    for (size_t i = 0; recent != NULL && i < n && i < max; i++) {
        json_array_append_new(recent,
                              read_interaction_json(reading->call, reading->profile.txn, &all[i]));
    }
    return recent;
}

json_t *activity_recent_json(struct reading *reading) {
    return reading_recent_json(reading, TIMELINE_RECENT_MAX);
}

static uint64_t sum_of(const struct reading *reading, size_t offset) {
    uint64_t sum = 0;
    for (size_t i = 0; i < reading->profile.n_leaves; i++) {
        uint64_t value;
        memcpy(&value, (const char *)reading->profile.leaves[i].record + offset, sizeof(value));
        sum += value;
    }
    return sum;
}

json_t *activity_events_json(struct reading *reading) {
    return json_integer((json_int_t)sum_of(reading, offsetof(View__Customer, events)));
}

json_t *activity_dropped_json(struct reading *reading) {
    return json_integer((json_int_t)sum_of(reading, offsetof(View__Customer, dropped)));
}

json_t *activity_first_json(struct reading *reading) {
    uint64_t first = reading->profile.leaves[0].record->first_sequence;
    for (size_t i = 1; i < reading->profile.n_leaves; i++) {
        uint64_t other = reading->profile.leaves[i].record->first_sequence;
        first = other < first ? other : first;
    }
    return json_integer((json_int_t)first);
}

json_t *activity_last_json(struct reading *reading) {
    uint64_t last = 0;
    for (size_t i = 0; i < reading->profile.n_leaves; i++) {
        uint64_t other = reading->profile.leaves[i].record->last_sequence;
        last = other > last ? other : last;
    }
    return json_integer((json_int_t)last);
}
