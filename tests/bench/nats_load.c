// SPDX-License-Identifier: Apache-2.0
// The load on NATS JetStream, by libnats: events published asynchronously to a file stream, the
// record of each one's customer put into a key-value bucket by the same pipeline (what a put of
// the bucket does, without waiting for each answer). Consumers are in nats_out.c.
#include "tests/bench/nats_load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schemas/base/clock.h"

enum { THREADS_MAX = 64, STALL_MS = 60000, PACE_STEP_US = 2000 };

// ---- connections

int nats_complain(const struct job *job, natsStatus status) {
    return job_complain(job, natsStatus_GetText(status));
}

static void on_error(jsCtx *js, jsPubAckErr *error, void *closure) {
    (void)js;
    struct link *link = closure;
    if (atomic_fetch_add(&link->n_failed, 1) == 0) {
        fprintf(stderr, "bench: refused: %s\n", error->ErrText == NULL ? "" : error->ErrText);
    }
}

natsStatus link_open(struct link *link, struct job *job, int64_t max_pending) {
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

void link_close(struct link *link) {
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
    return s == NATS_OK ? 0 : nats_complain(job, s);
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
        nats_complain(job, s);
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
            return nats_complain(job, s);
        }
        links[i].only_events = only_events;
        if (i > 0) {
            links[i].source = source_new(&(struct source_options){
                .n_customers = (uint32_t)job->conf.customers,
                .zipf = strtod(job->conf.zipf, NULL),
                .seed = (uint64_t)(job->conf.seed + INT64_C(100) * i) % 1000,
                .n_bytes = (size_t)job->conf.bytes,
                .mix = strcmp(job->conf.work, "mix") == 0,
                .with_id = true});
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
    return s == NATS_OK ? 0 : nats_complain(job, s);
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
    return s == NATS_OK ? 0 : nats_complain(job, s);
}

static const struct job_mode modes[] = {
    {"setup", "the stream and the bucket", set_up},
    {"fill", "one event a customer, with its record", fill},
    {"publish", "events of drawn customers; --variant stream: without the records", publish},
    {"single", "one event in flight, then its record", single},
    {"subscribe", "a durable consumer; --variant push, all or pull", nats_subscribe},
    {"replay", "--count events by an ordered consumer", nats_replay},
    {"lookup", "a customer's record, one at a time", nats_look_up},
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
