// SPDX-License-Identifier: Apache-2.0
// The verb backup, on the helper thread: compacted copies of the log, the keys and the base into a
// new folder on the broker's machine, while it serves. Copied in that order with trimming paused,
// so that the base never ends behind the copied log's first event. The view is not copied: it is a
// fold of what is. Written into DIR.part, synced, renamed.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/verbs_all.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"

enum { PATH_BYTES_MAX = 4096, COPY_ROWS_PER_TXN = 10000 };

// ---- the base, row by row (it changes only while retention trims, which is paused)

struct copy {
    struct view *to;
    struct view_txn *txn;
    enum view_table table;
    unsigned n_rows;
};

static int copy_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct copy *copy = user;
    int r = view_put(copy->txn, copy->table, key, key_size, value, size);
    if (r == 0 && ++copy->n_rows % COPY_ROWS_PER_TXN == 0) {
        r = view_commit(STEAL(copy->txn));
        r = r == 0 ? view_begin(copy->to, true, &copy->txn) : r;
    }
    return r;
}

static int copy_tables(struct view_txn *from, struct copy *copy) {
    for (int table = 0; table < VIEW_N_TABLES; table++) {
        copy->table = (enum view_table)table;
        int r = view_scan(from, copy->table, NULL, 0, false, copy_row, copy);
        if (r != 0) {
            return r < 0 ? r : -EIO;
        }
    }
    return 0;
}

static int copy_base(struct broker *broker, const char *dir) {
    struct view_txn *from = NULL;
    struct copy copy = {0};
    int r =
        view_open(dir, VIEW_BASE, (size_t)broker->configuration.view_map_bytes, false, &copy.to);
    r = r == 0 ? view_begin(broker->base, false, &from) : r;
    r = r == 0 ? view_begin(copy.to, true, &copy.txn) : r;
    r = r == 0 ? copy_tables(from, &copy) : r;
    if (r == 0) {
        r = view_commit(STEAL(copy.txn));
    }
    view_abort(copy.txn);
    view_abort(from);
    view_close(copy.to);
    return r;
}

// ---- the folder

static int sync_folder(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) != 0 ? -errno : 0;
    if (fd >= 0) {
        close(fd);
    }
    return r;
}

static int sync_parent(const char *path) {
    char parent[PATH_BYTES_MAX];
    snprintf(parent, sizeof(parent), "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash != NULL) {
        *(slash == parent ? slash + 1 : slash) = '\0';
    }
    return sync_folder(parent);
}

static int sub_folder(const char *part, const char *name, char ret[static PATH_BYTES_MAX]) {
    int n = snprintf(ret, PATH_BYTES_MAX, "%s/%s", part, name);
    return n < 0 || n >= PATH_BYTES_MAX ? -ENAMETOOLONG : 0;
}

static int copy_stores(struct broker *broker, const char *part) {
    char path[PATH_BYTES_MAX];
    int r = sub_folder(part, "log", path);
    r = r == 0 && mkdir(path, 0700) != 0 ? -errno : r;
    r = r == 0 ? log_copy(broker->log, path) : r;
    r = r == 0 ? sub_folder(part, "keys", path) : r;
    r = r == 0 && mkdir(path, 0700) != 0 ? -errno : r;
    r = r == 0 ? keys_copy(broker->keys, path) : r;
    r = r == 0 ? sub_folder(part, "base", path) : r;
    r = r == 0 ? copy_base(broker, path) : r;
    return r == 0 ? sync_folder(part) : r;
}

int verb_backup(struct call *call) {
    const char *dir = call_argument(call, "dir");
    char part[PATH_BYTES_MAX];
    size_t length = strlen(dir);
    if (dir[0] != '/' || length < 2 || dir[length - 1] == '/' || length + 6 > sizeof(part)) {
        return call_refuse(call, REASON_BAD_ARGUMENT,
                           "dir: expected an absolute path without a slash at its end");
    }
    if (access(dir, F_OK) == 0) {
        return call_refuse(call, REASON_EXISTS, "dir is there already");
    }
    snprintf(part, sizeof(part), "%s.part", dir);
    if (mkdir(part, 0700) != 0) {
        return call_refuse(call, errno == EEXIST ? REASON_EXISTS : REASON_BAD_ARGUMENT,
                           "DIR.part cannot be made: %s", strerror(errno));
    }
    int64_t began_us = clock_monotonic_us();
    int r = copy_stores(call_broker(call), part);
    r = r == 0 && rename(part, dir) != 0 ? -errno : r;
    r = r == 0 ? sync_parent(dir) : r;
    if (r != 0) {
        return call_refuse(call, REASON_INTERNAL, "the copy failed, DIR.part stays: %s",
                           strerror(-r));
    }
    return call_answer(
        call, json_pack("{s:s, s:I}", "dir", dir, "took_ms",
                        (json_int_t)((clock_monotonic_us() - began_us) / CLOCK_US_PER_MS)));
}
