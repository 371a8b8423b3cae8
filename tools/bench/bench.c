// SPDX-License-Identifier: Apache-2.0
// touchbus bench: options, the phases in their order, and the figures as a table or as JSON.
#include "tools/bench.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schemas/base/clock.h"
#include "schemas/base/options.h"
#include "schemas/base/scheduling.h"
#include "tools/bench/phases.h"

enum { EXIT_DONE = 0, EXIT_NO = 1, EXIT_USAGE = 2, EXIT_AWAY = 3, CONNECT_MS = 60000 };

struct bench_conf {
    char *broker, *spawn, *state;
    int64_t seconds, customers, in_flight, query_rate;
    bool json;
};

#define MEMBER(name) offsetof(struct bench_conf, name)
static const struct option_row rows[] = {
    {.name = "broker",
     .short_name = 'b',
     .type = OPTION_STRING,
     .offset = MEMBER(broker),
     .argument = "HOST:PORT",
     .help = "Measure this broker, which keeps the events. Without it and without TOUCHBUS_BROKER "
             "of the environment a broker of its own is started in a temporary state folder."},
    {.name = "spawn",
     .type = OPTION_STRING,
     .offset = MEMBER(spawn),
     .argument = "PROGRAM",
     .help = "The broker to start. Default: touchbusd beside this program."},
    {.name = "state",
     .type = OPTION_STRING,
     .offset = MEMBER(state),
     .default_text = "/var/tmp",
     .argument = "DIR",
     .help = "Where the temporary state folder is made: on the disk to be measured."},
    {.name = "seconds",
     .short_name = 's',
     .type = OPTION_INTEGER,
     .offset = MEMBER(seconds),
     .default_text = "20",
     .min = 1,
     .max = 86400,
     .argument = "N",
     .help = "How long each phase takes at least."},
    {.name = "customers",
     .type = OPTION_INTEGER,
     .offset = MEMBER(customers),
     .default_text = "100000",
     .min = 1,
     .max = 10000000,
     .argument = "N",
     .help = "How many customers the events belong to."},
    {.name = "in-flight",
     .type = OPTION_INTEGER,
     .offset = MEMBER(in_flight),
     .default_text = "8000",
     .min = LOAD_PUBLISHERS,
     .max = 1000000,
     .argument = "N",
     .help = "Events in flight at saturation, over all publishers."},
    {.name = "query-rate",
     .type = OPTION_INTEGER,
     .offset = MEMBER(query_rate),
     .default_text = "200",
     .min = 1,
     .max = 100000,
     .argument = "N",
     .help = "Queries a second in the last phase, one at a time."},
    {.name = "json",
     .short_name = 'j',
     .type = OPTION_BOOL,
     .offset = MEMBER(json),
     .help = "Print one JSON object."},
};

static const struct option_page page = {
    .program = "touchbus bench",
    .synopsis = "[options]",
    .description =
        "Measures a broker over real sockets. Reports events acked a second with everything on "
        "disk and in "
        "the customer view, latencies with one event in flight and at saturation, delivery to "
        "three named subscriptions, replay, and queries while publishing at 70 % of the peak. "
        "Twenty publishers, one of them unnumbered, send six types of events of about 300 bytes.",
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(*rows),
    .after = "EXIT STATUS\n"
             "       0 done; 1 a phase failed; 2 wrong usage; 3 the broker is not there\n",
};

// ---- figures

struct figures {
    int64_t customers, events;
    double event_bytes;
};

static void print_json(const struct bench *bench, const struct figures *figures) {
    json_t *json = json_pack(
        "{s:f, s:i, s:i, s:i, s:f, s:f, s:i, s:i, s:I, s:f, s:I, s:f}", "acked_per_s",
        bench->acked_per_s, "ack_p50_us", (int)bench->ack_p50_us, "ack_p99_us",
        (int)bench->ack_p99_us, "single_p50_us", (int)bench->single_p50_us, "deliver_per_s",
        bench->deliver_per_s, "replay_per_s", bench->replay_per_s, "query_p50_us",
        (int)bench->query_p50_us, "query_p99_us", (int)bench->query_p99_us, "customers",
        (json_int_t)figures->customers, "event_bytes", figures->event_bytes, "events",
        (json_int_t)figures->events, "paced_per_s", bench->paced_per_s);
    if (json != NULL) {
        json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
        putchar('\n');
    }
    json_decref(json);
}

