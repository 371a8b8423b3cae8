// SPDX-License-Identifier: Apache-2.0
// The inbox: scan, read, publish, move. Nothing is remembered on disk but where a file stands; the
// broker knows which of its events it has.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "connectors/kit/files.h"
#include "connectors/kit/inbox.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"

enum { HASH_TEXT_BYTES = 49, SHORT_HASH_CHARACTERS = 8, NAME_BYTES = NAME_MAX + 1 };

struct inbox_file;
struct inbox_item {
    struct inbox_file *file;
    size_t index;
};

// A file whose events are on their way.
struct inbox_file {
    char name[NAME_BYTES]; // "": the slot is free
    char hash[HASH_TEXT_BYTES];
    json_t *events;
    struct inbox_item *items;
    size_t n_events, n_published, n_settled;
    char why[INBOX_WHY_BYTES]; // the first refusal, "" none
};

struct inbox {
    struct kit *kit;
    const struct inbox_options *options;
    char source[NAME_BYTES];
    int folder_fd, done_fd, failed_fd, watch_fd;
    struct inbox_file files[INBOX_FILES_MAX];
};

// ---- folders

static int open_folder(const char *path, int *ret_fd) {
    int r = files_make_folder(path);
    int fd = r < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = r < 0 ? r : fd < 0 ? -errno : 0;
    if (r < 0) {
        logging_error("folder=%s error=\"%s\"", path, strerror(-r));
        return r;
    }
    *ret_fd = fd;
    return 0;
}

static int open_beside(const char *folder, const char *name, int *ret_fd) {
    const char *slash = strrchr(folder, '/');
    int parent = slash != NULL ? (int)(slash - folder) : 0;
    char path[PATH_MAX];
    int size =
        snprintf(path, sizeof(path), "%.*s%s%s", parent, folder, slash != NULL ? "/" : "", name);
    return size < 0 || (size_t)size >= sizeof(path) ? -ENAMETOOLONG : open_folder(path, ret_fd);
}

int inbox_open(struct kit *kit, const struct inbox_options *options, struct inbox **ret) {
    struct inbox *inbox = calloc(1, sizeof(*inbox));
    if (inbox == NULL) {
        return -ENOMEM;
    }
    inbox->kit = kit;
    inbox->options = options;
    inbox->folder_fd = inbox->done_fd = inbox->failed_fd = -1;
    snprintf(inbox->source, sizeof(inbox->source), "/%s", kit_name(kit));
    inbox->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    int r = inbox->watch_fd < 0 ? -errno : open_folder(options->folder, &inbox->folder_fd);
    r = r < 0 ? r : open_beside(options->folder, "done", &inbox->done_fd);
    r = r < 0 ? r : open_beside(options->folder, "failed", &inbox->failed_fd);
    if (r == 0 &&
        inotify_add_watch(inbox->watch_fd, options->folder, IN_MOVED_TO | IN_CLOSE_WRITE) < 0) {
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
        cleanup_close(&inbox->folder_fd);
        cleanup_close(&inbox->done_fd);
        cleanup_close(&inbox->failed_fd);
        cleanup_close(&inbox->watch_fd);
        free(inbox);
    }
    return NULL;
}

// Into done or failed; where the name is taken there by another file, with the hash behind it.
static int move(struct inbox *inbox, const char *name, const char *hash, int to_fd) {
    char other[NAME_BYTES + SHORT_HASH_CHARACTERS + 1];
    int r = renameat2(inbox->folder_fd, name, to_fd, name, RENAME_NOREPLACE) == 0 ? 0 : -errno;
    if (r == -EEXIST || r == -EINVAL) {
        size_t end = strlen(hash); // the content's part of the hash
        snprintf(other, sizeof(other), "%.*s.%s", NAME_MAX - SHORT_HASH_CHARACTERS - 1, name,
                 hash + (end > SHORT_HASH_CHARACTERS ? end - SHORT_HASH_CHARACTERS : 0));
        r = renameat(inbox->folder_fd, name, to_fd, other) == 0 ? 0 : -errno;
    }
    if (r < 0) {
        logging_error("inbox_file=%s cannot be moved error=\"%s\"", name, strerror(-r));
    }
    return r;
}

