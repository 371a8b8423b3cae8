// SPDX-License-Identifier: Apache-2.0
// What takes events out of touchbus again: named subscriptions that settle each event, a replay,
// look-ups of customers; by libtouchbus, in one thread.
#include "tests/bench/touchbus_out.h"

#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "connectors/client/touchbus.h"
#include "schemas/base/clock.h"
#include "schemas/base/scheduling.h"
#include "tools/bench/house.h"

enum {
    STEP_MS = 5,
    SUBSCRIBER_CREDIT = 8192,
    MANY_MAX = 250, // subscribers of one process: ZeroMQ has 1,023 sockets, each takes a few
    MANY_CREDIT = 1024,
    TURN = 256, // events that are at hand, between two looks at the clock; and of one of many
    ASK_MS = 10000,
};

// ---- subscriptions

static int take(struct job *job, touchbus_subscriber *subscriber, bool settles, int timeout_ms) {
    touchbus_event *event;
    int r = touchbus_subscriber_next(subscriber, timeout_ms, &event);
    if (r == 1) {
        if (settles) {
            touchbus_subscriber_delivered(subscriber, event);
        }
        touchbus_event_free(event);
        job->n++;
    } else if (r == TOUCHBUS_REFUSED) {
        const char *reason = "";
        touchbus_subscriber_refusal(subscriber, &reason, NULL, NULL);
        r = job_complain(job, reason);
    }
    return r;
}

// What comes within the time, and behind it what is at hand: other systems' consumers look at no
// clock for an event either.
static int take_some(struct job *job, touchbus_subscriber *subscriber, int timeout_ms) {
    int r = take(job, subscriber, true, timeout_ms);
    for (int n = 1; r == 1 && n < TURN && touchbus_subscriber_pending(subscriber) > 0; n++) {
        r = take(job, subscriber, true, 0);
    }
    return r;
}

// Until the broker knows the subscription.
static int await_place(struct job *job, touchbus_subscriber *subscriber) {
    int64_t end_us = clock_monotonic_us() + JOB_WAIT_MS_MAX * CLOCK_US_PER_MS;
    int r = 0;
    while (r >= 0 && !touchbus_subscriber_connected(subscriber)) {
        if (clock_monotonic_us() > end_us) {
            return job_complain(job, "no connection");
        }
        r = take(job, subscriber, true, STEP_MS);
    }
    return r;
}

// So that later jobs find no subscription more than they make.
static void forget(const struct job *job, const char *name) {
    struct house house = {0};
    if (house_use(&house, job->conf.server) == 0) {
        house_remove_subscription(&house, name);
        house_close(&house);
    }
}

// A named subscription. With --count from the beginning, until it has so many; else from the end,
// what comes within the time.
int touchbus_subscribe(struct job *job) {
    bool catches_up = job->conf.count > 0;
    touchbus_subscriber *subscriber;
    touchbus_subscriber_options options = {.broker = job->conf.server,
                                           .name = job->conf.name,
                                           .credit = SUBSCRIBER_CREDIT,
                                           .start = catches_up ? TOUCHBUS_START_BEGINNING
                                                               : TOUCHBUS_START_END};
    if (catches_up) {
        job_start(job);
    }
    int r = touchbus_subscriber_new(&options, &subscriber);
    if (r != 0) {
        return r;
    }
    if (!catches_up) {
        r = await_place(job, subscriber);
        job_start(job);
        job->n = 0;
    }
    while (r >= 0 && (catches_up ? job->n < (uint64_t)job->conf.count : job_goes_on(job))) {
        r = catches_up ? take(job, subscriber, true, JOB_WAIT_MS_MAX)
                       : take_some(job, subscriber, STEP_MS);
        if (r == 0 && catches_up) {
            r = job_complain(job, "nothing comes");
        }
    }
    job->to_us = clock_monotonic_us();
    touchbus_subscriber_free(subscriber);
    forget(job, job->conf.name);
    return r < 0 ? r : 0;
}

struct many {
    touchbus_subscriber *subscribers[MANY_MAX];
    char names[MANY_MAX][64];
    int n;
};

