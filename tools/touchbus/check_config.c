// SPDX-License-Identifier: Apache-2.0
// touchbus check-config: a configuration file judged by the program that would read it, so that
// the verdict cannot differ from its start.
#include <errno.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "tools/touchbus/groups.h"

struct check_conf {
    struct globals globals;
    char *program;
};

static const struct option_row rows[] = {
    {.name = "program",
     .type = OPTION_STRING,
     .offset = offsetof(struct check_conf, program),
     .default_text = "touchbusd",
     .argument = "NAME",
     .help = "Whose file it is: touchbusd, or a connector such as touchbus-web."},
};

// What the broker's --policy names is YAML, what --config names is not.
static bool is_policy(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot != NULL && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static int run(struct tool *tool, const void *conf_data, int argc, char **argv) {
    (void)argc;
    const struct check_conf *conf = conf_data;
    _cleanup_free_ char *path = program_path(conf->program);
    char config_option[] = "--config", policy_option[] = "--policy", check_option[] = "--check";
    char *option = is_policy(argv[0]) ? policy_option : config_option;
    char *arguments[] = {path, option, argv[0], check_option, NULL};
    int r = path != NULL ? program_run(arguments) : -ENOMEM;
    if (r < 0) {
        tool_complain("%s: %s", conf->program, strerror(-r));
        return TOOL_USAGE;
    }
    json_t *json =
        json_pack("{s:s, s:s, s:b}", "file", argv[0], "program", conf->program, "valid", r == 0);
    if (tool->json) {
        output_line(json);
    } else if (r == 0) {
        printf("%s: valid for %s\n", argv[0], conf->program);
    }
    json_decref(json);
    return r == 0 ? TOOL_DONE : TOOL_NO;
}

const struct command command_check_config = {
    .name = "check-config",
    .synopsis = "FILE [--program NAME]",
    .description =
        "Have a program judge a configuration file without starting: unknown options, "
        "ranges and secrets that others may read are named with their line. A .yaml file "
        "is the broker's policy (touchbusd --policy). The exit status is 1 where it "
        "would refuse to start.",
    .after = "EXAMPLES\n"
             "       touchbus check-config /etc/touchbus/touchbusd.conf\n"
             "       touchbus check-config /etc/touchbus/policy.yaml\n"
             "       touchbus check-config web.conf --program touchbus-web\n",
    TOOL_ROWS(rows),
    .conf_size = sizeof(struct check_conf),
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run,
};
