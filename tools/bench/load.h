// SPDX-License-Identifier: Apache-2.0
// Twenty publishers, one of them unnumbered, that share the events among them.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connectors/client/touchbus.h"
#include "tools/bench/events.h"
#include "tools/bench/samples.h"

enum { LOAD_PUBLISHERS = 20, LOAD_NUMBERED = 19 };

struct load {
    struct events *events;
    touchbus_publisher *publishers[LOAD_PUBLISHERS];
    uint32_t n_customers;
    uint64_t random;
    unsigned turn, n_in_turn; // which publisher, and how many events it has had in a row
    uint64_t n_acked, n_refused;
    uint32_t last_refusal;
    struct samples *latency; // of acks, NULL: not wanted
};

// in_flight: events, over all publishers. 0; negative errno.
int load_open(struct load *load, const char *broker, struct events *events, uint32_t n_customers,
              uint32_t in_flight);
void load_close(struct load *load);
// Whether every publisher is answered within timeout_ms.
bool load_connected(struct load *load, int timeout_ms);
// Publishes up to n events of random customers (from first on, in order, where first is not
// UINT32_MAX), as far as there is room. Returns how many.
uint64_t load_publish(struct load *load, uint64_t n, uint32_t first);
// Takes the acks that are there; waits up to timeout_ms for the first one where there is none.
void load_run(struct load *load, int timeout_ms);
// Waits for every ack. False: they did not come.
bool load_flush(struct load *load, int timeout_ms);
