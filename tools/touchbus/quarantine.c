// SPDX-License-Identifier: Apache-2.0
// touchbus quarantine: events that broke their schema, until they are repaired or given up.
#include <errno.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "tools/touchbus/groups.h"

struct fix_conf {
    struct globals globals;
    char *data, *file;
};

static int run_ls(struct tool *tool, const void *conf, int argc, char **argv) {
    static const char *const columns[] = {"id",     "ID",     "received", "RECEIVED",
                                          "type",   "TYPE",   "source",   "SOURCE",
                                          "detail", "DETAIL", NULL};
    (void)conf;
    (void)argc;
    (void)argv;
    return tool_list(tool, &(struct ask){.verb = "quarantine.ls", .is_long = true}, columns);
}

const struct command command_quarantine_ls = {
    .name = "quarantine ls",
    .synopsis = "",
    .description = "List quarantined events with the reason of each.",
    .after = "EXAMPLES\n"
             "       touchbus quarantine ls\n",
    .run = run_ls,
};

static int ask_id(struct tool *tool, const char *verb, const char *id, const char *body) {
    const touchbus_argument argument = {"id", id};
    return tool_show(
        tool, &(struct ask){.verb = verb, .arguments = &argument, .n_arguments = 1, .body = body});
}

static int run_show(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    return ask_id(tool, "quarantine.show", argv[0], NULL);
}

const struct command command_quarantine_show = {
    .name = "quarantine show",
    .synopsis = "ID",
    .description = "Show a quarantined event as it was published, and what is wrong with it.",
    .after = "EXAMPLES\n"
             "       touchbus quarantine show 303cb340f4e028bad85afae0b27025a9\n",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_show,
};

// ---- fix

static json_t *load_file(const char *path) {
    json_error_t error;
    bool is_stdin = strcmp(path, "-") == 0;
    json_t *json = is_stdin ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &error)
                            : json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(json)) {
        tool_complain_json(path, json == NULL, &error);
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *load_data(const char *text) {
    json_error_t error;
    json_t *data = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(data)) {
        tool_complain_json("--data", data == NULL, &error);
        json_decref(data);
        return NULL;
    }
    return json_pack("{s:o}", "data", data);
}

static int run_fix(struct tool *tool, const void *conf_data, int argc, char **argv) {
    (void)argc;
    const struct fix_conf *conf = conf_data;
    if (conf->data != NULL && conf->file != NULL) {
        tool_complain("--data and --file: one of them");
        return TOOL_USAGE;
    }
    json_t *body = NULL;
    if (conf->data != NULL || conf->file != NULL) {
        body = conf->data != NULL ? load_data(conf->data) : load_file(conf->file);
        if (body == NULL) {
            return TOOL_USAGE;
        }
    }
    _cleanup_free_ char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    return ask_id(tool, "quarantine.fix", argv[0], text);
}

static const struct option_row fix_rows[] = {
    {.name = "data",
     .short_name = 'd',
     .type = OPTION_STRING,
     .offset = offsetof(struct fix_conf, data),
     .argument = "JSON",
     .help = "The repaired data, a JSON object; the rest of the event stays."},
    {.name = "file",
     .type = OPTION_STRING,
     .offset = offsetof(struct fix_conf, file),
     .argument = "FILE",
     .help = "The whole repaired event as one CloudEvents JSON object, - for stdin."},
};

const struct command command_quarantine_fix = {
    .name = "quarantine fix",
    .synopsis = "ID [--data JSON | --file FILE]",
    .description =
        "Publish a quarantined event once it is repaired, and take it out of quarantine. Without "
        "--data or --file it is tried as it is, for instance after the catalogue was extended. "
        "What still breaks its schema stays, and the exit status is 1.",
    .after = "EXAMPLES\n"
             "       touchbus quarantine fix 303cb340f4e028bad85afae0b27025a9 --data "
             "'{\"url\":\"/offers\"}'\n"
             "       touchbus -j quarantine show 303cb340f4e028bad85afae0b27025a9 | jq .event "
             ">event.json\n"
             "       touchbus quarantine fix 303cb340f4e028bad85afae0b27025a9 --file event.json\n",
    TOOL_ROWS(fix_rows),
    .conf_size = sizeof(struct fix_conf),
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_fix,
};

static int run_drop(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    int status;
    if (!tool_confirm(tool, &status, "Give up the quarantined event %s?", argv[0])) {
        return status;
    }
    return ask_id(tool, "quarantine.drop", argv[0], NULL);
}

const struct command command_quarantine_drop = {
    .name = "quarantine drop",
    .synopsis = "ID",
    .description = "Give up a quarantined event. It was never in the log and is gone.",
    .after = "EXAMPLES\n"
             "       touchbus --yes quarantine drop 303cb340f4e028bad85afae0b27025a9\n",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_drop,
};
