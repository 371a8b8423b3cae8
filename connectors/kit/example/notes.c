// SPDX-License-Identifier: Apache-2.0
// A connector outside the tree, both ways: each line that somebody appends to a file becomes an
// event, and what others publish is appended to a second file. Build it against an installed kit:
//
//     cc notes.c -o touchbus-notes $(pkg-config --cflags --libs touchbus-kit)
//     ./touchbus-notes --broker 127.0.0.1:7400 --state state --lines in.txt --copy out.txt
#include <connectors/kit/kit.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES_MAX = 1000 };

struct notes_conf {
    char *lines, *copy;
};

struct notes {
    struct kit *kit;
    const struct notes_conf *conf;
    long next, pending; // offsets: of the next line, and behind the one at the broker; 0 none
};

// The offset is the cursor: kept in the connector's own folder, moved only after the broker's ack.
static FILE *open_cursor(const struct notes *notes, const char *mode) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/cursor", kit_folder(notes->kit));
    return fopen(path, mode);
}

static int notes_open(struct kit *kit, const void *conf, void **ret_state) {
    struct notes *notes = calloc(1, sizeof(*notes));
    if (notes == NULL) {
        return -ENOMEM;
    }
    notes->kit = kit;
    notes->conf = conf;
    FILE *cursor = open_cursor(notes, "r");
    if (cursor != NULL) {
        if (fscanf(cursor, "%ld", &notes->next) != 1) {
            notes->next = 0;
        }
        fclose(cursor);
    }
    *ret_state = notes;
    return 0;
}

static void notes_close(void *state) {
    free(state);
}

// One line at a time: publish it under an id that follows from where it stands, so that a crash
// before the ack repeats the same event.
static int notes_collect(void *state) {
    struct notes *notes = state;
    char line[LINE_BYTES_MAX], id[32];
    FILE *file = notes->pending != 0 ? NULL : fopen(notes->conf->lines, "r");
    if (file == NULL) {
        return 0; // still at the broker, or nobody has written anything yet
    }
    if (fseek(file, notes->next, SEEK_SET) == 0 && fgets(line, sizeof(line), file) != NULL &&
        strchr(line, '\n') != NULL) {
        notes->pending = ftell(file);
        line[strcspn(line, "\n")] = '\0';
        snprintf(id, sizeof(id), "line-%ld", notes->next);
        touchbus_event *event = touchbus_event_new("note.written", "/notes", id);
        if (event == NULL || touchbus_event_set(event, "subject", line) != 0 ||
            kit_publish(notes->kit, event, notes) != 0) {
            touchbus_event_free(event);
            notes->pending = 0;
        }
    }
    fclose(file);
    return 0;
}

static void notes_settled(void *state, void *item, const struct kit_ack *ack) {
    struct notes *notes = state;
    (void)item;
    (void)ack; // a refusal too: another try would be refused as well
    notes->next = notes->pending;
    notes->pending = 0;
    FILE *cursor = open_cursor(notes, "w");
    if (cursor != NULL) {
        fprintf(cursor, "%ld\n", notes->next);
        fclose(cursor);
    }
}

static void notes_deliver(void *state, touchbus_event *const *events, size_t n_events,
                          struct kit_result *results) {
    struct notes *notes = state;
    FILE *copy = fopen(notes->conf->copy, "a");
    if (copy == NULL) {
        return; // every slot says retry
    }
    for (size_t i = 0; i < n_events; i++) {
        const char *subject = touchbus_event_get(events[i], "subject");
        fprintf(copy, "%" PRIu64 " %s %s\n", touchbus_event_sequence(events[i]),
                touchbus_event_get(events[i], "type"), subject != NULL ? subject : "");
        kit_result(&results[i], KIT_DELIVERED, "%s", "");
    }
    fclose(copy);
}

static const struct option_row options[] = {
    {.name = "lines",
     .type = OPTION_STRING,
     .offset = offsetof(struct notes_conf, lines),
     .default_text = "in.txt",
     .argument = "FILE",
     .help = "Each line of it is published."},
    {.name = "copy",
     .type = OPTION_STRING,
     .offset = offsetof(struct notes_conf, copy),
     .default_text = "out.txt",
     .argument = "FILE",
     .help = "What is delivered is appended to it."},
};

static const struct kit_connector notes = {
    .name = "notes",
    .summary = "Publishes the lines of a file and writes down what others publish.",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .conf_size = sizeof(struct notes_conf),
    .types = (const char *const[]){"note.*", "product.*", NULL},
    .collect_every_ms = 200,
    .open = notes_open,
    .collect = notes_collect,
    .settled = notes_settled,
    .deliver = notes_deliver,
    .close = notes_close,
};

KIT_MAIN(notes)
