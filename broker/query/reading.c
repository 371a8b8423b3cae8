// SPDX-License-Identifier: Apache-2.0
// A reading: one snapshot of the view, with the policy in force taken for the while, and the
// customer that a call names joined out of it. The bodies make JSON of it and change nothing.
#include <errno.h>

#include "broker/bounds.h"
#include "broker/policy/holder.h"
#include "broker/query/verbs_profile.h"
#include "schemas/base/clock.h"

int reading_fill(struct reading *reading, struct view_txn *txn, struct arena *arena,
                 uint64_t leaf) {
    int r = profile_read(txn, arena, leaf, &reading->profile);
    return r != 0 ? r
                  : profile_standing(&reading->profile, reading->policy,
                                     call_broker(reading->call)->catalogue, reading->now_us,
                                     &reading->standing);
}

// What a reading is made of.
struct snapshot {
    struct view_txn *txn;
    const struct policy *policy;
};

static int snapshot_begin(struct call *call, struct snapshot *ret) {
    struct broker *broker = call_broker(call);
    int r = view_begin(broker->view, false, &ret->txn);
    if (r != 0) {
        return r;
    }
    view_use_keys(ret->txn, call_reads(call)->keys);
    call_as_of(call, view_applied(ret->txn));
    ret->policy = policy_take(broker->policy);
    return 0;
}

static void snapshot_end(struct call *call, struct snapshot *snapshot) {
    policy_release(call_broker(call)->policy, snapshot->policy);
    view_abort(snapshot->txn);
}

static int read_one(struct call *call, const struct snapshot *snapshot,
                    int (*body)(struct reading *reading)) {
    struct reading reading = {.call = call, .policy = snapshot->policy, .now_us = clock_now_us()};
    uint64_t customer;
    View__Customer *record;
    int r;
    if (!read_customer_of_call(call, snapshot->txn, &customer, &record, &r)) {
        return r;
    }
    r = reading_fill(&reading, snapshot->txn, call_reads(call)->arena, customer);
    return r == 0 ? body(&reading) : r > 0 ? -EBADMSG : r;
}

int reading_with(struct call *call, int (*body)(struct reading *reading)) {
    struct snapshot snapshot;
    int r = snapshot_begin(call, &snapshot);
    if (r == 0) {
        r = read_one(call, &snapshot, body);
        snapshot_end(call, &snapshot);
    }
    return r;
}

// Those whose key is destroyed were erased since the view's snapshot.
static size_t drop_destroyed(struct call *call, uint64_t *numbers, size_t n) {
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!keys_is_destroyed(call_broker(call)->keys, numbers[i])) {
            numbers[n_kept++] = numbers[i];
        }
    }
    return n_kept;
}

static int read_each(struct call *call, const struct snapshot *snapshot, const uint64_t *numbers,
                     size_t n, int (*body)(struct reading *reading)) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct reading reading = {
            .call = call, .policy = snapshot->policy, .now_us = clock_now_us()};
        arena_reset(call_reads(call)->arena);
        r = reading_fill(&reading, snapshot->txn, call_reads(call)->arena, numbers[i]);
        r = r == 0 ? body(&reading) : r > 0 ? -EBADMSG : r;
    }
    return r;
}

int reading_candidates(struct call *call, int (*body)(struct reading *reading)) {
    struct snapshot snapshot;
    uint64_t numbers[CANDIDATES_MAX];
    size_t n;
    int r = snapshot_begin(call, &snapshot);
    if (r != 0) {
        return r;
    }
    int64_t since_us = clock_now_us() - snapshot.policy->identity.contested_us;
    r = read_candidates(call, snapshot.txn, since_us, numbers, &n);
    n = r == 0 ? drop_destroyed(call, numbers, n) : 0;
    if (n > 0) {
        r = read_each(call, &snapshot, numbers, n, body);
    } else if (r == 0 && call_code(call) == REASON_OK) {
        r = read_one(call, &snapshot, body);
    }
    snapshot_end(call, &snapshot);
    return r;
}

int reading_of_nobody(struct call *call, int (*body)(struct reading *reading)) {
    struct snapshot snapshot;
    int r = snapshot_begin(call, &snapshot);
    if (r != 0) {
        return r;
    }
    struct reading reading = {
        .call = call,
        .policy = snapshot.policy,
        .now_us = clock_now_us(),
        .profile = {.txn = snapshot.txn, .arena = call_reads(call)->arena},
        .standing = {.tier = "guest",
                     .phase = "acquisition",
                     .access = snapshot.policy->standing.access_guest},
    };
    r = body(&reading);
    snapshot_end(call, &snapshot);
    return r;
}
