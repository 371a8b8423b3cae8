// SPDX-License-Identifier: Apache-2.0
#include "connectors/kit/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schemas/base/cleanup.h"

int files_pwrite(int fd, const void *data, size_t size, uint64_t offset) {
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(fd, (const char *)data + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int files_pread(int fd, void *ret, size_t size, uint64_t offset) {
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(fd, (char *)ret + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n == 0) {
            return -ENODATA;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int files_make_folder(const char *path) {
    _cleanup_free_ char *copy = strdup(path);
    if (copy == NULL) {
        return -ENOMEM;
    }
    for (char *at = copy + 1;; at++) {
        if (*at != '/' && *at != '\0') {
            continue;
        }
        bool last = *at == '\0';
        *at = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST) {
            return -errno;
        }
        if (last) {
            return 0;
        }
        *at = '/';
    }
}

DIR *files_open_names(int folder_fd) {
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = fd < 0 ? NULL : fdopendir(fd);
    if (names == NULL && fd >= 0) {
        int error = errno;
        close(fd);
        errno = error;
    }
    return names;
}

void cleanup_close(int *fd) {
    if (*fd >= 0) {
        close(*fd);
    }
}
