// SPDX-License-Identifier: Apache-2.0
// Between two ticks the view's applied is the log's last sequence, and the base ends within the
// log. A read transaction in each keeps it so while the tick goes on; the view's goes first, since
// a pinned view grows most. Trimming is paused by the caller: pages it frees would only stay
// pinned.
#include "broker/backup/cut.h"

#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/backup/manifest.h"
#include "broker/fold/fold.h"
#include "broker/stores/disk.h"
#include "broker/stores/store.h"
#include "delivery.pb-c.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/limits.h"

enum { PAUSE_MS_MAX = 10000 };

struct cut {
    struct broker *broker;
    struct store_txn *log;
    struct view_txn *view, *base;
    uint64_t first, next, applied, base_applied, customers, n_destroyed;
    uint8_t incarnation[INCARNATION_BYTES];
    int64_t time_us;
    json_t *cursors; // by subscription
};

// ---- taking it

static int read_cursor(void *user, const void *key, size_t key_size, const void *value,
                       size_t size) {
    char name[NAME_BYTES_MAX + 1] = "";
    Delivery__SubscriptionRecord *record =
        key_size <= NAME_BYTES_MAX ? delivery__subscription_record__unpack(NULL, size, value)
                                   : NULL;
    if (record == NULL) {
        return -EBADMSG;
    }
    memcpy(name, key, key_size);
    int r = json_object_set_new(user, name, json_integer((json_int_t)record->cursor));
    delivery__subscription_record__free_unpacked(record, NULL);
    return r != 0 ? -ENOMEM : 0;
}

static int pin(struct cut *cut) {
    struct broker *broker = cut->broker;
    int r = store_begin(log_store(broker->log), false, &cut->log);
    view_settle(broker->view); // it is copied as it lies in its file
    r = r == 0 ? view_begin(broker->view, false, &cut->view) : r;
    r = r == 0 ? view_begin(broker->base, false, &cut->base) : r;
    return r;
}

static int describe(struct cut *cut) {
    struct broker *broker = cut->broker;
    struct fold *fold = NULL;
    int r = fold_new(cut->view, &fold);
    if (r < 0) {
        return r;
    }
    cut->customers = fold_customers_last(fold);
    fold_free(fold);
    cut->first = log_first(broker->log);
    cut->next = log_next(broker->log);
    cut->applied = view_applied(cut->view);
    cut->base_applied = view_applied(cut->base);
    cut->n_destroyed = keys_n_destroyed(broker->keys);
    cut->time_us = clock_now_us();
    memcpy(cut->incarnation, log_incarnation(broker->log), INCARNATION_BYTES);
    return cut->applied + 1 == cut->next && cut->base_applied < cut->next &&
                   cut->base_applied + 1 >= cut->first
               ? 0
               : -EPROTO;
}

int cut_take(struct broker *broker, struct cut **ret) {
    struct cut *cut = calloc(1, sizeof(*cut));
    if (cut == NULL) {
        return -ENOMEM;
    }
    cut->broker = broker;
    int r = pin(cut);
    r = r == 0 ? describe(cut) : r;
    if (r < 0) {
        cut_free(cut);
        return r;
    }
    *ret = cut;
    return 0;
}

struct cut *cut_free(struct cut *cut) {
    if (cut != NULL) {
        store_abort(cut->log);
        view_abort(cut->view);
        view_abort(cut->base);
        json_decref(cut->cursors);
        free(cut);
    }
    return NULL;
}

uint64_t cut_applied(const struct cut *cut) {
    return cut->applied;
}

// ---- the pace

struct pacing {
    const struct cut_pace *pace;
    uint64_t before; // bytes of the stores that are done
    uint64_t bytes;  // of this one
    int64_t began_us;
};

static void sleep_us(int64_t us) {
    int64_t bound_us = PAUSE_MS_MAX * CLOCK_US_PER_MS;
    us = us > bound_us ? bound_us : us;
    const struct timespec pause = {.tv_sec = (time_t)(us / CLOCK_US_PER_S),
                                   .tv_nsec = (long)(us % CLOCK_US_PER_S * 1000)};
    if (us > 0) {
        nanosleep(&pause, NULL);
    }
}

