// SPDX-License-Identifier: Apache-2.0
// touchbus top: status again and again, counters as rates. On a terminal the screen is drawn anew;
// otherwise a line an interval.
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "schemas/base/clock.h"
#include "tools/touchbus/groups.h"

struct top_conf {
    struct globals globals;
    int64_t interval_us, count;
};

static const struct option_row rows[] = {
    {.name = "interval",
     .type = OPTION_DURATION,
     .offset = offsetof(struct top_conf, interval_us),
     .default_text = "1s",
     .min = 100000,
     .max = INT64_C(3600) * 1000000,
     .argument = "TIME",
     .help = "Between two looks."},
    {.name = "count",
     .short_name = 'n',
     .type = OPTION_INTEGER,
     .offset = offsetof(struct top_conf, count),
     .default_text = "0",
     .min = 0,
     .max = INT64_MAX,
     .argument = "N",
     .help = "End after N looks; 0 goes on."},
};

static const char *const shown[] = {"events",    "duplicates", "refused", "quarantined",
                                    "delivered", "retried",    "ticks"};
enum { N_SHOWN = sizeof(shown) / sizeof(shown[0]) };

struct look {
    int64_t at_us;
    json_int_t counters[N_SHOWN];
    double rates[N_SHOWN];
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

static void take_counters(struct look *look, const json_t *status, bool is_first) {
    int64_t now_us = clock_monotonic_us();
    double seconds = (double)(now_us - look->at_us) / CLOCK_US_PER_S;
    for (size_t i = 0; i < N_SHOWN; i++) {
        json_int_t number =
            json_integer_value(json_object_get(json_object_get(status, "counters"), shown[i]));
        look->rates[i] =
            is_first || seconds <= 0 ? 0 : (double)(number - look->counters[i]) / seconds;
        look->counters[i] = number;
    }
    look->at_us = now_us;
}

static json_t *look_json(const struct look *look, const json_t *status) {
    json_t *rates = json_object();
    for (size_t i = 0; i < N_SHOWN; i++) {
        json_object_set_new(rates, shown[i], json_real(look->rates[i]));
    }
    return json_pack(
        "{s:o, s:O?, s:O?, s:O?, s:O?}", "per_s", rates, "log", json_object_get(status, "log"),
        "memory_bytes", json_object_get(status, "memory_bytes"), "subscriptions",
        json_object_get(status, "subscriptions"), "as_of", json_object_get(status, "as_of"));
}

static void print_subscriptions(const json_t *status) {
    static const char *const columns[] = {"name",    "NAME",    "state",  "STATE",  "lag", "LAG",
                                          "members", "MEMBERS", "parked", "PARKED", NULL};
    struct table *table = table_new(columns);
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(status, "subscriptions"), i, row) {
        table_add(table, row);
    }
    table_free(table);
}

static void print_screen(const struct look *look, const json_t *status) {
    const json_t *log = json_object_get(status, "log");
    fputs("\033[H\033[J", stdout);
    printf("touchbus  sequence %lld  log %lld MiB  memory %lld MiB  customers %lld\n\n",
           (long long)json_integer_value(json_object_get(log, "next")) - 1,
           (long long)json_integer_value(json_object_get(log, "bytes")) >> 20,
           (long long)json_integer_value(json_object_get(status, "memory_bytes")) >> 20,
           (long long)json_integer_value(json_object_get(status, "customers")));
    for (size_t i = 0; i < N_SHOWN; i++) {
        printf("%-12s %12.0f /s %14lld\n", shown[i], look->rates[i], (long long)look->counters[i]);
    }
    putchar('\n');
    print_subscriptions(status);
}

static void print_line(const struct look *look, const json_t *status) {
    printf("sequence %lld",
           (long long)json_integer_value(json_object_get(json_object_get(status, "log"), "next")) -
               1);
    for (size_t i = 0; i < N_SHOWN; i++) {
        printf("  %s %.0f/s", shown[i], look->rates[i]);
    }
    putchar('\n');
}

static int look_once(struct tool *tool, struct look *look, bool is_first) {
    json_t *status = NULL;
    int result = tool_ask(tool, &(struct ask){.verb = "status"}, &status);
    if (result != TOOL_DONE) {
        return result;
    }
    take_counters(look, status, is_first);
    if (tool->json) {
        json_t *json = look_json(look, status);
        output_line(json);
        json_decref(json);
    } else if (isatty(STDOUT_FILENO)) {
        print_screen(look, status);
    } else {
        print_line(look, status);
    }
    json_decref(status);
    return output_flush() ? TOOL_DONE : TOOL_NO;
}

static int run(struct tool *tool, const void *conf_data, int argc, char **argv) {
    (void)argc;
    (void)argv;
    const struct top_conf *conf = conf_data;
    struct look look = {0};
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    int status = TOOL_DONE;
    for (int64_t i = 0; !interrupted && status == TOOL_DONE; i++) {
        status = look_once(tool, &look, i == 0);
        if (conf->count > 0 && i + 1 >= conf->count) {
            break;
        }
        const struct timespec pause = {.tv_sec = conf->interval_us / CLOCK_US_PER_S,
                                       .tv_nsec = conf->interval_us % CLOCK_US_PER_S * 1000};
        nanosleep(&pause, NULL);
    }
    return status;
}

const struct command command_top = {
    .name = "top",
    .synopsis = "[--interval TIME] [--count N]",
    .description = "Watch the broker: what it takes in and hands out a second, and how far each "
                   "subscription is. Ctrl-C ends it.",
    .after = "EXAMPLES\n"
             "       touchbus top\n"
             "       touchbus -j top --interval 10s >>rates.jsonl\n",
    TOOL_ROWS(rows),
    .conf_size = sizeof(struct top_conf),
    .run = run,
};
