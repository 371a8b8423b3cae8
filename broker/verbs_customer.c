// SPDX-License-Identifier: Apache-2.0
// The verbs about one customer: show, find, timeline, export. One bounded read transaction of the
// view each; export goes through the customer's own events by the timeline's index, in slices.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/verbs_all.h"
#include "broker/verbs_read.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/cloudevents.h"
#include "schemas/envelope.h"

enum {
    TIMELINE_LIMIT_MAX = 1000,
    EXPORT_EVENTS_MAX = 50,           // in one part
    EXPORT_PART_BYTES_MAX = 64 << 10, // as JSON text, before the part ends
    EXPORT_ARENA_BYTES = 4 << 20,     // one event, unsealed and parsed
};

// Runs one verb inside a read transaction of the view.
static int with_view(struct call *call, int (*body)(struct call *call, struct view_txn *txn)) {
    struct view_txn *txn;
    int r = view_begin(call_broker(call)->view, false, &txn);
    if (r != 0) {
        return r;
    }
    call_as_of(call, view_applied(txn));
    r = body(call, txn);
    view_abort(txn);
    return r;
}

// The customer of the arguments and its record; false: the call is refused or *ret_error is set.
static bool find_record(struct call *call, struct view_txn *txn, uint64_t *ret_customer,
                        View__Customer **ret, int *ret_error) {
    *ret_error = 0;
    if (!read_customer_argument(call, txn, ret_customer)) {
        return false;
    }
    int r = read_customer_record(call, txn, *ret_customer, ret);
    if (r > 0) {
        call_refuse(call, REASON_NOT_FOUND, "no such customer");
    }
    *ret_error = r < 0 ? r : 0;
    return r == 0;
}

static int show(struct call *call, struct view_txn *txn) {
    uint64_t customer;
    View__Customer *record;
    int r;
    return find_record(call, txn, &customer, &record, &r)
               ? call_answer(call, read_customer_json(call, txn, customer, record))
               : r;
}

int verb_customer_show(struct call *call) {
    return with_view(call, show);
}

