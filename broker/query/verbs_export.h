// SPDX-License-Identifier: Apache-2.0
// customer.export on its way through what is held: between verbs_export.c (the verb, the timeline
// and its events) and verbs_export_rest.c (items, quarantine, parked lanes).
#pragma once

#include "broker/bounds.h"
#include "broker/fold/interactions.h"
#include "broker/query/verbs_profile.h"
#include "broker/stores/log.h"
#include "schemas/limits.h"

enum { EXPORT_KEY_BYTES = NAME_BYTES_MAX + 1 + 8 };

// One interaction of the timeline.
struct export_row {
    struct fold_interaction is;
    bool trimmed; // its event is no longer in the log
};

struct export {
    uint64_t customer; // the surviving one
    uint64_t leaves[STAMP_LEAVES_MAX];
    size_t n_leaves, leaf; // leaf: whose timeline is read
    unsigned phase;
    struct export_row *rows; // ascending
    size_t n_rows, n_allocated, at;
    // Of the records, at first.
    struct fold_interaction recent[STAMP_LEAVES_MAX][TIMELINE_RECENT_MAX];
    size_t n_recent[STAMP_LEAVES_MAX];
    uint64_t run_next; // the timeline is read up to here
    unsigned n_runs;   // in one slice
    uint64_t n_events, n_blocks, n_trimmed, n_unreadable, n_damaged, n_quarantined, n_parked;
    uint64_t block_first;           // of the block read last
    struct arena *arena;            // for one item
    struct profile_page page;       // of items
    uint8_t last[EXPORT_KEY_BYTES]; // quarantine, parked: the row looked at last
    size_t last_size;               // 0: none yet
    struct view_txn *txn;           // of a slice
};

// Each appends the next few items to list, between read_begin and read_end and with a transaction
// of the view. VERB_AGAIN; 0 where it is done; a negative errno.
int export_items(struct call *call, struct export *export, enum item_kind kind, json_t *list);
int export_quarantined(struct call *call, struct export *export, json_t *list);
int export_parked(struct call *call, struct export *export, json_t *list);
