// SPDX-License-Identifier: Apache-2.0
// The verb customer.export: all that is held about a person. The record first, with a word on what
// follows; then, in slices and parts, items kind by kind, every event that the log still has (found
// by the timeline's index), the interactions whose events are gone, quarantined events that lead to
// the person, and parked lanes; of every leaf that was merged into the customer.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/query/verbs_all.h"
#include "broker/query/verbs_export.h"
#include "schemas/base/clock.h"
#include "schemas/cloudevents.h"
#include "schemas/envelope.h"

enum {
    EXPORT_ITEMS_MAX = 50,            // in one part
    EXPORT_RUNS_MAX = 64,             // of the timeline, read at once
    EXPORT_PART_BYTES_MAX = 64 << 10, // as JSON text, before the part ends
    EXPORT_ARENA_BYTES = 8 << 20,     // one event, unsealed and parsed
};

static void export_free(void *progress) {
    struct export *export = progress;
    free(export->rows);
    arena_free(export->arena);
    free(export);
}

// ---- the timeline's rows: runs, then what was recent at first

static int export_add(struct export *export, const struct fold_interaction *interaction) {
    if (export->n_rows == export->n_allocated) {
        size_t n_allocated = 2 * export->n_allocated + 256;
        struct export_row *grown = reallocarray(export->rows, n_allocated, sizeof(*grown));
        if (grown == NULL) {
            return -ENOMEM;
        }
        export->rows = grown;
        export->n_allocated = n_allocated;
    }
    export->rows[export->n_rows++] = (struct export_row){.is = *interaction};
    return 0;
}

// A run that was made since holds what is recent already.
static bool is_later(const struct export *export, const struct fold_interaction *first) {
    return export->n_recent[export->leaf] > 0 &&
           first->sequence >= export->recent[export->leaf][0].sequence;
}

static int export_run(void *user, const void *key, size_t key_size, const void *value,
                      size_t size) {
    (void)key;
    (void)key_size;
    struct export *export = user;
    arena_reset(export->arena);
    struct fold_interaction interactions[TIMELINE_RECENT_MAX];
    size_t n = 0;
    const View__Run *run = view__run__unpack(arena_allocator(export->arena), size, value);
    int r = run != NULL ? interactions_of_run(run, interactions, &n) : -EBADMSG;
    if (r != 0 || (n > 0 && is_later(export, interactions))) {
        return r;
    }
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = export_add(export, &interactions[i]);
        export->run_next = interactions[i].sequence + 1;
    }
    return r != 0 ? r : ++export->n_runs == EXPORT_RUNS_MAX;
}

static int compare_rows(const void *a, const void *b) {
    const struct export_row *left = a, *right = b;
    return left->is.sequence < right->is.sequence ? -1 : left->is.sequence > right->is.sequence;
}

// Leaf by leaf, then all of them by sequence.
static int export_timeline(struct call *call, struct export *export, json_t *list) {
    (void)call;
    (void)list;
    uint64_t prefix = htobe64(export->leaves[export->leaf]);
    uint64_t from[2] = {prefix, htobe64(export->run_next)};
    export->n_runs = 0;
    int r = view_scan_from(export->txn, VIEW_TIMELINE, &prefix, sizeof(prefix), from, sizeof(from),
                           false, export_run, export);
    if (r != 0) {
        return r < 0 ? r : VERB_AGAIN;
    }
    for (size_t i = 0; r == 0 && i < export->n_recent[export->leaf]; i++) {
        r = export_add(export, &export->recent[export->leaf][i]);
    }
    export->run_next = 0;
    if (r == 0 && ++export->leaf < export->n_leaves) {
        return VERB_AGAIN;
    }
    qsort(export->rows, export->n_rows, sizeof(*export->rows), compare_rows);
    return r;
}

static int keep_leaf(struct export *export, const struct profile_leaf *leaf) {
    size_t at = export->n_leaves++;
    export->leaves[at] = leaf->number;
    return interactions_of_record(leaf->record, export->recent[at], &export->n_recent[at]);
}

static json_t *about_json(void) {
    return json_pack(
        "{s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:s}", "what",
        "Everything that touchbus holds about one person. Each piece of the profile names the "
        "event that brought it by its sequence; the events say who sent them, when, and on which "
        "channel.",
        "made", read_time_json(clock_now_us()), "profile",
        "keys by which the person is known, attributes, where they stand, needs and interests, "
        "counters a channel and kind, the last interactions, and what records were merged",
        "orders, quotes, cases, consents and the like", "their last known state", "events",
        "what happened, whole, as far as the log still has it", "interactions",
        "what happened earlier: of it only time, kind and channel are kept", "quarantined",
        "events about the person that were malformed and wait for repair", "parked",
        "systems that could not take an event about the person yet");
}

static int export_begin(struct reading *reading) {
    struct call *call = reading->call;
    struct export *export = calloc(1, sizeof(*export));
    if (export == NULL) {
        return -ENOMEM;
    }
    call_keep(call, export, export_free);
    export->customer = reading->profile.customer;
    export->arena = arena_new(EXPORT_ARENA_BYTES);
    if (export->arena == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < reading->profile.n_leaves; i++) {
        int r = keep_leaf(export, &reading->profile.leaves[i]);
        if (r != 0) {
            return r;
        }
    }
    json_t *profile = reading_person_json(reading);
    json_object_set_new(profile, "about", about_json());
    return call_part(call, json_pack("{s:o}", "profile", profile));
}

