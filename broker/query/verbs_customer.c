// SPDX-License-Identifier: Apache-2.0
// The verbs that find a customer and page through its timeline. One bounded read transaction of the
// view each.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "broker/policy/holder.h"
#include "broker/profile/profile.h"
#include "broker/query/verbs_all.h"
#include "broker/query/verbs_read.h"
#include "schemas/base/clock.h"
#include "schemas/envelope.h"

enum { TIMELINE_LIMIT_MAX = 1000 };

// Who the key may mean, where that is not sure.
static int several(struct call *call, struct view_txn *txn, uint64_t ret[static CANDIDATES_MAX],
                   size_t *ret_n) {
    struct policy_holder *holder = call_broker(call)->policy;
    const struct policy *policy = policy_take(holder);
    int64_t since_us = clock_now_us() - policy->identity.contested_us;
    policy_release(holder, policy);
    int r = read_candidates(call, txn, since_us, ret, ret_n);
    *ret_n = *ret_n > 1 ? *ret_n : 0;
    return r;
}

// What the leaves of a customer come to.
struct found {
    uint64_t first_sequence, last_sequence, events;
};

static int add_found(struct call *call, struct view_txn *txn, uint64_t leaf, struct found *found) {
    View__Customer *record;
    int r = read_customer_record(call, txn, leaf, &record);
    if (r != 0) {
        return r < 0 ? r : -EBADMSG;
    }
    if (found->first_sequence == 0 || record->first_sequence < found->first_sequence) {
        found->first_sequence = record->first_sequence;
    }
    if (record->last_sequence > found->last_sequence) {
        found->last_sequence = record->last_sequence;
    }
    found->events += record->events;
    return 0;
}

static int find_joined(struct call *call, struct view_txn *txn, uint64_t leaf, json_t **ret) {
    struct found found = {0};
    uint64_t customer;
    View__Customer *record;
    char number[24], leaf_number[24];
    int r = profile_survivor(txn, call_reads(call)->arena, leaf, &customer);
    r = r == 0 ? read_customer_record(call, txn, customer, &record) : r;
    r = r == 0 ? add_found(call, txn, customer, &found) : r;
    for (size_t i = 0; r == 0 && i < record->n_leaves; i++) {
        r = add_found(call, txn, record->leaves[i], &found);
    }
    if (r != 0) {
        return r < 0 ? r : -EBADMSG;
    }
    *ret = json_pack("{s:s, s:s, s:I, s:I, s:I}", "customer",
                     envelope_format_customer(customer, number), "leaf",
                     envelope_format_customer(leaf, leaf_number), "first_sequence",
                     (json_int_t)found.first_sequence, "last_sequence",
                     (json_int_t)found.last_sequence, "events", (json_int_t)found.events);
    return *ret == NULL ? -ENOMEM : 0;
}

static int find(struct call *call, struct view_txn *txn) {
    uint64_t leaf, candidates[CANDIDATES_MAX];
    View__Customer *record;
    json_t *answer = NULL;
    size_t n = 0;
    int r;
    if (!read_customer_of_call(call, txn, &leaf, &record, &r)) {
        return r;
    }
    r = several(call, txn, candidates, &n);
    r = r == 0 ? find_joined(call, txn, leaf, &answer) : r;
    if (r != 0 || n == 0) {
        return r != 0 ? r : call_answer(call, answer);
    }
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        char number[24];
        json_array_append_new(list, json_string(envelope_format_customer(candidates[i], number)));
    }
    json_object_set_new(answer, "candidates", list);
    return call_answer(call, answer);
}

int verb_customer_find(struct call *call) {
    return read_with_view(call, find);
}

// ---- the timeline, newest first, of all leaves of a merged customer

struct timeline {
    struct arena *arena;
    struct view_txn *txn;
    uint64_t before; // only sequences below
    uint64_t limit;
    struct fold_interaction *rows; // of every leaf the newest `limit`, and one
    size_t n, n_leaf;              // in all, of the leaf that is read
};

// False where the leaf has given enough.
static bool timeline_add(struct timeline *timeline, const struct fold_interaction *interactions,
                         size_t n) {
    for (size_t i = n; i-- > 0;) {
        if (interactions[i].sequence >= timeline->before) {
            continue;
        }
        if (timeline->n_leaf > timeline->limit) {
            return false;
        }
        timeline->rows[timeline->n++] = interactions[i];
        timeline->n_leaf++;
    }
    return true;
}

