// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/durable.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schemas/base/cleanup.h"

void cleanup_fd(int *fd) {
    if (*fd >= 0) {
        close(*fd);
    }
}

int durable_folder(int folder_fd, const char *name) {
    if (mkdirat(folder_fd, name, 0700) != 0 && errno != EEXIST) {
        return -errno;
    }
    int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const char *bytes, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, bytes + done, size - done);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return fdatasync(fd) != 0 ? -errno : 0;
}

int durable_write(int folder_fd, const char *name, const void *bytes, size_t size) {
    char aside[NAME_MAX + 8];
    snprintf(aside, sizeof(aside), ".%.*s.new", NAME_MAX, name);
    _cleanup_(cleanup_fd) int fd =
        openat(folder_fd, aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return -errno;
    }
    int r = write_all(fd, bytes, size);
    if (r == 0 && renameat(folder_fd, aside, folder_fd, name) != 0) {
        r = -errno;
    }
    if (r != 0) {
        unlinkat(folder_fd, aside, 0);
        return r;
    }
    return fsync(folder_fd) != 0 ? -errno : 0;
}

int durable_read(int folder_fd, const char *name, char **ret, size_t *ret_size) {
    _cleanup_(cleanup_fd) int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        return -errno;
    }
    if (!S_ISREG(status.st_mode) || status.st_size > DURABLE_BYTES_MAX) {
        return -EFBIG;
    }
    size_t size = (size_t)status.st_size, done = 0;
    _cleanup_free_ char *bytes = malloc(size + 1);
    while (bytes != NULL && done < size) {
        ssize_t n = read(fd, bytes + done, size - done);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n == 0) {
            return -EIO; // it shrank: nobody else writes here
        }
        done += n > 0 ? (size_t)n : 0;
    }
    if (bytes == NULL) {
        return -ENOMEM;
    }
    bytes[size] = '\0';
    *ret = STEAL(bytes);
    *ret_size = size;
    return 0;
}

int durable_remove(int folder_fd, const char *name) {
    if (unlinkat(folder_fd, name, 0) != 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    return fsync(folder_fd) != 0 ? -errno : 0;
}

static void cleanup_names(DIR **names) {
    if (*names != NULL) {
        closedir(*names);
    }
}

int durable_each(int folder_fd, int (*each)(void *user, const char *name), void *user) {
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(cleanup_names) DIR *names = fd < 0 ? NULL : fdopendir(fd);
    int r = 0;
    if (names == NULL) {
        r = -errno;
        cleanup_fd(&fd);
        return r;
    }
    for (const struct dirent *entry; r == 0 && (errno = 0, entry = readdir(names)) != NULL;) {
        r = entry->d_name[0] == '.' ? 0 : each(user, entry->d_name);
    }
    return r != 0 ? r : -errno;
}