static int on_piece(void *user, uint64_t bytes) {
    struct pacing *pacing = user;
    const struct cut_pace *pace = pacing->pace;
    int64_t took_us = clock_monotonic_us() - pacing->began_us;
    int64_t due_us = took_us; // as long again
    if (pace->rate > 0) {
        due_us = (int64_t)((double)(bytes - pacing->bytes) * 1e6 / (double)pace->rate) - took_us;
    }
    if (pace->done != NULL) {
        atomic_store(pace->done, pacing->before + bytes);
    }
    if (!pace->alone) {
        sleep_us(due_us);
    }
    pacing->bytes = bytes;
    pacing->began_us = clock_monotonic_us();
    return 0;
}

static int copy_store(struct pacing *pacing, struct store *store, struct store_txn *from,
                      const char *dir, const char *name) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s%s%s", dir, *name != '\0' ? "/" : "", name);
    if (n < 0 || n >= PATH_MAX) {
        return -ENAMETOOLONG;
    }
    pacing->began_us = clock_monotonic_us();
    int r = store_copy_pinned(store, from, path, on_piece, pacing);
    pacing->before += pacing->bytes;
    pacing->bytes = 0;
    return r;
}

// ---- writing it

// The copy's own restore point: a start takes the view as it is instead of folding the whole log.
static int write_point(const char *dir, size_t map_bytes) {
    char path[PATH_MAX], lock[PATH_MAX];
    struct view *view = NULL;
    struct view_snapshot *snapshot = NULL;
    if ((size_t)snprintf(path, sizeof(path), "%s/view", dir) >= sizeof(path) ||
        (size_t)snprintf(lock, sizeof(lock), "%s/view/lock.mdb", dir) >= sizeof(lock)) {
        return -ENAMETOOLONG;
    }
    int r = view_open(path, VIEW_LIVE, map_bytes, false, &view);
    r = r == 0 ? view_snapshot_begin(view, &snapshot) : r;
    r = r == 0 ? view_snapshot_finish(view, snapshot) : r;
    view_close(view);
    if (r == 0 && unlink(lock) != 0) {
        r = -errno;
    }
    return r > 0 ? -EIO : r;
}

static int copy_log(struct cut *cut, struct pacing *pacing, const char *dir) {
    char path[PATH_MAX];
    struct store *store = log_store(cut->broker->log);
    cut->cursors = json_object();
    int r = cut->cursors == NULL ? -ENOMEM : copy_store(pacing, store, cut->log, dir, "log");
    r = r == 0 ? store_scan(cut->log, LOG_SUBSCRIPTIONS, "", 0, NULL, 0, false, read_cursor,
                            cut->cursors)
               : r;
    store_abort(STEAL(cut->log));
    if (r == 0 && (size_t)snprintf(path, sizeof(path), "%s/log", dir) >= sizeof(path)) {
        r = -ENAMETOOLONG;
    }
    return r == 0 ? log_mark_copied(cut->broker->log, path) : r;
}

static int copy_view(struct view *view, struct view_txn **txn, struct pacing *pacing,
                     const char *dir, const char *name) {
    int r = copy_store(pacing, view_store(view), view_txn_store(*txn), dir, name);
    view_abort(STEAL(*txn));
    return r;
}

void cut_keys_id(const struct keys *keys, char ret[static 65]) {
    static const char purpose[] = "touchbus: whose keys";
    uint8_t hash[32];
    crypto_generichash(hash, sizeof(hash), keys_hash_secret(keys), KEYS_HASH_SECRET_BYTES,
                       (const uint8_t *)purpose, sizeof(purpose) - 1);
    sodium_bin2hex(ret, 65, hash, sizeof(hash));
}

static json_t *cut_manifest(struct cut *cut) {
    char time[CLOCK_TEXT_BYTES], incarnation[2 * INCARNATION_BYTES + 1], keys_id[65];
    sodium_bin2hex(incarnation, sizeof(incarnation), cut->incarnation, INCARNATION_BYTES);
    cut_keys_id(cut->broker->keys, keys_id);
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:i, s:s, s:I, s:s, s:O}", "what",
                     "stores", "version", TOUCHBUS_VERSION, "incarnation", incarnation, "first",
                     (json_int_t)cut->first, "next", (json_int_t)cut->next, "applied",
                     (json_int_t)cut->applied, "base_applied", (json_int_t)cut->base_applied,
                     "customers", (json_int_t)cut->customers, "fold_version", (int)FOLD_VERSION,
                     "keys_id", keys_id, "keys_destroyed", (json_int_t)cut->n_destroyed, "time",
                     clock_format_rfc3339(cut->time_us, time), "cursors", cut->cursors);
}

