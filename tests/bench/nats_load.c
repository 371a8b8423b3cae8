// SPDX-License-Identifier: Apache-2.0
// The load on NATS JetStream, by libnats: events published asynchronously to a file stream, the
// record of each one's customer put into a key-value bucket by the same pipeline (what a put of
// the bucket does, without waiting for each answer), durable consumers, an ordered consumer, gets.
#include <errno.h>
#include <inttypes.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "schemas/base/clock.h"
#include "tests/bench/job.h"

enum {
    THREADS_MAX = 64,
    STALL_MS = 60000,
    FETCH = 1000,
    FETCH_MS = 200,
    ACK_EVERY = 256,     // of a consumer that acks all up to one
    ACK_PENDING = 20000, // events out to a consumer at most; the library drops above 65,536
    PACE_STEP_US = 2000,
    POLL_US = 1000,
    END_US = 100000,
};
#define STREAM "EVENTS"
#define SUBJECT "events"
#define BUCKET "customers"

static int complain(const struct job *job, natsStatus status) {
    return job_complain(job, natsStatus_GetText(status));
}

// ---- connections

struct link {
    struct job *job;
    struct source *source;
    natsConnection *connection;
    jsCtx *js;
    kvStore *records;
    pthread_t thread;
    bool only_events; // no records
    uint64_t n_sent;
    atomic_ullong n_failed;
};

static void on_error(jsCtx *js, jsPubAckErr *error, void *closure) {
    (void)js;
    struct link *link = closure;
    if (atomic_fetch_add(&link->n_failed, 1) == 0) {
        fprintf(stderr, "bench: refused: %s\n", error->ErrText == NULL ? "" : error->ErrText);
    }
}

static natsStatus link_open(struct link *link, struct job *job, int64_t max_pending) {
    char url[300];
    jsOptions options;
    *link = (struct link){.job = job, .source = job->source};
    snprintf(url, sizeof(url), "nats://%s", job->conf.server);
    natsStatus s = natsConnection_ConnectTo(&link->connection, url);
    jsOptions_Init(&options);
    options.Wait = STALL_MS;
    options.PublishAsync.MaxPending = max_pending;
    options.PublishAsync.StallWait = STALL_MS;
    options.PublishAsync.ErrHandler = on_error;
    options.PublishAsync.ErrHandlerClosure = link;
    s = s == NATS_OK ? natsConnection_JetStream(&link->js, link->connection, &options) : s;
    return s;
}

static void link_close(struct link *link) {
    kvStore_Destroy(link->records);
    jsCtx_Destroy(link->js);
    natsConnection_Destroy(link->connection);
}

// The stream and the bucket, in files, as they come.
static int set_up(struct job *job) {
    struct link link;
    jsStreamConfig stream;
    kvConfig bucket;
    const char *subjects[] = {SUBJECT};
    natsStatus s = link_open(&link, job, 1);
    jsStreamConfig_Init(&stream);
    stream.Name = STREAM;
    stream.Subjects = subjects;
    stream.SubjectsLen = 1;
    stream.Storage = js_FileStorage;
    s = s == NATS_OK ? js_AddStream(NULL, link.js, &stream, NULL, NULL) : s;
    kvConfig_Init(&bucket);
    bucket.Bucket = BUCKET;
    bucket.StorageType = js_FileStorage;
    s = s == NATS_OK ? js_CreateKeyValue(&link.records, link.js, &bucket) : s;
    link_close(&link);
    return s == NATS_OK ? 0 : complain(job, s);
}

// ---- publishing

static natsStatus put_record(struct link *link, uint32_t customer, const void *bytes, size_t size) {
    char subject[64];
    snprintf(subject, sizeof(subject), "$KV." BUCKET ".%" PRIu32, customer);
    return js_PublishAsync(link->js, subject, bytes, (int)size, NULL);
}

static natsStatus publish_one(struct link *link, uint32_t customer) {
    size_t size;
    const uint8_t *bytes = source_event(link->source, customer, &size);
    natsStatus s = js_PublishAsync(link->js, SUBJECT, bytes, (int)size, NULL);
    if (s == NATS_OK && !link->only_events) {
        s = put_record(link, customer, bytes, size);
    }
    link->n_sent += s == NATS_OK;
    return s;
}

static void *publish_thread(void *argument) {
    struct link *link = argument;
    const struct job *job = link->job;
    uint64_t count = (uint64_t)(job->conf.count / job->conf.connections);
    natsStatus s = NATS_OK;
    while (s == NATS_OK && job_goes_on(job) && (count == 0 || link->n_sent < count)) {
        if (job_allowance(job, link->n_sent * (uint64_t)job->conf.connections) == 0) {
            usleep(PACE_STEP_US);
            continue;
        }
        s = publish_one(link, source_customer(link->source));
    }
    s = s == NATS_OK ? js_PublishAsyncComplete(link->js, NULL) : s;
    if (s != NATS_OK) {
        complain(job, s);
        atomic_fetch_add(&link->n_failed, 1);
    }
    return NULL;
}

static int join(struct job *job, struct link *links, int n) {
    for (int i = 0; i < n; i++) {
        pthread_join(links[i].thread, NULL);
        job->n += links[i].n_sent;
        job->n_failed += atomic_load(&links[i].n_failed);
    }
    job->to_us = clock_monotonic_us();
    for (int i = 0; i < n; i++) {
        link_close(&links[i]);
        if (i > 0) {
            source_free(links[i].source);
        }
    }
    return job->n_failed == 0 ? 0 : job_complain(job, "events were refused");
}

