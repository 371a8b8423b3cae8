// SPDX-License-Identifier: Apache-2.0
// Which keys a restore takes. The newest there are: older ones do not open what came behind them,
// and bring back who was erased since. What cannot be told from the keys and the backup's manifest
// is told by the keys of the state that is replaced.
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/backup/cut.h"
#include "broker/backup/manifest.h"
#include "broker/backup/restore_internal.h"
#include "broker/stores/store.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"

static void take_problem(void *user, const char *path, const char *what) {
    struct restore *restore = user;
    restore_refuse(restore, "%s/%s: %s", restore->task->keys, path, what);
}

// A backup of keys has a manifest; the keys of a state folder have none.
static int check_files(struct restore *restore) {
    const char *keys = restore->task->keys, *why = "";
    char path[PATH_MAX];
    json_t *manifest = NULL;
    int r = restore_join(keys, MANIFEST_NAME, path);
    if (r < 0 || access(path, F_OK) != 0) {
        return r;
    }
    if (manifest_read(keys, &manifest, &why) != 0) {
        return restore_refuse(restore, "%s: %s", keys, why);
    }
    r = manifest_check_files(keys, manifest, take_problem, NULL, restore);
    json_decref(manifest);
    return GUARD(restore_keys_checksum) && r > 0 ? -ECANCELED : r < 0 ? r : 0;
}

int restore_open_keys(struct restore *restore) {
    char id[65];
    const char *expected = json_string_value(json_object_get(restore->manifest, "keys_id"));
    int r = check_files(restore);
    if (r < 0) {
        return r;
    }
    r = keys_open(restore->task->keys, true, &restore->keys);
    if (r < 0) {
        return restore_refuse(restore, "%s: no keys there: %s", restore->task->keys, strerror(-r));
    }
    cut_keys_id(restore->keys, id);
    if (expected == NULL || strcmp(id, expected) != 0) {
        return restore_refuse(restore, "%s: the keys of another state", restore->task->keys);
    }
    return 0;
}

int restore_judge_keys(struct restore *restore) {
    uint64_t made = keys_made(restore->keys);
    uint64_t customers =
        (uint64_t)json_integer_value(json_object_get(restore->manifest, "customers"));
    restore->n_lost = customers >= made ? customers - made + 1 : 0;
    if (GUARD(restore_keys_age) && restore->n_lost > 0 && !restore->task->force) {
        return restore_refuse(restore,
                              "the keys are older than the log: %" PRIu64
                              " customers have none; take newer keys, or lose them with --force",
                              restore->n_lost);
    }
    uint64_t destroyed =
        (uint64_t)json_integer_value(json_object_get(restore->manifest, "keys_destroyed"));
    if (GUARD(restore_keys_erasure) && keys_n_destroyed(restore->keys) < destroyed) {
        return restore_refuse(
            restore,
            "the keys are older than the log: of %" PRIu64
            " people whose keys it saw destroyed they still have some; take newer keys",
            destroyed);
    }
    return 0;
}

// LMDB bears no file that is opened twice.
static bool is_same(const char *one, const char *other) {
    struct stat a, b;
    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

// What is replaced may know of erasures, or of customers, that these keys do not.
int restore_judge_replaced(struct restore *restore) {
    char path[PATH_MAX], id[65], ours[65];
    struct keys *keys = NULL;
    if (restore->task->force || restore_join(restore->task->state, "keys", path) != 0 ||
        is_same(path, restore->task->keys) || keys_open(path, true, &keys) < 0) {
        return 0; // lost, or not to be had: then these are the newest
    }
    cut_keys_id(keys, id);
    cut_keys_id(restore->keys, ours);
    bool newer =
        strcmp(id, ours) == 0 && (keys_n_destroyed(keys) > keys_n_destroyed(restore->keys) ||
                                  keys_made(keys) > keys_made(restore->keys));
    keys_close(keys);
    if (GUARD(restore_newest_keys) && newer) {
        return restore_refuse(
            restore, "%s has newer keys than these: take them, or lose them with --force", path);
    }
    return 0;
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

int restore_copy_keys(struct restore *restore) {
    char path[PATH_MAX];
    struct store_txn *txn = NULL;
    int r = restore_join(restore->part, "keys", path);
    r = r == 0 ? store_begin(keys_store(restore->keys), false, &txn) : r;
    r = r == 0 ? store_copy_pinned(keys_store(restore->keys), txn, path, NULL, NULL) : r;
    store_abort(txn);
    r = r == 0 && restore->n_lost > 0 ? lose_keys(restore, path) : r;
    return r == 0 ? 0 : restore_refuse(restore, "%s: %s", path, strerror(-r));
}
