// SPDX-License-Identifier: Apache-2.0
// touchbus backup: the broker copies its stores as of one moment into a new folder on its machine,
// the keys into another one; or, where no broker runs, touchbusd does it as a child. With --verify
// a backup is checked.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schemas/base/cleanup.h"
#include "tools/touchbus/groups.h"

enum { PATH_BYTES_MAX = 4096 };

struct backup_conf {
    struct globals globals;
    char *keys, *state, *verify, *scratch;
    int64_t rate;
};

// The broker may have another working folder. False, said on stderr.
static bool absolute(const char *text, char ret[static PATH_BYTES_MAX]) {
    char here[PATH_BYTES_MAX];
    bool is_absolute = text[0] == '/';
    if (!is_absolute && getcwd(here, sizeof(here)) == NULL) {
        tool_complain("the working folder: %s", strerror(errno));
        return false;
    }
    int n = snprintf(ret, PATH_BYTES_MAX, "%s%s%s", is_absolute ? "" : here, is_absolute ? "" : "/",
                     text);
    if (n < 0 || n >= PATH_BYTES_MAX) {
        tool_complain("%s: the path is too long", text);
        return false;
    }
    while (n > 1 && ret[n - 1] == '/') {
        ret[--n] = '\0';
    }
    return true;
}

static void print(const struct tool *tool, const json_t *answer) {
    tool->json ? output_line(answer) : output_object(answer);
}

static int verify(struct tool *tool, const struct backup_conf *conf) {
    const char *const arguments[] = {
        "--from",   conf->verify, "--scratch", conf->scratch, conf->keys != NULL ? "--keys" : NULL,
        conf->keys, NULL};
    json_t *answer = NULL;
    int status = tool_offline(tool, "verify-backup", arguments, &answer);
    if (answer != NULL) {
        print(tool, answer);
    }
    json_decref(answer);
    return status;
}

static int back_up_offline(struct tool *tool, const char *state, const char *dir,
                           const char *keys) {
    const char *arguments[8] = {"--state", state};
    size_t n = 2;
    const struct { const char *option, *value; } folders[] = {{"--to", dir}, {"--keys-to", keys}};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        if (folders[i].value != NULL) {
            arguments[n++] = folders[i].option;
            arguments[n++] = folders[i].value;
        }
    }
    json_t *answer = NULL;
    int status = tool_offline(tool, "backup", arguments, &answer);
    if (answer != NULL) {
        json_object_set_new(answer, "dir", dir != NULL ? json_string(dir) : json_null());
        json_object_set_new(answer, "keys", keys != NULL ? json_string(keys) : json_null());
        print(tool, answer);
    }
    json_decref(answer);
    return status;
}

static int back_up_online(struct tool *tool, int64_t rate, const char *dir, const char *keys) {
    char rate_text[32];
    touchbus_argument arguments[3];
    size_t n = 0;
    snprintf(rate_text, sizeof(rate_text), "%lld", (long long)rate);
    arguments[n++] = (touchbus_argument){"rate", rate_text};
    if (dir != NULL) {
        arguments[n++] = (touchbus_argument){"dir", dir};
    }
    if (keys != NULL) {
        arguments[n++] = (touchbus_argument){"keys", keys};
    }
    return tool_show(
        tool,
        &(struct ask){.verb = "backup", .arguments = arguments, .n_arguments = n, .is_long = true});
}

static int run_backup(struct tool *tool, const void *conf_data, int argc, char **argv) {
    const struct backup_conf *conf = conf_data;
    char dir_path[PATH_BYTES_MAX], keys_path[PATH_BYTES_MAX];
    const char *dir = NULL, *keys = NULL;
    if (conf->verify != NULL && argc == 0) {
        return verify(tool, conf);
    }
    if (conf->verify != NULL || (argc == 0 && conf->keys == NULL)) {
        tool_complain("usage: touchbus backup DIR, backup --keys DIR, or backup --verify DIR");
        return TOOL_USAGE;
    }
    if ((argc > 0 && !absolute(argv[0], dir_path)) ||
        (conf->keys != NULL && !absolute(conf->keys, keys_path))) {
        return TOOL_USAGE;
    }
    dir = argc > 0 ? dir_path : NULL;
    keys = conf->keys != NULL ? keys_path : NULL;
    int status = conf->state != NULL ? back_up_offline(tool, conf->state, dir, keys)
                                     : back_up_online(tool, conf->rate, dir, keys);
    if (status == TOOL_DONE && keys == NULL) {
        tool_complain("the keys are not in it, and without them nobody reads it: back them up "
                      "apart, and often, with 'touchbus backup --keys DIR'");
    }
    return status;
}

static const struct option_row backup_rows[] = {
    {.name = "keys",
     .type = OPTION_STRING,
     .offset = offsetof(struct backup_conf, keys),
     .argument = "DIR",
     .help = "Copy the keys into this new folder; with --verify: the keys to verify with."},
    {.name = "rate",
     .type = OPTION_BYTES,
     .offset = offsetof(struct backup_conf, rate),
     .default_text = "0",
     .max = 1 << 30,
     .argument = "BYTES",
     .help = "At most so many bytes a second; 0: as fast as leaves half of the time to others."},
    {.name = "state",
     .type = OPTION_STRING,
     .offset = offsetof(struct backup_conf, state),
     .argument = "DIR",
     .help = "Back up this state folder, that no broker serves, without a broker; as the user that "
             "owns it."},
    {.name = "verify",
     .type = OPTION_STRING,
     .offset = offsetof(struct backup_conf, verify),
     .argument = "DIR",
     .help = "Check this backup instead of making one."},
    {.name = "scratch",
     .type = OPTION_STRING,
     .offset = offsetof(struct backup_conf, scratch),
     .default_text = "/var/tmp",
     .argument = "DIR",
     .help = "Where --verify builds the view anew, with --keys."},
};

const struct command command_backup = {
    .name = "backup",
    .synopsis = "DIR [--keys KEYSDIR]  |  --keys KEYSDIR  |  --verify DIR [--keys KEYSDIR]",
    .description =
        "Copy log, base, view and cursors, as of one sequence, into the new folder DIR on the "
        "broker's machine, while it serves. The keys are left out: whoever was erased since would "
        "come back with them. Copy them with --keys into a folder of their own, often, and keep "
        "only the newest. With --verify a backup is read and judged: every file's checksum, every "
        "block, the cursors, and with keys whether the view is the fold of base and log. The exit "
        "status is 1 where anything is wrong; what and where is said.",
    .after = "EXAMPLES\n"
             "       touchbus backup /var/backups/touchbus-monday\n"
             "       touchbus backup --keys /var/backups/touchbus-keys-monday\n"
             "       touchbus backup --verify /var/backups/touchbus-monday --keys "
             "/var/backups/touchbus-keys-monday\n"
             "       touchbus backup --state /srv/touchbus /var/backups/cold\n",
    TOOL_ROWS(backup_rows),
    .conf_size = sizeof(struct backup_conf),
    .n_operands_max = 1,
    .run = run_backup,
};
