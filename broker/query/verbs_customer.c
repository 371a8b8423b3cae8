// SPDX-License-Identifier: Apache-2.0
// The verbs that find a customer and page through its timeline. One bounded read transaction of the
// view each.
#include <endian.h>
#include <errno.h>

#include "broker/query/verbs_all.h"
#include "broker/query/verbs_read.h"
#include "schemas/envelope.h"

enum { TIMELINE_LIMIT_MAX = 1000 };

static int find(struct call *call, struct view_txn *txn) {
    uint64_t customer;
    View__Customer *record;
    int r;
    if (!read_customer_of_call(call, txn, &customer, &record, &r)) {
        return r;
    }
    char number[24];
    return call_answer(call, json_pack("{s:s, s:I, s:I, s:I}", "customer",
                                       envelope_format_customer(customer, number), "first_sequence",
                                       (json_int_t)record->first_sequence, "last_sequence",
                                       (json_int_t)record->last_sequence, "events",
                                       (json_int_t)record->events));
}

int verb_customer_find(struct call *call) {
    return read_with_view(call, find);
}

// ---- the timeline, newest first

struct timeline {
    struct call *call;
    struct view_txn *txn;
    uint64_t before; // only sequences below
    uint64_t limit;
    json_t *list;
    uint64_t oldest; // in list
    bool more;
};

// False where the limit is reached.
static bool timeline_add(struct timeline *timeline, uint64_t sequence, int64_t time_us,
                         uint32_t type, uint32_t channel) {
    if (sequence >= timeline->before) {
        return true;
    }
    if (json_array_size(timeline->list) >= timeline->limit) {
        timeline->more = true;
        return false;
    }
    timeline->oldest = sequence;
    json_array_append_new(timeline->list, read_interaction_json(timeline->call, timeline->txn,
                                                                sequence, time_us, type, channel));
    return true;
}

static int timeline_run(void *user, const void *key, size_t key_size, const void *value,
                        size_t size) {
    (void)key;
    (void)key_size;
    struct timeline *timeline = user;
    struct arena *arena = call_reads(timeline->call)->arena;
    const View__Run *run = view__run__unpack(arena_allocator(arena), size, value);
    if (run == NULL) {
        return -EBADMSG;
    }
    for (size_t i = run->n_sequence; i-- > 0;) {
        if (!timeline_add(timeline, run->sequence[i], run->time_us[i], run->type[i],
                          run->channel[i])) {
            return 1;
        }
    }
    return 0;
}

static int timeline_fill(struct timeline *timeline, uint64_t customer,
                         const View__Customer *record) {
    for (size_t i = record->n_recent_sequence; i-- > 0;) {
        if (!timeline_add(timeline, record->recent_sequence[i], record->recent_time_us[i],
                          record->recent_type[i], record->recent_channel[i])) {
            return 0;
        }
    }
    uint64_t prefix = htobe64(customer);
    uint64_t from[2] = {prefix, htobe64(timeline->before)};
    int r = view_scan_from(timeline->txn, VIEW_TIMELINE, &prefix, sizeof(prefix), from,
                           sizeof(from), true, timeline_run, timeline);
    return r < 0 ? r : 0;
}

static int timeline(struct call *call, struct view_txn *txn) {
    uint64_t customer;
    View__Customer *record;
    int r;
    if (!read_customer_of_call(call, txn, &customer, &record, &r)) {
        return r;
    }
    struct timeline fill = {.call = call, .txn = txn};
    if (!call_number(call, "limit", TIMELINE_LIMIT_MAX, &fill.limit) ||
        !call_number(call, "before", INT64_MAX, &fill.before)) {
        return 0;
    }
    fill.before = fill.before == 0 ? UINT64_MAX : fill.before;
    fill.list = json_array();
    r = fill.list != NULL ? timeline_fill(&fill, customer, record) : -ENOMEM;
    if (r != 0) {
        json_decref(fill.list);
        return r;
    }
    char number[24];
    json_t *answer =
        json_pack("{s:s, s:o, s:b}", "customer", envelope_format_customer(customer, number), "rows",
                  fill.list, "more", (int)fill.more);
    if (fill.more) {
        json_object_set_new(answer, "before", json_integer((json_int_t)fill.oldest));
    }
    return call_answer(call, answer);
}

int verb_customer_timeline(struct call *call) {
    return read_with_view(call, timeline);
}
