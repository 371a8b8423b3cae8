// SPDX-License-Identifier: Apache-2.0
// touchbus connector: what the connectors say of themselves.
#include "tools/touchbus/groups.h"

static int run_ls(struct tool *tool, const void *conf, int argc, char **argv) {
    static const char *const columns[] = {"name",     "NAME",     "kind",      "KIND",
                                          "state",    "STATE",    "last_seen", "LAST SEEN",
                                          "instance", "INSTANCE", NULL};
    (void)conf;
    (void)argc;
    (void)argv;
    return tool_list(tool, &(struct ask){.verb = "connector.ls"}, columns);
}

const struct command command_connector_ls = {
    .name = "connector ls",
    .synopsis = "",
    .description = "List the connectors that reported since the broker started.",
    .after = "EXAMPLES\n"
             "       touchbus connector ls\n",
    .run = run_ls,
};

static int run_show(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    return tool_show_named(tool, "connector.show", argv[0]);
}

const struct command command_connector_show = {
    .name = "connector show",
    .synopsis = "NAME",
    .description = "Show one connector with its metrics.",
    .after = "EXAMPLES\n"
             "       touchbus connector show crm\n",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_show,
};

static int run_reload(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    return tool_show_named(tool, "connector.reload", argv[0]);
}

const struct command command_connector_reload = {
    .name = "connector reload",
    .synopsis = "NAME",
    .description = "Have a connector read its configuration anew, as SIGHUP does: it learns it "
                   "with its next report, within seconds.",
    .after = "EXAMPLES\n"
             "       touchbus connector reload web\n",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_reload,
};
