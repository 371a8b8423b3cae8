// SPDX-License-Identifier: Apache-2.0
// The publishers of load.h, driven from one thread. An ack's tag is the time its event was handed
// over, so that latency costs no bookkeeping.
#include "tools/bench/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

#include "schemas/base/clock.h"

enum { CONNECT_STEP_MS = 10, CHUNK = 64 };

static void on_ack(const touchbus_ack *ack, void *user) {
    struct load *load = user;
    load->n_acked++;
    if (ack->code != 0) {
        load->n_refused++;
        load->last_refusal = ack->code;
    }
    if (load->latency != NULL) {
        samples_add(load->latency, clock_monotonic_us() - (int64_t)(intptr_t)ack->tag);
    }
}

int load_open(struct load *load, const char *broker, struct events *events, uint32_t n_customers,
              uint32_t in_flight) {
    load->events = events;
    load->n_customers = n_customers;
    load->random = (uint64_t)clock_now_us() | 1;
    for (int i = 0; i < LOAD_PUBLISHERS; i++) {
        char name[32];
        // Of this run: two benchmarks at a time must not fence each other.
        snprintf(name, sizeof(name), "bench-%ld-%d", (long)getpid(), i);
        touchbus_publisher_options options = {
            .broker = broker,
            .producer = i < LOAD_NUMBERED ? name : NULL,
            .source = i < LOAD_NUMBERED ? NULL : "/bench-free",
            .window = in_flight / LOAD_PUBLISHERS > 0 ? in_flight / LOAD_PUBLISHERS : 1,
            .on_ack = on_ack,
            .user = load,
        };
        int r = touchbus_publisher_new(&options, &load->publishers[i]);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

void load_close(struct load *load) {
    for (int i = 0; i < LOAD_PUBLISHERS; i++) {
        load->publishers[i] = touchbus_publisher_free(load->publishers[i]);
    }
}

bool load_connected(struct load *load, int timeout_ms) {
    int64_t end_us = clock_monotonic_us() + timeout_ms * CLOCK_US_PER_MS;
    for (;;) {
        int n = 0;
        for (int i = 0; i < LOAD_PUBLISHERS; i++) {
            touchbus_publisher_run(load->publishers[i], 0);
            n += touchbus_publisher_connected(load->publishers[i]);
        }
        if (n == LOAD_PUBLISHERS || clock_monotonic_us() > end_us) {
            return n == LOAD_PUBLISHERS;
        }
        zmq_poll(NULL, 0, CONNECT_STEP_MS);
    }
}

static uint32_t random_customer(struct load *load) {
    load->random ^= load->random << 13;
    load->random ^= load->random >> 7;
    load->random ^= load->random << 17;
    return (uint32_t)((load->random >> 32) * load->n_customers >> 32);
}

static void next_turn(struct load *load) {
    load->turn = (load->turn + 1) % LOAD_PUBLISHERS;
    load->n_in_turn = 0;
}

uint64_t load_publish(struct load *load, uint64_t n, uint32_t first) {
    int64_t now_us = clock_monotonic_us();
    uint64_t n_done = 0;
    int n_full = 0;
    // A run of events each, so that one publisher's batch is made in one go.
    while (n_done < n && n_full < LOAD_PUBLISHERS) {
        uint32_t customer = first == UINT32_MAX ? random_customer(load)
                                                : (uint32_t)((first + n_done) % load->n_customers);
        const touchbus_event *event = events_next(load->events, customer);
        if (event != NULL && touchbus_publisher_publish(load->publishers[load->turn], event,
                                                        (void *)(intptr_t)now_us) == 0) {
            n_done++;
            n_full = 0;
            if (++load->n_in_turn == CHUNK) {
                next_turn(load);
            }
        } else {
            n_full++;
            next_turn(load);
        }
    }
    return n_done;
}

void load_run(struct load *load, int timeout_ms) {
    zmq_pollitem_t items[LOAD_PUBLISHERS];
    int acks = 0;
    for (int i = 0; i < LOAD_PUBLISHERS; i++) {
        acks += touchbus_publisher_run(load->publishers[i], 0);
        items[i] = (zmq_pollitem_t){.socket = touchbus_publisher_socket(load->publishers[i]),
                                    .events = ZMQ_POLLIN};
    }
    if (acks == 0 && timeout_ms > 0) {
        zmq_poll(items, LOAD_PUBLISHERS, timeout_ms);
    }
}

bool load_flush(struct load *load, int timeout_ms) {
    int64_t end_us = clock_monotonic_us() + timeout_ms * CLOCK_US_PER_MS;
    for (;;) {
        size_t pending = 0;
        load_run(load, CONNECT_STEP_MS);
        for (int i = 0; i < LOAD_PUBLISHERS; i++) {
            pending += touchbus_publisher_pending(load->publishers[i]);
        }
        if (pending == 0 || clock_monotonic_us() > end_us) {
            return pending == 0;
        }
    }
}