static int find(struct call *call, struct view_txn *txn) {
    uint64_t customer;
    View__Customer *record;
    int r;
    if (!find_record(call, txn, &customer, &record, &r)) {
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
    return with_view(call, find);
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
    int r = view_scan(timeline->txn, VIEW_TIMELINE, &prefix, sizeof(prefix), true, timeline_run,
                      timeline);
    return r < 0 ? r : 0;
}

static int timeline(struct call *call, struct view_txn *txn) {
    uint64_t customer;
    View__Customer *record;
    int r;
    if (!find_record(call, txn, &customer, &record, &r)) {
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
    return with_view(call, timeline);
}

// ---- export: the record, then every event of the customer that the log still has

struct export {
    uint64_t customer;
    uint64_t *sequences; // ascending
    size_t n_sequences, at, n_allocated;
    uint64_t n_events, n_blocks, n_trimmed, n_unreadable, n_damaged;
    uint64_t block_first; // of the block read last
    struct arena *arena;
};

static void export_free(void *progress) {
    struct export *export = progress;
    free(export->sequences);
    arena_free(export->arena);
    free(export);
}

static int export_add(struct export *export, const uint64_t *sequences, size_t n) {
    if (export->n_sequences + n > export->n_allocated) {
        size_t n_allocated = 2 * export->n_allocated + n + 256;
        uint64_t *grown = reallocarray(export->sequences, n_allocated, sizeof(*grown));
        if (grown == NULL) {
            return -ENOMEM;
        }
        export->sequences = grown;
        export->n_allocated = n_allocated;
    }
    if (n > 0) {
        memcpy(export->sequences + export->n_sequences, sequences, n * sizeof(*sequences));
    }
    export->n_sequences += n;
    return 0;
}

struct export_scan {
    struct call *call;
    struct export *export;
};

static int export_run(void *user, const void *key, size_t key_size, const void *value,
                      size_t size) {
    (void)key;
    (void)key_size;
    struct export_scan *scan = user;
    struct arena *arena = scan->export->arena;
    arena_reset(arena);
    const View__Run *run = view__run__unpack(arena_allocator(arena), size, value);
    return run != NULL ? export_add(scan->export, run->sequence, run->n_sequence) : -EBADMSG;
}

static int export_begin(struct call *call, struct view_txn *txn) {
    uint64_t customer;
    View__Customer *record;
    int r;
    if (!find_record(call, txn, &customer, &record, &r)) {
        return r;
    }
    struct export *export = calloc(1, sizeof(*export));
    if (export == NULL) {
        return -ENOMEM;
    }
    call_keep(call, export, export_free);
    export->customer = customer;
    export->arena = arena_new(EXPORT_ARENA_BYTES);
    uint64_t prefix = htobe64(customer);
    struct export_scan scan = {.call = call, .export = export};
    r = export->arena == NULL
            ? -ENOMEM
            : view_scan(txn, VIEW_TIMELINE, &prefix, sizeof(prefix), false, export_run, &scan);
    r = r == 0 ? export_add(export, record->recent_sequence, record->n_recent_sequence) : r;
    json_t *profile = r == 0 ? read_customer_json(call, txn, customer, record) : NULL;
    return r == 0 ? call_part(call, json_pack("{s:o?}", "profile", profile)) : r;
}

// Appends the event at the export's place to list. 0 or a negative errno.
static int export_event(struct call *call, struct export *export, json_t *list) {
    uint64_t sequence = export->sequences[export->at++];
    struct block_head block;
    int r = log_reader_block(call_reads(call)->log, sequence, &block);
    if (r != 0 || block.first > sequence) {
        r == -EBADMSG ? export->n_damaged++ : export->n_trimmed++;
        return 0;
    }
    if (block.first != export->block_first) {
        export->block_first = block.first;
        export->n_blocks++;
    }
    Touchbus__Event *event;
    arena_reset(export->arena);
    r = read_event(call, export->arena, &block, (uint32_t)(sequence - block.first), &event);
    if (r < 0) {
        export->n_damaged++;
        return 0;
    }
    export->n_unreadable += r > 0;
    export->n_events++;
    json_t *json = cloudevents_to_json(event);
    return json != NULL && json_array_append_new(list, json) == 0 ? 0 : -ENOMEM;
}

static int export_slice(struct call *call, struct export *export) {
    int64_t began_us = clock_monotonic_us();
    json_t *list = json_array();
    size_t bytes = 0;
    int r = list != NULL ? read_begin(call) : -ENOMEM;
    if (r != 0) {
        json_decref(list);
        return r;
    }
    while (r == 0 && export->at < export->n_sequences &&
           json_array_size(list) < EXPORT_EVENTS_MAX && bytes < EXPORT_PART_BYTES_MAX &&
           !call_slice_over(began_us)) {
        r = export_event(call, export, list);
        size_t n = json_array_size(list);
        bytes += n > 0 ? json_dumpb(json_array_get(list, n - 1), NULL, 0, JSON_COMPACT) : 0;
    }
    read_end(call);
    if (r != 0 || json_array_size(list) == 0) {
        json_decref(list);
        return r;
    }
    return call_part(call, json_pack("{s:o}", "events", list));
}

int verb_customer_export(struct call *call) {
    struct export *export = call_progress(call);
    if (export == NULL) {
        int r = with_view(call, export_begin);
        return r == 0 && call_code(call) == REASON_OK ? VERB_AGAIN : r;
    }
    int r = export_slice(call, export);
    if (r != 0 || export->at < export->n_sequences) {
        return r != 0 ? r : VERB_AGAIN;
    }
    char number[24];
    return call_answer(call, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "customer",
                                       envelope_format_customer(export->customer, number), "events",
                                       (json_int_t) export->n_events, "blocks_read",
                                       (json_int_t) export->n_blocks, "trimmed",
                                       (json_int_t) export->n_trimmed, "unreadable",
                                       (json_int_t) export->n_unreadable, "damaged",
                                       (json_int_t) export->n_damaged));
}
