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

#include "broker/query/verbs_all.h"
#include "schemas/base/clock.h"

enum { PATH_BYTES_MAX = 4096 };

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
    char log[PATH_BYTES_MAX], keys[PATH_BYTES_MAX], base[PATH_BYTES_MAX];
    int r = sub_folder(part, "log", log);
    r = r == 0 ? sub_folder(part, "keys", keys) : r;
    r = r == 0 ? sub_folder(part, "base", base) : r;
    r = r == 0 ? log_copy(broker->log, log) : r;
    r = r == 0 ? keys_copy(broker->keys, keys) : r;
    r = r == 0 ? view_copy(broker->base, base) : r;
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
