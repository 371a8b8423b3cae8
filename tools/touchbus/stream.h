// SPDX-License-Identifier: Apache-2.0
// Events out of the broker: what sub, replay and log export share. Options in, one callback an
// event out, and what is to be settled is settled only after it was printed.
#pragma once

#include "connectors/client/touchbus.h"
#include "schemas/limits.h"
#include "tools/touchbus/tool.h"

struct stream_conf {
    struct option_list types, channels;
    char *customer, *from, *until;
    int64_t since_us;
};

#define STREAM_ROWS(TYPE, MEMBER)                                                                  \
    {.name = "type",                                                                               \
     .short_name = 't',                                                                            \
     .type = OPTION_LIST,                                                                          \
     .offset = offsetof(struct TYPE, MEMBER.types),                                                \
     .argument = "GLOB",                                                                           \
     .help = "Only events whose type matches; * stands for anything. May be repeated."},           \
        {.name = "channel",                                                                        \
         .type = OPTION_LIST,                                                                      \
         .offset = offsetof(struct TYPE, MEMBER.channels),                                         \
         .argument = "NAME",                                                                       \
         .help = "Only events of this channel. May be repeated."},                                 \
        {.name = "customer",                                                                       \
         .short_name = 'c',                                                                        \
         .type = OPTION_STRING,                                                                    \
         .offset = offsetof(struct TYPE, MEMBER.customer),                                         \
         .argument = "CUSTOMER",                                                                   \
         .help = "Only events of this customer: c42, or a key as KIND=VALUE."},                    \
        {.name = "from",                                                                           \
         .type = OPTION_STRING,                                                                    \
         .offset = offsetof(struct TYPE, MEMBER.from),                                             \
         .argument = "START",                                                                      \
         .help = "beginning, end, a sequence, or a time (RFC 3339, by receipt)."},                 \
        {.name = "since",                                                                          \
         .type = OPTION_DURATION,                                                                  \
         .offset = offsetof(struct TYPE, MEMBER.since_us),                                         \
         .argument = "TIME",                                                                       \
         .help = "Start this long ago, e.g. 90s, 1h, 7d."},                                        \
    {                                                                                              \
        .name = "until", .type = OPTION_STRING, .offset = offsetof(struct TYPE, MEMBER.until),     \
        .argument = "END",                                                                         \
        .help = "End after this sequence, or before the first event received at or after this "    \
                "time."                                                                            \
    }

struct stream {
    struct tool *tool;
    touchbus_subscriber_options options; // filled by stream_options
    const char *types[FILTER_PATTERNS_MAX + 1], *channels[FILTER_PATTERNS_MAX + 1]; // options'
    uint64_t count;          // end after that many events; 0: no such end
    uint64_t rate;           // events a second; 0: as fast as it goes
    uint64_t progress_total; // sequences, for progress; 0: none is shown
    // What is done with an event. False: it failed, the stream ends.
    bool (*event)(struct stream *stream, const touchbus_event *event);
    void *user;
    // results
    uint64_t n_events;
    touchbus_progress progress;
};

// Fills stream->options from what was typed; lists and texts stay the configuration's. `from` is
// the start where none was given. TOOL_DONE, or said on stderr.
int stream_options(struct stream *stream, const struct stream_conf *conf, const char *from);
// Runs until its end, a signal, or the reader of stdout going away. An exit code.
int stream_run(struct stream *stream);