// ---- events, and what is left of those that are gone

static int export_event(struct call *call, struct export *export, json_t *list) {
    struct export_row *row = &export->rows[export->at++];
    uint64_t sequence = row->is.sequence;
    struct block_head block;
    int r = log_reader_block(call_reads(call)->log, sequence, &block);
    if (r != 0 || block.first > sequence) {
        row->trimmed = r != -EBADMSG;
        row->trimmed ? export->n_trimmed++ : export->n_damaged++;
        return r < 0 && r != -EBADMSG ? r : 0;
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

static int export_events(struct call *call, struct export *export, json_t *list) {
    int r = export->at < export->n_rows ? export_event(call, export, list) : 0;
    if (r != 0 || export->at < export->n_rows) {
        return r != 0 ? r : VERB_AGAIN;
    }
    export->at = 0;
    return 0;
}

static int export_interactions(struct call *call, struct export *export, json_t *list) {
    if (export->at == export->n_rows || export->n_trimmed == 0) {
        return 0;
    }
    const struct export_row *row = &export->rows[export->at++];
    return !row->trimmed || json_array_append_new(
                                list, read_interaction_json(call, export->txn, &row->is)) == 0
               ? VERB_AGAIN
               : -ENOMEM;
}

// ---- all of it

// Phase 0 is the timeline, then a kind of item each, then these.
static const struct {
    const char *name; // of the parts' lists
    int (*run)(struct call *call, struct export *export, json_t *list);
} rest[] = {
    {"events", export_events},
    {"interactions", export_interactions},
    {"quarantined", export_quarantined},
    {"parked", export_parked},
};
enum { N_PHASES = ITEM_KINDS_MAX + sizeof(rest) / sizeof(rest[0]) };

static const char *phase_name(unsigned phase) {
    return phase < ITEM_KINDS_MAX ? item_list_name((enum item_kind)phase)
                                  : rest[phase - ITEM_KINDS_MAX].name;
}

static int run_phase(struct call *call, struct export *export, json_t *list) {
    if (export->phase == 0) {
        return export_timeline(call, export, list);
    }
    if (export->phase >= ITEM_KINDS_MAX) {
        return rest[export->phase - ITEM_KINDS_MAX].run(call, export, list);
    }
    return phase_name(export->phase) != NULL
               ? export_items(call, export, (enum item_kind) export->phase, list)
               : 0;
}

static int fill(struct call *call, struct export *export, json_t *list) {
    int64_t began_us = clock_monotonic_us();
    size_t bytes = 0, n = 0;
    int r = VERB_AGAIN;
    while (r == VERB_AGAIN && n < EXPORT_ITEMS_MAX && bytes < EXPORT_PART_BYTES_MAX &&
           !call_slice_over(began_us)) {
        r = run_phase(call, export, list);
        for (; n < json_array_size(list); n++) {
            bytes += json_dumpb(json_array_get(list, n), NULL, 0, JSON_COMPACT);
        }
    }
    return r;
}

// As much of one phase as a slice takes. VERB_AGAIN, 0 where everything is through, or negative.
static int export_slice(struct call *call, struct export *export) {
    json_t *list = json_array();
    int r = list != NULL ? read_begin(call) : -ENOMEM;
    if (r != 0) {
        json_decref(list);
        return r;
    }
    r = view_begin(call_broker(call)->view, false, &export->txn);
    if (r == 0) {
        view_use_keys(export->txn, call_reads(call)->keys);
        r = fill(call, export, list);
        view_abort(export->txn);
        export->txn = NULL;
    }
    read_end(call);
    const char *name = phase_name(export->phase);
    export->phase += r == 0;
    bool more = r == VERB_AGAIN || export->phase < N_PHASES;
    if (r < 0 || json_array_size(list) == 0) {
        json_decref(list);
    } else {
        int sent = call_part(call, json_pack("{s:o}", name, list));
        r = sent < 0 ? sent : r;
    }
    return r < 0 ? r : more ? VERB_AGAIN : 0;
}

int verb_customer_export(struct call *call) {
    struct export *export = call_progress(call);
    if (export == NULL) {
        int r = reading_with(call, export_begin);
        return r == 0 && call_code(call) == REASON_OK ? VERB_AGAIN : r;
    }
    int r = export_slice(call, export);
    if (r != 0) {
        return r;
    }
    char number[24];
    return call_answer(call, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "customer",
                                       envelope_format_customer(export->customer, number), "events",
                                       (json_int_t) export->n_events, "blocks_read",
                                       (json_int_t) export->n_blocks, "trimmed",
                                       (json_int_t) export->n_trimmed, "unreadable",
                                       (json_int_t) export->n_unreadable, "damaged",
                                       (json_int_t) export->n_damaged, "quarantined",
                                       (json_int_t) export->n_quarantined, "parked",
                                       (json_int_t) export->n_parked));
}
