// SPDX-License-Identifier: Apache-2.0
// touchbus parked: the lanes that a subscription holds back behind an event that kept failing.
#include "tools/touchbus/groups.h"

struct drop_conf {
    struct globals globals;
    bool all;
};

static int run_ls(struct tool *tool, const void *conf, int argc, char **argv) {
    static const char *const columns[] = {
        "subscription", "SUBSCRIPTION", "lane",   "LANE",   "first",    "FIRST",
        "waiting",      "WAITING",      "state",  "STATE",  "failures", "FAILURES",
        "since",        "SINCE",        "detail", "DETAIL", NULL};
    (void)conf;
    const touchbus_argument argument = {"name", argc > 0 ? argv[0] : ""};
    return tool_list(
        tool,
        &(struct ask){.verb = "parked.ls", .arguments = &argument, .n_arguments = argc > 0 ? 1 : 0},
        columns);
}

const struct command command_parked_ls = {
    .name = "parked ls",
    .synopsis = "[SUBSCRIPTION]",
    .description = "List parked lanes: the first event that failed, how many wait behind it, why.",
    .after = "EXAMPLES\n"
             "       touchbus parked ls\n"
             "       touchbus parked ls crm\n",
    .n_operands_max = 1,
    .run = run_ls,
};

static int run_show(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    const touchbus_argument arguments[] = {{"name", argv[0]}, {"lane", argv[1]}};
    return tool_show(
        tool, &(struct ask){.verb = "parked.show", .arguments = arguments, .n_arguments = 2});
}

const struct command command_parked_show = {
    .name = "parked show",
    .synopsis = "SUBSCRIPTION LANE",
    .description = "Show one parked lane. Its first event is 'touchbus log get SEQUENCE'.",
    .after = "EXAMPLES\n"
             "       touchbus parked show crm c42\n",
    .n_operands_min = 2,
    .n_operands_max = 2,
    .run = run_show,
};

static int run_retry(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    const touchbus_argument arguments[] = {{"name", argv[0]}, {"lane", argc > 1 ? argv[1] : ""}};
    return tool_show(tool, &(struct ask){.verb = "parked.retry",
                                         .arguments = arguments,
                                         .n_arguments = argc > 1 ? 2 : 1});
}

const struct command command_parked_retry = {
    .name = "parked retry",
    .synopsis = "SUBSCRIPTION [LANE]",
    .description = "Release a lane, or all of them: its events go out again, in order.",
    .after = "EXAMPLES\n"
             "       touchbus parked retry crm c42\n"
             "       touchbus parked retry crm\n",
    .n_operands_min = 1,
    .n_operands_max = 2,
    .run = run_retry,
};

static int run_drop(struct tool *tool, const void *conf_data, int argc, char **argv) {
    (void)argc;
    const struct drop_conf *conf = conf_data;
    int status;
    if (!tool_confirm(tool, &status, "Give up %s of lane %s in '%s'?",
                      conf->all ? "every waiting event" : "the first event", argv[1], argv[0])) {
        return status;
    }
    const touchbus_argument arguments[] = {
        {"name", argv[0]}, {"lane", argv[1]}, {"all", conf->all ? "true" : "false"}};
    return tool_show(
        tool, &(struct ask){.verb = "parked.drop", .arguments = arguments, .n_arguments = 3});
}

static const struct option_row drop_rows[] = {
    {.name = "all",
     .type = OPTION_BOOL,
     .offset = offsetof(struct drop_conf, all),
     .help = "Give up everything that waits in the lane, not its first event alone."},
};

const struct command command_parked_drop = {
    .name = "parked drop",
    .synopsis = "SUBSCRIPTION LANE [--all]",
    .description = "Give up the event that failed, for this subscription only, and release what "
                   "waits behind it. The event stays in the log.",
    .after = "EXAMPLES\n"
             "       touchbus parked drop crm c42\n"
             "       touchbus --yes parked drop crm c42 --all\n",
    TOOL_ROWS(drop_rows),
    .conf_size = sizeof(struct drop_conf),
    .n_operands_min = 2,
    .n_operands_max = 2,
    .run = run_drop,
};
