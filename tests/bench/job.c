// SPDX-License-Identifier: Apache-2.0
// The frame of a load generator, see job.h.
#include "tests/bench/job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "schemas/base/clock.h"
#include "schemas/base/options.h"

#define MEMBER(name) offsetof(struct job_conf, name)
static const struct option_row rows[] = {
    {.name = "server",
     .type = OPTION_STRING,
     .offset = MEMBER(server),
     .argument = "HOST:PORT",
     .default_text = "127.0.0.1:7400",
     .help = "The system under load."},
    {.name = "name",
     .type = OPTION_STRING,
     .offset = MEMBER(name),
     .argument = "NAME",
     .default_text = "bench",
     .help = "Of a subscription or consumer."},
    {.name = "file",
     .type = OPTION_STRING,
     .offset = MEMBER(file),
     .argument = "FILE",
     .help = "What single appends to, in turn with publishing."},
    {.name = "variant",
     .type = OPTION_STRING,
     .offset = MEMBER(variant),
     .argument = "NAME",
     .default_text = "",
     .help = "A way to do it, of those the mode names."},
    {.name = "work",
     .type = OPTION_STRING,
     .offset = MEMBER(work),
     .argument = "plain|mix",
     .default_text = "plain",
     .help = "Interactions alone, or with carts, feedback and orders."},
    {.name = "zipf",
     .type = OPTION_STRING,
     .offset = MEMBER(zipf),
     .argument = "EXPONENT",
     .default_text = "0",
     .help = "Customers by Zipf's law. 0: uniform."},
    {.name = "customers",
     .type = OPTION_INTEGER,
     .offset = MEMBER(customers),
     .argument = "N",
     .default_text = "100000",
     .min = 1,
     .max = SOURCE_CUSTOMERS_MAX,
     .help = "How many there are."},
    {.name = "seed",
     .type = OPTION_INTEGER,
     .offset = MEMBER(seed),
     .argument = "N",
     .default_text = "0",
     .max = 999,
     .help = "Of customers and numbers."},
    {.name = "bytes",
     .type = OPTION_BYTES,
     .offset = MEMBER(bytes),
     .argument = "BYTES",
     .default_text = "0",
     .max = 1 << 20,
     .help = "The size of each event. 0: about 300, as it comes."},
    {.name = "first",
     .type = OPTION_INTEGER,
     .offset = MEMBER(first),
     .argument = "N",
     .default_text = "0",
     .max = SOURCE_CUSTOMERS_MAX,
     .help = "Customers from this one on."},
    {.name = "connections",
     .type = OPTION_INTEGER,
     .offset = MEMBER(connections),
     .argument = "N",
     .default_text = "1",
     .min = 1,
     .max = 1024,
     .help = "Connections or publishers of this process."},
    {.name = "in-flight",
     .type = OPTION_INTEGER,
     .offset = MEMBER(in_flight),
     .argument = "N",
     .default_text = "8000",
     .min = 1,
     .max = 1000000,
     .help = "Events in flight over all of them."},
    {.name = "rate",
     .type = OPTION_INTEGER,
     .offset = MEMBER(rate),
     .argument = "N",
     .default_text = "0",
     .max = 100000000,
     .help = "Events, or look-ups, a second. 0: as many as go."},
    {.name = "count",
     .type = OPTION_INTEGER,
     .offset = MEMBER(count),
     .argument = "N",
     .default_text = "0",
     .max = INT64_MAX,
     .help = "End after so many. 0: when the time is over."},
    {.name = "duration",
     .type = OPTION_DURATION,
     .offset = MEMBER(duration_us),
     .argument = "TIME",
     .default_text = "5s",
     .help = "How long it goes on."},
    {.name = "wait",
     .type = OPTION_BOOL,
     .offset = MEMBER(waits),
     .help = "Say on stderr when it is ready, and start when a line is read from stdin."},
};

static int64_t cpu_us(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec * CLOCK_US_PER_S + used.tv_nsec / 1000;
}

void job_end(struct job *job) {
    job->to_us = clock_monotonic_us();
    job->cpu_us += cpu_us();
}

void job_start(struct job *job) {
    char line[16];
    if (job->conf.waits) {
        fprintf(stderr, "ready\n");
        if (fgets(line, sizeof(line), stdin) == NULL) {
            job->conf.duration_us = 0; // nobody wants it any more
        }
    }
    job->from_us = clock_monotonic_us();
    job->cpu_us = -cpu_us();
}

