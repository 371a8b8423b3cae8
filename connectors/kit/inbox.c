// SPDX-License-Identifier: Apache-2.0
// The inbox: what is on its way, and what becomes of it. Nothing is remembered on disk but where a
// file stands; the broker knows which of its events it has.
#include "connectors/kit/inbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "connectors/kit/files.h"
#include "connectors/kit/inbox_folders.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/logging.h"

enum { LOOK_AT_MAX = 64 /* names a round: some may be left alone */, SETTLED_CODE_MAX = 99 };

struct inbox_item {
    struct inbox_file *file;
    size_t index;
};

// A file whose events are on their way.
struct inbox_file {
    char name[INBOX_NAME_BYTES]; // "": the slot is free
    char hash[INBOX_HASH_BYTES];
    json_t *events;
    struct inbox_item *items;
    size_t n_events, n_published, n_settled;
    char why[INBOX_WHY_BYTES]; // the first refusal, "" none
};

struct inbox {
    struct kit *kit;
    const struct inbox_options *options;
    char source[INBOX_NAME_BYTES];
    struct inbox_folders folders;
    int watch_fd;
    struct inbox_file files[INBOX_FILES_MAX];
};

int inbox_open(struct kit *kit, const struct inbox_options *options, struct inbox **ret) {
    struct inbox *inbox = calloc(1, sizeof(*inbox));
    if (inbox == NULL) {
        return -ENOMEM;
    }
    inbox->kit = kit;
    inbox->options = options;
    snprintf(inbox->source, sizeof(inbox->source), "/%s", kit_name(kit));
    inbox->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    int r = inbox_folders_open(options->folder, &inbox->folders);
    if (r == 0 && (inbox->watch_fd < 0 || inotify_add_watch(inbox->watch_fd, options->folder,
                                                            IN_MOVED_TO | IN_CLOSE_WRITE) < 0)) {
        r = -errno;
        logging_error("folder=%s cannot be watched error=\"%s\"", options->folder, strerror(-r));
    }
    if (r < 0) {
        inbox_close(inbox);
        return r;
    }
    kit_watch(kit, inbox->watch_fd);
    *ret = inbox;
    return 0;
}

static void free_slot(struct inbox_file *file) {
    json_decref(file->events);
    free(file->items);
    *file = (struct inbox_file){0};
}

struct inbox *inbox_close(struct inbox *inbox) {
    if (inbox != NULL) {
        for (size_t i = 0; i < INBOX_FILES_MAX; i++) {
            free_slot(&inbox->files[i]);
        }
        inbox_folders_close(&inbox->folders);
        cleanup_close(&inbox->watch_fd);
        free(inbox);
    }
    return NULL;
}

// ---- publishing

static touchbus_event *make_event(const struct inbox *inbox, const struct inbox_file *file,
                                  size_t index) {
    const json_t *one = json_array_get(file->events, index);
    const char *time = json_string_value(json_object_get(one, "time"));
    char id[INBOX_HASH_BYTES + 24];
    snprintf(id, sizeof(id), "%s-%zu", file->hash, index);
    touchbus_event *event =
        touchbus_event_new(json_string_value(json_object_get(one, "type")), inbox->source, id);
    _cleanup_free_ char *data = json_dumps(json_object_get(one, "data"), JSON_COMPACT);
    if (event == NULL || data == NULL ||
        touchbus_event_set(event, "channel", inbox->options->channel) < 0 ||
        touchbus_event_set(event, "direction", "decided") < 0 ||
        (time != NULL && touchbus_event_set(event, "time", time) < 0) ||
        touchbus_event_set_data_json(event, data, strlen(data)) < 0) {
        return touchbus_event_free(event);
    }
    return event;
}

// All of a file's events can be made, or none of it is published.
static bool can_make_all(const struct inbox *inbox, const struct inbox_file *file, char *why) {
    for (size_t i = 0; i < file->n_events; i++) {
        touchbus_event *event = make_event(inbox, file, i);
        if (event == NULL) {
            snprintf(why, INBOX_WHY_BYTES, "event %zu is over a limit of the wire", i);
            return false;
        }
        touchbus_event_free(event);
    }
    return true;
}

// Whether the file's events are all with the kit.
static bool publish(struct inbox *inbox, struct inbox_file *file) {
    while (file->n_published < file->n_events) {
        touchbus_event *event = make_event(inbox, file, file->n_published);
        if (event == NULL || kit_publish(inbox->kit, event, &file->items[file->n_published]) != 0) {
            touchbus_event_free(event);
            return false;
        }
        file->n_published++;
    }
    return true;
}

// ---- settling

