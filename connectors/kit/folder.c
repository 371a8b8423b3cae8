// SPDX-License-Identifier: Apache-2.0
// The instance's folder: locked as long as the process lives, and the producer's name and epoch in
// it. The name is random besides, so that two folders never publish under one name; the epoch only
// rises, whatever the clock does.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "connectors/kit/files.h"
#include "connectors/kit/private.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

static const char lock_name[] = "lock", instance_name[] = "instance";

enum { INSTANCE_BYTES_MAX = 128 };

static int complain(const char *path, const char *what, int error) {
    logging_error("folder=%s %s error=%s", path, what, strerror(-error));
    return error;
}

// "<8 hex digits> <epoch>\n"; a file that cannot be read gives a new instance.
static void read_instance(int folder, uint32_t *ret_id, uint64_t *ret_epoch) {
    char text[INSTANCE_BYTES_MAX] = "";
    _cleanup_(cleanup_close) int fd = openat(folder, instance_name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    uint32_t id;
    uint64_t epoch;
    if (n > 0 && sscanf(text, "%8" SCNx32 " %20" SCNu64, &id, &epoch) == 2) {
        *ret_id = id;
        *ret_epoch = epoch;
        return;
    }
    *ret_epoch = 0;
    if (getrandom(ret_id, sizeof(*ret_id), 0) != sizeof(*ret_id)) {
        *ret_id = (uint32_t)clock_now_us() ^ (uint32_t)getpid();
    }
}

static int write_instance(int folder, uint32_t id, uint64_t epoch) {
    char text[INSTANCE_BYTES_MAX];
    int n = snprintf(text, sizeof(text), "%08" PRIx32 " %" PRIu64 "\n", id, epoch);
    _cleanup_(cleanup_close) int fd =
        openat(folder, "instance.new", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : files_pwrite(fd, text, (size_t)n, 0);
    if (r == 0 && (fsync(fd) != 0 || renameat(folder, "instance.new", folder, instance_name) != 0 ||
                   fsync(folder) != 0)) {
        r = -errno;
    }
    return r;
}

static int open_instance(int at, const char *name, struct folder *folder) {
    uint32_t id;
    uint64_t epoch;
    read_instance(at, &id, &epoch);
    uint64_t now = (uint64_t)clock_now_us();
    folder->epoch = now > epoch ? now : epoch + 1;
    snprintf(folder->producer, sizeof(folder->producer), "%s-%08" PRIx32, name, id);
    return write_instance(at, id, folder->epoch);
}

int folder_open(const char *state, const char *name, struct folder *ret) {
    struct folder folder = {.lock_fd = -1};
    _cleanup_free_ char *path = NULL;
    if (asprintf(&path, "%s/%s", state, name) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    int r = files_make_folder(path);
    if (r != 0) {
        return complain(path, "cannot=make", r);
    }
    folder.path = realpath(path, NULL);
    _cleanup_(cleanup_close) int at =
        folder.path == NULL ? -1 : open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at >= 0) {
        folder.lock_fd = openat(at, lock_name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    }
    if (folder.lock_fd < 0) {
        r = complain(path, "cannot=open", -errno);
    } else if (GUARD(folder_lock) && flock(folder.lock_fd, LOCK_EX | LOCK_NB) != 0) {
        r = errno == EWOULDBLOCK ? -EBUSY : -errno;
        logging_error("folder=%s cannot=lock reason=%s", path,
                      r == -EBUSY ? "another instance uses it" : strerror(-r));
    } else if ((r = open_instance(at, name, &folder)) != 0) {
        complain(path, "cannot=write", r);
    }
    if (r != 0) {
        folder_close(&folder);
        return r;
    }
    *ret = folder;
    return 0;
}

void folder_close(struct folder *folder) {
    if (folder->lock_fd >= 0) {
        close(folder->lock_fd);
    }
    free(folder->path);
    *folder = (struct folder){.lock_fd = -1};
}
