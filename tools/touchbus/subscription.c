// SPDX-License-Identifier: Apache-2.0
// touchbus subscription: who reads the log, how far, and what keeps them.
#include "tools/touchbus/groups.h"

struct reset_conf {
    struct globals globals;
    char *to;
    bool force;
};

static int run_ls(struct tool *tool, const void *conf, int argc, char **argv) {
    static const char *const columns[] = {"name",   "NAME",   "state", "STATE",   "cursor",
                                          "CURSOR", "lag",    "LAG",   "members", "MEMBERS",
                                          "parked", "PARKED", NULL};
    (void)conf;
    (void)argc;
    (void)argv;
    return tool_list(tool, &(struct ask){.verb = "subscription.ls"}, columns);
}

const struct command command_subscription_ls = {
    .name = "subscription ls",
    .synopsis = "",
    .description = "List the durable subscriptions with cursor, lag, members and parked lanes.",
    .after = "EXAMPLES\n"
             "       touchbus subscription ls\n"
             "       touchbus -j subscription ls | jq -r 'select(.lag > 1000).name'\n",
    .run = run_ls,
};

static int run_show(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    return tool_show_named(tool, "subscription.show", argv[0]);
}

const struct command command_subscription_show = {
    .name = "subscription show",
    .synopsis = "NAME",
    .description = "Show one subscription: state, cursor, lag, filter, members, parked lanes.",
    .after = "EXAMPLES\n"
             "       touchbus subscription show crm\n"
             "       touchbus -j subscription show crm | jq .lag\n",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_show,
};

static int run_pause(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    return tool_show_named(tool, "subscription.pause", argv[0]);
}

const struct command command_subscription_pause = {
    .name = "subscription pause",
    .synopsis = "NAME",
    .description = "Hand out nothing more until 'subscription resume'. The cursor stays; what is "
                   "in flight may still be acked.",
    .after = "EXAMPLES\n"
             "       touchbus subscription pause erp\n",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_pause,
};

static int run_resume(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    return tool_show_named(tool, "subscription.resume", argv[0]);
}

const struct command command_subscription_resume = {
    .name = "subscription resume",
    .synopsis = "NAME",
    .description = "Go on after 'subscription pause'.",
    .after = "EXAMPLES\n"
             "       touchbus subscription resume erp\n",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_resume,
};

static int run_reset(struct tool *tool, const void *conf_data, int argc, char **argv) {
    (void)argc;
    const struct reset_conf *conf = conf_data;
    int status;
    if (conf->to == NULL) {
        tool_complain("usage: touchbus subscription reset NAME --to START");
        return TOOL_USAGE;
    }
    if (!tool_confirm(tool, &status, "Move the cursor of '%s' to %s?", argv[0], conf->to)) {
        return status;
    }
    const touchbus_argument arguments[] = {
        {"name", argv[0]}, {"from", conf->to}, {"force", conf->force ? "true" : "false"}};
    return tool_show(
        tool,
        &(struct ask){.verb = "subscription.reset", .arguments = arguments, .n_arguments = 3});
}

#define FORCE_ROW                                                                                  \
    {                                                                                              \
        .name = "force", .type = OPTION_BOOL, .offset = offsetof(struct reset_conf, force),        \
        .help = "Also while members are connected."                                                \
    }

static const struct option_row reset_rows[] = {
    {.name = "to",
     .type = OPTION_STRING,
     .offset = offsetof(struct reset_conf, to),
     .argument = "START",
     .help = "beginning, end, the first sequence to hand out, or a time (RFC 3339, by receipt)."},
    FORCE_ROW,
};

const struct command command_subscription_reset = {
    .name = "subscription reset",
    .synopsis = "NAME --to START [--force]",
    .description = "Move the cursor. Backwards hands events out again; a sink with a fence takes "
                   "none of them twice. Refused while members are connected, unless --force.",
    .after = "EXAMPLES\n"
             "       touchbus subscription reset erp --to 2026-03-01T00:00:00Z\n"
             "       touchbus --yes subscription reset audit --to beginning\n",
    TOOL_ROWS(reset_rows),
    .conf_size = sizeof(struct reset_conf),
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_reset,
};

static int run_rm(struct tool *tool, const void *conf_data, int argc, char **argv) {
    (void)argc;
    const struct reset_conf *conf = conf_data;
    int status;
    if (!tool_confirm(tool, &status, "Remove '%s' with its cursor and parked lanes?", argv[0])) {
        return status;
    }
    const touchbus_argument arguments[] = {{"name", argv[0]},
                                           {"force", conf->force ? "true" : "false"}};
    return tool_show(
        tool, &(struct ask){.verb = "subscription.rm", .arguments = arguments, .n_arguments = 2});
}

static const struct option_row rm_rows[] = {FORCE_ROW};

const struct command command_subscription_rm = {
    .name = "subscription rm",
    .synopsis = "NAME [--force]",
    .description = "Remove a subscription with its cursor and parked lanes. Refused while members "
                   "are connected, unless --force.",
    .after = "EXAMPLES\n"
             "       touchbus subscription rm audit\n",
    TOOL_ROWS(rm_rows),
    .conf_size = sizeof(struct reset_conf),
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_rm,
};
