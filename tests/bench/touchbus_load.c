// SPDX-License-Identifier: Apache-2.0
// The load on touchbus, by libtouchbus as any connector would make it: several numbered publishers
// in one thread. What takes events out again is in touchbus_out.c.
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
#include "tests/bench/touchbus_out.h"

enum {
    PUBLISHERS_MAX = 64,
    PUBLISH_STEP = 256, // events handed over between two looks at the acks
    CHUNK = 64,         // events of one publisher before the next has a turn
    STEP_MS = 5,
    PACE_STEP_US = 2000,
    SINGLE_BLOCK = 50, // published, then as many appended to the file
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

static const struct job_mode modes[] = {
    {"fill", "one event a customer", fill},
    {"publish", "events of drawn customers", publish},
    {"single", "one event in flight, in turn with appending to --file", single},
    {"subscribe", "a named subscription that settles each event", touchbus_subscribe},
    {"many", "--connections of them; --variant customer: each of one customer only", touchbus_many},
    {"replay", "--count events of the log, from the beginning", touchbus_replay},
    {"lookup", "a customer's profile, one at a time", touchbus_look_up},
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
