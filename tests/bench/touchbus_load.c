// SPDX-License-Identifier: Apache-2.0
// The load on touchbus, by libtouchbus as any connector would make it: several numbered publishers
// in one thread, named subscriptions that settle each event, a replay, look-ups of customers.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "connectors/client/touchbus.h"
#include "schemas/base/clock.h"
#include "schemas/base/scheduling.h"
#include "tests/bench/job.h"
#include "tools/bench/house.h"

enum {
    PUBLISHERS_MAX = 64,
    PUBLISH_STEP = 256, // events handed over between two looks at the acks
    CHUNK = 64,         // events of one publisher before the next has a turn
    STEP_MS = 5,
    PACE_STEP_US = 2000,
    SINGLE_BLOCK = 50, // published, then as many appended to the file
    SUBSCRIBER_CREDIT = 8192,
    ASK_MS = 10000,
};

// ---- publishers

struct load {
    struct job *job;
    touchbus_publisher *publishers[PUBLISHERS_MAX];
    int n_publishers, turn, n_in_turn;
    uint64_t n_sent;
};

static void on_ack(const touchbus_ack *ack, void *user) {
    struct job *job = user;
    job->n++;
    if (ack->code != 0 && job->n_failed++ == 0) {
        fprintf(stderr, "bench: refused: %s %s\n", ack->reason, ack->detail);
    }
    samples_add(&job->latency, clock_monotonic_us() - (int64_t)(intptr_t)ack->tag);
}

static void load_run(struct load *load, int timeout_ms) {
    zmq_pollitem_t items[PUBLISHERS_MAX];
    int acks = 0;
    for (int i = 0; i < load->n_publishers; i++) {
        acks += touchbus_publisher_run(load->publishers[i], 0);
        items[i] = (zmq_pollitem_t){.socket = touchbus_publisher_socket(load->publishers[i]),
                                    .events = ZMQ_POLLIN};
    }
    if (acks == 0 && timeout_ms > 0) {
        zmq_poll(items, load->n_publishers, timeout_ms);
    }
}

static bool load_settled(struct load *load) {
    size_t n = 0;
    for (int i = 0; i < load->n_publishers; i++) {
        n += touchbus_publisher_pending(load->publishers[i]);
    }
    return n == 0;
}

static bool load_connected(struct load *load) {
    int n = 0;
    for (int i = 0; i < load->n_publishers; i++) {
        n += touchbus_publisher_connected(load->publishers[i]);
    }
    return n == load->n_publishers;
}

// Runs until the condition holds. False: not in time.
static bool load_wait(struct load *load, bool (*condition)(struct load *load)) {
    int64_t end_us = clock_monotonic_us() + JOB_WAIT_MS_MAX * CLOCK_US_PER_MS;
    while (!condition(load)) {
        if (clock_monotonic_us() > end_us) {
            return false;
        }
        load_run(load, STEP_MS);
    }
    return true;
}

static void load_close(struct load *load) {
    for (int i = 0; i < load->n_publishers; i++) {
        touchbus_publisher_free(load->publishers[i]);
    }
}

static int load_open(struct load *load, struct job *job) {
    *load = (struct load){.job = job};
    int64_t n = job->conf.connections < PUBLISHERS_MAX ? job->conf.connections : PUBLISHERS_MAX;
    int64_t window = job->conf.in_flight / n;
    for (int r; load->n_publishers < n; load->n_publishers++) {
        char name[40];
        snprintf(name, sizeof(name), "bench-%ld-%d", (long)getpid(), load->n_publishers);
        r = touchbus_publisher_new(
            &(touchbus_publisher_options){.broker = job->conf.server,
                                          .producer = name,
                                          .window = (uint32_t)(window > 0 ? window : 1),
                                          .on_ack = on_ack,
                                          .user = job},
            &load->publishers[load->n_publishers]);
        if (r != 0) {
            load_close(load);
            return r;
        }
    }
    if (!load_wait(load, load_connected)) {
        load_close(load);
        job_complain(job, "no connection");
        return -ENOTCONN;
    }
    return 0;
}

