// SPDX-License-Identifier: Apache-2.0
// touchbus scorecard: how channels, hours and tiers did, in figures.
#include <string.h>

#include "schemas/base/clock.h"
#include "tools/touchbus/groups.h"

enum { BY_MAX = 3 };

struct scorecard_conf {
    struct globals globals;
    struct option_list by;
    int64_t since_us, until_us;
    char *channel;
};

struct printing {
    struct table *table; // NULL: JSON lines
};

// Milliseconds as seconds for people.
static void put_seconds(json_t *cells, const json_t *row, const char *list, const char *member,
                        const char *name) {
    const json_t *value = json_object_get(json_object_get(row, list), member);
    char text[32];
    snprintf(text, sizeof(text), "%.1f s", (double)json_integer_value(value) / 1000);
    json_object_set_new(cells, name, value != NULL ? json_string(text) : json_null());
}

static void print_part(struct tool *tool, const json_t *part, void *user) {
    const struct printing *printing = user;
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(part, "rows"), i, row) {
        if (tool->json) {
            output_line(row);
            continue;
        }
        json_t *cells = json_copy(row);
        put_seconds(cells, row, "waiting", "p50_ms", "waiting_p50");
        put_seconds(cells, row, "waiting", "p90_ms", "waiting_p90");
        put_seconds(cells, row, "handling", "p50_ms", "handling_p50");
        put_seconds(cells, row, "response", "p50_ms", "response_p50");
        table_add(printing->table, cells);
        json_decref(cells);
    }
}

static bool is_by(const struct scorecard_conf *conf, const char *name) {
    for (size_t i = 0; i < conf->by.n_values; i++) {
        if (strcmp(conf->by.values[i], name) == 0) {
            return true;
        }
    }
    return conf->by.n_values == 0 && strcmp(name, "channel") == 0;
}

// What it is by, then what fits a terminal.
static struct table *new_table(const struct scorecard_conf *conf) {
    static const char *const dimensions[] = {"hour", "HOUR", "channel", "CHANNEL", "tier", "TIER"};
    static const char *const figures[] = {
        "contacts",     "CONTACTS",  "handled",     "HANDLED",  "abandoned",        "ABANDONED",
        "waiting_p50",  "WAIT P50",  "waiting_p90", "WAIT P90", "handling_p50",     "HANDLING P50",
        "response_p50", "REPLY P50", "cost",        "COST",     "cost_per_contact", "EACH",
        "orders",       "ORDERS",    "revenue",     "REVENUE",  "margin",           "MARGIN",
        "roi",          "ROI"};
    enum { N_DIMENSIONS = sizeof(dimensions) / sizeof(dimensions[0]) };
    enum { N_FIGURES = sizeof(figures) / sizeof(figures[0]) };
    const char *columns[N_DIMENSIONS + N_FIGURES + 1] = {NULL};
    size_t n = 0;
    for (size_t i = 0; i < N_DIMENSIONS; i += 2) {
        if (is_by(conf, dimensions[i])) {
            columns[n++] = dimensions[i];
            columns[n++] = dimensions[i + 1];
        }
    }
    memcpy(columns + n, figures, sizeof(figures));
    return table_new(columns);
}

static void print_rest(struct tool *tool, const json_t *answer) {
    if (tool->json) {
        output_line(answer);
        return;
    }
    json_t *rest = json_copy((json_t *)(uintptr_t)answer);
    json_object_del(rest, "given");
    putchar('\n');
    output_object(rest);
    json_decref(rest);
}

static int run_scorecard(struct tool *tool, const void *conf_data, int argc, char **argv) {
    (void)argc;
    (void)argv;
    const struct scorecard_conf *conf = conf_data;
    touchbus_argument arguments[BY_MAX + 3];
    char since[CLOCK_TEXT_BYTES], until[CLOCK_TEXT_BYTES];
    size_t n = 0;
    if (conf->by.n_values > BY_MAX) {
        tool_complain("--by: hour, channel and tier, each once");
        return TOOL_USAGE;
    }
    for (size_t i = 0; i < conf->by.n_values; i++) {
        arguments[n++] = (touchbus_argument){"by", conf->by.values[i]};
    }
    if (conf->since_us > 0) {
        clock_format_rfc3339(clock_now_us() - conf->since_us, since);
        arguments[n++] = (touchbus_argument){"since", since};
    }
    if (conf->until_us > 0) {
        clock_format_rfc3339(clock_now_us() - conf->until_us, until);
        arguments[n++] = (touchbus_argument){"until", until};
    }
    if (conf->channel != NULL) {
        arguments[n++] = (touchbus_argument){"channel", conf->channel};
    }
    struct printing printing = {.table = tool->json ? NULL : new_table(conf)};
    json_t *answer = NULL;
    int status = tool_ask(tool,
                          &(struct ask){.verb = "scorecard",
                                        .arguments = arguments,
                                        .n_arguments = n,
                                        .is_long = true,
                                        .on_part = print_part,
                                        .user = &printing},
                          &answer);
    if (printing.table != NULL) {
        table_free(printing.table);
    }
    if (status == TOOL_DONE) {
        print_rest(tool, answer);
    }
    json_decref(answer);
    return status;
}

static const struct option_row rows[] = {
    {.name = "by",
     .type = OPTION_LIST,
     .offset = offsetof(struct scorecard_conf, by),
     .argument = "hour|channel|tier",
     .help = "A row for each of these; may be given several times. Without it: channel."},
    {.name = "since",
     .type = OPTION_DURATION,
     .offset = offsetof(struct scorecard_conf, since_us),
     .default_text = "0s",
     .min = 0,
     .max = INT64_MAX,
     .argument = "TIME",
     .help = "Whole hours from so long ago on, e.g. 7d; 0s: from the beginning."},
    {.name = "until",
     .type = OPTION_DURATION,
     .offset = offsetof(struct scorecard_conf, until_us),
     .default_text = "0s",
     .min = 0,
     .max = INT64_MAX,
     .argument = "TIME",
     .help = "Up to so long ago; 0s: up to now."},
    {.name = "channel",
     .type = OPTION_STRING,
     .offset = offsetof(struct scorecard_conf, channel),
     .argument = "NAME",
     .help = "Only this channel."},
};

const struct command command_scorecard = {
    .name = "scorecard",
    .synopsis = "[--by hour|channel|tier]... [--since TIME] [--until TIME] [--channel NAME]",
    .description =
        "Show what contacts cost and brought, and how long people waited. A row a channel, hour "
        "(UTC) or tier of the customer when it happened; then quarantined events by source and "
        "what is left of this month's budgets. With -j a line a row, and one for the rest.",
    .after = "EXAMPLES\n"
             "       touchbus scorecard --since 7d\n"
             "       touchbus -j scorecard --by channel --by tier | jq -c 'select(.channel)'\n",
    TOOL_ROWS(rows),
    .conf_size = sizeof(struct scorecard_conf),
    .run = run_scorecard,
};
