// SPDX-License-Identifier: Apache-2.0
// What takes events out of JetStream again, by libnats: durable consumers, pushed to or pulling, an
// ordered consumer, gets of the customers' records.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "schemas/base/clock.h"
#include "schemas/base/scheduling.h"
#include "tests/bench/nats_load.h"

enum {
    FETCH = 1000,
    FETCH_MS = 200,
    ACK_EVERY = 256,     // of a consumer that acks all up to one
    ACK_PENDING = 20000, // events out to a consumer at most; the library drops above 65,536
    POLL_US = 1000,
    END_US = 100000,
};

// ---- consumers

struct consumer {
    struct job *job;
    uint64_t count; // 0: for the time
    bool acks_all, acks;
    atomic_bool over;
    atomic_ullong n;
};

static void on_message(natsConnection *connection, natsSubscription *subscription, natsMsg *msg,
                       void *closure) {
    (void)connection;
    (void)subscription;
    struct consumer *consumer = closure;
    unsigned long long n = atomic_fetch_add(&consumer->n, 1) + 1;
    if (consumer->acks && !atomic_load(&consumer->over) &&
        (!consumer->acks_all || n % ACK_EVERY == 0 || n == consumer->count)) {
        natsMsg_Ack(msg, NULL);
    }
    natsMsg_Destroy(msg);
    if (consumer->count > 0 && n == consumer->count) {
        consumer->job->to_us = clock_monotonic_us();
        atomic_store(&consumer->over, true);
    }
}

// The library goes on calling back while a subscription is destroyed: what it touches is static,
// and nothing is acked any more.
static struct consumer the_consumer;

static void end(struct link *link, struct consumer *consumer, natsSubscription *subscription) {
    atomic_store(&consumer->over, true);
    natsSubscription_Unsubscribe(subscription);
    usleep(END_US);
    natsSubscription_Destroy(subscription);
    if (consumer->acks) {
        js_DeleteConsumer(link->js, STREAM, link->job->conf.name, NULL, NULL);
    }
    link_close(link);
}

// What comes by callback, until it has enough or the time is over.
static int await(struct job *job, struct consumer *consumer) {
    int64_t limit_us = clock_monotonic_us() + JOB_WAIT_MS_MAX * CLOCK_US_PER_MS;
    if (consumer->count == 0) {
        while (job_goes_on(job)) {
            usleep(POLL_US);
        }
        job->to_us = clock_monotonic_us();
        job->n = atomic_load(&consumer->n);
        return 0;
    }
    while (!atomic_load(&consumer->over)) {
        if (clock_monotonic_us() > limit_us) {
            return job_complain(job, "nothing comes");
        }
        usleep(POLL_US);
    }
    job->n = consumer->count;
    return 0;
}

static void settings(struct job *job, jsSubOptions *options, bool acks_all) {
    jsSubOptions_Init(options);
    options->Stream = STREAM;
    options->ManualAck = true;
    options->Config.Durable = job->conf.name;
    options->Config.DeliverPolicy = job->conf.count > 0 ? js_DeliverAll : js_DeliverNew;
    options->Config.AckPolicy = acks_all ? js_AckAll : js_AckExplicit;
    options->Config.MaxAckPending = ACK_PENDING;
}

// A durable push consumer. Variant "all": acks all up to one, else each.
static int subscribe_push(struct job *job) {
    struct link link;
    jsSubOptions options;
    natsSubscription *subscription = NULL;
    struct consumer *consumer = &the_consumer;
    *consumer = (struct consumer){.job = job,
                                  .count = (uint64_t)job->conf.count,
                                  .acks = true,
                                  .acks_all = strcmp(job->conf.variant, "all") == 0};
    settings(job, &options, consumer->acks_all);
    natsStatus s = link_open(&link, job, 1);
    if (consumer->count > 0) {
        job_start(job);
    }
    s = s == NATS_OK ? js_Subscribe(&subscription, link.js, SUBJECT, on_message, consumer, NULL,
                                    &options, NULL)
                     : s;
    if (consumer->count == 0) {
        job_start(job);
        atomic_store(&consumer->n, 0);
    }
    int r = s == NATS_OK ? await(job, consumer) : nats_complain(job, s);
    end(&link, consumer, subscription);
    return r;
}

static natsStatus fetch(struct job *job, natsSubscription *subscription) {
    natsMsgList list = {0};
    natsStatus s = natsSubscription_Fetch(&list, subscription, FETCH, FETCH_MS, NULL);
    if (s != NATS_OK) {
        return s == NATS_TIMEOUT ? NATS_OK : s; // the list is not ours then
    }
    for (int i = 0; i < list.Count; i++) {
        natsMsg_Ack(list.Msgs[i], NULL);
    }
    job->n += (uint64_t)list.Count;
    natsMsgList_Destroy(&list);
    return NATS_OK;
}

// A durable pull consumer, FETCH at a time, each acked.
static int subscribe_pull(struct job *job) {
    struct link link;
    jsSubOptions options;
    natsSubscription *subscription = NULL;
    uint64_t count = (uint64_t)job->conf.count;
    settings(job, &options, false);
    natsStatus s = link_open(&link, job, 1);
    s = s == NATS_OK ? js_PullSubscribe(&subscription, link.js, SUBJECT, job->conf.name, NULL,
                                        &options, NULL)
                     : s;
    job_start(job);
    while (s == NATS_OK && (count > 0 ? job->n < count : job_goes_on(job))) {
        s = fetch(job, subscription);
    }
    job->to_us = clock_monotonic_us();
    natsSubscription_Destroy(subscription);
    js_DeleteConsumer(link.js, STREAM, job->conf.name, NULL, NULL);
    link_close(&link);
    return s == NATS_OK ? 0 : nats_complain(job, s);
}

int nats_subscribe(struct job *job) {
    return strcmp(job->conf.variant, "pull") == 0 ? subscribe_pull(job) : subscribe_push(job);
}

// The stream from the beginning to one ordered consumer, --count events.
int nats_replay(struct job *job) {
    struct link link;
    jsSubOptions options;
    natsSubscription *subscription = NULL;
    struct consumer *consumer = &the_consumer;
    *consumer = (struct consumer){.job = job, .count = (uint64_t)job->conf.count};
    jsSubOptions_Init(&options);
    options.Stream = STREAM;
    options.Ordered = true;
    natsStatus s = link_open(&link, job, 1);
    job_start(job);
    s = s == NATS_OK ? js_Subscribe(&subscription, link.js, SUBJECT, on_message, consumer, NULL,
                                    &options, NULL)
                     : s;
    int r = s == NATS_OK ? await(job, consumer) : nats_complain(job, s);
    end(&link, consumer, subscription);
    return r;
}

// ---- look-ups

int nats_look_up(struct job *job) {
    scheduling_prompt(); // as a service desk would: not to wait for the load's own slices
    struct link link;
    natsStatus s = link_open(&link, job, 1);
    s = s == NATS_OK ? js_KeyValue(&link.records, link.js, BUCKET) : s;
    job_start(job);
    while (s == NATS_OK && job_goes_on(job)) {
        char key[16];
        kvEntry *entry = NULL;
        job_await_turn(job, job->n);
        snprintf(key, sizeof(key), "%" PRIu32, source_customer(job->source));
        int64_t from_us = clock_monotonic_us();
        s = kvStore_Get(&entry, link.records, key);
        samples_add(&job->latency, clock_monotonic_us() - from_us);
        kvEntry_Destroy(entry);
        job->n++;
    }
    job->to_us = clock_monotonic_us();
    link_close(&link);
    return s == NATS_OK ? 0 : nats_complain(job, s);
}
