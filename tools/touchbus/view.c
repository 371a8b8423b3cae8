// SPDX-License-Identifier: Apache-2.0
// touchbus view: is the live view the fold of the log, and making it anew.
#include "tools/touchbus/groups.h"

static int run_verify(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    (void)argv;
    return tool_show(tool,
                     &(struct ask){.verb = "view.verify", .is_long = true, .with_refusal = true});
}

const struct command command_view_verify = {
    .name = "view verify",
    .synopsis = "",
    .description =
        "Fold the log anew in a process of its own, in another time zone, and compare the hash of "
        "every table with the live view's. The exit status is 1 where they differ. The broker "
        "serves on meanwhile; trimming waits.",
    .after = "EXAMPLES\n"
             "       touchbus view verify && echo sound\n",
    .run = run_verify,
};

static int run_rebuild(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    (void)argv;
    int status;
    if (!tool_confirm(tool, &status, "Fold the whole log anew at the broker's next start?")) {
        return status;
    }
    return tool_show(tool, &(struct ask){.verb = "view.rebuild"});
}

const struct command command_view_rebuild = {
    .name = "view rebuild",
    .synopsis = "",
    .description = "Have the broker drop the view at its next start and fold base and log anew. "
                   "The live view serves until then.",
    .after = "EXAMPLES\n"
             "       touchbus --yes view rebuild\n",
    .run = run_rebuild,
};
