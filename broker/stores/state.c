// SPDX-License-Identifier: Apache-2.0
// The state folder as a whole: its lock, its stores in the order in which one judges the next.
//   STATE/lock       held by the broker for its life
//   STATE/readers    held shared by every `view verify`, exclusively by a start while it may
//   replace
//                    pages of the view: a restore never runs under a reader of another process
//   STATE/log keys base view   the stores
//   STATE/verify-*   scratch copies; what a killed verify left is removed here
#include "broker/stores/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/stores/base.h"
#include "broker/stores/base_upgrade.h"
#include "broker/stores/disk.h"
#include "broker/stores/state_internal.h"
#include "broker/stores/store.h"
#include "broker/stores/verify.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum { READERS_WAIT_MS = 10000, READERS_PAUSE_MS = 50, FOLDER_ENTRIES_MAX = 10000 };

int state_path(const char *state, const char *name, char ret[static STATE_PATH_BYTES]) {
    int n = snprintf(ret, STATE_PATH_BYTES, "%s/%s", state, name);
    return n < 0 || n >= STATE_PATH_BYTES ? -ENAMETOOLONG : 0;
}

int state_lock(const char *state, int *ret_descriptor) {
    char path[STATE_PATH_BYTES];
    int r = state_path(state, "lock", path);
    r = r == 0 ? store_lock(path, GUARD(state_lock), ret_descriptor) : r;
    if (r == 0 && (ftruncate(*ret_descriptor, 0) != 0 ||
                   dprintf(*ret_descriptor, "%ld\n", (long)getpid()) < 0)) {
        logging_warning("state=%s lock=unnamed error=\"%s\"", state, strerror(errno)); // held
    }
    return r;
}

// Who holds the lock, as it wrote there; 0 where it did not. For the message only.
static long lock_holder(const char *state) {
    char path[STATE_PATH_BYTES], text[32];
    if (state_path(state, "lock", path) != 0) {
        return 0;
    }
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = descriptor < 0 ? -1 : read(descriptor, text, sizeof(text) - 1);
    if (descriptor >= 0) {
        close(descriptor);
    }
    text[n > 0 ? n : 0] = '\0';
    return strtol(text, NULL, 10);
}

// A killed predecessor may have made it, and got no further; where one may not read the folder
// above it, somebody else has.
static int make_folder(const char *state) {
    if (mkdir(state, 0700) != 0 && errno != EEXIST) {
        return -errno;
    }
    int r = store_sync_parent(state);
    return r == -EACCES ? 0 : r;
}

// What a killed predecessor renamed or made may be in the page cache only. A start that goes by a
// name writes over what the one before it needs, so names must be on disk before they are read.
static int sync_names(const char *state) {
    static const char *const folders[] = {".", "log", "keys", "base", "view"};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(folders) / sizeof(folders[0]); i++) {
        char path[STATE_PATH_BYTES];
        r = state_path(state, folders[i], path);
        r = r == 0 ? store_sync_folder(path) : r;
        r = r == -ENOENT ? 0 : r; // not made yet, or missing: its own step says so
    }
    return r;
}

