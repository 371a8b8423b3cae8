// SPDX-License-Identifier: Apache-2.0
// touchbus customer erase and receipt: destroys what is known of a person, and says how far that
// is.
#include <string.h>

#include "tools/touchbus/groups.h"

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
