// SPDX-License-Identifier: Apache-2.0
// Subscriptions in the log: a record and its parked rows, written together by a job of the tick. At
// most one job a subscription is under way; what changes meanwhile goes with the next. The job is
// its own, so that a subscription may be removed while the tick still has it.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/delivery/delivery_internal.h"
#include "broker/tick/tick.h"
#include "delivery.pb-c.h"
#include "schemas/base/clock.h"

enum { RECORD_WAITS, RECORD_DONE, RECORD_ABANDONED };

struct record_row {
    uint64_t lane;
    void *bytes; // NULL: delete it
    size_t size;
};

struct record_job {
    struct tick_job tick; // first
    char name[NAME_BYTES_MAX + 1];
    void *bytes; // NULL: delete it
    size_t size;
    struct record_row *rows;
    size_t n_rows;
    atomic_int state;
    struct mailbox *back;
};

static void job_free(struct record_job *job) {
    for (size_t i = 0; i < job->n_rows; i++)
        free(job->rows[i].bytes);
    free(job->rows);
    free(job->bytes);
    free(job);
}

static size_t row_key(const char *name, uint64_t lane,
                      uint8_t ret[static NAME_BYTES_MAX + 1 + sizeof(uint64_t)]) {
    size_t n = strlen(name) + 1;
    memcpy(ret, name, n);
    uint64_t big = htobe64(lane);
    memcpy(ret + n, &big, sizeof big);
    return n + sizeof big;
}

// On the tick thread.
static int job_write(struct tick_job *tick_job, struct tick *tick) {
    struct record_job *job = (struct record_job *)(void *)tick_job;
    struct log_txn *txn = tick_log(tick);
    uint8_t key[NAME_BYTES_MAX + 1 + sizeof(uint64_t)];
    int r = job->bytes ? log_put(txn, LOG_SUBSCRIPTIONS, job->name, strlen(job->name), job->bytes,
                                 job->size)
                       : log_delete(txn, LOG_SUBSCRIPTIONS, job->name, strlen(job->name));
    for (size_t i = 0; r >= 0 && i < job->n_rows; i++) {
        size_t size = row_key(job->name, job->rows[i].lane, key);
        r = job->rows[i].bytes
                ? log_put(txn, LOG_PARKED, key, size, job->rows[i].bytes, job->rows[i].size)
                : log_delete(txn, LOG_PARKED, key, size);
    }
    return r < 0 ? r : 0;
}

static void job_done(struct tick_job *tick_job, int result) {
    (void)result;
    struct record_job *job = (struct record_job *)(void *)tick_job;
    struct mailbox *back = job->back;
    if (atomic_exchange(&job->state, RECORD_DONE) == RECORD_ABANDONED)
        job_free(job);
    mailbox_wake(back);
}

void record_abandon(struct named *named) {
    struct record_job *job = named->job;
    named->job = NULL;
    if (job && atomic_exchange(&job->state, RECORD_ABANDONED) == RECORD_DONE)
        job_free(job);
}

// ---- packing

static int pack(const ProtobufCMessage *message, void **ret, size_t *ret_size) {
    *ret_size = protobuf_c_message_get_packed_size(message);
    *ret = malloc(*ret_size + 1);
    if (!*ret)
        return -ENOMEM;
    protobuf_c_message_pack(message, *ret);
    return 0;
}

// Durations run by the monotonic clock, which begins anew with the machine: on disk stands the
// wall's.
int64_t record_wall_ahead_us(void) {
    return clock_now_us() - clock_monotonic_us();
}

static int pack_parked(const struct parked *parked, struct record_row *ret) {
    Delivery__ParkedRecord record;
    delivery__parked_record__init(&record);
    record.first = parked->first;
    record.last = parked->last;
    record.waiting = parked->waiting;
    record.behind = parked->behind;
    record.since_us = parked->since_us + record_wall_ahead_us();
    record.failures = parked->failures;
    record.rejected = parked->rejected;
    record.released = parked->state != PARKED_WAITING;
    record.detail = (char *)(uintptr_t)parked->detail;
    record.extra = parked->extra;
    record.n_extra = parked->n_extra;
    record.scan = parked->scan;
    ret->lane = parked->lane;
    return pack(&record.base, &ret->bytes, &ret->size);
}

// Deletions first: a lane that is parked anew has both.
static int pack_rows(struct subscription *subscription, struct record_job *job) {
    size_t n = 0;
    for (struct parked *parked = subscription->parked; parked; parked = parked->next)
        n += parked->dirty || parked->state == PARKED_GONE;
    job->rows = calloc(n + 1, sizeof *job->rows);
    if (!job->rows)
        return -ENOMEM;
    for (struct parked *parked = subscription->parked; parked; parked = parked->next)
        if (parked->state == PARKED_GONE)
            job->rows[job->n_rows++] = (struct record_row){.lane = parked->lane};
    for (struct parked *parked = subscription->parked; parked; parked = parked->next)
        if (parked->dirty && parked->state != PARKED_GONE) {
            int r = pack_parked(parked, &job->rows[job->n_rows]);
            if (r < 0)
                return r;
            job->n_rows++;
        }
    return 0;
}

