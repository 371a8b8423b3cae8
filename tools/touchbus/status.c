// SPDX-License-Identifier: Apache-2.0
// touchbus status: one look at the broker.
#include "tools/touchbus/groups.h"

static int run(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    (void)argv;
    return tool_show(tool, &(struct ask){.verb = "status"});
}

const struct command command_status = {
    .name = "status",
    .synopsis = "",
    .description = "Show the broker: log, counters, memory, disk, subscriptions, connectors. The "
                   "exit status is 3 where it is not there.",
    .after = "EXAMPLES\n"
             "       touchbus status\n"
             "       touchbus -j status | jq .counters\n",
    .run = run,
};
