// SPDX-License-Identifier: Apache-2.0
// touchbus replay: history, to stdout or into a subscription. To stdout it ends at the head as it
// was at its start; one customer's events are found by index, and the blocks read are reported.
#include <string.h>

#include "schemas/base/clock.h"
#include "tools/touchbus/event_output.h"
#include "tools/touchbus/groups.h"
#include "tools/touchbus/stream.h"

enum { ARGUMENTS_MAX = 32 };

struct replay_conf {
    struct globals globals;
    struct stream_conf stream;
    char *into, *rate;
    bool follow, stats;
};

static const struct option_row rows[] = {
    STREAM_ROWS(replay_conf, stream),
    {.name = "into",
     .type = OPTION_STRING,
     .offset = offsetof(struct replay_conf, into),
     .argument = "NAME",
     .help = "Hand the events to this subscription's members once more, instead of printing "
             "them."},
    {.name = "rate",
     .type = OPTION_STRING,
     .offset = offsetof(struct replay_conf, rate),
     .argument = "N/s",
     .help = "At most N events a second."},
    {.name = "follow",
     .short_name = 'f',
     .type = OPTION_BOOL,
     .offset = offsetof(struct replay_conf, follow),
     .help = "Go on live after the head."},
    {.name = "stats",
     .type = OPTION_BOOL,
     .offset = offsetof(struct replay_conf, stats),
     .help = "Print what was read as one JSON object on stderr at the end, as -j does."},
};

static bool print_event(struct stream *stream, const touchbus_event *event) {
    return event_print(stream->tool, event);
}

static bool parse_rate(const char *text, uint64_t *ret) {
    char *end;
    if (text == NULL) {
        *ret = 0;
        return true;
    }
    unsigned long long number = strtoull(text, &end, 10);
    bool valid = *text >= '0' && *text <= '9' && number > 0 && number < UINT32_MAX &&
                 (*end == '\0' || strcmp(end, "/s") == 0);
    if (!valid) {
        tool_complain("--rate: expected N/s");
    }
    *ret = number;
    return valid;
}

static int replay_out(struct stream *stream, const struct replay_conf *conf) {
    uint64_t head;
    int status = stream_options(stream, &conf->stream, "beginning");
    status = status == TOOL_DONE ? tool_head(stream->tool, &head) : status;
    if (status != TOOL_DONE) {
        return status;
    }
    if (!conf->follow && conf->stream.until == NULL) {
        stream->options.until_sequence = head;
    }
    stream->progress_total = head;
    bool is_empty = !conf->follow && (head == 0 || (stream->options.start == TOUCHBUS_START_END) ||
                                      (stream->options.start == TOUCHBUS_START_SEQUENCE &&
                                       stream->options.start_sequence > head));
    status = is_empty ? TOOL_DONE : stream_run(stream);
    if (conf->stats || stream->tool->json) {
        stream_stats(stream);
    } else {
        fprintf(stderr, "touchbus: %llu events, %llu blocks read\n",
                (unsigned long long)stream->n_events,
                (unsigned long long)stream->progress.blocks_read);
    }
    return status;
}

// ---- into a subscription

static size_t add_list(touchbus_argument *arguments, size_t n, const char *name,
                       const struct option_list *list) {
    for (size_t i = 0; i < list->n_values && n < ARGUMENTS_MAX; i++) {
        arguments[n++] = (touchbus_argument){name, list->values[i]};
    }
    return n;
}

static int replay_into(struct tool *tool, const struct replay_conf *conf, uint64_t rate) {
    touchbus_argument arguments[ARGUMENTS_MAX];
    char customer[32], rate_text[24], since[40];
    size_t n = 0;
    if (conf->follow || (conf->stream.from != NULL && conf->stream.since_us > 0)) {
        tool_complain("--into: neither with --follow nor with both --from and --since");
        return TOOL_USAGE;
    }
    arguments[n++] = (touchbus_argument){"name", conf->into};
    if (conf->stream.customer != NULL) {
        uint64_t number;
        int status = tool_find_customer(tool, conf->stream.customer, &number);
        if (status != TOOL_DONE) {
            return status;
        }
        snprintf(customer, sizeof(customer), "c%llu", (unsigned long long)number);
        arguments[n++] = (touchbus_argument){"customer", customer};
    }
    if (conf->stream.since_us > 0) {
        clock_format_rfc3339(clock_now_us() - conf->stream.since_us, since);
        arguments[n++] = (touchbus_argument){"from", since};
    } else if (conf->stream.from != NULL) {
        arguments[n++] = (touchbus_argument){"from", conf->stream.from};
    }
    if (conf->stream.until != NULL) {
        arguments[n++] = (touchbus_argument){"until", conf->stream.until};
    }
    if (rate > 0) {
        snprintf(rate_text, sizeof(rate_text), "%llu", (unsigned long long)rate);
        arguments[n++] = (touchbus_argument){"rate", rate_text};
    }
    n = add_list(arguments, n, "type", &conf->stream.types);
    n = add_list(arguments, n, "channel", &conf->stream.channels);
    return tool_show(
        tool,
        &(struct ask){.verb = "subscription.replay", .arguments = arguments, .n_arguments = n});
}

static int run(struct tool *tool, const void *conf_data, int argc, char **argv) {
    (void)argc;
    (void)argv;
    const struct replay_conf *conf = conf_data;
    struct stream stream = {.tool = tool, .event = print_event};
    if (!parse_rate(conf->rate, &stream.rate)) {
        return TOOL_USAGE;
    }
    return conf->into != NULL ? replay_into(tool, conf, stream.rate) : replay_out(&stream, conf);
}

const struct command command_replay = {
    .name = "replay",
    .synopsis = "[--customer C] [--type GLOB]... [--from START | --since TIME] [--until END] "
                "[--into NAME | -o FORMAT] [--rate N/s] [--follow]",
    .description =
        "Print what the log holds, or hand it to a subscription once more. Starts at the beginning "
        "unless told otherwise and ends at the head as it was when it began, unless --follow. With "
        "--customer the events are found by the customer's index: the blocks read, reported on "
        "stderr, do not grow with the log.",
    .after = "EXAMPLES\n"
             "       touchbus replay --customer email=ana@klant.example -o json\n"
             "       touchbus replay --type 'order.*' --since 7d --into erp --rate 50/s\n",
    TOOL_ROWS(rows),
    .conf_size = sizeof(struct replay_conf),
    .run = run,
};
