// SPDX-License-Identifier: Apache-2.0
// A state folder made of a backup and of the keys as they are now. Every file is hashed while it is
// copied; which keys will do, restore_keys.c judges. Built aside, synced, renamed.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/backup/manifest.h"
#include "broker/backup/place.h"
#include "broker/backup/restore_internal.h"
#include "broker/stores/state.h"
#include "broker/stores/store.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"

enum { EXIT_DONE = 0, EXIT_NO = 1, COPY_BYTES = 1 << 20 };

int restore_refuse(struct restore *restore, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(restore->error, sizeof(restore->error), format, arguments);
    va_end(arguments);
    return -ECANCELED;
}

int restore_join(const char *dir, const char *name, char ret[static PATH_MAX]) {
    int n = snprintf(ret, PATH_MAX, "%s/%s", dir, name);
    return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

// ---- what must hold before anything is written

static int open_backup(struct restore *restore) {
    const char *why = "";
    if (manifest_read(restore->task->from, &restore->manifest, &why) != 0) {
        return restore_refuse(restore, "%s: %s", restore->task->from, why);
    }
    const char *what = json_string_value(json_object_get(restore->manifest, "what"));
    if (what == NULL || strcmp(what, "stores") != 0) {
        return restore_refuse(restore, "%s holds keys alone: give it as --keys",
                              restore->task->from);
    }
    return 0;
}

static int judge_state(struct restore *restore) {
    const char *state = restore->task->state;
    if (access(state, F_OK) != 0) {
        return errno == ENOENT ? 0 : restore_refuse(restore, "%s: %s", state, strerror(errno));
    }
    if (rmdir(state) == 0) {
        return 0; // it was empty
    }
    if (!restore->task->replace) {
        return restore_refuse(restore, "%s is not empty; --replace moves it aside", state);
    }
    int lock = -1, r = state_lock(state, &lock);
    if (r < 0) {
        return restore_refuse(restore, "%s: %s", state,
                              r == -EBUSY ? "a broker runs on it" : strerror(-r));
    }
    close(lock);
    return restore_judge_replaced(restore);
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
    int r = restore_join(restore->task->from, name, from_path);
    r = r == 0 ? restore_join(restore->part, name, to_path) : r;
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
        return restore_refuse(restore, "%s: %s", from_path, strerror(-r));
    }
    if (GUARD(restore_checksum) && (expected == NULL || strcmp(hash, expected) != 0)) {
        return restore_refuse(restore,
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
    int r = restore_join(restore->part, folder, path);
    if (r == 0 && mkdir(path, 0700) != 0) {
        r = -errno;
    }
    if (r != 0) {
        return restore_refuse(restore, "%s: %s", path, strerror(-r));
    }
    json_object_foreach(json_object_get(restore->manifest, "files"), name, file) {
        r = r == 0 && is_name_in(name, folder) ? copy_file(restore, name) : r;
    }
    return r == 0 && restore_join(path, "data.mdb", path) == 0 ? store_sync_parent(path) : r;
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

// ---- the new state takes its place

static int take_place(struct restore *restore) {
    const char *state = restore->task->state;
    int r = place_state(restore->part, state, restore->replaced);
    if (r < 0 && restore->replaced[0] != '\0') {
        return restore_refuse(restore, "%s: %s; what was there is %s now", state, strerror(-r),
                              restore->replaced);
    }
    return r == 0 ? 0 : restore_refuse(restore, "%s: %s", state, strerror(-r));
}

static int make_part(struct restore *restore) {
    int n = snprintf(restore->part, sizeof(restore->part), "%s.part", restore->task->state);
    if (n < 0 || n >= PATH_MAX || mkdir(restore->part, 0700) != 0) {
        return restore_refuse(restore, "%s.part: %s", restore->task->state,
                              n >= PATH_MAX ? "the path is too long" : strerror(errno));
    }
    restore->has_part = true;
    return 0;
}

static int sync_part(struct restore *restore) {
    char path[PATH_MAX];
    int r = restore_join(restore->part, "log", path);
    return r == 0 ? store_sync_parent(path) : r;
}

static int (*const steps[])(struct restore *) = {
    open_backup, restore_open_keys, restore_judge_keys, judge_state, make_part,
    copy_stores, restore_copy_keys, sync_part,          take_place,
};

static json_t *answer(const struct restore *restore) {
    json_t *replaced = restore->replaced[0] != '\0' ? json_string(restore->replaced) : json_null();
    return json_pack("{s:s, s:s, s:o, s:o, s:I}", "from", restore->task->from, "state",
                     restore->task->state, "replaced", replaced, "next",
                     json_incref(json_object_get(restore->manifest, "next")),
                     "customers_without_key", (json_int_t)restore->n_lost);
}

int backup_restore(const struct restore_task *task, FILE *out) {
    struct restore restore = {.task = task};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(steps) / sizeof(steps[0]); i++) {
        r = steps[i](&restore);
    }
    if (r != 0 && restore.has_part) {
        store_remove_folder(restore.part);
    }
    if (r != 0 && restore.error[0] == '\0') {
        restore_refuse(&restore, "%s", strerror(-r));
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
