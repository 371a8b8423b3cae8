// SPDX-License-Identifier: Apache-2.0
// touchbus log: what the log is, what stands in it, whether it can be read, and everything out and
// in again.
#include <string.h>

#include "tools/touchbus/event_output.h"
#include "tools/touchbus/groups.h"

struct log_conf {
    struct globals globals;
    int64_t count;
    char *before;
};

// ---- info, verify

static int run_info(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    (void)argv;
    return tool_show(tool, &(struct ask){.verb = "log.info"});
}

const struct command command_log_info = {
    .name = "log info",
    .synopsis = "",
    .description = "Show the first and next sequence, the number of events and the bytes on disk.",
    .after = "EXAMPLES\n"
             "       touchbus log info\n"
             "       touchbus -j log info | jq .next\n",
    .run = run_info,
};

static int run_verify(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    (void)argv;
    return tool_show(tool,
                     &(struct ask){.verb = "log.verify", .is_long = true, .with_refusal = true});
}

const struct command command_log_verify = {
    .name = "log verify",
    .synopsis = "",
    .description = "Read every block and check its checksum and that no sequence is missing. What "
                   "is damaged is named by its sequences; the exit status is 1 then.",
    .after = "EXAMPLES\n"
             "       touchbus log verify\n",
    .run = run_verify,
};

// ---- get

static void print_events(struct tool *tool, const json_t *part, void *user) {
    (void)user;
    size_t i;
    const json_t *event;
    json_array_foreach(json_object_get(part, "events"), i, event) {
        if (strcmp(tool->globals->output, "raw") == 0 && !tool->json) {
            json_dumpf(json_object_get(event, "data"), stdout, JSON_COMPACT | JSON_ENCODE_ANY);
            putchar('\n');
        } else if (tool->json) {
            output_line(event);
        } else {
            output_object(event);
        }
    }
}

static int run_get(struct tool *tool, const void *conf_data, int argc, char **argv) {
    (void)argc;
    const struct log_conf *conf = conf_data;
    char count[24];
    snprintf(count, sizeof(count), "%lld", (long long)conf->count);
    const touchbus_argument arguments[] = {{"sequence", argv[0]}, {"count", count}};
    json_t *answer = NULL;
    int status = tool_ask(
        tool,
        &(struct ask){
            .verb = "log.get", .arguments = arguments, .n_arguments = 2, .on_part = print_events},
        &answer);
    json_decref(answer);
    return status;
}

static const struct option_row get_rows[] = {
    {.name = "count",
     .short_name = 'n',
     .type = OPTION_INTEGER,
     .offset = offsetof(struct log_conf, count),
     .default_text = "1",
     .min = 1,
     .max = 1000,
     .argument = "N",
     .help = "So many events from SEQUENCE on."},
};

const struct command command_log_get = {
    .name = "log get",
    .synopsis = "SEQUENCE [--count N]",
    .description = "Print events by their sequence, as CloudEvents.",
    .after = "EXAMPLES\n"
             "       touchbus log get 1042\n"
             "       touchbus -j log get 1000 -n 50 | jq -c .data\n",
    TOOL_ROWS(get_rows),
    .conf_size = sizeof(struct log_conf),
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_get,
};

// ---- export, import

static bool export_event(struct stream *stream, const touchbus_event *event) {
    return event_print(stream->tool, event);
}

static int run_export(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    (void)argv;
    struct tool own = *tool;
    own.json = true;
    struct stream stream = {.tool = &own, .event = export_event};
    uint64_t head;
    int status = tool_head(tool, &head);
    if (status != TOOL_DONE || head == 0) {
        return status;
    }
    stream.options.broker = tool->globals->broker;
    stream.options.start = TOUCHBUS_START_BEGINNING;
    stream.options.until_sequence = head;
    stream.progress_total = head;
    return stream_run(&stream);
}

const struct command command_log_export = {
    .name = "log export",
    .synopsis = "",
    .description = "Print everything the log holds now as CloudEvents JSON lines, for 'touchbus "
                   "log import' or any other reader. What it prints is readable: personal data is "
                   "unsealed.",
    .after = "EXAMPLES\n"
             "       touchbus log export | gzip >events.jsonl.gz\n",
    .run = run_export,
};

static int run_import(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    return publish_file(tool, &(struct publish_file){.path = argv[0]});
}

const struct command command_log_import = {
    .name = "log import",
    .synopsis = "FILE",
    .description =
        "Publish the CloudEvents JSON lines of FILE (- for stdin), such as 'touchbus log export' "
        "wrote. They get new sequences and customers; what the log has already is a duplicate.",
    .after = "EXAMPLES\n"
             "       touchbus --broker other:7400 log import events.jsonl\n"
             "       zcat events.jsonl.gz | touchbus log import -\n",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_import,
};

// ---- trim

static int run_trim(struct tool *tool, const void *conf_data, int argc, char **argv) {
    (void)argc;
    (void)argv;
    const struct log_conf *conf = conf_data;
    int status;
    if (conf->before == NULL) {
        tool_complain("usage: touchbus log trim --before SEQUENCE");
        return TOOL_USAGE;
    }
    if (!tool_confirm(tool, &status, "Remove every event before sequence %s from the log?",
                      conf->before)) {
        return status;
    }
    const touchbus_argument argument = {"before", conf->before};
    return tool_show(
        tool, &(struct ask){
                  .verb = "log.trim", .arguments = &argument, .n_arguments = 1, .is_long = true});
}

static const struct option_row trim_rows[] = {
    {.name = "before",
     .type = OPTION_STRING,
     .offset = offsetof(struct log_conf, before),
     .argument = "SEQUENCE",
     .help = "The first sequence that stays, or one of its block."},
};

const struct command command_log_trim = {
    .name = "log trim",
    .synopsis = "--before SEQUENCE",
    .description =
        "Remove events from the log's beginning, in whole blocks, after they were folded into the "
        "base. Nothing goes that a subscription has not acked or that the view's restore point "
        "needs.",
    .after = "EXAMPLES\n"
             "       touchbus --yes log trim --before 1000000\n",
    TOOL_ROWS(trim_rows),
    .conf_size = sizeof(struct log_conf),
    .run = run_trim,
};