static int timeline_run(void *user, const void *key, size_t key_size, const void *value,
                        size_t size) {
    (void)key;
    (void)key_size;
    struct timeline *timeline = user;
    struct fold_interaction interactions[TIMELINE_RECENT_MAX];
    size_t n = 0;
    const View__Run *run = view__run__unpack(arena_allocator(timeline->arena), size, value);
    int r = run != NULL ? interactions_of_run(run, interactions, &n) : -EBADMSG;
    return r != 0 ? r : !timeline_add(timeline, interactions, n);
}

static int timeline_leaf(struct timeline *timeline, uint64_t leaf, const View__Customer *record) {
    struct fold_interaction interactions[TIMELINE_RECENT_MAX];
    size_t n = 0;
    int r = interactions_of_record(record, interactions, &n);
    timeline->n_leaf = 0;
    if (r != 0 || !timeline_add(timeline, interactions, n)) {
        return r;
    }
    uint64_t prefix = htobe64(leaf);
    uint64_t from[2] = {prefix, htobe64(timeline->before)};
    r = view_scan_from(timeline->txn, VIEW_TIMELINE, &prefix, sizeof(prefix), from, sizeof(from),
                       true, timeline_run, timeline);
    return r < 0 ? r : 0;
}

static int compare_rows(const void *a, const void *b) {
    const struct fold_interaction *left = a, *right = b;
    return left->sequence > right->sequence ? -1 : left->sequence < right->sequence;
}

static int timeline_fill(struct call *call, struct timeline *timeline, uint64_t customer) {
    View__Customer *record, *below;
    int r = read_customer_record(call, timeline->txn, customer, &record);
    if (r != 0) {
        return r < 0 ? r : -EBADMSG; // the leaf that names others has one
    }
    size_t n = (record->n_leaves + 1) * (timeline->limit + 2);
    timeline->rows = arena_alloc(timeline->arena, n * sizeof(*timeline->rows));
    r = timeline->rows == NULL ? -ENOMEM : timeline_leaf(timeline, customer, record);
    for (size_t i = 0; r == 0 && i < record->n_leaves; i++) {
        r = read_customer_record(call, timeline->txn, record->leaves[i], &below);
        r = r == 0 ? timeline_leaf(timeline, record->leaves[i], below) : r;
    }
    if (r == 0) {
        qsort(timeline->rows, timeline->n, sizeof(timeline->rows[0]), compare_rows);
    }
    return r > 0 ? -EBADMSG : r;
}

static json_t *timeline_json(struct call *call, const struct timeline *timeline) {
    json_t *list = json_array();
    for (size_t i = 0; i < timeline->n && i < timeline->limit; i++) {
        json_array_append_new(list, read_interaction_json(call, timeline->txn, &timeline->rows[i]));
    }
    return list;
}

static int timeline(struct call *call, struct view_txn *txn) {
    uint64_t leaf, customer;
    View__Customer *record;
    int r;
    if (!read_customer_of_call(call, txn, &leaf, &record, &r)) {
        return r;
    }
    struct timeline fill = {.arena = call_reads(call)->arena, .txn = txn};
    if (!call_number(call, "limit", TIMELINE_LIMIT_MAX, &fill.limit) ||
        !call_number(call, "before", INT64_MAX, &fill.before)) {
        return 0;
    }
    fill.before = fill.before == 0 ? UINT64_MAX : fill.before;
    r = profile_survivor(txn, fill.arena, leaf, &customer);
    r = r == 0 ? timeline_fill(call, &fill, customer) : r;
    if (r != 0) {
        return r < 0 ? r : -EBADMSG;
    }
    char number[24];
    bool more = fill.n > fill.limit;
    json_t *answer =
        json_pack("{s:s, s:o, s:b}", "customer", envelope_format_customer(customer, number), "rows",
                  timeline_json(call, &fill), "more", (int)more);
    if (more && fill.limit > 0) {
        json_object_set_new(answer, "before",
                            json_integer((json_int_t)fill.rows[fill.limit - 1].sequence));
    }
    return call_answer(call, answer);
}

int verb_customer_timeline(struct call *call) {
    return read_with_view(call, timeline);
}
