// SPDX-License-Identifier: Apache-2.0
// The verb customer.export: the record, then every event of the customer that the log still has,
// found by the timeline's index, in slices and parts.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/query/verbs_all.h"
#include "broker/query/verbs_read.h"
#include "schemas/base/clock.h"
#include "schemas/cloudevents.h"
#include "schemas/envelope.h"

enum {
    EXPORT_EVENTS_MAX = 50,           // in one part
    EXPORT_PART_BYTES_MAX = 64 << 10, // as JSON text, before the part ends
    EXPORT_ARENA_BYTES = 4 << 20,     // one event, unsealed and parsed
};

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
    if (!read_customer_of_call(call, txn, &customer, &record, &r)) {
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
        int r = read_with_view(call, export_begin);
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
