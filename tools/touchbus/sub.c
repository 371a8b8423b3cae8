// SPDX-License-Identifier: Apache-2.0
// touchbus sub: a live tail, or with a name a durable subscription whose events are acked once they
// are printed.
#include "tools/touchbus/event_output.h"
#include "tools/touchbus/groups.h"
#include "tools/touchbus/stream.h"

struct sub_conf {
    struct globals globals;
    struct stream_conf stream;
    int64_t count;
    char *member;
    bool stats;
};

static const struct option_row rows[] = {
    STREAM_ROWS(sub_conf, stream),
    {.name = "count",
     .short_name = 'n',
     .type = OPTION_INTEGER,
     .offset = offsetof(struct sub_conf, count),
     .default_text = "0",
     .min = 0,
     .max = INT64_MAX,
     .argument = "N",
     .help = "End after N events; 0 goes on."},
    {.name = "member",
     .type = OPTION_STRING,
     .offset = offsetof(struct sub_conf, member),
     .argument = "NAME",
     .help = "Who takes part, as operators see it. Without it host and process id."},
    {.name = "stats",
     .type = OPTION_BOOL,
     .offset = offsetof(struct sub_conf, stats),
     .help = "At the end print one JSON object with what was read on stderr."},
};

static bool print_event(struct stream *stream, const touchbus_event *event) {
    return event_print(stream->tool, event);
}

void stream_stats(const struct stream *stream) {
    fprintf(stderr, "{\"events\":%llu,\"blocks_read\":%llu,\"position\":%llu,\"head\":%llu}\n",
            (unsigned long long)stream->n_events, (unsigned long long)stream->progress.blocks_read,
            (unsigned long long)stream->progress.position,
            (unsigned long long)stream->progress.head);
}

static int run(struct tool *tool, const void *conf_data, int argc, char **argv) {
    const struct sub_conf *conf = conf_data;
    struct stream stream = {.tool = tool, .count = (uint64_t)conf->count, .event = print_event};
    int status = stream_options(&stream, &conf->stream, "end");
    if (status != TOOL_DONE) {
        return status;
    }
    stream.options.name = argc > 0 ? argv[0] : NULL;
    stream.options.member = conf->member;
    if (stream.options.name != NULL && conf->stream.until != NULL) {
        tool_complain("--until is for a sub without a name; a named one has a cursor");
        return TOOL_USAGE;
    }
    status = tool_there(tool); // says at once where the broker is not there
    status = status == TOOL_DONE ? stream_run(&stream) : status;
    if (status == TOOL_DONE && conf->stats) {
        stream_stats(&stream);
    }
    return status;
}

const struct command command_sub = {
    .name = "sub",
    .synopsis = "[NAME] [--type GLOB]... [--from START | --since TIME] [--until END] [-o FORMAT]",
    .description =
        "Print events as they come. Without NAME a live tail: nothing is kept, nothing is acked. "
        "With NAME a durable subscription: the broker keeps its cursor, several processes of one "
        "name share its events in order per customer, and each event is acked once it is "
        "printed.\n\nThe start (--from, --since) counts for a tail and for a new subscription; an "
        "existing one goes on where it was. Ends with --count, --until, a signal, or when nobody "
        "reads its output any more.",
    .after = "EXAMPLES\n"
             "       touchbus sub --type 'order.*' --since 1h -o json | head\n"
             "       touchbus sub audit --from beginning -o json >>audit.jsonl\n",
    TOOL_ROWS(rows),
    .conf_size = sizeof(struct sub_conf),
    .n_operands_max = 1,
    .run = run,
};