// Verifies of the broker before this one end with it, or soon.
static int wait_for_readers(const char *state, int *ret_descriptor) {
    char path[STATE_PATH_BYTES];
    int r = state_path(state, VERIFY_LOCK, path);
    if (r < 0) {
        return r;
    }
    for (int waited_ms = 0; waited_ms < READERS_WAIT_MS; waited_ms += READERS_PAUSE_MS) {
        r = store_lock(path, true, ret_descriptor);
        if (r != -EBUSY) {
            return r;
        }
        const struct timespec pause = {.tv_nsec = READERS_PAUSE_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
    return r;
}

static int remove_scratch(const char *state) {
    DIR *list = opendir(state);
    if (list == NULL) {
        return -errno;
    }
    int r = 0;
    struct dirent *entry = NULL;
    for (int n = 0; r == 0 && n < FOLDER_ENTRIES_MAX && (entry = readdir(list)) != NULL; n++) {
        char path[STATE_PATH_BYTES];
        if (strncmp(entry->d_name, VERIFY_SCRATCH, strlen(VERIFY_SCRATCH)) == 0) {
            r = state_path(state, entry->d_name, path);
            r = r == 0 ? store_remove_folder(path) : r;
        }
    }
    closedir(list);
    return r;
}

static const char *reason(int r) {
    static const struct {
        int code;
        const char *text;
    } texts[] = {
        {-EBUSY, "another broker has it"},
        {-ENOENT, "the folder is there without its data file: bring it back, or restore a backup"},
        {-EBADMSG, "the file is damaged or not ours: restore a backup"},
        {-ESTALE, "the log is older than the base: an old copy was put in its place"},
        {-EXDEV, "the base is of another log"},
        {-ENOTSUP, "the base was written by a newer touchbusd"},
        {-EUCLEAN,
         "the log's file and its journal do not belong together: bring the whole folder back "
         "as it was, or restore a backup"},
        {-ENOLINK, "the log's journal is missing: bring journal-0 and journal-1 back with it, or "
                   "restore a backup"},
        {-ENODATA, "events between the base's end and the log's start are missing"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].code == r) {
            return texts[i].text;
        }
    }
    return strerror(-r);
}

static int say(const char *what, const char *path, int r) {
    if (r < 0) {
        logging_error("%s=%s error=\"%s\"", what, path, reason(r));
    }
    return r;
}

// Locks the state; where another broker has it, says which.
static int lock_or_say(const char *state, int *ret_descriptor) {
    int r = state_lock(state, ret_descriptor);
    if (r != -EBUSY) {
        return say("state", state, r);
    }
    logging_error("state=%s error=\"another broker has it\" pid=%ld", state, lock_holder(state));
    return r;
}

static int open_log(struct broker *broker) {
    char path[STATE_PATH_BYTES];
    int r = state_path(broker->configuration.state, "log", path);
    if (r == 0) {
        r = log_open(path, (size_t)broker->configuration.log_map_bytes, false, &broker->log);
    }
    if (r == 0) {
        log_set_point_interval(broker->log, broker->configuration.restore_interval_us);
    }
    return say("log", path, r);
}

static int open_keys(struct broker *broker) {
    char path[STATE_PATH_BYTES];
    int r = state_path(broker->configuration.state, "keys", path);
    if (GUARD(keys_missing) && r == 0 && log_next(broker->log) > 1 && access(path, F_OK) != 0) {
        logging_error("keys=%s error=\"missing, and the log is not empty: without them nobody can "
                      "read it; bring them back, or restore a backup\"",
                      path);
        return -ENOENT;
    }
    if (r == 0) {
        r = keys_open(path, false, &broker->keys);
    }
    return say("keys", path, r);
}

static int open_base(struct broker *broker) {
    char path[STATE_PATH_BYTES];
    uint64_t applied = 0;
    size_t map = (size_t)broker->configuration.view_map_bytes;
    int r = state_path(broker->configuration.state, "base", path);
    r = r == 0 ? base_upgrade(path, map, broker->keys) : r;
    r = r == 0 ? base_open(path, map, broker->log, &broker->base, &applied) : r;
    // Of a log that has everything, the base holds nothing that cannot be folded again.
    if (r == -ESTALE && broker->configuration.accept_older_log && log_first(broker->log) == 1) {
        r = store_remove_folder(path);
        r = r == 0 ? base_open(path, map, broker->log, &broker->base, &applied) : r;
    }
    return say("base", path, r);
}

// Each opens one store, or gets the folder ready for it.
static int (*const steps[])(struct broker *) = {open_log, open_keys, open_base, state_open_view};

bool state_is_low(struct broker *broker) {
    const struct {
        const char *name;
        struct store *store;
    } stores[] = {{"log", log_store(broker->log)},
                  {"keys", keys_store(broker->keys)},
                  {"view", view_store(broker->view)},
                  {"base", view_store(broker->base)}};
    bool map_low = false;
    for (size_t i = 0; i < sizeof(stores) / sizeof(stores[0]); i++) {
        bool low = disk_map_is_low(stores[i].store);
        if (low && !broker->map_was_low) {
            logging_warning("map=low store=%s hint=\"trim the log, or raise --log-map or "
                            "--view-map\"",
                            stores[i].name);
        }
        map_low = map_low || low;
    }
    broker->map_was_low = map_low;
    broker->disk_was_low =
        disk_check(broker->configuration.state, broker->configuration.disk_reserve_bytes,
                   broker->disk_was_low);
    return map_low || broker->disk_was_low;
}

static int open_stores(struct broker *broker) {
    int r = remove_scratch(broker->configuration.state);
    if (GUARD(startup_names) && r == 0) {
        r = sync_names(broker->configuration.state);
    }
    if (r < 0) {
        return say("state", broker->configuration.state, r);
    }
    disk_make_room(broker->configuration.state, broker->configuration.disk_reserve_bytes);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        r = steps[i](broker);
        if (r < 0) {
            return r;
        }
    }
    atomic_store(&broker->visible, log_next(broker->log) - 1);
    atomic_store(&broker->disk_low, state_is_low(broker));
    return 0;
}

int state_open(struct broker *broker) {
    const char *state = broker->configuration.state;
    broker->lock = -1;
    int r = say("state", state, make_folder(state));
    if (r == 0) {
        r = lock_or_say(state, &broker->lock);
    }
    if (r < 0) {
        return r;
    }
    int readers = -1;
    r = wait_for_readers(state, &readers);
    if (r < 0) {
        logging_error("state=%s error=\"%s\"", state,
                      r == -EBUSY ? "a view verify of an earlier broker still runs" : strerror(-r));
        return r;
    }
    r = open_stores(broker);
    close(readers);
    return r;
}

void state_leave(struct broker *broker) {
    int r = state_take_point(broker, atomic_load(&broker->visible));
    if (r < 0) {
        // The point before still stands; the next start merely folds more.
        logging_warning("restore_point=failed error=\"%s\"", strerror(-r));
    }
}

void state_close(struct broker *broker, bool clean) {
    if (clean && broker->view != NULL) {
        state_leave(broker);
    }
    broker->view = view_close(broker->view);
    broker->base = view_close(broker->base);
    broker->keys = keys_close(broker->keys);
    broker->log = log_close(broker->log);
    if (broker->lock >= 0) {
        close(broker->lock);
        broker->lock = -1;
    }
}