static int pack_subscription(const struct named *named, struct record_job *job) {
    struct subscription *subscription = named->subscription;
    Delivery__SubscriptionRecord record;
    delivery__subscription_record__init(&record);
    Delivery__Again again;
    delivery__again__init(&again);
    size_t n = subscription_ranges(subscription, NULL, 0);
    struct settled_range *ranges = calloc(n + 1, sizeof *ranges);
    record.ranges = calloc(2 * n + 1, sizeof *record.ranges);
    int r = -ENOMEM;
    if (ranges && record.ranges) {
        subscription_ranges(subscription, ranges, n);
        record.cursor = subscription_cursor(subscription);
        uint64_t before = record.cursor;
        for (size_t i = 0; i < n; i++) {
            record.ranges[record.n_ranges++] = ranges[i].first - before;
            record.ranges[record.n_ranges++] = ranges[i].last - ranges[i].first;
            before = ranges[i].last;
        }
        record.types = named->filter.types;
        record.n_types = named->filter.n_types;
        record.channels = named->filter.channels;
        record.n_channels = named->filter.n_channels;
        record.customer = named->filter.customer;
        record.paused = subscription->paused;
        record.created_us = named->created_us;
        record.owner = (char *)(uintptr_t)named->owner;
        if (named->again) {
            again.done = subscription_again_done(subscription);
            again.until = named->again_until;
            again.types = named->again_filter.types;
            again.n_types = named->again_filter.n_types;
            again.channels = named->again_filter.channels;
            again.n_channels = named->again_filter.n_channels;
            again.customer = named->again_filter.customer;
            again.rate = named->again_rate;
            record.again = &again;
        }
        r = pack(&record.base, &job->bytes, &job->size);
    }
    free(record.ranges);
    free(ranges);
    return r;
}

static struct record_job *job_new(struct delivery *delivery, const struct named *named) {
    struct record_job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    tick_job_init(&job->tick, job_write, job_done);
    memcpy(job->name, named->name, sizeof job->name);
    job->back = delivery->broker->to_delivery;
    atomic_init(&job->state, RECORD_WAITS);
    return job;
}

static bool job_post(struct delivery *delivery, struct record_job *job) {
    if (mailbox_post(delivery->broker->to_tick, &job->tick.job))
        return true;
    job_free(job);
    return false;
}

// ---- when

static void take_back(struct delivery *delivery, struct named *named) {
    if (!named->job || atomic_load(&named->job->state) != RECORD_DONE)
        return;
    job_free(named->job);
    named->job = NULL;
    named->floor = named->floor_next;
    if (!named->creating)
        return;
    named->creating = false;
    for (struct peer *peer = named->peers, *next; peer; peer = next) {
        next = peer->named_next;
        if (peer->waits)
            peer_subscribed(delivery, peer, subscription_cursor(named->subscription),
                            peer->created);
    }
}

bool record_settled(const struct named *named) {
    const struct subscription *subscription = named->subscription;
    return !named->job && !named->creating && !subscription->dirty && !subscription->passed;
}

void record_tend(struct delivery *delivery, struct named *named, bool force) {
    take_back(delivery, named);
    struct subscription *subscription = named->subscription;
    int64_t since_ms = (delivery->now_us - named->recorded_us) / CLOCK_US_PER_MS;
    bool due = force || named->creating || (subscription->dirty && since_ms >= RECORD_MS) ||
               (subscription->passed && since_ms >= RECORD_PASSED_MS);
    if (named->job || !due || (!subscription->dirty && !subscription->passed && !named->creating))
        return;
    struct record_job *job = job_new(delivery, named);
    if (!job || pack_rows(subscription, job) < 0 || pack_subscription(named, job) < 0) {
        if (job)
            job_free(job);
        return; // short of memory: the next turn tries again
    }
    if (!job_post(delivery, job))
        return; // the tick has too much to do
    for (struct parked *parked = subscription->parked; parked; parked = parked->next)
        parked->dirty = false;
    parking_sweep(subscription);
    named->job = job;
    named->floor_next = subscription_floor(subscription);
    named->recorded_us = delivery->now_us;
    subscription->dirty = subscription->passed = false;
}

bool record_remove(struct delivery *delivery, struct named *named) {
    struct record_job *job = job_new(delivery, named);
    size_t n = 0;
    for (struct parked *parked = named->subscription->parked; parked; parked = parked->next)
        n++;
    if (!job || !(job->rows = calloc(n + 1, sizeof *job->rows))) {
        free(job);
        return false;
    }
    for (struct parked *parked = named->subscription->parked; parked; parked = parked->next)
        job->rows[job->n_rows++] = (struct record_row){.lane = parked->lane};
    atomic_init(&job->state, RECORD_ABANDONED); // nobody waits for it
    return job_post(delivery, job);
}