// The broker has answered all of it. A file that cannot be moved keeps its slot, so that it is not
// published again and again.
static int finish(struct inbox *inbox, struct inbox_file *file) {
    int r = file->why[0] != '\0'
                ? inbox_folders_fail(&inbox->folders, file->name, file->hash, file->why)
                : inbox_folders_done(&inbox->folders, file->name, file->hash);
    if (r == 0) {
        logging_info("inbox_file=%s events=%zu settled=true", file->name, file->n_events);
        free_slot(file);
    }
    return r;
}

void inbox_settled(struct inbox *inbox, void *item, const struct kit_ack *ack) {
    const struct inbox_item *settled = item;
    struct inbox_file *file = settled->file;
    if (ack->code > SETTLED_CODE_MAX && file->why[0] == '\0') { // reasons.def: a refusal
        snprintf(file->why, sizeof(file->why), "event %zu: %s %s", settled->index, ack->reason,
                 ack->detail);
    }
    if (++file->n_settled == file->n_events && finish(inbox, file) == 0) {
        inbox_collect(inbox);
    }
}

// ---- collecting

static bool is_taken(const void *user, const char *name) {
    const struct inbox *inbox = user;
    for (size_t i = 0; i < INBOX_FILES_MAX; i++) {
        if (strcmp(inbox->files[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

// Reads and translates a whole file. As inbox_folders_read.
static int load(struct inbox *inbox, const char *name, struct inbox_file *ret, bool *ret_is_young,
                char *why) {
    struct inbox_content content;
    int r =
        inbox_folders_read(&inbox->folders, name, inbox->options->file_bytes_max, &content, why);
    *ret_is_young = content.is_young;
    snprintf(ret->hash, sizeof(ret->hash), "%s", content.hash);
    if (r == 0) {
        r = inbox->options->read(content.bytes, content.size, &ret->events, why);
        free(content.bytes);
    }
    if (r != 0) {
        return r;
    }
    snprintf(ret->name, sizeof(ret->name), "%s", name);
    ret->n_events = json_array_size(ret->events);
    ret->items = calloc(ret->n_events + 1, sizeof(*ret->items));
    return ret->items == NULL ? 2 : can_make_all(inbox, ret, why) ? 0 : 1;
}

// 0: go on with the next; 1: the kit is full; negative errno.
static int take(struct inbox *inbox, struct inbox_file *slot, const char *name) {
    struct inbox_file file = {0};
    char why[INBOX_WHY_BYTES] = "";
    bool is_young = false;
    int r = load(inbox, name, &file, &is_young, why);
    if (r != 0) {
        r = r == 1 && !is_young ? inbox_folders_fail(&inbox->folders, name, file.hash, why) : 0;
        free_slot(&file);
        return r;
    }
    *slot = file;
    for (size_t i = 0; i < slot->n_events; i++) {
        slot->items[i] = (struct inbox_item){.file = slot, .index = i};
    }
    return publish(inbox, slot) ? 0 : 1;
}

// Goes on with what is on its way. 0: all of it is with the kit; 1: not yet; negative errno.
static int carry_on(struct inbox *inbox) {
    for (size_t i = 0; i < INBOX_FILES_MAX; i++) {
        struct inbox_file *file = &inbox->files[i];
        bool is_answered = file->name[0] != '\0' && file->n_settled == file->n_events;
        int r = is_answered ? finish(inbox, file) : 0;
        if (r < 0) {
            return r;
        }
        if (file->name[0] != '\0' && !publish(inbox, file)) {
            return 1;
        }
    }
    return 0;
}

static struct inbox_file *free_file(struct inbox *inbox) {
    for (size_t i = 0; i < INBOX_FILES_MAX; i++) {
        if (inbox->files[i].name[0] == '\0') {
            return &inbox->files[i];
        }
    }
    return NULL;
}

int inbox_collect(struct inbox *inbox) {
    char names[LOOK_AT_MAX][INBOX_NAME_BYTES];
    char ignored[sizeof(struct inotify_event) + INBOX_NAME_BYTES];
    while (read(inbox->watch_fd, ignored, sizeof(ignored)) > 0) {
    }
    int r = carry_on(inbox);
    size_t n_names = r == 0 && free_file(inbox) != NULL
                         ? inbox_folders_scan(&inbox->folders, is_taken, inbox, names, LOOK_AT_MAX)
                         : 0;
    for (size_t i = 0; i < n_names && r == 0; i++) {
        struct inbox_file *slot = free_file(inbox);
        r = slot != NULL ? take(inbox, slot, names[i]) : 1;
    }
    return r < 0 ? r : 0;
}

// ---- what is kept

int inbox_erase(struct inbox *inbox, const char *const *texts, size_t n_texts) {
    return inbox_folders_erase(&inbox->folders, texts, n_texts);
}

int inbox_expire(struct inbox *inbox, int64_t age_us) {
    return inbox_folders_expire(&inbox->folders, age_us);
}