static void next_turn(struct load *load) {
    load->turn = (load->turn + 1) % load->n_publishers;
    load->n_in_turn = 0;
}

// One event, by the publisher whose turn it is. 0; TOUCHBUS_FULL; negative errno.
static int publish_one(struct load *load, uint32_t customer) {
    size_t size;
    const uint8_t *bytes = source_event(load->job->source, customer, &size);
    touchbus_event *event;
    int r = touchbus_event_parse(bytes, size, &event);
    if (r == 0) {
        r = touchbus_publisher_publish(load->publishers[load->turn], event,
                                       (void *)(intptr_t)clock_monotonic_us());
        touchbus_event_free(event);
    }
    return r;
}

static bool any_room(struct load *load) {
    size_t window = (size_t)(load->job->conf.in_flight / load->n_publishers);
    for (int i = 0; i < load->n_publishers; i++) {
        if (touchbus_publisher_pending(load->publishers[load->turn]) < (window > 0 ? window : 1)) {
            return true;
        }
        next_turn(load);
    }
    return false;
}

// Up to n events of customers from first on, or drawn ones where first is UINT32_MAX.
static uint64_t load_publish(struct load *load, uint64_t n, uint32_t first) {
    uint64_t done = 0;
    while (done < n && any_room(load)) {
        uint32_t customer =
            first == UINT32_MAX ? source_customer(load->job->source) : first + (uint32_t)done;
        if (publish_one(load, customer) != 0) {
            break;
        }
        done++;
        if (++load->n_in_turn == CHUNK) {
            next_turn(load);
        }
    }
    load->n_sent += done;
    return done;
}

static int load_finish(struct load *load) {
    bool settled = load_wait(load, load_settled);
    load->job->to_us = clock_monotonic_us();
    load_close(load);
    return settled && load->job->n_failed == 0
               ? 0
               : job_complain(load->job, settled ? "events were refused" : "acks are missing");
}

// ---- modes that publish

static int fill(struct job *job) {
    struct load load;
    int r = load_open(&load, job);
    if (r != 0) {
        return r;
    }
    job_start(job);
    uint64_t n = (uint64_t)job->conf.customers;
    while (load.n_sent < n) {
        uint64_t left = n - load.n_sent;
        uint64_t done =
            load_publish(&load, left < PUBLISH_STEP ? left : PUBLISH_STEP, (uint32_t)load.n_sent);
        load_run(&load, done == 0 ? STEP_MS : 0);
    }
    return load_finish(&load);
}

static int publish(struct job *job) {
    struct load load;
    int r = load_open(&load, job);
    if (r != 0) {
        return r;
    }
    job_start(job);
    while (job_goes_on(job) && (job->conf.count == 0 || load.n_sent < (uint64_t)job->conf.count)) {
        uint64_t due = job_allowance(job, load.n_sent);
        uint64_t done = load_publish(&load, due < PUBLISH_STEP ? due : PUBLISH_STEP, UINT32_MAX);
        load_run(&load, done == 0 && job->conf.rate == 0 ? STEP_MS : 0);
        if (job->conf.rate != 0 && done < PUBLISH_STEP) {
            usleep(PACE_STEP_US);
        }
    }
    return load_finish(&load);
}

// Appends what an event's bytes are to the file, and waits for the disk.
static int append_one(struct job *job, int file) {
    size_t size;
    const uint8_t *bytes = source_event(job->source, source_customer(job->source), &size);
    int64_t from_us = clock_monotonic_us();
    if (write(file, bytes, size) != (ssize_t)size || fdatasync(file) != 0) {
        return job_complain(job, strerror(errno));
    }
    samples_add(&job->other, clock_monotonic_us() - from_us);
    return 0;
}

