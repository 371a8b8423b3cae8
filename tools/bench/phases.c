// SPDX-License-Identifier: Apache-2.0
// The phases of phases.h: the customers are made, then one event at a time, then as many as go,
// then out again by three subscriptions, then by replay, and last queries beside 70 % of the peak.
#include "tools/bench/phases.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "schemas/base/clock.h"
#include "schemas/reasons.h"

enum {
    RUN_STEP_MS = 5,
    PUBLISH_STEP = 256,   // events handed over between two looks at the acks
    WAIT_MS_MAX = 120000, // for everything in flight
    SINGLE_MS_MAX = 10000,
    QUERY_MS_MAX = 10000,
    PACE_PERCENT = 70,
    PACE_STEP_US = 2000,
};

int64_t phase_end(const struct bench *bench) {
    return clock_monotonic_us() + (int64_t)(bench->seconds * (double)CLOCK_US_PER_S);
}

double phase_rate(uint64_t n, int64_t from_us, int64_t to_us) {
    return to_us <= from_us ? 0 : (double)n * (double)CLOCK_US_PER_S / (double)(to_us - from_us);
}

int phase_complain(const char *what) {
    fprintf(stderr, "touchbus bench: %s\n", what);
    return -EIO;
}

static int check_refusals(const struct bench *bench) {
    if (bench->load.n_refused == 0) {
        return 0;
    }
    fprintf(stderr, "touchbus bench: %" PRIu64 " events were not accepted, the last one: %s\n",
            bench->load.n_refused, reason_find(bench->load.last_refusal)->name);
    return -EIO;
}

// ---- publishing

static int warm_up(struct bench *bench) {
    struct load *load = &bench->load;
    int64_t end_us = phase_end(bench);
    uint32_t n_made = 0;
    while (n_made < bench->n_customers || clock_monotonic_us() < end_us) {
        bool making = n_made < bench->n_customers;
        uint64_t left = making ? bench->n_customers - n_made : PUBLISH_STEP;
        uint64_t n = load_publish(load, left < PUBLISH_STEP ? left : PUBLISH_STEP,
                                  making ? n_made : UINT32_MAX);
        n_made += making ? (uint32_t)n : 0;
        load_run(load, n == 0 ? RUN_STEP_MS : 0);
        if (load->n_refused > 0) {
            break;
        }
    }
    return load_flush(load, WAIT_MS_MAX) ? check_refusals(bench)
                                         : phase_complain("acks are missing");
}

static int single(struct bench *bench) {
    struct load *load = &bench->load;
    struct samples latency = {0};
    int64_t end_us = phase_end(bench);
    int r = 0;
    load->latency = &latency;
    for (uint32_t i = 0; clock_monotonic_us() < end_us && r == 0; i++) {
        uint32_t customer = (uint32_t)(i * UINT64_C(7919) % bench->n_customers);
        const touchbus_event *event = events_next(load->events, customer);
        touchbus_publisher *publisher = load->publishers[0];
        void *tag = (void *)(intptr_t)clock_monotonic_us();
        if (event == NULL || touchbus_publisher_publish(publisher, event, tag) != 0 ||
            touchbus_publisher_flush(publisher, SINGLE_MS_MAX) != 0) {
            r = phase_complain("an event was not acked");
        }
    }
    load->latency = NULL;
    bench->single_p50_us = samples_percentile(&latency, 50);
    samples_clear(&latency);
    return r != 0 ? r : check_refusals(bench);
}

static int saturate(struct bench *bench) {
    struct load *load = &bench->load;
    struct samples latency = {0};
    int64_t from_us = clock_monotonic_us(), end_us = phase_end(bench);
    uint64_t n_before = load->n_acked;
    load->latency = &latency;
    while (clock_monotonic_us() < end_us) {
        uint64_t n = load_publish(load, PUBLISH_STEP, UINT32_MAX);
        load_run(load, n == 0 ? RUN_STEP_MS : 0);
    }
    bench->acked_per_s = phase_rate(load->n_acked - n_before, from_us, clock_monotonic_us());
    bool complete = load_flush(load, WAIT_MS_MAX);
    load->latency = NULL;
    bench->ack_p50_us = samples_percentile(&latency, 50);
    bench->ack_p99_us = samples_percentile(&latency, 99);
    samples_clear(&latency);
    return complete ? check_refusals(bench) : phase_complain("acks are missing");
}

