// SPDX-License-Identifier: Apache-2.0
// A certificate's file: bounded, a real file, and where it holds a secret, nobody else's to read.
// The buffer a secret passed through is cleared before return.
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schemas/base/certificate.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"

static void cleanup_close(int *fd) {
    if (*fd >= 0) {
        close(*fd);
    }
}

static bool is_readable_by_others(const struct stat *status) {
    bool group_may = status->st_uid == 0 && geteuid() != 0;
    mode_t mask = S_IRWXO | (group_may ? S_IWGRP | S_IXGRP : S_IRWXG);
    return (status->st_mode & mask) != 0;
}

static int read_all(int fd, char buffer[static CERTIFICATE_FILE_BYTES_MAX + 1], size_t *ret_size) {
    size_t size = 0;
    while (size <= CERTIFICATE_FILE_BYTES_MAX) {
        ssize_t n = read(fd, buffer + size, CERTIFICATE_FILE_BYTES_MAX + 1 - size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            *ret_size = size;
            return 0;
        }
        size += (size_t)n;
    }
    return -EFBIG;
}

static int complain(const char *path, int error, const char *text, char *why) {
    snprintf(why, CERTIFICATE_WHY_BYTES, "%s: %s", path, text);
    return error;
}

static int read_certificate(const char *path, char *buffer, struct certificate *ret, char *why) {
    // O_NONBLOCK: a FIFO of that name must not hold us up.
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        int error = errno;
        return complain(path, -error, strerror(error), why);
    }
    if (!S_ISREG(status.st_mode)) {
        return complain(path, -EINVAL, "not a file", why);
    }
    size_t size = 0;
    int r = read_all(fd, buffer, &size);
    if (r != 0) {
        return complain(path, r, strerror(-r), why);
    }
    const char *what;
    r = certificate_parse(buffer, size, ret, &what);
    if (r != 0) {
        return complain(path, r, what, why);
    }
    if (ret->secret_key[0] != '\0' && GUARD(secret_mode) && is_readable_by_others(&status)) {
        certificate_clear(ret);
        snprintf(why, CERTIFICATE_WHY_BYTES,
                 "%s: holds a secret key, but its mode %04o lets others at it: chmod 0600 it, and "
                 "make a new key if somebody may have read it",
                 path, status.st_mode & 07777U);
        return -EPERM;
    }
    return 0;
}

int certificate_read(const char *path, struct certificate *ret, char why[CERTIFICATE_WHY_BYTES]) {
    char buffer[CERTIFICATE_FILE_BYTES_MAX + 1];
    *ret = (struct certificate){0};
    int r = read_certificate(path, buffer, ret, why);
    sodium_memzero(buffer, sizeof(buffer));
    return r;
}

int certificate_read_secret(const char *path, struct certificate *ret,
                            char why[CERTIFICATE_WHY_BYTES]) {
    int r = certificate_read(path, ret, why);
    if (r == 0 && ret->secret_key[0] == '\0') {
        certificate_clear(ret);
        return complain(path, -EINVAL, "holds no secret key: give the file *.key_secret", why);
    }
    return r;
}
