// SPDX-License-Identifier: Apache-2.0
// The verb backup, on the helper thread: a cut through the stores, taken by the tick between two
// ticks, and copied from there into a new folder on the broker's machine while it serves. Or the
// keys, into a folder of their own. Trimming is paused meanwhile (query_run.c).
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "broker/backup/cut.h"
#include "broker/query/verbs_all.h"
#include "schemas/base/clock.h"

enum { RATE_MAX = 1 << 30 };

// The tick's answer to the helper thread, which waits for it.
struct cutting {
    struct tick_job job; // first
    struct broker *broker;
    pthread_mutex_t lock;
    pthread_cond_t settled;
    bool done;
    int result;
    struct cut *cut;
    struct cut_pace pace;
};

static int write_nothing(struct tick_job *job, struct tick *tick) {
    (void)job;
    (void)tick;
    return 0;
}

// On the tick thread, behind both commits of its tick and before the next one.
static void cut_here(struct tick_job *job, int result) {
    struct cutting *cutting = (struct cutting *)(void *)job;
    (void)result;
    int r = cut_take(cutting->broker, &cutting->cut);
    pthread_mutex_lock(&cutting->lock);
    cutting->result = r;
    cutting->done = true;
    pthread_cond_signal(&cutting->settled);
    pthread_mutex_unlock(&cutting->lock);
}

static int take_cut(struct cutting *cutting) {
    tick_job_init(&cutting->job, write_nothing, cut_here);
    if (!mailbox_post(cutting->broker->to_tick, &cutting->job.job)) {
        return -EBUSY;
    }
    pthread_mutex_lock(&cutting->lock);
    while (!cutting->done) {
        pthread_cond_wait(&cutting->settled, &cutting->lock);
    }
    pthread_mutex_unlock(&cutting->lock);
    return cutting->result;
}

static int fill_stores(const char *part, void *user) {
    struct cutting *cutting = user;
    int r = take_cut(cutting);
    return r == 0 ? cut_write(cutting->cut, part, &cutting->pace) : r;
}

static int fill_keys(const char *part, void *user) {
    struct cutting *cutting = user;
    return cut_write_keys(cutting->broker->keys, part, &cutting->pace);
}

static bool is_path(const char *dir) {
    size_t length = strlen(dir);
    return dir[0] == '/' && length > 1 && dir[length - 1] != '/' && length < PATH_MAX / 2;
}

static int run(struct call *call, struct cutting *cutting, const char *dir, const char *keys) {
    const struct {
        const char *dir;
        int (*fill)(const char *part, void *user);
    } folders[] = {{dir, fill_stores}, {keys, fill_keys}};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        int r = folders[i].dir != NULL ? cut_folder(folders[i].dir, folders[i].fill, cutting) : 0;
        if (r == -EEXIST) {
            return call_refuse(call, REASON_EXISTS, "the folder, or its .part, is there already");
        }
        if (r != 0) {
            return call_refuse(call, r == -ENOENT ? REASON_BAD_ARGUMENT : REASON_INTERNAL,
                               "the copy failed: %s", strerror(-r));
        }
    }
    return 0;
}

static json_t *text_or_null(const char *text) {
    return text != NULL ? json_string(text) : json_null();
}

int verb_backup(struct call *call) {
    struct broker *broker = call_broker(call);
    const char *dir = call_argument(call, "dir"), *keys = call_argument(call, "keys");
    struct cutting cutting = {
        .broker = broker,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .settled = PTHREAD_COND_INITIALIZER,
        .pace = {.done = &broker->copy_done, .total = &broker->copy_total},
    };
    if ((dir == NULL && keys == NULL) || (dir != NULL && !is_path(dir)) ||
        (keys != NULL && !is_path(keys))) {
        return call_refuse(call, REASON_BAD_ARGUMENT,
                           "dir, keys: one of them, each an absolute path without a slash at its "
                           "end");
    }
    if (!call_number(call, "rate", RATE_MAX, &cutting.pace.rate)) {
        return 0;
    }
    atomic_store(&broker->copy_done, 0);
    atomic_store(&broker->copy_total, 0);
    int64_t began_us = clock_monotonic_us();
    int r = run(call, &cutting, dir, keys);
    json_t *applied =
        cutting.cut != NULL ? json_integer((json_int_t)cut_applied(cutting.cut)) : json_null();
    cut_free(cutting.cut);
    if (r != 0 || call_code(call) != REASON_OK) {
        json_decref(applied);
        return r;
    }
    json_int_t took_ms = (json_int_t)((clock_monotonic_us() - began_us) / CLOCK_US_PER_MS);
    return call_answer(call, json_pack("{s:o, s:o, s:o, s:I}", "dir", text_or_null(dir), "keys",
                                       text_or_null(keys), "applied", applied, "took_ms", took_ms));
}