bool job_goes_on(const struct job *job) {
    return clock_monotonic_us() < job->from_us + job->conf.duration_us;
}

uint64_t job_allowance(const struct job *job, uint64_t n_sent) {
    if (job->conf.rate == 0) {
        return UINT64_MAX;
    }
    double passed_s = (double)(clock_monotonic_us() - job->from_us) / (double)CLOCK_US_PER_S;
    uint64_t due = (uint64_t)((double)job->conf.rate * passed_s);
    return due > n_sent ? due - n_sent : 0;
}

void job_await_turn(const struct job *job, uint64_t n_done) {
    if (job->conf.rate == 0) {
        return;
    }
    double due_s = (double)(n_done + 1) / (double)job->conf.rate;
    int64_t due_us = job->from_us + (int64_t)(due_s * (double)CLOCK_US_PER_S);
    struct timespec due = {.tv_sec = (time_t)(due_us / CLOCK_US_PER_S),
                           .tv_nsec = (long)(due_us % CLOCK_US_PER_S * 1000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR) {
    }
}

int job_complain(const struct job *job, const char *what) {
    fprintf(stderr, "bench: %s: %s\n", job->conf.server, what);
    return -EIO;
}

static void print(struct job *job) {
    if (job->cpu_us <= 0) {
        job->cpu_us += cpu_us();
    }
    double elapsed_s = (double)(job->to_us - job->from_us) / (double)CLOCK_US_PER_S;
    printf("{\"n\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"seconds\":%.6f,\"per_s\":%.1f", job->n,
           job->n_failed, elapsed_s, elapsed_s > 0 ? (double)job->n / elapsed_s : 0);
    printf(",\"p50_us\":%" PRIu32 ",\"p99_us\":%" PRIu32, samples_percentile(&job->latency, 50),
           samples_percentile(&job->latency, 99));
    printf(",\"cpu_s\":%.6f", (double)job->cpu_us / (double)CLOCK_US_PER_S);
    printf(",\"other_p50_us\":%" PRIu32 ",\"other_p99_us\":%" PRIu32 "}\n",
           samples_percentile(&job->other, 50), samples_percentile(&job->other, 99));
}

static const struct job_mode *find_mode(const struct job_program *program, const char *name) {
    for (size_t i = 0; i < program->n_modes; i++) {
        if (name != NULL && strcmp(program->modes[i].name, name) == 0) {
            return &program->modes[i];
        }
    }
    fprintf(stderr, "%s: a mode is wanted:\n", program->name);
    for (size_t i = 0; i < program->n_modes; i++) {
        fprintf(stderr, "  %-10s %s\n", program->modes[i].name, program->modes[i].what);
    }
    return NULL;
}

static int run(struct job *job, const struct job_program *program, const struct job_mode *mode) {
    job->source = source_new(&(struct source_options){
        .n_customers = (uint32_t)job->conf.customers,
        .zipf = strtod(job->conf.zipf, NULL),
        .seed = (uint64_t)job->conf.seed,
        .n_bytes = (size_t)job->conf.bytes,
        .mix = strcmp(job->conf.work, "mix") == 0,
        .with_id = program->with_id,
    });
    int r = job->source == NULL ? job_complain(job, "no events") : mode->run(job);
    if (r == 0) {
        print(job);
    }
    source_free(job->source);
    samples_clear(&job->latency);
    samples_clear(&job->other);
    return r;
}

int job_main(const struct job_program *program, int argc, char **argv) {
    const struct option_page page = {.program = program->name,
                                     .synopsis = "MODE [options]",
                                     .description = program->description,
                                     .rows = rows,
                                     .n_rows = sizeof(rows) / sizeof(*rows)};
    struct job job = {0};
    int operand;
    int r = options_parse(&page, &job.conf, argc, argv, &operand);
    if (r != 0) {
        return r == OPTIONS_DONE ? 0 : 2;
    }
    const struct job_mode *mode = find_mode(program, argv[operand]);
    r = mode == NULL ? -EINVAL : run(&job, program, mode);
    options_clear(&page, &job.conf);
    return mode == NULL ? 2 : r != 0;
}