static void print_table(const struct bench *bench, const struct figures *figures) {
    printf("acked, on disk and in the view %10.0f events/s\n", bench->acked_per_s);
    printf("  publish to ack, saturation   %10" PRIu32 " us median, %" PRIu32 " us p99\n",
           bench->ack_p50_us, bench->ack_p99_us);
    printf("  publish to ack, one in flight%10" PRIu32 " us median\n", bench->single_p50_us);
    printf("delivered to three together    %10.0f events/s\n", bench->deliver_per_s);
    printf("replayed to one                %10.0f events/s\n", bench->replay_per_s);
    printf("query at %6.0f events/s       %10" PRIu32 " us median, %" PRIu32 " us p99\n",
           bench->paced_per_s, bench->query_p50_us, bench->query_p99_us);
    printf("%" PRId64 " customers, %" PRId64 " events in the log, %.0f bytes each\n",
           figures->customers, figures->events, figures->event_bytes);
}

// ---- the run

static int run_phases(struct bench *bench) {
    size_t n;
    const struct phase *phases = phases_rows(&n);
    for (size_t i = 0; i < n; i++) {
        if (isatty(STDERR_FILENO)) {
            fprintf(stderr, "%zu/%zu %s: %s\n", i + 1, n, phases[i].name, phases[i].what);
        }
        if (phases[i].run(bench) != 0) {
            fprintf(stderr, "touchbus bench: %s failed\n", phases[i].name);
            return EXIT_NO;
        }
    }
    return EXIT_DONE;
}

static int measure(struct bench *bench, const struct bench_conf *conf) {
    struct events *events = events_new(bench->n_customers);
    struct figures figures = {.event_bytes = events == NULL ? 0 : events_bytes_mean(events)};
    if (events == NULL || load_open(&bench->load, bench->house.broker, events, bench->n_customers,
                                    (uint32_t)conf->in_flight) != 0) {
        fprintf(stderr, "touchbus bench: not an address, or not enough memory\n");
        events_free(events);
        return EXIT_USAGE;
    }
    int status = EXIT_AWAY;
    if (load_connected(&bench->load, CONNECT_MS)) {
        status = run_phases(bench);
    } else {
        fprintf(stderr, "touchbus bench: no broker at %s\n", bench->house.broker);
    }
    load_close(&bench->load);
    events_free(events);
    if (status == EXIT_DONE) {
        int64_t first = house_number(&bench->house, "log.info", "first");
        figures.events = house_number(&bench->house, "log.info", "next") - first;
        figures.customers = house_number(&bench->house, "status", "customers");
        (conf->json ? print_json : print_table)(bench, &figures);
    }
    return status;
}

int bench_main(int argc, char **argv) {
    struct bench_conf conf = {0};
    int operand;
    int r = options_parse(&page, &conf, argc, argv, &operand);
    if (r != 0) {
        return r == OPTIONS_DONE ? EXIT_DONE : EXIT_USAGE;
    }
    // As a service desk would: who asks beside the load is not to wait for the load's own slices.
    scheduling_prompt();
    struct bench bench = {.seconds = (double)conf.seconds,
                          .n_customers = (uint32_t)conf.customers,
                          .queries_per_s = conf.query_rate};
    int status = EXIT_USAGE;
    if (operand < argc) {
        fprintf(stderr, "touchbus bench: '%s' is one word too many\n", argv[operand]);
    } else {
        bool ours =
            conf.spawn != NULL || (conf.broker == NULL && getenv("TOUCHBUS_BROKER") == NULL);
        r = ours ? house_start(&bench.house, conf.spawn, conf.state)
                 : house_use(&bench.house, conf.broker);
        status = r != 0 ? (ours ? EXIT_AWAY : EXIT_USAGE) : measure(&bench, &conf);
        house_close(&bench.house);
    }
    options_clear(&page, &conf);
    return status;
}