static int single_block(struct job *job, struct load *load, int file) {
    int r = 0;
    for (int i = 0; i < SINGLE_BLOCK && r == 0; i++) {
        r = publish_one(load, source_customer(job->source));
        r = r == 0 ? touchbus_publisher_flush(load->publishers[0], JOB_WAIT_MS_MAX) : r;
    }
    for (int i = 0; i < SINGLE_BLOCK && r == 0; i++) {
        r = append_one(job, file);
    }
    return r;
}

// Blocks of single publishes and single appends in turn, so that both see the same machine.
static int single(struct job *job) {
    struct load load;
    int r = load_open(&load, job);
    if (r != 0) {
        return r;
    }
    const char *path = job->conf.file == NULL ? "" : job->conf.file;
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0) {
        load_close(&load);
        return job_complain(job, "--file FILE is wanted");
    }
    job_start(job);
    while (job_goes_on(job) && r == 0) {
        r = single_block(job, &load, file);
    }
    close(file);
    int finished = load_finish(&load);
    return r != 0 ? r : finished;
}

// ---- modes that take events out

static int take(struct job *job, touchbus_subscriber *subscriber, bool settles, int timeout_ms) {
    touchbus_event *event;
    int r = touchbus_subscriber_next(subscriber, timeout_ms, &event);
    if (r == 1) {
        if (settles) {
            touchbus_subscriber_delivered(subscriber, event);
        }
        touchbus_event_free(event);
        job->n++;
        job->to_us = clock_monotonic_us();
    } else if (r == TOUCHBUS_REFUSED) {
        const char *reason = "";
        touchbus_subscriber_refusal(subscriber, &reason, NULL, NULL);
        r = job_complain(job, reason);
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
static void forget(struct job *job) {
    struct house house = {0};
    if (house_use(&house, job->conf.server) == 0) {
        house_remove_subscription(&house, job->conf.name);
        house_close(&house);
    }
}

// A named subscription. With --count from the beginning, until it has so many; else from the end,
// what comes within the time.
static int subscribe(struct job *job) {
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
    job->to_us = job->from_us;
    while (r >= 0 && (catches_up ? job->n < (uint64_t)job->conf.count : job_goes_on(job))) {
        r = take(job, subscriber, true, catches_up ? JOB_WAIT_MS_MAX : STEP_MS);
        if (r == 0 && catches_up) {
            r = job_complain(job, "nothing comes");
        }
    }
    if (!catches_up) {
        job->to_us = clock_monotonic_us();
    }
    touchbus_subscriber_free(subscriber);
    forget(job);
    return r < 0 ? r : 0;
}

// The log from the beginning to one unnamed subscriber, --count events.
static int replay(struct job *job) {
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
static int look_up(struct job *job) {
    touchbus_client *client;
    int r = touchbus_client_new(&(touchbus_client_options){.broker = job->conf.server}, &client);
    r = r == 0 ? ask(job, client, false) : r; // the first one also waits for its connection
    job_start(job);
    while (r == 0 && job_goes_on(job)) {
        while (job_allowance(job, job->n) == 0) {
            usleep(PACE_STEP_US / 10);
        }
        r = ask(job, client, true);
    }
    job->to_us = clock_monotonic_us();
    touchbus_client_free(client);
    return r == 0 && job->n_failed > 0 ? job_complain(job, "a customer was not found") : r;
}

static const struct job_mode modes[] = {
    {"fill", "one event a customer", fill},
    {"publish", "events of drawn customers", publish},
    {"single", "one event in flight, in turn with appending to --file", single},
    {"subscribe", "a named subscription that settles each event", subscribe},
    {"replay", "--count events of the log, from the beginning", replay},
    {"lookup", "a customer's profile, one at a time", look_up},
};

int main(int argc, char **argv) {
    static const struct job_program program = {
        .name = "bench-touchbus",
        .description = "The load of tests/bench on touchbus.",
        .modes = modes,
        .n_modes = sizeof(modes) / sizeof(*modes),
    };
    return job_main(&program, argc, argv);
}
