// SPDX-License-Identifier: Apache-2.0
// touchbus restore: a backup becomes the state of a broker that does not run, with the newest keys
// there are. The log in it becomes another log when it is first opened.
#include <stdlib.h>

#include "tools/touchbus/groups.h"

struct restore_conf {
    struct globals globals;
    char *from, *keys, *state;
    bool force, replace;
};

static int run_restore(struct tool *tool, const void *conf_data, int argc, char **argv) {
    (void)argc;
    (void)argv;
    const struct restore_conf *conf = conf_data;
    if (conf->from == NULL || conf->keys == NULL || conf->state == NULL) {
        tool_complain("usage: touchbus restore --from DIR --keys DIR --state DIR");
        return TOOL_USAGE;
    }
    const char *arguments[9] = {"--from", conf->from, "--keys", conf->keys, "--state", conf->state};
    size_t n = 6;
    if (conf->force) {
        arguments[n++] = "--force";
    }
    if (conf->replace) {
        arguments[n++] = "--replace";
    }
    json_t *answer = NULL;
    int status = tool_offline(tool, "restore", arguments, &answer);
    if (answer != NULL) {
        tool->json ? output_line(answer) : output_object(answer);
    }
    json_decref(answer);
    return status;
}

static const struct option_row restore_rows[] = {
    {.name = "from",
     .type = OPTION_STRING,
     .offset = offsetof(struct restore_conf, from),
     .argument = "DIR",
     .help = "What 'touchbus backup' made."},
    {.name = "keys",
     .type = OPTION_STRING,
     .offset = offsetof(struct restore_conf, keys),
     .argument = "DIR",
     .help = "The newest keys: what 'touchbus backup --keys' made last, or better, the folder keys "
             "of the state that is being replaced."},
    {.name = "state",
     .type = OPTION_STRING,
     .offset = offsetof(struct restore_conf, state),
     .argument = "DIR",
     .help = "The new state folder: missing or empty."},
    {.name = "replace",
     .type = OPTION_BOOL,
     .offset = offsetof(struct restore_conf, replace),
     .help = "A state folder that is there is moved aside, to DIR.before-TIME."},
    {.name = "force",
     .type = OPTION_BOOL,
     .offset = offsetof(struct restore_conf, force),
     .help = "Although the keys are older than the log: what it has of customers without a key is "
             "lost."},
};

const struct command command_restore = {
    .name = "restore",
    .synopsis = "--from DIR --keys KEYSDIR --state DIR [--replace] [--force]",
    .description =
        "Make a new state folder of a backup, without a broker. The log in it becomes another log: "
        "its incarnation is new, so that no sink or client takes positions of before for positions "
        "in it; named subscriptions go on where the backup had them. The keys are the newest ones "
        "there are, so that nobody who was erased since comes back; with older ones than the log "
        "needs it is refused.",
    .after =
        "EXAMPLES\n"
        "       touchbus restore --from /var/backups/touchbus-monday --keys /srv/touchbus/keys "
        "--state /srv/touchbus --replace\n",
    TOOL_ROWS(restore_rows),
    .conf_size = sizeof(struct restore_conf),
    .run = run_restore,
};