// The numbers of customers are dense from 1 on: each has one after --first of its own.
static int many_open(struct job *job, struct many *many) {
    bool of_one = strcmp(job->conf.variant, "customer") == 0;
    int64_t n = job->conf.connections < MANY_MAX ? job->conf.connections : MANY_MAX;
    int r = 0;
    for (; many->n < n && r == 0; many->n += r == 0) {
        int i = many->n;
        snprintf(many->names[i], sizeof(many->names[i]), "%.40s-%d", job->conf.name, i);
        touchbus_subscriber_options options = {.broker = job->conf.server,
                                               .name = many->names[i],
                                               .credit = MANY_CREDIT,
                                               .customer =
                                                   of_one ? (uint64_t)(job->conf.first + i + 1) : 0,
                                               .start = TOUCHBUS_START_END};
        r = touchbus_subscriber_new(&options, &many->subscribers[i]);
    }
    for (int i = 0; i < many->n && r >= 0; i++) {
        r = await_place(job, many->subscribers[i]);
    }
    return r < 0 ? r : 0;
}

static void many_close(struct job *job, struct many *many) {
    for (int i = 0; i < many->n; i++) {
        touchbus_subscriber_free(many->subscribers[i]);
        forget(job, many->names[i]);
    }
}

// What is there for each in turn; they are polled together where there was nothing.
static int many_turn(struct job *job, struct many *many) {
    zmq_pollitem_t items[MANY_MAX];
    uint64_t n_before = job->n;
    int r = 0;
    for (int i = 0; i < many->n && r >= 0; i++) {
        int n = 0;
        do {
            r = take(job, many->subscribers[i], true, 0);
        } while (r == 1 && ++n < TURN);
        items[i] = (zmq_pollitem_t){.socket = touchbus_subscriber_socket(many->subscribers[i]),
                                    .fd = -1,
                                    .events = ZMQ_POLLIN};
    }
    if (r >= 0 && job->n == n_before) {
        zmq_poll(items, many->n, STEP_MS);
    }
    return r;
}

// --connections named subscriptions of one process, what comes within the time.
int touchbus_many(struct job *job) {
    static struct many many;
    int r = many_open(job, &many);
    job_start(job);
    job->n = 0;
    while (r >= 0 && job_goes_on(job)) {
        r = many_turn(job, &many);
    }
    job_end(job);
    many_close(job, &many);
    return r < 0 ? r : 0;
}

// The log from the beginning to one unnamed subscriber, --count events.
int touchbus_replay(struct job *job) {
    touchbus_subscriber *subscriber;
    touchbus_subscriber_options options = {
        .broker = job->conf.server, .start = TOUCHBUS_START_BEGINNING, .credit = SUBSCRIBER_CREDIT};
    job_start(job);
    int r = touchbus_subscriber_new(&options, &subscriber);
    if (r != 0) {
        return r;
    }
    do {
        r = take(job, subscriber, false, JOB_WAIT_MS_MAX);
    } while (r == 1 && job->n < (uint64_t)job->conf.count);
    job->to_us = clock_monotonic_us();
    touchbus_subscriber_free(subscriber);
    return r == 1 ? 0 : job_complain(job, "nothing comes");
}

// ---- look-ups

static int ask(struct job *job, touchbus_client *client, bool counts) {
    char key[SOURCE_KEY_BYTES];
    touchbus_answer *answer;
    source_key(source_customer(job->source), key);
    int64_t from_us = clock_monotonic_us();
    int r = touchbus_client_customer(client, key, 0, ASK_MS, &answer);
    if (r != 0) {
        return job_complain(job, "a question was not answered");
    }
    if (counts) {
        job->n++;
        job->n_failed += touchbus_answer_code(answer) != 0;
        samples_add(&job->latency, clock_monotonic_us() - from_us);
    }
    touchbus_answer_free(answer);
    return 0;
}

// One at a time, --rate a second.
int touchbus_look_up(struct job *job) {
    scheduling_prompt(); // as a service desk would: not to wait for the load's own slices
    touchbus_client *client;
    int r = touchbus_client_new(&(touchbus_client_options){.broker = job->conf.server}, &client);
    r = r == 0 ? ask(job, client, false) : r; // the first one also waits for its connection
    job_start(job);
    while (r == 0 && job_goes_on(job)) {
        job_await_turn(job, job->n);
        r = ask(job, client, true);
    }
    job->to_us = clock_monotonic_us();
    touchbus_client_free(client);
    return r == 0 && job->n_failed > 0 ? job_complain(job, "a customer was not found") : r;
}