// --connections threads with a connection each. Variant "stream": without the records.
static int publish(struct job *job) {
    static struct link links[THREADS_MAX];
    int n = (int)(job->conf.connections < THREADS_MAX ? job->conf.connections : THREADS_MAX);
    bool only_events = strcmp(job->conf.variant, "stream") == 0;
    int64_t pending = job->conf.in_flight * (only_events ? 1 : 2) / n;
    for (int i = 0; i < n; i++) {
        natsStatus s = link_open(&links[i], job, pending > 0 ? pending : 1);
        if (s != NATS_OK) {
            return complain(job, s);
        }
        links[i].only_events = only_events;
        if (i > 0) {
            links[i].source = source_new(&(struct source_options){
                .n_customers = (uint32_t)job->conf.customers,
                .zipf = strtod(job->conf.zipf, NULL),
                .seed = (uint64_t)(job->conf.seed + INT64_C(100) * i) % 1000,
                .pad_bytes = (size_t)job->conf.pad,
                .with_id = 1});
        }
    }
    job_start(job);
    for (int i = 0; i < n; i++) {
        if (links[i].source == NULL ||
            pthread_create(&links[i].thread, NULL, publish_thread, &links[i]) != 0) {
            return job_complain(job, "no thread");
        }
    }
    return join(job, links, n);
}

// One event a customer, with its record.
static int fill(struct job *job) {
    struct link link;
    natsStatus s = link_open(&link, job, job->conf.in_flight);
    job_start(job);
    for (int64_t i = 0; s == NATS_OK && i < job->conf.customers; i++) {
        s = publish_one(&link, (uint32_t)i);
    }
    s = s == NATS_OK ? js_PublishAsyncComplete(link.js, NULL) : s;
    job->to_us = clock_monotonic_us();
    job->n = link.n_sent;
    link_close(&link);
    return s == NATS_OK ? 0 : complain(job, s);
}

// Event, then record, each answered before the next step.
static int single(struct job *job) {
    struct link link;
    natsStatus s = link_open(&link, job, 1);
    s = s == NATS_OK ? js_KeyValue(&link.records, link.js, BUCKET) : s;
    job_start(job);
    while (s == NATS_OK && job_goes_on(job)) {
        char key[16];
        size_t size;
        uint32_t customer = source_customer(job->source);
        const uint8_t *bytes = source_event(job->source, customer, &size);
        snprintf(key, sizeof(key), "%" PRIu32, customer);
        int64_t from_us = clock_monotonic_us();
        s = js_Publish(NULL, link.js, SUBJECT, bytes, (int)size, NULL, NULL);
        s = s == NATS_OK ? kvStore_Put(NULL, link.records, key, bytes, (int)size) : s;
        samples_add(&job->latency, clock_monotonic_us() - from_us);
        job->n++;
    }
    job->to_us = clock_monotonic_us();
    link_close(&link);
    return s == NATS_OK ? 0 : complain(job, s);
}

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
    int r = s == NATS_OK ? await(job, consumer) : complain(job, s);
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
    return s == NATS_OK ? 0 : complain(job, s);
}

static int subscribe(struct job *job) {
    return strcmp(job->conf.variant, "pull") == 0 ? subscribe_pull(job) : subscribe_push(job);
}

// The stream from the beginning to one ordered consumer, --count events.
static int replay(struct job *job) {
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
    int r = s == NATS_OK ? await(job, consumer) : complain(job, s);
    end(&link, consumer, subscription);
    return r;
}

// ---- look-ups

static int look_up(struct job *job) {
    struct link link;
    natsStatus s = link_open(&link, job, 1);
    s = s == NATS_OK ? js_KeyValue(&link.records, link.js, BUCKET) : s;
    job_start(job);
    while (s == NATS_OK && job_goes_on(job)) {
        char key[16];
        kvEntry *entry = NULL;
        while (job_allowance(job, job->n) == 0) {
            usleep(PACE_STEP_US / 10);
        }
        snprintf(key, sizeof(key), "%" PRIu32, source_customer(job->source));
        int64_t from_us = clock_monotonic_us();
        s = kvStore_Get(&entry, link.records, key);
        samples_add(&job->latency, clock_monotonic_us() - from_us);
        kvEntry_Destroy(entry);
        job->n++;
    }
    job->to_us = clock_monotonic_us();
    link_close(&link);
    return s == NATS_OK ? 0 : complain(job, s);
}

static const struct job_mode modes[] = {
    {"setup", "the stream and the bucket", set_up},
    {"fill", "one event a customer, with its record", fill},
    {"publish", "events of drawn customers; --variant stream: without the records", publish},
    {"single", "one event in flight, then its record", single},
    {"subscribe", "a durable consumer; --variant push, all or pull", subscribe},
    {"replay", "--count events by an ordered consumer", replay},
    {"lookup", "a customer's record, one at a time", look_up},
};

int main(int argc, char **argv) {
    static const struct job_program program = {
        .name = "bench-nats",
        .description = "The load of tests/bench on NATS JetStream.",
        .modes = modes,
        .n_modes = sizeof(modes) / sizeof(*modes),
        .with_id = true,
    };
    return job_main(&program, argc, argv);
}
