// SPDX-License-Identifier: Apache-2.0
// What the load generators of all systems share: options, when a job begins and ends, its pace, and
// the one line of JSON it prints. A job counts what was answered between its start and its last
// answer, so that nothing that was only sent is counted.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/source.h"
#include "tools/bench/samples.h"

enum { JOB_WAIT_MS_MAX = 60000 }; // for answers that are outstanding at the end

struct job_conf {
    char *server, *name, *file, *variant, *work, *zipf;
    int64_t customers, seed, bytes, first, connections, in_flight, rate, count, duration_us;
    bool waits;
};

struct job {
    struct job_conf conf;
    struct source *source;
    // results
    uint64_t n, n_failed;
    int64_t from_us, to_us; // monotonic
    int64_t cpu_us;         // this process's processor time from the start to the end
    struct samples latency, other;
};

struct job_mode {
    const char *name, *what;
    int (*run)(struct job *job); // 0; negative errno, said on stderr
};

struct job_program {
    const char *name, *description;
    const struct job_mode *modes;
    size_t n_modes;
    bool with_id; // the source's bytes carry id and source
};

// A program's main.
int job_main(const struct job_program *program, int argc, char **argv);

// With --wait says on stderr that the job is ready and reads a line from stdin. The start is
// from_us.
void job_start(struct job *job);
void job_end(struct job *job); // to_us is now; what the job does afterwards is not counted
bool job_goes_on(const struct job *job); // its time is not over
// How many events may be sent now so that --rate is kept; UINT64_MAX where there is none.
uint64_t job_allowance(const struct job *job, uint64_t n_sent);
// Sleeps until one more than n_done is due by --rate: whoever looks for its turn again and again
// uses up the share of the processor with which it would go before others when its answer comes.
void job_await_turn(const struct job *job, uint64_t n_done);
int job_complain(const struct job *job, const char *what); // a line on stderr; -EIO
