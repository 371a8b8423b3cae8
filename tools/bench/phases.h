// SPDX-License-Identifier: Apache-2.0
// What is measured, one phase after the other. Each runs for at least bench->seconds.
#pragma once

#include <stdint.h>

#include "tools/bench/house.h"
#include "tools/bench/load.h"

struct bench {
    struct house house;
    struct load load;
    double seconds;
    uint32_t n_customers;
    int64_t queries_per_s;
    // results
    double acked_per_s, deliver_per_s, replay_per_s;
    uint32_t ack_p50_us, ack_p99_us, single_p50_us, query_p50_us, query_p99_us;
    double paced_per_s; // what was acked while the queries ran
    uint64_t n_queries_failed;
};

struct phase {
    const char *name, *what;
    int (*run)(struct bench *bench); // 0; negative errno, said on stderr
};
const struct phase *phases_rows(size_t *ret_n);

// What the phases share: when this one ends (monotonic microseconds); how many a second; a line on
// stderr and -EIO.
int64_t phase_end(const struct bench *bench);
double phase_rate(uint64_t n, int64_t from_us, int64_t to_us);
int phase_complain(const char *what);
// phases_out.c
int phase_deliver(struct bench *bench);
int phase_replay(struct bench *bench);
