// SPDX-License-Identifier: Apache-2.0
// A state folder made of a backup and of the keys as they are now. Every file is hashed while it is
// copied; keys that are older than the log, or another state's, are refused: with them the log
// could be read in part only, and nobody would notice. Built aside, synced, renamed.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/backup/backup.h"
#include "broker/backup/cut.h"
#include "broker/backup/manifest.h"
#include "broker/backup/place.h"
#include "broker/stores/state.h"
#include "broker/stores/store.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"

enum { EXIT_DONE = 0, EXIT_NO = 1, COPY_BYTES = 1 << 20, TEXT_BYTES = 512 };

struct restore {
    const struct restore_task *task;
    FILE *out;
    json_t *manifest;
    struct keys *keys;
    uint64_t n_lost;     // customers without a key
    char part[PATH_MAX]; // the new state while it is made
    bool has_part;
    char replaced[PATH_MAX]; // where the old one went; "": there was none
    char error[TEXT_BYTES];  // set by whoever says no
};

// Returns -ECANCELED: the error stands in restore.
static int refuse(struct restore *restore, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int refuse(struct restore *restore, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(restore->error, sizeof(restore->error), format, arguments);
    va_end(arguments);
    return -ECANCELED;
}

static int join(const char *dir, const char *name, char ret[static PATH_MAX]) {
    int n = snprintf(ret, PATH_MAX, "%s/%s", dir, name);
    return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

// ---- what must hold before anything is written

static int open_backup(struct restore *restore) {
    const char *why = "";
    if (manifest_read(restore->task->from, &restore->manifest, &why) != 0) {
        return refuse(restore, "%s: %s", restore->task->from, why);
    }
    const char *what = json_string_value(json_object_get(restore->manifest, "what"));
    if (what == NULL || strcmp(what, "stores") != 0) {
        return refuse(restore, "%s holds keys alone: give it as --keys", restore->task->from);
    }
    return 0;
}

static int open_keys(struct restore *restore) {
    char id[65];
    const char *expected = json_string_value(json_object_get(restore->manifest, "keys_id"));
    int r = keys_open(restore->task->keys, true, &restore->keys);
    if (r < 0) {
        return refuse(restore, "%s: no keys there: %s", restore->task->keys, strerror(-r));
    }
    cut_keys_id(restore->keys, id);
    if (expected == NULL || strcmp(id, expected) != 0) {
        return refuse(restore, "%s: the keys of another state", restore->task->keys);
    }
    return 0;
}

static int judge_keys(struct restore *restore) {
    uint64_t made = keys_made(restore->keys);
    uint64_t customers =
        (uint64_t)json_integer_value(json_object_get(restore->manifest, "customers"));
    restore->n_lost = customers >= made ? customers - made + 1 : 0;
    if (GUARD(restore_keys_age) && restore->n_lost > 0 && !restore->task->force) {
        return refuse(restore,
                      "the keys are older than the log: %" PRIu64
                      " customers have none; take newer keys, or lose them with --force",
                      restore->n_lost);
    }
    uint64_t destroyed =
        (uint64_t)json_integer_value(json_object_get(restore->manifest, "keys_destroyed"));
    if (GUARD(restore_keys_erasure) && keys_n_destroyed(restore->keys) < destroyed) {
        return refuse(restore,
                      "the keys are older than the log: of %" PRIu64
                      " people whose keys it saw destroyed they still have some; take newer keys",
                      destroyed);
    }
    return 0;
}

// What is replaced may know of erasures, or of customers, that these keys do not.
static int judge_replaced_keys(struct restore *restore) {
    char path[PATH_MAX], id[65], ours[65];
    struct keys *keys = NULL;
    if (restore->task->force || join(restore->task->state, "keys", path) != 0 ||
        keys_open(path, true, &keys) < 0) {
        return 0; // lost, or not to be had: then these are the newest
    }
    cut_keys_id(keys, id);
    cut_keys_id(restore->keys, ours);
    bool newer =
        strcmp(id, ours) == 0 && (keys_n_destroyed(keys) > keys_n_destroyed(restore->keys) ||
                                  keys_made(keys) > keys_made(restore->keys));
    keys_close(keys);
    if (GUARD(restore_newest_keys) && newer) {
        return refuse(restore, "%s has newer keys than these: take them, or lose them with --force",
                      path);
    }
    return 0;
}

static int judge_state(struct restore *restore) {
    const char *state = restore->task->state;
    if (access(state, F_OK) != 0) {
        return errno == ENOENT ? 0 : refuse(restore, "%s: %s", state, strerror(errno));
    }
    if (rmdir(state) == 0) {
        return 0; // it was empty
    }
    if (!restore->task->replace) {
        return refuse(restore, "%s is not empty; --replace moves it aside", state);
    }
    int lock = -1, r = state_lock(state, &lock);
    if (r < 0) {
        return refuse(restore, "%s: %s", state, r == -EBUSY ? "a broker runs on it" : strerror(-r));
    }
    close(lock);
    return judge_replaced_keys(restore);
}

// ---- copying

static int copy_bytes(int from, int to, char ret[static MANIFEST_HASH_BYTES]) {
    _cleanup_free_ uint8_t *buffer = malloc(COPY_BYTES);
    uint8_t hash[32];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof(hash));
    ssize_t n = buffer != NULL ? 1 : -1;
    while (n > 0 && (n = read(from, buffer, COPY_BYTES)) > 0) {
        crypto_generichash_update(&state, buffer, (size_t)n);
        if (write(to, buffer, (size_t)n) != n) {
            return errno != 0 ? -errno : -ENOSPC;
        }
    }
    if (n < 0) {
        return buffer == NULL ? -ENOMEM : -errno;
    }
    crypto_generichash_final(&state, hash, sizeof(hash));
    sodium_bin2hex(ret, MANIFEST_HASH_BYTES, hash, sizeof(hash));
    return fsync(to) == 0 ? 0 : -errno;
}

static int copy_file(struct restore *restore, const char *name) {
    char from_path[PATH_MAX], to_path[PATH_MAX], hash[MANIFEST_HASH_BYTES] = "";
    int r = join(restore->task->from, name, from_path);
    r = r == 0 ? join(restore->part, name, to_path) : r;
    int from = r == 0 ? open(from_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    int to = from >= 0 ? open(to_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    r = r == 0 && to < 0 ? -errno : r;
    r = r == 0 ? copy_bytes(from, to, hash) : r;
    if (from >= 0) {
        close(from);
    }
    if (to >= 0) {
        close(to);
    }
    const char *expected = manifest_hash(restore->manifest, name);
    if (r != 0) {
        return refuse(restore, "%s: %s", from_path, strerror(-r));
    }
    if (GUARD(restore_checksum) && (expected == NULL || strcmp(hash, expected) != 0)) {
        return refuse(restore,
                      "%s: damaged, its checksum does not fit; see 'touchbus backup "
                      "--verify'",
                      from_path);
    }
    return 0;
}

// The names are the manifest's, and it is only a file: none leads elsewhere.
static bool is_name_in(const char *name, const char *folder) {
    size_t length = strlen(folder);
    return strncmp(name, folder, length) == 0 && name[length] == '/' &&
           strchr(name + length + 1, '/') == NULL && name[length + 1] != '.';
}

static int copy_folder(struct restore *restore, const char *folder) {
    char path[PATH_MAX];
    const char *name = NULL;
    json_t *file = NULL;
    int r = join(restore->part, folder, path);
    if (r == 0 && mkdir(path, 0700) != 0) {
        r = -errno;
    }
    if (r != 0) {
        return refuse(restore, "%s: %s", path, strerror(-r));
    }
    json_object_foreach(json_object_get(restore->manifest, "files"), name, file) {
        r = r == 0 && is_name_in(name, folder) ? copy_file(restore, name) : r;
    }
    return r == 0 && join(path, "data.mdb", path) == 0 ? store_sync_parent(path) : r;
}

static int copy_stores(struct restore *restore) {
    // Where keys are lost, the view holds what the log can no longer give: it is built anew.
    const char *const folders[] = {"log", "base", restore->n_lost == 0 ? "view" : NULL};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(folders) / sizeof(folders[0]); i++) {
        r = folders[i] != NULL ? copy_folder(restore, folders[i]) : 0;
    }
    return r;
}

// Keys are made for them and destroyed: what the log has of them nobody opens, they are taken for
// erased, and no later event is sealed with a key that the log's do not fit.
static int lose_keys(struct restore *restore, const char *path) {
    struct keys *keys = NULL;
    uint64_t customers =
        (uint64_t)json_integer_value(json_object_get(restore->manifest, "customers"));
    int r = keys_open(path, false, &keys);
    r = r == 0 ? keys_ensure(keys, customers) : r;
    for (uint64_t lost = customers - restore->n_lost + 1; r >= 0 && lost <= customers; lost++) {
        r = keys_destroy(keys, lost, clock_now_us());
    }
    keys_close(keys);
    return r < 0 ? r : 0;
}

static int copy_keys(struct restore *restore) {
    char path[PATH_MAX];
    struct store_txn *txn = NULL;
    int r = join(restore->part, "keys", path);
    r = r == 0 ? store_begin(keys_store(restore->keys), false, &txn) : r;
    r = r == 0 ? store_copy_pinned(keys_store(restore->keys), txn, path, NULL, NULL) : r;
    store_abort(txn);
    r = r == 0 && restore->n_lost > 0 ? lose_keys(restore, path) : r;
    return r == 0 ? 0 : refuse(restore, "%s: %s", path, strerror(-r));
}

// ---- the new state takes its place

static int take_place(struct restore *restore) {
    const char *state = restore->task->state;
    int r = place_state(restore->part, state, restore->replaced);
    if (r < 0 && restore->replaced[0] != '\0') {
        return refuse(restore, "%s: %s; what was there is %s now", state, strerror(-r),
                      restore->replaced);
    }
    return r == 0 ? 0 : refuse(restore, "%s: %s", state, strerror(-r));
}

static int make_part(struct restore *restore) {
    int n = snprintf(restore->part, sizeof(restore->part), "%s.part", restore->task->state);
    if (n < 0 || n >= PATH_MAX || mkdir(restore->part, 0700) != 0) {
        return refuse(restore, "%s.part: %s", restore->task->state,
                      n >= PATH_MAX ? "the path is too long" : strerror(errno));
    }
    restore->has_part = true;
    return 0;
}

static int sync_part(struct restore *restore) {
    char path[PATH_MAX];
    int r = join(restore->part, "log", path);
    return r == 0 ? store_sync_parent(path) : r;
}

static int (*const steps[])(struct restore *) = {open_backup, open_keys, judge_keys,
                                                 judge_state, make_part, copy_stores,
                                                 copy_keys,   sync_part, take_place};

static json_t *answer(const struct restore *restore) {
    json_t *replaced = restore->replaced[0] != '\0' ? json_string(restore->replaced) : json_null();
    return json_pack("{s:s, s:s, s:o, s:o, s:I}", "from", restore->task->from, "state",
                     restore->task->state, "replaced", replaced, "next",
                     json_incref(json_object_get(restore->manifest, "next")),
                     "customers_without_key", (json_int_t)restore->n_lost);
}

int backup_restore(const struct restore_task *task, FILE *out) {
    struct restore restore = {.task = task, .out = out};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(steps) / sizeof(steps[0]); i++) {
        r = steps[i](&restore);
    }
    if (r != 0 && restore.has_part) {
        store_remove_folder(restore.part);
    }
    if (r != 0 && restore.error[0] == '\0') {
        refuse(&restore, "%s", strerror(-r));
    }
    json_t *line = r == 0 ? answer(&restore) : json_pack("{s:s}", "error", restore.error);
    char *text = line != NULL ? json_dumps(line, JSON_COMPACT) : NULL;
    fprintf(out, "%s\n", text != NULL ? text : "{\"error\": \"out of memory\"}");
    fflush(out);
    free(text);
    json_decref(line);
    keys_close(restore.keys);
    json_decref(restore.manifest);
    return r == 0 ? EXIT_DONE : EXIT_NO;
}
