// SPDX-License-Identifier: Apache-2.0
// A commit of a store as one file, and back again, for restore points. LMDB's own compacting copy
// writes it, past the page cache: a megabyte at a time, each waited for, so that neither the pages
// in use are driven out nor a sync of the log's journal stands in line behind all of it. It never
// says that a copy is there before it is on disk, whole.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/stores/store_internal.h"
#include "schemas/base/guards.h"

enum {
    FILE_MODE = 0600,
    // What is written at one go may become one folio of the page cache, and ext4 walks all blocks
    // of a folio for each page that is written into it later: four at most, not 256.
    PIECE_BYTES = 16 << 10,
};

static int close_written(int descriptor, int r) {
    return close(descriptor) != 0 && r == 0 ? -errno : r;
}

static int write_pages(struct store *store, const char *path) {
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    int descriptor = open(path, flags | O_DIRECT, FILE_MODE);
    if (descriptor < 0 && errno == EINVAL) { // a file system without
        descriptor = open(path, flags, FILE_MODE);
    }
    if (descriptor < 0) {
        return -errno;
    }
    int r = store_error(mdb_env_copyfd2(store->env, descriptor, MDB_CP_COMPACT));
    return close_written(descriptor, r > 0 ? -EBADMSG : r);
}

static int seal_and_sync(const char *path) {
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) {
        return -errno;
    }
    int r = store_seal_copy(descriptor);
    r = r == 0 ? store_write_out(descriptor) : r;
    if (GUARD(copy_sync) && r == 0 && fsync(descriptor) != 0) {
        r = -errno;
    }
    return close_written(descriptor, r);
}

// A page that could not be written may be read again as it was before. Nobody syncs the file, so
// nobody else would be told.
static bool is_as_written(struct store *store) {
    int descriptor = -1;
    mdb_env_get_fd(store->env, &descriptor);
    return !GUARD(copy_as_written) || store_written(descriptor) == 0;
}

int store_copy_file(struct store *store, const char *path) {
    int r = write_pages(store, path);
    r = r == 0 ? seal_and_sync(path) : r;
    r = is_as_written(store) ? r : 1;
    if (r != 0) {
        unlink(path); // half a copy is of no use, and the disk may be full
    }
    return r;
}

static int open_copy(const char *path) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return -errno;
    }
    if (GUARD(copy_whole) && !store_is_copy(descriptor)) {
        close(descriptor);
        return -EBADMSG;
    }
    return descriptor;
}

int store_check_file(const char *path) {
    int descriptor = open_copy(path);
    if (descriptor < 0) {
        return descriptor == -EBADMSG ? 1 : descriptor;
    }
    close(descriptor);
    return 0;
}

// Over what is there, which is cut to size at the end: a full disk is no matter.
static int copy_over(int from, int to) {
    uint8_t *piece = malloc(PIECE_BYTES);
    if (piece == NULL) {
        return -ENOMEM;
    }
    off_t at = 0;
    ssize_t n;
    int r = 0;
    while (r == 0 && (n = pread(from, piece, PIECE_BYTES, at)) != 0) {
        ssize_t written = n < 0 ? n : pwrite(to, piece, (size_t)n, at);
        r = written < 0 ? -errno : written == n ? 0 : -ENOSPC;
        at += n;
    }
    free(piece);
    return r == 0 && ftruncate(to, at) != 0 ? -errno : r;
}

int store_put_back(const char *path, const char *dir) {
    char data[PATH_MAX], lock[PATH_MAX];
    if ((size_t)snprintf(data, sizeof(data), "%s/data.mdb", dir) >= sizeof(data) ||
        (size_t)snprintf(lock, sizeof(lock), "%s/lock.mdb", dir) >= sizeof(lock)) {
        return -ENAMETOOLONG;
    }
    int from = open_copy(path);
    if (from < 0) {
        return from == -EBADMSG ? 1 : from;
    }
    int to = open(data, O_WRONLY | O_CREAT | O_CLOEXEC, FILE_MODE);
    int r = to < 0 ? -errno : close_written(to, copy_over(from, to));
    close(from);
    // The table of readers speaks of commits that may no longer exist.
    if (r == 0 && unlink(lock) != 0 && errno != ENOENT) {
        r = -errno;
    }
    return r == 0 ? store_sync_parent(data) : r; // it may be new there
}
