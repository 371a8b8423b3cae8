// SPDX-License-Identifier: Apache-2.0
// What the view says of one customer: the sequences of its events, and the one that erased it.
#include <endian.h>
#include <errno.h>

#include "broker/delivery/feed_internal.h"
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

static void timeline_add(struct timeline *timeline, const uint64_t *sequences, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (sequences[i] <= timeline->after)
            continue;
        if (timeline->n == timeline->n_max) {
            timeline->full = true;
            return;
        }
        timeline->sequences[timeline->n++] = sequences[i];
    }
}

static int timeline_run(void *user, const void *key, size_t key_size, const void *value,
                        size_t size) {
    (void)key, (void)key_size;
    struct timeline *timeline = user;
    View__Run *run = view__run__unpack(NULL, size, value);
    if (!run) {
        timeline->error = -EBADMSG;
        return 1;
    }
    timeline_add(timeline, run->sequence, run->n_sequence);
    view__run__free_unpacked(run, NULL);
    return timeline->full;
}

// The run that `after` may lie in.
static int timeline_first_run(void *user, const void *key, size_t key_size, const void *value,
                              size_t size) {
    timeline_run(user, key, key_size, value, size);
    return 1;
}

static int timeline_recent(struct timeline *timeline, struct view_txn *txn, uint64_t key) {
    const void *value;
    size_t size;
    int r = view_get(txn, VIEW_CUSTOMERS, &key, sizeof key, &value, &size);
    if (r != 0)
        return r < 0 ? r : 0;
    View__Customer *customer = view__customer__unpack(NULL, size, value);
    if (!customer)
        return -EBADMSG;
    timeline_add(timeline, customer->recent_sequence, customer->n_recent_sequence);
    if (customer->erased_sequence) // all that is left
        timeline_add(timeline, &customer->erased_sequence, 1);
    view__customer__free_unpacked(customer, NULL);
    return 0;
}

int feed_customer(struct feed *feed, uint64_t customer, uint64_t after, uint64_t *ret, size_t n_max,
                  size_t *ret_n, uint64_t *ret_upto) {
    struct view_txn *txn;
    int r = view_begin(feed->broker->view, false, &txn);
    if (r < 0)
        return r;
    struct timeline timeline = {.after = after, .sequences = ret, .n_max = n_max};
    uint64_t key = htobe64(customer);
    // A run is found by its first sequence: what was read before is not read again.
    uint64_t from[2] = {key, htobe64(after + 1)};
    r = view_scan_from(txn, VIEW_TIMELINE, &key, sizeof key, from, sizeof from, true,
                       timeline_first_run, &timeline);
    if (r >= 0 && !timeline.error && !timeline.full)
        r = view_scan_from(txn, VIEW_TIMELINE, &key, sizeof key, from, sizeof from, false,
                           timeline_run, &timeline);
    if (r >= 0)
        r = timeline.error;
    if (r == 0 && !timeline.full)
        r = timeline_recent(&timeline, txn, key);
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