// ---- queries beside publishing

struct asker {
    struct bench *bench;
    struct samples latency;
    atomic_bool stop;
};

static void *ask_often(void *argument) {
    struct asker *asker = argument;
    struct bench *bench = asker->bench;
    touchbus_client *client;
    if (touchbus_client_new(&(touchbus_client_options){.broker = bench->house.broker}, &client) !=
        0) {
        bench->n_queries_failed++;
        return NULL;
    }
    int64_t step_us = CLOCK_US_PER_S / bench->queries_per_s;
    int64_t due_us = clock_monotonic_us();
    for (uint64_t i = 0; !atomic_load(&asker->stop); i++) {
        char key[64];
        touchbus_answer *answer;
        events_key((uint32_t)(i * 104729 % bench->n_customers), key, sizeof(key));
        const touchbus_argument arguments[] = {{"key", key}};
        int64_t from_us = clock_monotonic_us();
        if (touchbus_client_query(client, "customer.show", arguments, 1, NULL, 0, QUERY_MS_MAX,
                                  NULL, NULL, &answer) != 0) {
            bench->n_queries_failed++;
            continue;
        }
        int64_t to_us = clock_monotonic_us();
        bench->n_queries_failed += touchbus_answer_code(answer) != 0;
        touchbus_answer_free(answer);
        if (i > 0) { // the first one also waited for its connection
            samples_add(&asker->latency, to_us - from_us);
        }
        due_us = due_us + step_us > to_us ? due_us + step_us : to_us;
        if (due_us > to_us) {
            usleep((useconds_t)(due_us - to_us));
        }
    }
    touchbus_client_free(client);
    return NULL;
}

// Publishes at this rate until the end. Events that are due go out every PACE_STEP_US.
static void pace(struct load *load, double rate, int64_t end_us) {
    int64_t from_us = clock_monotonic_us(), now_us = from_us;
    uint64_t n_sent = 0;
    while (now_us < end_us) {
        uint64_t due = (uint64_t)(rate * (double)(now_us - from_us) / (double)CLOCK_US_PER_S);
        while (n_sent < due) {
            uint64_t left = due - n_sent;
            uint64_t n = load_publish(load, left < PUBLISH_STEP ? left : PUBLISH_STEP, UINT32_MAX);
            if (n == 0) {
                break; // the window is full: behind the pace
            }
            n_sent += n;
        }
        load_run(load, 0);
        int64_t step_us = now_us + PACE_STEP_US - clock_monotonic_us();
        if (step_us > 0) {
            usleep((useconds_t)step_us);
        }
        now_us = clock_monotonic_us();
    }
}

static int query(struct bench *bench) {
    struct load *load = &bench->load;
    struct asker asker = {.bench = bench};
    pthread_t thread;
    atomic_init(&asker.stop, false);
    if (pthread_create(&thread, NULL, ask_often, &asker) != 0) {
        return phase_complain("no thread for the queries");
    }
    int64_t from_us = clock_monotonic_us();
    uint64_t n_before = load->n_acked;
    pace(load, bench->acked_per_s * PACE_PERCENT / 100, phase_end(bench));
    bench->paced_per_s = phase_rate(load->n_acked - n_before, from_us, clock_monotonic_us());
    atomic_store(&asker.stop, true);
    pthread_join(thread, NULL);
    bool complete = load_flush(load, WAIT_MS_MAX);
    bench->query_p50_us = samples_percentile(&asker.latency, 50);
    bench->query_p99_us = samples_percentile(&asker.latency, 99);
    bool asked = asker.latency.n > 0 && bench->n_queries_failed == 0;
    samples_clear(&asker.latency);
    if (!asked) {
        return phase_complain("queries were not answered");
    }
    return complete ? check_refusals(bench) : phase_complain("acks are missing");
}

// ---- the table

static const struct phase rows[] = {
    {"warm-up", "makes the customers", warm_up},
    {"single", "one event in flight", single},
    {"saturation", "as many events as the broker takes", saturate},
    {"delivery", "three named subscriptions catch up", phase_deliver},
    {"replay", "the log from the beginning to one subscriber", phase_replay},
    {"query", "customer.show beside 70 % of the peak", query},
};

const struct phase *phases_rows(size_t *ret_n) {
    *ret_n = sizeof(rows) / sizeof(*rows);
    return rows;
}
