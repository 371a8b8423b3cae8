// SPDX-License-Identifier: Apache-2.0
// Write-behind of the live view: a tick's changes are shown as they lie in memory and written into
// the store later, those of many ticks in one transaction, so that a page which many of them change
// is written once. Whoever reads gets what is shown: view_begin lays the batches over the store.
// Nothing depends on the store's file being current: a start goes back to the restore point and
// folds the log (restore.md).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/stores/pending.h"
#include "broker/stores/view.h"

enum {
    BEHIND_LAYERS_MAX = 512,      // ticks in one batch,
    BEHIND_BYTES_MAX = 256 << 20, // and bytes; there are two at most, and what readers hold
    BEHIND_HOLD_MS = 1000,        // the oldest waits at most so long before it is written
    BEHIND_SPARES_MAX = 2 * BEHIND_LAYERS_MAX,
    BEHIND_SPARES_IDLE = 4,
    BEHIND_PAGES_MAX = VIEW_BEHIND_PAGES, // that one transaction of the store changes, about
};
_Static_assert((int)BEHIND_LAYERS_MAX <= (int)PENDING_APPLY_MAX, "written at one go");
_Static_assert(2L * BEHIND_BYTES_MAX + VIEW_BEHIND_PAGES * 4096L <= VIEW_BEHIND_BYTES, "view.h");

struct view;
struct view_behind;

// Ticks whose changes are written together, the oldest first. A reader holds it, with the number of
// layers there were.
struct view_batch {
    struct pending *layers[BEHIND_LAYERS_MAX];
    unsigned n;
    unsigned holders;
    struct view_batch *next; // where both were given up
    size_t bytes;
    int64_t began_us; // monotonic, of the first layer
    pending_filter filter;
};

// What a reader holds: the batch that is gathered, and the one that is being written. NULL: none.
enum { BEHIND_BATCHES = 2 };
struct view_held {
    struct view_batch *batch;
    unsigned n; // of its layers
};

int view_behind_new(struct view *view, struct view_behind **ret);
// Writes what is there. Takes NULL; returns NULL.
struct view_behind *view_behind_free(struct view_behind *behind);
// Begins store's read transaction and holds what is shown beside it, the newest first.
int view_behind_read(struct view_behind *behind, struct store_txn **ret,
                     struct view_held held[static BEHIND_BATCHES]);
void view_behind_release(struct view_behind *behind, struct view_held held[static BEHIND_BATCHES]);
// The next layer; waits where two batches are full. Holds changes.
int view_behind_show(struct view_behind *behind, struct pending *changes);
// What it may take of memory now, from what it gathered lately. Any thread.
size_t view_behind_memory(const struct view_behind *behind);
// Until what is shown now is in the store.
void view_behind_settle(struct view_behind *behind);
// An empty one, in exchange: its owner gives `changes` up. NULL where memory is short.
struct pending *view_behind_exchange(struct view_behind *behind, struct pending *changes);
void view_behind_drop(struct view_behind *behind, struct pending *changes);
