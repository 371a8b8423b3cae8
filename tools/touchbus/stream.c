// SPDX-License-Identifier: Apache-2.0
// The loop over a subscriber. Printed events are settled in batches, once stdout took them; a
// signal or a gone reader ends it in order, so that nothing printed comes again.
#include "tools/touchbus/stream.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "schemas/base/clock.h"

enum {
    LOOK_MS = 250,      // how often signals and a gone reader are looked for
    UNSETTLED_MAX = 64, // printed, not flushed and settled yet
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

// ---- options

static bool is_number(const char *text, uint64_t *ret) {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number > INT64_MAX) {
        return false;
    }
    *ret = number;
    return true;
}

static bool set_start(touchbus_subscriber_options *options, const char *from) {
    if (strcmp(from, "beginning") == 0) {
        options->start = TOUCHBUS_START_BEGINNING;
    } else if (strcmp(from, "end") == 0) {
        options->start = TOUCHBUS_START_END;
    } else if (is_number(from, &options->start_sequence)) {
        options->start = TOUCHBUS_START_SEQUENCE;
    } else if (clock_parse_rfc3339(from, &options->start_time_us) == 0) {
        options->start = TOUCHBUS_START_TIME;
    } else {
        tool_complain("--from: '%s' is none of beginning, end, a sequence, a time", from);
        return false;
    }
    return true;
}

static bool set_until(touchbus_subscriber_options *options, const char *until) {
    if (until == NULL || is_number(until, &options->until_sequence) ||
        clock_parse_rfc3339(until, &options->until_time_us) == 0) {
        return true;
    }
    tool_complain("--until: '%s' is neither a sequence nor a time", until);
    return false;
}

// The client wants a NULL-terminated list, NULL where there is no filter.
static bool set_patterns(const char *name, const struct option_list *list, const char **patterns,
                         const char *const **ret) {
    if (list->n_values > FILTER_PATTERNS_MAX) {
        tool_complain("--%s: more than %d", name, FILTER_PATTERNS_MAX);
        return false;
    }
    for (size_t i = 0; i < list->n_values; i++) {
        patterns[i] = list->values[i];
    }
    *ret = list->n_values > 0 ? patterns : NULL;
    return true;
}

int stream_options(struct stream *stream, const struct stream_conf *conf, const char *from) {
    touchbus_subscriber_options *options = &stream->options;
    options->broker = stream->tool->globals->broker;
    if (conf->from != NULL && conf->since_us > 0) {
        tool_complain("--from and --since: one of them");
        return TOOL_USAGE;
    }
    if (!set_start(options, conf->from != NULL ? conf->from : from) ||
        !set_until(options, conf->until)) {
        return TOOL_USAGE;
    }
    if (conf->since_us > 0) {
        options->start = TOUCHBUS_START_TIME;
        options->start_time_us = clock_now_us() - conf->since_us;
    }
    if (!set_patterns("type", &conf->types, stream->types, &options->types) ||
        !set_patterns("channel", &conf->channels, stream->channels, &options->channels)) {
        return TOOL_USAGE;
    }
    return conf->customer != NULL
               ? tool_find_customer(stream->tool, conf->customer, &options->customer)
               : TOOL_DONE;
}

// ---- the loop

struct run {
    struct stream *stream;
    touchbus_subscriber *subscriber;
    touchbus_event *unsettled[UNSETTLED_MAX];
    size_t n_unsettled;
    int64_t began_us;
};

// The reader of a pipe is gone: nothing will ever be read.
static bool reader_gone(void) {
    struct pollfd out = {.fd = STDOUT_FILENO, .events = 0};
    return poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

static void pace(const struct run *run) {
    if (run->stream->rate == 0) {
        return;
    }
    int64_t due_us =
        run->began_us + (int64_t)(run->stream->n_events * CLOCK_US_PER_S / run->stream->rate);
    while (!interrupted) {
        int64_t wait_us = due_us - clock_monotonic_us();
        if (wait_us <= 0) {
            return;
        }
        touchbus_subscriber_run(run->subscriber);
        wait_us = wait_us > LOOK_MS * CLOCK_US_PER_MS ? LOOK_MS * CLOCK_US_PER_MS : wait_us;
        nanosleep(&(struct timespec){.tv_nsec = wait_us * 1000}, NULL);
    }
}

static bool settle(struct run *run) {
    bool flushed = output_flush();
    for (size_t i = 0; i < run->n_unsettled; i++) {
        if (flushed && run->stream->options.name != NULL) {
            touchbus_subscriber_delivered(run->subscriber, run->unsettled[i]);
        }
        touchbus_event_free(run->unsettled[i]);
    }
    run->n_unsettled = 0;
    return flushed;
}

// False: the stream ends here.
static bool take(struct run *run, touchbus_event *event) {
    struct stream *stream = run->stream;
    pace(run);
    bool done = stream->event(stream, event);
    if (!done) {
        touchbus_event_free(event);
        return false;
    }
    stream->n_events++;
    uint64_t sequence = touchbus_event_sequence(event);
    run->unsettled[run->n_unsettled++] = event;
    if (stream->progress_total > 0) {
        progress_show("sequence", sequence, stream->progress_total);
    }
    return run->n_unsettled < UNSETTLED_MAX || settle(run);
}

static int refused(const struct run *run) {
    const char *reason, *detail, *hint;
    touchbus_subscriber_refusal(run->subscriber, &reason, &detail, &hint);
    return tool_refused(run->stream->tool, reason, detail, hint);
}

static int loop(struct run *run) {
    struct stream *stream = run->stream;
    while (!interrupted && (stream->count == 0 || stream->n_events < stream->count)) {
        touchbus_event *event = NULL;
        // What waits is printed before anything is waited for.
        int r = touchbus_subscriber_next(run->subscriber, 0, &event);
        if (r == 0) {
            if (!settle(run) || reader_gone()) {
                return TOOL_NO;
            }
            r = touchbus_subscriber_next(run->subscriber, LOOK_MS, &event);
        }
        if (r == 0 && touchbus_subscriber_refusal(run->subscriber, NULL, NULL, NULL) != 0) {
            return refused(run); // there is no connection, and it is known why
        }
        if (r == TOUCHBUS_ENDED) {
            return TOOL_DONE;
        }
        if (r == TOUCHBUS_REFUSED) {
            return refused(run);
        }
        if (r < 0 && r != -EINTR) {
            tool_complain("cannot receive: %s", strerror(-r));
            return TOOL_NO;
        }
        if (r == 1 && !take(run, event)) {
            return TOOL_NO;
        }
    }
    return TOOL_DONE;
}

int stream_run(struct stream *stream) {
    struct run run = {.stream = stream, .began_us = clock_monotonic_us()};
    const struct globals *globals = stream->tool->globals;
    stream->options.broker = globals->broker;
    stream->options.key = globals->key;
    stream->options.broker_key = globals->broker_key;
    if (tool_check_keys(stream->tool) != TOOL_DONE) {
        return TOOL_USAGE;
    }
    int r = touchbus_subscriber_new(&stream->options, &run.subscriber);
    if (r != 0) {
        tool_complain("cannot subscribe: %s", strerror(-r));
        return r == -EINVAL ? TOOL_USAGE : TOOL_NO;
    }
    catch_signals();
    int status = loop(&run);
    if (!settle(&run) && status == TOOL_DONE) {
        status = TOOL_NO;
    }
    touchbus_subscriber_progress(run.subscriber, &stream->progress);
    touchbus_subscriber_free(run.subscriber);
    progress_end();
    return status;
}
