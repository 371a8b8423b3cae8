// SPDX-License-Identifier: Apache-2.0
// touchbus config: what the broker goes by, and having it read its files anew.
#include "tools/touchbus/groups.h"

static int run_show(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    (void)argv;
    return tool_show(tool, &(struct ask){.verb = "configuration.show"});
}

const struct command command_config_show = {
    .name = "config show",
    .synopsis = "",
    .description = "Show the policy in force: caps, quiet hours, tiers, costs, queues, offers. "
                   "'touchbusd --print-policy' prints one as a file for --policy.",
    .after = "EXAMPLES\n"
             "       touchbus -j config show | jq .policy.contact\n",
    .run = run_show,
};

struct reload_conf {
    struct globals globals;
    char *actor;
};

static const struct option_row rows[] = {
    {.name = "actor",
     .type = OPTION_STRING,
     .offset = TOOL_OFFSET(reload_conf, actor),
     .argument = "NAME",
     .help = "Who changes it, for the log; with keys it is the key's name whatever this says."},
};

static int run_reload(struct tool *tool, const void *conf_data, int argc, char **argv) {
    (void)argc;
    (void)argv;
    const struct reload_conf *conf = conf_data;
    touchbus_argument actor = {"actor", conf->actor};
    return tool_show(tool, &(struct ask){.verb = "configuration.reload",
                                         .arguments = &actor,
                                         .n_arguments = conf->actor != NULL});
}

const struct command command_config_reload = {
    .name = "config reload",
    .synopsis = "[--actor NAME]",
    .description =
        "Have the broker read its configuration and policy anew, as SIGHUP does. What is malformed "
        "leaves everything as it was, and the exit status is 1. The change is one "
        "configuration.changed in the log, with what it was and is.",
    .after = "EXAMPLES\n"
             "       touchbus config reload --actor ana\n"
             "       touchbus sub --type configuration.changed --from beginning\n",
    TOOL_ROWS(rows),
    .conf_size = sizeof(struct reload_conf),
    .run = run_reload,
};