static void tell_hashing(void *user, uint64_t done, uint64_t total) {
    const struct cut_pace *pace = user;
    if (pace->done != NULL) {
        atomic_store(pace->total, total);
        atomic_store(pace->done, done);
    }
}

static uint64_t bytes_about(struct broker *broker) {
    uint64_t view = 0, base = 0;
    store_live_bytes(view_store(broker->view), &view);
    store_live_bytes(view_store(broker->base), &base);
    return log_bytes(broker->log) + view + base;
}

// A copy beside the state leaves the room that the state keeps free.
static int check_room(struct broker *broker, const char *dir, uint64_t bytes) {
    struct stat there, here;
    uint64_t free_bytes = 0;
    if (stat(dir, &there) != 0 || stat(broker->configuration.state, &here) != 0 ||
        disk_free_bytes(dir, &free_bytes) != 0) {
        return -errno;
    }
    uint64_t reserve =
        there.st_dev == here.st_dev ? (uint64_t)broker->configuration.disk_reserve_bytes : 0;
    return free_bytes < bytes + reserve ? -ENOSPC : 0;
}

int cut_write(struct cut *cut, const char *dir, const struct cut_pace *pace) {
    struct broker *broker = cut->broker;
    struct pacing pacing = {.pace = pace};
    uint64_t bytes = bytes_about(broker);
    if (pace->total != NULL) {
        atomic_store(pace->total, bytes);
    }
    int r = check_room(broker, dir, bytes);
    r = r == 0 ? copy_view(broker->view, &cut->view, &pacing, dir, "view") : r;
    r = r == 0 ? copy_view(broker->base, &cut->base, &pacing, dir, "base") : r;
    r = r == 0 ? copy_log(cut, &pacing, dir) : r;
    r = r == 0 ? write_point(dir, (size_t)broker->configuration.view_map_bytes) : r;
    json_t *manifest = r == 0 ? cut_manifest(cut) : NULL;
    r = r == 0 && manifest == NULL ? -ENOMEM : r;
    union {
        const struct cut_pace *in;
        void *out;
    } user = {.in = pace};
    r = r == 0 ? manifest_write(dir, manifest, tell_hashing, user.out) : r;
    json_decref(manifest);
    return r;
}

int cut_write_keys(struct keys *keys, const char *dir, const struct cut_pace *pace) {
    char time[CLOCK_TEXT_BYTES], keys_id[65];
    struct pacing pacing = {.pace = pace};
    struct store_txn *txn = NULL;
    uint64_t made = keys_made(keys), n_destroyed = keys_n_destroyed(keys); // at least
    int r = store_begin(keys_store(keys), false, &txn);
    if (r < 0) {
        return r;
    }
    // A store is made where nothing is: dir itself is that folder here.
    r = rmdir(dir) != 0 ? -errno : copy_store(&pacing, keys_store(keys), txn, dir, "");
    store_abort(txn);
    cut_keys_id(keys, keys_id);
    json_t *manifest =
        json_pack("{s:s, s:s, s:I, s:I, s:s, s:s}", "what", "keys", "version", TOUCHBUS_VERSION,
                  "keys", (json_int_t)made, "keys_destroyed", (json_int_t)n_destroyed, "keys_id",
                  keys_id, "time", clock_format_rfc3339(clock_now_us(), time));
    r = r == 0 && manifest == NULL ? -ENOMEM : r;
    r = r == 0 ? manifest_write(dir, manifest, NULL, NULL) : r;
    json_decref(manifest);
    return r;
}

int cut_folder(const char *dir, int (*fill)(const char *part, void *user), void *user) {
    char part[PATH_MAX];
    if ((size_t)snprintf(part, sizeof(part), "%s.part", dir) >= sizeof(part)) {
        return -ENAMETOOLONG;
    }
    if (access(dir, F_OK) == 0) {
        return -EEXIST;
    }
    int r = mkdir(part, 0700) != 0 ? -errno : 0;
    r = r == 0 ? fill(part, user) : r;
    r = r == 0 && rename(part, dir) != 0 ? -errno : r;
    if (r != 0) {
        store_remove_folder(part);
        return r;
    }
    return store_sync_parent(dir);
}
