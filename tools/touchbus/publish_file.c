// SPDX-License-Identifier: Apache-2.0
// A file of CloudEvents JSON lines into the broker, a window of them in flight. A line that is no
// event, or is refused, is named by its number and does not stop the others.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "tools/touchbus/groups.h"

enum {
    LINE_BYTES_MAX = 4 << 20,
    WAIT_MS = 100,
    REASON_CODE_DUPLICATE = 1,
    REASON_CODE_QUARANTINED = 2,
};

struct publishing {
    struct tool *tool;
    const struct publish_file *file;
    touchbus_publisher *publisher;
    uint64_t n_lines, n_accepted, n_duplicates, n_quarantined, n_refused, n_malformed, n_bytes;
    uint64_t last_sequence;
    uint64_t size; // of the file, 0: not known
    int64_t heard_us;
};

static void on_ack(const touchbus_ack *ack, void *user) {
    struct publishing *publishing = user;
    uint64_t line = (uint64_t)(uintptr_t)ack->tag;
    publishing->heard_us = clock_monotonic_us();
    publishing->n_accepted += ack->code == 0;
    publishing->n_duplicates += ack->code == REASON_CODE_DUPLICATE;
    publishing->n_quarantined += ack->code == REASON_CODE_QUARANTINED;
    publishing->n_refused += ack->code > REASON_CODE_QUARANTINED;
    if (ack->sequence > publishing->last_sequence) {
        publishing->last_sequence = ack->sequence;
    }
    if (ack->code > REASON_CODE_DUPLICATE) {
        tool_complain("line %llu: %s%s%s", (unsigned long long)line, ack->reason,
                      ack->detail[0] != '\0' ? ": " : "", ack->detail);
    }
    if (publishing->file->acks) {
        json_t *json = ack_json(ack, "");
        json_object_del(json, "type");
        json_object_set_new(json, "line", json_integer((json_int_t)line));
        output_line(json);
        json_decref(json);
    }
}

// Waits for room in the window. False: the broker went silent.
static bool wait_for_room(struct publishing *publishing) {
    touchbus_publisher_run(publishing->publisher, WAIT_MS);
    return clock_monotonic_us() - publishing->heard_us < publishing->tool->globals->timeout_us;
}

// 0, or an exit code.
static int publish_line(struct publishing *publishing, const char *line, size_t size) {
    touchbus_event *event = NULL;
    const char *why = "";
    int r = touchbus_event_from_json(line, size, &event, &why);
    if (r != 0) {
        publishing->n_malformed++;
        tool_complain("line %llu: %s", (unsigned long long)publishing->n_lines,
                      why != NULL && why[0] != '\0' ? why : strerror(-r));
        return 0;
    }
    int status = 0;
    do {
        r = touchbus_publisher_publish(publishing->publisher, event,
                                       (void *)(uintptr_t)publishing->n_lines);
        if (r == TOUCHBUS_FULL && !wait_for_room(publishing)) {
            status = TOOL_AWAY;
        }
    } while (r == TOUCHBUS_FULL && status == 0);
    if (r < 0) {
        publishing->n_malformed++;
        tool_complain("line %llu: %s", (unsigned long long)publishing->n_lines, strerror(-r));
    }
    touchbus_event_free(event);
    return status;
}

static int publish_lines(struct publishing *publishing, FILE *file) {
    _cleanup_free_ char *line = NULL;
    size_t allocated = 0;
    ssize_t n;
    publishing->heard_us = clock_monotonic_us();
    while ((n = getline(&line, &allocated, file)) >= 0) {
        publishing->n_lines++;
        publishing->n_bytes += (uint64_t)n;
        if (line[strspn(line, " \t\r\n")] == '\0') {
            continue;
        }
        if (n > LINE_BYTES_MAX) {
            publishing->n_malformed++;
            tool_complain("line %llu: too long", (unsigned long long)publishing->n_lines);
            continue;
        }
        int status = publish_line(publishing, line, (size_t)n);
        if (status != 0) {
            return status;
        }
        touchbus_publisher_run(publishing->publisher, 0);
        progress_show("bytes", publishing->n_bytes, publishing->size);
    }
    return ferror(file) ? TOOL_NO : TOOL_DONE;
}

static int flush(struct publishing *publishing) {
    publishing->heard_us = clock_monotonic_us();
    while (touchbus_publisher_pending(publishing->publisher) > 0) {
        if (!wait_for_room(publishing)) {
            return TOOL_AWAY;
        }
    }
    return TOOL_DONE;
}

static void summarize(const struct publishing *publishing) {
    json_t *json = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "accepted", (json_int_t)publishing->n_accepted,
        "duplicates", (json_int_t)publishing->n_duplicates, "quarantined",
        (json_int_t)publishing->n_quarantined, "refused", (json_int_t)publishing->n_refused,
        "malformed", (json_int_t)publishing->n_malformed, "pending",
        (json_int_t)touchbus_publisher_pending(publishing->publisher), "last_sequence",
        (json_int_t)publishing->last_sequence);
    publishing->tool->json ? output_line(json) : output_object(json);
    json_decref(json);
}

static int publish_open(struct publishing *publishing, FILE *file) {
    struct stat status;
    if (fstat(fileno(file), &status) == 0 && S_ISREG(status.st_mode)) {
        publishing->size = (uint64_t)status.st_size;
    }
    int result = tool_there(publishing->tool); // says at once where the broker is away
    if (result != TOOL_DONE) {
        return result;
    }
    const struct globals *globals = publishing->tool->globals;
    const touchbus_publisher_options options = {.broker = globals->broker,
                                                .key = globals->key,
                                                .broker_key = globals->broker_key,
                                                .producer = publishing->file->producer,
                                                .source = publishing->file->source,
                                                .on_ack = on_ack,
                                                .user = publishing};
    int r = touchbus_publisher_new(&options, &publishing->publisher);
    if (r != 0) {
        tool_complain("cannot publish: %s", strerror(-r));
        return r == -EINVAL ? TOOL_USAGE : TOOL_NO;
    }
    result = publish_lines(publishing, file);
    result = result == TOOL_AWAY ? result : (flush(publishing) == TOOL_AWAY ? TOOL_AWAY : result);
    progress_end();
    summarize(publishing);
    if (result == TOOL_AWAY) {
        tool_refused(publishing->tool, "unavailable", "acks are missing",
                     "the broker does not answer; publishing the same file again is harmless");
    }
    touchbus_publisher_free(publishing->publisher);
    bool any_no = publishing->n_quarantined + publishing->n_refused + publishing->n_malformed > 0;
    return result == TOOL_DONE && any_no ? TOOL_NO : result;
}

int publish_file(struct tool *tool, const struct publish_file *file) {
    struct publishing publishing = {.tool = tool, .file = file};
    if (strcmp(file->path, "-") == 0) {
        return publish_open(&publishing, stdin);
    }
    FILE *opened = fopen(file->path, "re");
    if (opened == NULL) {
        tool_complain("%s: %s", file->path, strerror(errno));
        return TOOL_USAGE;
    }
    int status = publish_open(&publishing, opened);
    fclose(opened);
    return status;
}
