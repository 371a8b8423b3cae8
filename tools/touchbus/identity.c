// SPDX-License-Identifier: Apache-2.0
// touchbus customer merge and split: says that customers are one person, or that one of them is
// not. The broker judges it as it judges everybody's merges.
#include <string.h>

#include "tools/touchbus/groups.h"

enum { MERGED_AT_ONCE_MAX = 6 };

struct identity_conf {
    struct globals globals;
    char *reason;
};

static int print_answer(const struct tool *tool, const json_t *answer) {
    if (tool->json) {
        output_line(answer);
        return TOOL_DONE;
    }
    const char *customer;
    json_t *into;
    json_object_foreach((json_t *)(uintptr_t)json_object_get(answer, "customers"), customer, into) {
        const char *name = json_string_value(into);
        printf(strcmp(customer, name) == 0 ? "%s stands for itself\n" : "%s is a part of %s\n",
               customer, name);
    }
    return TOOL_DONE;
}

// Each operand by its number. A leaf is cut by the number that was asked for, not by the number of
// the customer that it is a part of.
static int name_all(struct tool *tool, int argc, char **argv, char (*numbers)[24]) {
    int status = TOOL_DONE;
    for (int i = 0; status == TOOL_DONE && i < argc; i++) {
        touchbus_argument argument;
        if (!tool_customer_argument(argv[i], &argument)) {
            return TOOL_USAGE;
        }
        if (strcmp(argument.name, "customer") == 0) {
            snprintf(numbers[i], sizeof(numbers[i]), "%s", argv[i]);
            continue;
        }
        json_t *answer = NULL;
        const struct ask find = {.verb = "customer.find", .arguments = &argument, .n_arguments = 1};
        status = tool_ask(tool, &find, &answer);
        const char *leaf = json_string_value(json_object_get(answer, "leaf"));
        snprintf(numbers[i], sizeof(numbers[i]), "%s", leaf == NULL ? "" : leaf);
        json_decref(answer);
    }
    return status;
}

static int ask(struct tool *tool, const struct identity_conf *conf, const char *verb, int argc,
               char **argv) {
    touchbus_argument arguments[MERGED_AT_ONCE_MAX + 1];
    char numbers[MERGED_AT_ONCE_MAX][24];
    json_t *answer = NULL;
    int status = name_all(tool, argc, argv, numbers);
    if (status != TOOL_DONE) {
        return status;
    }
    size_t n = 0;
    for (int i = 0; i < argc; i++) {
        arguments[n++] = (touchbus_argument){"customer", numbers[i]};
    }
    arguments[n++] = (touchbus_argument){"reason", conf->reason};
    const struct ask request = {.verb = verb, .arguments = arguments, .n_arguments = n};
    status = tool_ask(tool, &request, &answer);
    status = status == TOOL_DONE ? print_answer(tool, answer) : status;
    json_decref(answer);
    return status;
}

static int run_merge(struct tool *tool, const void *conf, int argc, char **argv) {
    return ask(tool, conf, "customer.merge", argc, argv);
}

static int run_split(struct tool *tool, const void *conf, int argc, char **argv) {
    return ask(tool, conf, "customer.split", argc, argv);
}

static const struct option_row identity_rows[] = {
    {.name = "reason",
     .type = OPTION_STRING,
     .offset = offsetof(struct identity_conf, reason),
     .default_text = "requested",
     .argument = "TEXT",
     .help = "Why, for the log."},
};

const struct command command_customer_merge = {
    .name = "customer merge",
    .synopsis = "CUSTOMER CUSTOMER... [--reason TEXT]",
    .description =
        "Say that these customers are one person. They stay as they are, as leaves of one customer "
        "that is read as a whole, until 'customer split' cuts one off again. Refused where a kind "
        "of strong key would have two values (strong-conflict), a limit is reached (keys, merges, "
        "leaves), a split keeps them apart (veto), or one was erased (erased).",
    .after = "EXAMPLES\n       touchbus customer merge c42 c7 --reason 'same passport'\n"
             "       touchbus customer merge email=ana@klant.example phone=+31612345678\n",
    TOOL_ROWS(identity_rows),
    .conf_size = sizeof(struct identity_conf),
    .n_operands_min = 2,
    .n_operands_max = MERGED_AT_ONCE_MAX,
    .run = run_merge,
};

const struct command command_customer_split = {
    .name = "customer split",
    .synopsis = "LEAF [--reason TEXT]",
    .description =
        "Cut a customer off the one it was merged into, with what was merged into it before. Each "
        "side has what it had, and what came since by its own keys; they are never merged again. "
        "'customer show' lists the leaves. The number of a customer that only one was merged into "
        "cuts that one off.",
    .after = "EXAMPLES\n       touchbus customer split c7 --reason 'father and son'\n",
    TOOL_ROWS(identity_rows),
    .conf_size = sizeof(struct identity_conf),
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_split,
};