static int fail(struct inbox *inbox, const char *name, const char *hash, const char *why) {
    char reason[NAME_BYTES], line[INBOX_WHY_BYTES + 1];
    snprintf(reason, sizeof(reason), "%.*s.reason", NAME_MAX - (int)strlen(".reason"), name);
    int size = snprintf(line, sizeof(line), "%s\n", why);
    _cleanup_(cleanup_close) int fd = openat(
        inbox->failed_fd, reason, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0 || files_pwrite(fd, line, (size_t)size, 0) < 0) {
        logging_error("inbox_file=%s its reason cannot be written", name);
    }
    logging_warning("inbox_file=%s failed=\"%s\"", name, why);
    return move(inbox, name, hash, inbox->failed_fd);
}

// The broker has answered all of it. A file that cannot be moved keeps its slot, so that it is not
// published again and again.
static int finish(struct inbox *inbox, struct inbox_file *file) {
    int r = file->why[0] != '\0' ? fail(inbox, file->name, file->hash, file->why)
                                 : move(inbox, file->name, file->hash, inbox->done_fd);
    if (r == 0) {
        logging_info("inbox_file=%s events=%zu settled=true", file->name, file->n_events);
        free_slot(file);
    }
    return r;
}

// ---- publishing

static touchbus_event *make_event(const struct inbox *inbox, const struct inbox_file *file,
                                  size_t index) {
    const json_t *one = json_array_get(file->events, index);
    const char *time = json_string_value(json_object_get(one, "time"));
    char id[HASH_TEXT_BYTES + 24];
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

// All of a file's events are made before the first is published, so that a bad one stops the file.
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

void inbox_settled(struct inbox *inbox, void *item, const struct kit_ack *ack) {
    const struct inbox_item *settled = item;
    struct inbox_file *file = settled->file;
    bool is_refused = ack->code >= 100; // reasons.def: below it the broker has the event
    if (is_refused && file->why[0] == '\0') {
        snprintf(file->why, sizeof(file->why), "event %zu: %s %s", settled->index, ack->reason,
                 ack->detail);
    }
    if (++file->n_settled == file->n_events && finish(inbox, file) == 0) {
        inbox_collect(inbox);
    }
}

// ---- taking files

static bool is_for_us(const struct inbox *inbox, const struct dirent *entry) {
    const char *name = entry->d_name;
    static const char *const unfinished[] = {".tmp", ".part", ".new"};
    size_t size = strlen(name);
    for (size_t i = 0; i < sizeof(unfinished) / sizeof(unfinished[0]); i++) {
        size_t end = strlen(unfinished[i]);
        if (size >= end && strcmp(name + size - end, unfinished[i]) == 0) {
            return false;
        }
    }
    for (size_t i = 0; i < INBOX_FILES_MAX; i++) {
        if (strcmp(inbox->files[i].name, name) == 0) {
            return false;
        }
    }
    return name[0] != '.' && (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN);
}

// The name's file, if it is a regular one: 0 and its bytes; 1 and why; 2: not ours.
static int read_file(struct inbox *inbox, const char *name, struct stat *status, void **ret,
                     size_t *ret_size, char *why) {
    _cleanup_(cleanup_close) int fd =
        openat(inbox->folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        snprintf(why, INBOX_WHY_BYTES, "it cannot be opened: %s", strerror(errno));
        return errno == EACCES && fstatat(inbox->folder_fd, name, status, 0) == 0 ? 1 : 2;
    }
    if (fstat(fd, status) != 0 || !S_ISREG(status->st_mode)) {
        return 2;
    }
    size_t size = (size_t)status->st_size;
    if (size > inbox->options->file_bytes_max) {
        snprintf(why, INBOX_WHY_BYTES, "it is over %zu bytes", inbox->options->file_bytes_max);
        return 1;
    }
    _cleanup_free_ void *bytes = malloc(size + 1);
    if (bytes == NULL || files_pread(fd, bytes, size, 0) != 0) {
        return 2;
    }
    *ret = STEAL(bytes);
    *ret_size = size;
    return 0;
}

// 16 digits of the name, 32 of the content.
static void hash_file(const char *name, const void *bytes, size_t size,
                      char ret[static HASH_TEXT_BYTES]) {
    XXH128_hash_t content = XXH3_128bits(bytes, size);
    snprintf(ret, HASH_TEXT_BYTES, "%016llx%016llx%016llx",
             (unsigned long long)XXH3_64bits(name, strlen(name)),
             (unsigned long long)content.high64, (unsigned long long)content.low64);
}

static bool is_young(const struct stat *status) {
    int64_t changed_us = (int64_t)status->st_mtim.tv_sec * CLOCK_US_PER_S +
                         status->st_mtim.tv_nsec / (CLOCK_US_PER_S / 1000);
    int64_t age_us = clock_now_us() - changed_us;
    return age_us >= 0 && age_us < INBOX_SETTLE_MS * CLOCK_US_PER_MS;
}

// Reads and translates a whole file: 0 and *ret; 1 and why; 2: nothing to do now.
static int load(struct inbox *inbox, const char *name, struct inbox_file *ret, struct stat *status,
                char *why) {
    _cleanup_free_ void *bytes = NULL;
    size_t size = 0;
    int r = read_file(inbox, name, status, &bytes, &size, why);
    if (r != 0) {
        return r;
    }
    hash_file(name, bytes, size, ret->hash);
    r = inbox->options->read(bytes, size, &ret->events, why);
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
    struct stat status = {0};
    struct inbox_file file = {.hash = "unread"};
    char why[INBOX_WHY_BYTES] = "";
    int r = load(inbox, name, &file, &status, why);
    if (r != 0) {
        r = r == 1 && !is_young(&status) ? fail(inbox, name, file.hash, why) : 0;
        free_slot(&file);
        return r;
    }
    *slot = file;
    for (size_t i = 0; i < slot->n_events; i++) {
        slot->items[i] = (struct inbox_item){.file = slot, .index = i};
    }
    return publish(inbox, slot) ? 0 : 1;
}

// The first names in order that are not on their way, at most n_max.
static size_t scan(const struct inbox *inbox, char names[][NAME_BYTES], size_t n_max) {
    int fd = openat(inbox->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    size_t n_names = 0;
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        size_t at = n_names;
        while (at > 0 && strcmp(entry->d_name, names[at - 1]) < 0) {
            at--;
        }
        if (at == n_max || !is_for_us(inbox, entry)) {
            continue;
        }
        n_names += n_names < n_max;
        memmove(names[at + 1], names[at], (n_names - at - 1) * NAME_BYTES);
        snprintf(names[at], NAME_BYTES, "%s", entry->d_name);
    }
    if (folder != NULL) {
        closedir(folder);
    } else {
        cleanup_close(&fd);
    }
    return n_names;
}

// Goes on with what is on its way. 0: all of it is with the kit; 1: not yet; negative errno.
static int carry_on(struct inbox *inbox) {
    for (size_t i = 0; i < INBOX_FILES_MAX; i++) {
        struct inbox_file *file = &inbox->files[i];
        bool is_taken = file->name[0] != '\0';
        int r = is_taken && file->n_settled == file->n_events ? finish(inbox, file) : 0;
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
    enum { LOOK_AT_MAX = 64 }; // names a round: some may be left alone
    char names[LOOK_AT_MAX][NAME_BYTES];
    char ignored[sizeof(struct inotify_event) + NAME_BYTES];
    while (read(inbox->watch_fd, ignored, sizeof(ignored)) > 0) {
    }
    int r = carry_on(inbox);
    size_t n_names = r == 0 && free_file(inbox) != NULL ? scan(inbox, names, LOOK_AT_MAX) : 0;
    for (size_t i = 0; i < n_names && r == 0; i++) {
        struct inbox_file *slot = free_file(inbox);
        r = slot != NULL ? take(inbox, slot, names[i]) : 1;
    }
    return r < 0 ? r : 0;
}
