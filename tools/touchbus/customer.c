// SPDX-License-Identifier: Apache-2.0
// touchbus customer: what the view knows of one customer, and erasing one.
#include <string.h>

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

// ---- erase, and its receipt

static void print_states(const json_t *receipt) {
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(receipt, "waiting"), i, row) {
        printf("  %-24s pending: the broker is at it\n", json_string_value(row));
    }
    json_array_foreach(json_object_get(receipt, "connectors"), i, row) {
        const char *state = json_string_value(json_object_get(row, "state"));
        output_text(stdout, "  ");
        output_text(stdout, json_string_value(json_object_get(row, "name")));
        printf(" %s%s\n", state,
               strcmp(state, "pending") == 0 ? ": start it, or see 'touchbus parked ls'" : "");
    }
}

static void print_receipt(const struct tool *tool, const json_t *receipt) {
    if (tool->json) {
        output_line(receipt);
        return;
    }
    const char *customer = json_string_value(json_object_get(receipt, "customer"));
    const char *state = json_string_value(json_object_get(receipt, "state"));
    printf("%s was erased at %s (sequence %lld): %s\n", customer,
           json_string_value(json_object_get(receipt, "time")),
           (long long)json_integer_value(json_object_get(receipt, "sequence")), state);
    size_t i;
    const json_t *what;
    json_array_foreach(json_object_get(receipt, "done"), i, what) {
        printf("  %-24s done\n", json_string_value(what));
    }
    print_states(receipt);
    if (strcmp(state, "pending") == 0) {
        printf("Ask again with 'touchbus customer receipt %s'.\n", customer);
    }
}

static int show_receipt(struct tool *tool, const touchbus_argument *argument) {
    json_t *receipt = NULL;
    int status = tool_ask(
        tool, &(struct ask){.verb = "customer.receipt", .arguments = argument, .n_arguments = 1},
        &receipt);
    if (status == TOOL_DONE) {
        print_receipt(tool, receipt);
    }
    json_decref(receipt);
    return status;
}

static int run_erase(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    touchbus_argument argument;
    int status = TOOL_USAGE;
    if (!tool_customer_argument(argv[0], &argument) ||
        !tool_confirm(
            tool, &status,
            "Erase this customer? The key to everything known of the person is destroyed; "
            "nothing brings it back.")) {
        return status;
    }
    json_t *answer = NULL;
    status = tool_ask(
        tool, &(struct ask){.verb = "customer.erase", .arguments = &argument, .n_arguments = 1},
        &answer);
    if (status == TOOL_DONE) {
        const char *customer = json_string_value(json_object_get(answer, "customer"));
        status = show_receipt(tool, &(touchbus_argument){"customer", customer});
    }
    json_decref(answer);
    return status;
}

static int run_receipt(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    touchbus_argument argument;
    return tool_customer_argument(argv[0], &argument) ? show_receipt(tool, &argument) : TOOL_USAGE;
}

const struct command command_customer_erase = {
    .name = "customer erase",
    .synopsis = "KIND=VALUE | CUSTOMER [--yes]",
    .description =
        "Erase a person and print the receipt. The customer's key is destroyed first, so that "
        "nothing in log, view, backups and restore points can be read again; CRM, ERP, SCM and "
        "connectors are told by a privacy.changed and confirm by taking it. What still comes for "
        "the person's keys is logged redacted. The exit status is 0 while confirmations are "
        "pending, too: the receipt's state says done or pending.",
    .after = "EXAMPLES\n"
             "       touchbus customer export c42 >c42.jsonl; touchbus customer erase c42\n"
             "       touchbus -j customer erase email=ana@klant.example --yes\n",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_erase,
};

const struct command command_customer_receipt = {
    .name = "customer receipt",
    .synopsis = "KIND=VALUE | CUSTOMER",
    .description =
        "Print what an erasure has done so far: the broker's own steps, and each durable "
        "subscription that takes privacy.changed, confirmed or pending.",
    .after = "EXAMPLES\n"
             "       touchbus -j customer receipt c42\n",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_receipt,
};
