// SPDX-License-Identifier: Apache-2.0
// What keeps the lanes of a named subscriber in order here, where events come ahead of the ack: an
// event is given to the program when the one before it in each of its lanes is delivered; behind
// one that failed, what the broker had sent before it heard of that is forgotten, for it comes
// again. The broker takes back by the same rule (Subscribe.lane_ahead). No socket here.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schemas/base/lane_table.h"

struct gate {
    bool ahead;              // the broker sends a lane's events ahead, and takes back
    struct lane_table lanes; // those with an event out, or failed
    struct gate_lane *spare; // the record released last
    uint64_t n_failures;     // told on this connection
    size_t n_failed;         // lanes that wait for the broker to hear of it
};

enum gate_verdict {
    GATE_OPEN,   // give it
    GATE_CLOSED, // an event of one of its lanes is with the program
    GATE_FORGET, // behind a failure: it comes again
};

void gate_clear(struct gate *gate); // no connection: nothing is out, nothing comes ahead
// Of the next event, which came in a Delivery that had heard of so many failures. What is forgotten
// is a failure of its lanes in turn. 0 and *ret, or -ENOMEM.
int gate_judge(struct gate *gate, const uint64_t *lanes, size_t n_lanes, uint64_t heard,
               enum gate_verdict *ret);
// It is given to the program. 0 or -ENOMEM.
int gate_enter(struct gate *gate, const uint64_t *lanes, size_t n_lanes, uint64_t sequence);
// Whether the program has it and has not settled it.
bool gate_has(const struct gate *gate, const uint64_t *lanes, size_t n_lanes, uint64_t sequence);
void gate_delivered(struct gate *gate, const uint64_t *lanes, size_t n_lanes, uint64_t sequence);
// Its failure is told to the broker.
void gate_failed(struct gate *gate, const uint64_t *lanes, size_t n_lanes, uint64_t sequence);
// A Delivery says how many failures the broker had heard of.
void gate_heard(struct gate *gate, uint64_t heard);
