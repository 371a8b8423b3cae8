// SPDX-License-Identifier: Apache-2.0
// The lanes of gate.h: one small record for each that has an event out or has failed; none where
// nothing is out, so the table stays as small as what the program holds.
#include "connectors/client/gate.h"

#include <errno.h>
#include <stdlib.h>

#include "schemas/base/guards.h"

struct gate_lane {
    uint64_t sequence; // of the event that is out; 0: none
    uint64_t failed;   // the failure behind which its events are forgotten; 0: none
};

// Frees a record that says nothing any more.
static void lane_release(struct gate *gate, uint64_t number, struct gate_lane *lane) {
    if (lane->sequence == 0 && lane->failed == 0) {
        lane_table_remove(&gate->lanes, number);
        free(gate->spare);
        gate->spare = lane;
    }
}

static struct gate_lane *lane_get(struct gate *gate, uint64_t number) {
    struct gate_lane *lane = lane_table_get(&gate->lanes, number);
    if (lane != NULL) {
        return lane;
    }
    if (lane_table_reserve(&gate->lanes) != 0) {
        return NULL;
    }
    lane = gate->spare != NULL ? gate->spare : malloc(sizeof(*lane));
    if (lane != NULL) {
        gate->spare = NULL;
        *lane = (struct gate_lane){0};
        lane_table_put(&gate->lanes, number, lane);
    }
    return lane;
}

void gate_clear(struct gate *gate) {
    for (size_t i = 0; i < gate->lanes.n_cells; i++) {
        free(gate->lanes.cells[i].value);
    }
    lane_table_clear(&gate->lanes);
    free(gate->spare);
    *gate = (struct gate){0};
}

static void lane_fail(struct gate *gate, struct gate_lane *lane, uint64_t failure) {
    if (GUARD(gate_ahead) && !gate->ahead) {
        return; // it will not say that it has heard
    }
    gate->n_failed += lane->failed == 0;
    lane->failed = failure;
}

// The failure is in the lanes of what is forgotten behind it, too.
static int forget(struct gate *gate, const uint64_t *lanes, size_t n_lanes, uint64_t failure) {
    for (size_t i = 0; i < n_lanes; i++) {
        struct gate_lane *lane = lane_get(gate, lanes[i]);
        if (lane == NULL) {
            return -ENOMEM;
        }
        if (lane->failed < failure) {
            lane_fail(gate, lane, failure);
        }
    }
    return 0;
}

int gate_judge(struct gate *gate, const uint64_t *lanes, size_t n_lanes, uint64_t heard,
               enum gate_verdict *ret) {
    uint64_t failure = 0;
    bool is_out = false;
    for (size_t i = 0; i < n_lanes; i++) {
        const struct gate_lane *lane = lane_table_get(&gate->lanes, lanes[i]);
        is_out = is_out || (lane != NULL && lane->sequence != 0);
        if (lane != NULL && lane->failed > heard && lane->failed > failure) {
            failure = lane->failed;
        }
    }
    if (GUARD(gate_forgets) && failure != 0) {
        *ret = GATE_FORGET;
        return forget(gate, lanes, n_lanes, failure);
    }
    *ret = GUARD(gate_closed) && is_out ? GATE_CLOSED : GATE_OPEN;
    return 0;
}

int gate_enter(struct gate *gate, const uint64_t *lanes, size_t n_lanes, uint64_t sequence) {
    for (size_t i = 1; i < n_lanes; i++) {
        if (lane_get(gate, lanes[i]) == NULL) { // all room first
            return -ENOMEM;
        }
    }
    for (size_t i = 0; i < n_lanes; i++) {
        struct gate_lane *lane = lane_get(gate, lanes[i]);
        if (lane == NULL) { // the first one, before anything was written
            return -ENOMEM;
        }
        lane->sequence = sequence;
    }
    return 0;
}

bool gate_has(const struct gate *gate, const uint64_t *lanes, size_t n_lanes, uint64_t sequence) {
    const struct gate_lane *lane = n_lanes > 0 ? lane_table_get(&gate->lanes, lanes[0]) : NULL;
    return n_lanes == 0 || (lane != NULL && lane->sequence == sequence);
}

void gate_delivered(struct gate *gate, const uint64_t *lanes, size_t n_lanes, uint64_t sequence) {
    for (size_t i = 0; i < n_lanes; i++) {
        struct gate_lane *lane = lane_table_get(&gate->lanes, lanes[i]);
        if (lane != NULL && lane->sequence == sequence) {
            lane->sequence = 0;
            lane_release(gate, lanes[i], lane);
        }
    }
}

void gate_failed(struct gate *gate, const uint64_t *lanes, size_t n_lanes, uint64_t sequence) {
    gate->n_failures++;
    for (size_t i = 0; i < n_lanes; i++) {
        struct gate_lane *lane = lane_table_get(&gate->lanes, lanes[i]);
        if (lane != NULL && lane->sequence == sequence) {
            lane->sequence = 0;
            lane_fail(gate, lane, gate->n_failures);
            lane_release(gate, lanes[i], lane);
        }
    }
}

void gate_heard(struct gate *gate, uint64_t heard) {
    for (size_t i = 0; gate->n_failed > 0 && i < gate->lanes.n_cells;) {
        uint64_t number = gate->lanes.cells[i].key;
        struct gate_lane *lane = gate->lanes.cells[i].value;
        if (lane != NULL && lane->failed != 0 && lane->failed <= heard) {
            lane->failed = 0;
            gate->n_failed--;
            lane_release(gate, number, lane); // shifts others back: look at this cell again
        } else {
            i++;
        }
    }
}
