// SPDX-License-Identifier: Apache-2.0
// What the view says of one customer: the sequences of its events, of everything that was merged
// into it, too, and the one that erased it.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/delivery/feed_internal.h"
#include "broker/fold/interactions.h"
#include "broker/stores/view.h"
#include "broker/tick/whose.h"
#include "view.pb-c.h"

int feed_erased(const struct feed *feed, uint64_t customer, uint64_t *ret) {
    struct view_txn *txn;
    int r = view_begin(feed->broker->view, false, &txn);
    if (r < 0)
        return r;
    r = whose_erased_sequence(txn, customer, ret);
    view_abort(txn);
    return r;
}

struct timeline {
    uint64_t after, *sequences;
    size_t n, n_max;
    bool full;
    int error;
};

static void timeline_add(struct timeline *timeline, uint64_t sequence) {
    if (sequence <= timeline->after)
        return;
    timeline->full = timeline->full || timeline->n == timeline->n_max;
    if (!timeline->full)
        timeline->sequences[timeline->n++] = sequence;
}

static int timeline_run(void *user, const void *key, size_t key_size, const void *value,
                        size_t size) {
    (void)key, (void)key_size;
    struct timeline *timeline = user;
    struct fold_interaction interactions[TIMELINE_RECENT_MAX];
    size_t n = 0;
    View__Run *run = view__run__unpack(NULL, size, value);
    timeline->error = run ? interactions_of_run(run, interactions, &n) : -EBADMSG;
    for (size_t i = 0; i < n; i++)
        timeline_add(timeline, interactions[i].sequence);
    view__run__free_unpacked(run, NULL);
    return timeline->full || timeline->error;
}

// The run that `after` may lie in.
static int timeline_first_run(void *user, const void *key, size_t key_size, const void *value,
                              size_t size) {
    timeline_run(user, key, key_size, value, size);
    return 1;
}

static int timeline_recent(struct timeline *timeline, const View__Customer *customer) {
    struct fold_interaction interactions[TIMELINE_RECENT_MAX];
    size_t n = 0;
    int r = interactions_of_record(customer, interactions, &n);
    for (size_t i = 0; i < n; i++)
        timeline_add(timeline, interactions[i].sequence);
    if (customer->erased_sequence) // all that is left
        timeline_add(timeline, customer->erased_sequence);
    return r;
}

// *ret NULL: there is no such customer. The caller frees it.
static int read_record(struct view_txn *txn, uint64_t customer, View__Customer **ret) {
    uint64_t key = htobe64(customer);
    const void *value;
    size_t size;
    *ret = NULL;
    int r = view_get(txn, VIEW_CUSTOMERS, &key, sizeof key, &value, &size);
    if (r != 0)
        return r < 0 ? r : 0;
    *ret = view__customer__unpack(NULL, size, value);
    return *ret ? 0 : -EBADMSG;
}

static int read_leaf(struct timeline *timeline, struct view_txn *txn, uint64_t leaf) {
    View__Customer *record;
    uint64_t key = htobe64(leaf);
    // A run is found by its first sequence: what was read before is not read again.
    uint64_t from[2] = {key, htobe64(timeline->after + 1)};
    int r = read_record(txn, leaf, &record);
    if (r < 0 || !record)
        return r;
    r = view_scan_from(txn, VIEW_TIMELINE, &key, sizeof key, from, sizeof from, true,
                       timeline_first_run, timeline);
    if (r >= 0 && !timeline->error && !timeline->full)
        r = view_scan_from(txn, VIEW_TIMELINE, &key, sizeof key, from, sizeof from, false,
                           timeline_run, timeline);
    if (r >= 0)
        r = timeline->error;
    if (r == 0 && !timeline->full)
        r = timeline_recent(timeline, record);
    view__customer__free_unpacked(record, NULL);
    return r;
}

static int compare_sequences(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

// Reads the leaf behind what stands in `all` and keeps the first n_max of both. What is beyond a
// full leaf's last one is beyond them, too.
static int add_leaf(struct timeline *all, struct view_txn *txn, uint64_t leaf, uint64_t *both) {
    struct timeline one = {.after = all->after, .sequences = both + all->n, .n_max = all->n_max};
    if (all->n)
        memcpy(both, all->sequences, all->n * sizeof *both);
    int r = read_leaf(&one, txn, leaf);
    size_t n = all->n + one.n;
    qsort(both, n, sizeof *both, compare_sequences);
    all->full = all->full || one.full || n > all->n_max;
    all->n = n < all->n_max ? n : all->n_max;
    if (all->n)
        memcpy(all->sequences, both, all->n * sizeof *both);
    return r;
}

static int read_all(struct timeline *all, struct view_txn *txn, uint64_t customer) {
    View__Customer *record;
    int r = read_record(txn, customer, &record);
    if (r < 0 || !record)
        return r;
    if (record->n_leaves == 0) {
        r = read_leaf(all, txn, customer);
    } else {
        uint64_t *both = calloc(2 * all->n_max + 1, sizeof *both);
        r = both ? add_leaf(all, txn, customer, both) : -ENOMEM;
        for (size_t i = 0; r == 0 && i < record->n_leaves; i++)
            r = add_leaf(all, txn, record->leaves[i], both);
        free(both);
    }
    view__customer__free_unpacked(record, NULL);
    return r;
}

int feed_had_leaves(const struct feed *feed, uint64_t customer) {
    struct view_txn *txn;
    View__Customer *record;
    int r = view_begin(feed->broker->view, false, &txn);
    if (r < 0)
        return r;
    r = read_record(txn, customer, &record);
    view_abort(txn);
    if (r < 0 || !record)
        return r;
    r = record->merges > 0;
    view__customer__free_unpacked(record, NULL);
    return r;
}

int feed_customer(struct feed *feed, uint64_t customer, uint64_t after, uint64_t *ret, size_t n_max,
                  size_t *ret_n, uint64_t *ret_upto) {
    struct view_txn *txn;
    int r = view_begin(feed->broker->view, false, &txn);
    if (r < 0)
        return r;
    struct timeline timeline = {.after = after, .sequences = ret, .n_max = n_max};
    r = read_all(&timeline, txn, customer);
    uint64_t upto = view_applied(txn);
    view_abort(txn);
    if (r < 0)
        return r;
    if (upto > feed->visible)
        upto = feed->visible;
    while (timeline.n > 0 && ret[timeline.n - 1] > upto)
        timeline.n--;
    if (timeline.full && timeline.n > 0)
        upto = ret[timeline.n - 1];
    *ret_n = timeline.n;
    *ret_upto = upto;
    return 0;
}
