// SPDX-License-Identifier: Apache-2.0
// The phases of phases.h: the customers are made, then one event at a time, then as many as go,
// then out again by three subscriptions, then by replay, and last queries beside 70 % of the peak.
#include "tools/bench/phases.h"

#include <assert.h>
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
    SUBSCRIBERS = 3,
    SUBSCRIBER_CREDIT = 8192,
    IDLE_STEP_US = 200,
    TAKE = 512, // events of one subscriber before the next has a turn
    IDLE_MS_MAX = 30000,
    QUERY_MS_MAX = 10000,
    PACE_PERCENT = 70,
    PACE_STEP_US = 2000,
};

static int64_t end_of(const struct bench *bench) {
    return clock_monotonic_us() + (int64_t)(bench->seconds * (double)CLOCK_US_PER_S);
}

static double per_second(uint64_t n, int64_t from_us, int64_t to_us) {
    return to_us <= from_us ? 0 : (double)n * (double)CLOCK_US_PER_S / (double)(to_us - from_us);
}

static int complain(const char *what) {
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
    int64_t end_us = end_of(bench);
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
    return load_flush(load, WAIT_MS_MAX) ? check_refusals(bench) : complain("acks are missing");
}

static int single(struct bench *bench) {
    struct load *load = &bench->load;
    struct samples latency = {0};
    int64_t end_us = end_of(bench);
    int r = 0;
    load->latency = &latency;
    for (uint32_t i = 0; clock_monotonic_us() < end_us && r == 0; i++) {
        uint32_t customer = (uint32_t)(i * UINT64_C(7919) % bench->n_customers);
        const touchbus_event *event = events_next(load->events, customer);
        touchbus_publisher *publisher = load->publishers[0];
        void *tag = (void *)(intptr_t)clock_monotonic_us();
        if (event == NULL || touchbus_publisher_publish(publisher, event, tag) != 0 ||
            touchbus_publisher_flush(publisher, SINGLE_MS_MAX) != 0) {
            r = complain("an event was not acked");
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
    int64_t from_us = clock_monotonic_us(), end_us = end_of(bench);
    uint64_t n_before = load->n_acked;
    load->latency = &latency;
    while (clock_monotonic_us() < end_us) {
        uint64_t n = load_publish(load, PUBLISH_STEP, UINT32_MAX);
        load_run(load, n == 0 ? RUN_STEP_MS : 0);
    }
    bench->acked_per_s = per_second(load->n_acked - n_before, from_us, clock_monotonic_us());
    bool complete = load_flush(load, WAIT_MS_MAX);
    load->latency = NULL;
    bench->ack_p50_us = samples_percentile(&latency, 50);
    bench->ack_p99_us = samples_percentile(&latency, 99);
    samples_clear(&latency);
    return complete ? check_refusals(bench) : complain("acks are missing");
}

// ---- delivery

// Takes what is there. Returns how many, or a negative errno.
static int64_t take(touchbus_subscriber *subscriber, bool settles, int timeout_ms,
                    uint64_t *ret_last) {
    int64_t n = 0;
    while (n < TAKE) {
        touchbus_event *event;
        int r = touchbus_subscriber_next(subscriber, n == 0 ? timeout_ms : 0, &event);
        if (r == 0) {
            break;
        }
        if (r == TOUCHBUS_ENDED) {
            return n == 0 ? -ENODATA : n;
        }
        if (r != 1) {
            const char *reason = "", *detail = "";
            if (r == TOUCHBUS_REFUSED) {
                touchbus_subscriber_refusal(subscriber, &reason, &detail, NULL);
            }
            fprintf(stderr, "touchbus bench: a subscription failed: %s %s\n", reason, detail);
            return -EIO;
        }
        *ret_last = touchbus_event_sequence(event);
        if (settles) {
            touchbus_subscriber_delivered(subscriber, event);
        }
        touchbus_event_free(event);
        n++;
    }
    return n;
}

struct group {
    touchbus_subscriber *subscribers[SUBSCRIBERS];
    char names[SUBSCRIBERS][48];
    uint64_t last[SUBSCRIBERS];
};

static int open_group(struct group *group, const char *broker, unsigned round) {
    for (int i = 0; i < SUBSCRIBERS; i++) {
        snprintf(group->names[i], sizeof(group->names[i]), "bench-%ld-%u-%d", (long)getpid(), round,
                 i);
        touchbus_subscriber_options options = {.broker = broker,
                                               .name = group->names[i],
                                               .credit = SUBSCRIBER_CREDIT,
                                               .start = TOUCHBUS_START_BEGINNING};
        int r = touchbus_subscriber_new(&options, &group->subscribers[i]);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

static void close_group(struct group *group, struct house *house) {
    for (int i = 0; i < SUBSCRIBERS; i++) {
        if (group->subscribers[i] != NULL) {
            touchbus_subscriber_free(group->subscribers[i]);
            house_remove_subscription(house, group->names[i]);
        }
    }
}

// A turn for each that is not at `last` yet. Returns how many events came; a negative errno.
static int64_t take_in_turn(struct group *group, uint64_t last) {
    int64_t n_round = 0;
    for (int i = 0; i < SUBSCRIBERS; i++) {
        int64_t n =
            group->last[i] < last ? take(group->subscribers[i], true, 0, &group->last[i]) : 0;
        if (n < 0) {
            return n;
        }
        n_round += n;
    }
    return n_round;
}

static bool all_at(const struct group *group, uint64_t last) {
    return group->last[0] >= last && group->last[1] >= last && group->last[2] >= last;
}

// Three new subscriptions catch up with the log, settling every event.
static int deliver_once(struct bench *bench, unsigned round, uint64_t last, int64_t end_us,
                        uint64_t *n_total) {
    static_assert(SUBSCRIBERS == 3, "all_at counts them");
    struct group group = {0};
    int r = open_group(&group, bench->house.broker, round);
    int64_t heard_us = clock_monotonic_us();
    while (r == 0 && !all_at(&group, last) && clock_monotonic_us() < end_us) {
        int64_t n = take_in_turn(&group, last);
        if (n > 0) {
            *n_total += (uint64_t)n;
            heard_us = clock_monotonic_us();
        } else if (n < 0) {
            r = (int)n;
        } else if (clock_monotonic_us() - heard_us > IDLE_MS_MAX * CLOCK_US_PER_MS) {
            r = complain("nothing is delivered");
        } else {
            usleep(IDLE_STEP_US);
        }
    }
    close_group(&group, &bench->house);
    return r;
}

// As often as the time allows. Counts what all three got together.
static int deliver(struct bench *bench) {
    int64_t next = house_number(&bench->house, "log.info", "next");
    int64_t from_us = clock_monotonic_us(), end_us = end_of(bench);
    uint64_t n_total = 0;
    int r = next < 2 ? complain("no log.info") : 0;
    for (unsigned round = 0; r == 0 && clock_monotonic_us() < end_us; round++) {
        r = deliver_once(bench, round, (uint64_t)next - 1, end_us, &n_total);
    }
    bench->deliver_per_s = per_second(n_total, from_us, clock_monotonic_us());
    return r;
}

// Reads from the beginning to `last`, or until the time is over.
static int replay_once(struct bench *bench, uint64_t last, int64_t end_us, uint64_t *n_total) {
    touchbus_subscriber_options options = {.broker = bench->house.broker,
                                           .start = TOUCHBUS_START_BEGINNING,
                                           .until_sequence = last,
                                           .credit = SUBSCRIBER_CREDIT};
    touchbus_subscriber *subscriber;
    int64_t n = 1;
    if (touchbus_subscriber_new(&options, &subscriber) != 0) {
        return -EINVAL;
    }
    while (n > 0 && clock_monotonic_us() < end_us) {
        uint64_t sequence;
        n = take(subscriber, false, IDLE_MS_MAX, &sequence);
        *n_total += n > 0 ? (uint64_t)n : 0;
    }
    touchbus_subscriber_free(subscriber);
    if (n == 0) {
        return complain("nothing is replayed");
    }
    return n > 0 || n == -ENODATA ? 0 : (int)n;
}

// The log from the beginning, as often as the time allows.
static int replay(struct bench *bench) {
    int64_t next = house_number(&bench->house, "log.info", "next");
    int64_t from_us = clock_monotonic_us(), end_us = end_of(bench);
    uint64_t n_total = 0;
    int r = next < 2 ? complain("no log.info") : 0;
    while (r == 0 && clock_monotonic_us() < end_us) {
        r = replay_once(bench, (uint64_t)next - 1, end_us, &n_total);
    }
    bench->replay_per_s = per_second(n_total, from_us, clock_monotonic_us());
    return r;
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
    if (touchbus_client_new(bench->house.broker, &client) != 0) {
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
        return complain("no thread for the queries");
    }
    int64_t from_us = clock_monotonic_us();
    uint64_t n_before = load->n_acked;
    pace(load, bench->acked_per_s * PACE_PERCENT / 100, end_of(bench));
    bench->paced_per_s = per_second(load->n_acked - n_before, from_us, clock_monotonic_us());
    atomic_store(&asker.stop, true);
    pthread_join(thread, NULL);
    bool complete = load_flush(load, WAIT_MS_MAX);
    bench->query_p50_us = samples_percentile(&asker.latency, 50);
    bench->query_p99_us = samples_percentile(&asker.latency, 99);
    bool asked = asker.latency.n > 0 && bench->n_queries_failed == 0;
    samples_clear(&asker.latency);
    if (!asked) {
        return complain("queries were not answered");
    }
    return complete ? check_refusals(bench) : complain("acks are missing");
}

// ---- the table

static const struct phase rows[] = {
    {"warm-up", "makes the customers", warm_up},
    {"single", "one event in flight", single},
    {"saturation", "as many events as the broker takes", saturate},
    {"delivery", "three named subscriptions catch up", deliver},
    {"replay", "the log from the beginning to one subscriber", replay},
    {"query", "customer.show beside 70 % of the peak", query},
};

const struct phase *phases_rows(size_t *ret_n) {
    *ret_n = sizeof(rows) / sizeof(*rows);
    return rows;
}
