// SPDX-License-Identifier: Apache-2.0
// touchbus customer: what the view knows of one customer.
#include "tools/touchbus/groups.h"

struct customer_conf {
    struct globals globals;
    int64_t limit, before;
};

static int run_show(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    touchbus_argument argument;
    if (!tool_customer_argument(argv[0], &argument)) {
        return TOOL_USAGE;
    }
    return tool_show(
        tool, &(struct ask){.verb = "customer.show", .arguments = &argument, .n_arguments = 1});
}

const struct command command_customer_show = {
    .name = "customer show",
    .synopsis = "KIND=VALUE | CUSTOMER",
    .description = "Show a customer: keys, attributes with the sequence that set each, counters, "
                   "the last interactions, orders and quotes.",
    .after = "EXAMPLES\n       touchbus customer show email=ana@klant.example\n"
             "       touchbus -j customer show c42 --min-seq 1000\n",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_show,
};

static int run_timeline(struct tool *tool, const void *conf_data, int argc, char **argv) {
    static const char *const columns[] = {"sequence", "SEQUENCE", "time",    "TIME", "type",
                                          "TYPE",     "channel",  "CHANNEL", NULL};
    (void)argc;
    const struct customer_conf *conf = conf_data;
    touchbus_argument arguments[3];
    char limit[24], before[24];
    if (!tool_customer_argument(argv[0], &arguments[0])) {
        return TOOL_USAGE;
    }
    snprintf(limit, sizeof(limit), "%lld", (long long)conf->limit);
    snprintf(before, sizeof(before), "%lld", (long long)conf->before);
    arguments[1] = (touchbus_argument){"limit", limit};
    arguments[2] = (touchbus_argument){"before", before};
    return tool_list(
        tool, &(struct ask){.verb = "customer.timeline", .arguments = arguments, .n_arguments = 3},
        columns);
}

static const struct option_row timeline_rows[] = {
    {.name = "limit",
     .short_name = 'n',
     .type = OPTION_INTEGER,
     .offset = offsetof(struct customer_conf, limit),
     .default_text = "50",
     .min = 1,
     .max = 1000,
     .argument = "N",
     .help = "So many interactions."},
    {.name = "before",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct customer_conf, before),
     .default_text = "0",
     .min = 0,
     .max = INT64_MAX,
     .argument = "SEQUENCE",
     .help = "Only older ones; 0: from the newest on."},
};

const struct command command_customer_timeline = {
    .name = "customer timeline",
    .synopsis = "KIND=VALUE | CUSTOMER [--limit N] [--before SEQUENCE]",
    .description = "List a customer's interactions over all channels, newest first.",
    .after = "EXAMPLES\n"
             "       touchbus customer timeline phone=+31612345678\n"
             "       touchbus customer timeline c42 -n 10 --before 8000\n",
    TOOL_ROWS(timeline_rows),
    .conf_size = sizeof(struct customer_conf),
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_timeline,
};

// ---- export: the profile, then the events, one JSON object a line

static void print_part(struct tool *tool, const json_t *part, void *user) {
    (void)tool;
    (void)user;
    const json_t *profile = json_object_get(part, "profile");
    if (profile != NULL) {
        output_line(profile);
    }
    size_t i;
    const json_t *event;
    json_array_foreach(json_object_get(part, "events"), i, event) {
        output_line(event);
    }
}

static int run_export(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    touchbus_argument argument;
    if (!tool_customer_argument(argv[0], &argument)) {
        return TOOL_USAGE;
    }
    json_t *answer = NULL;
    int status = tool_ask(tool,
                          &(struct ask){.verb = "customer.export",
                                        .arguments = &argument,
                                        .n_arguments = 1,
                                        .is_long = true,
                                        .on_part = print_part},
                          &answer);
    if (status == TOOL_DONE) {
        output_line(answer);
    }
    json_decref(answer);
    return status;
}

const struct command command_customer_export = {
    .name = "customer export",
    .synopsis = "KIND=VALUE | CUSTOMER",
    .description = "Print everything about a customer as JSON lines: the profile as 'customer "
                   "show' gives it, then each event the log still has as CloudEvents, then a line "
                   "that counts them.",
    .after = "EXAMPLES\n"
             "       touchbus customer export email=ana@klant.example >ana.jsonl\n",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_export,
};
