// SPDX-License-Identifier: Apache-2.0
// A password's way into memory: open, read, judge; every buffer it passed through is overwritten.
// stdio is not used, as its buffers would keep a copy.
#include "connectors/kit/secret.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connectors/kit/files.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"

enum { LINE_END_BYTES = 2, READ_BYTES_MAX = KIT_SECRET_BYTES_MAX + LINE_END_BYTES + 1 };

static int complain(const char *name, int error, const char *text, char *why) {
    snprintf(why, KIT_SECRET_WHY_BYTES, "%s: %s", name, text);
    return error;
}

// Others can read it, or put one of theirs in its place.
static bool is_open_to_others(const struct stat *status) {
    bool group_may = status->st_uid == 0 && geteuid() != 0;
    mode_t mask = S_IRWXO | (group_may ? S_IWGRP | S_IXGRP : S_IRWXG);
    return (status->st_mode & mask) != 0 || (status->st_uid != 0 && status->st_uid != geteuid());
}

static int read_whole(int fd, char buffer[static READ_BYTES_MAX], size_t *ret_size) {
    size_t size = 0;
    while (size < READ_BYTES_MAX) {
        ssize_t n = read(fd, buffer + size, READ_BYTES_MAX - size);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n == 0) {
            break;
        }
        size += n > 0 ? (size_t)n : 0;
    }
    *ret_size = size;
    return 0;
}

static int take(const char *name, const char *text, size_t size, struct kit_secret *ret,
                char *why) {
    if (size > 0 && text[size - 1] == '\n') {
        size--;
        size -= size > 0 && text[size - 1] == '\r';
    }
    if (size == 0) {
        return complain(name, -ENODATA, "is empty", why);
    }
    if (size > KIT_SECRET_BYTES_MAX) {
        return complain(name, -EFBIG, "is longer than a password may be", why);
    }
    if (memchr(text, '\0', size) != NULL || memchr(text, '\n', size) != NULL ||
        memchr(text, '\r', size) != NULL) {
        return complain(name, -EBADMSG, "is not one line of text", why);
    }
    memcpy(ret->text, text, size);
    ret->size = size;
    return 0;
}

static int read_file(const char *file, char buffer[static READ_BYTES_MAX], size_t *ret_size,
                     char *why) {
    // O_NONBLOCK: a FIFO of that name must not hold us up.
    _cleanup_(cleanup_close) int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        int error = errno;
        return complain(file, -error, strerror(error), why);
    }
    if (!S_ISREG(status.st_mode)) {
        return complain(file, -EINVAL, "is not a regular file", why);
    }
    if (GUARD(password_file_mode) && is_open_to_others(&status)) {
        snprintf(why, KIT_SECRET_WHY_BYTES,
                 "%s: holds a secret, but its mode %04o or owner lets others at it: chmod 0600 it, "
                 "and change the secret if somebody may have read it",
                 file, status.st_mode & 07777U);
        return -EPERM;
    }
    int r = read_whole(fd, buffer, ret_size);
    return r < 0 ? complain(file, r, strerror(-r), why) : 0;
}

int kit_secret_read(const char *file, const char *variable, struct kit_secret *ret,
                    char why[KIT_SECRET_WHY_BYTES]) {
    char buffer[READ_BYTES_MAX];
    *ret = (struct kit_secret){0};
    why[0] = '\0';
    if (file != NULL && file[0] != '\0') {
        size_t size = 0;
        int r = read_file(file, buffer, &size, why);
        r = r != 0 ? r : take(file, buffer, size, ret, why);
        explicit_bzero(buffer, sizeof(buffer));
        return r;
    }
    const char *value = variable != NULL ? getenv(variable) : NULL;
    return value == NULL || value[0] == '\0' ? KIT_NO_SECRET
                                             : take(variable, value, strlen(value), ret, why);
}

int kit_secret_read_key(const char *file, void *ret, size_t size, char why[KIT_SECRET_WHY_BYTES]) {
    char buffer[READ_BYTES_MAX];
    size_t n = 0;
    assert(size <= KIT_SECRET_BYTES_MAX);
    why[0] = '\0';
    int r = read_file(file, buffer, &n, why);
    if (r == 0 && n != size) {
        snprintf(why, KIT_SECRET_WHY_BYTES, "%s: is no key of %zu bytes", file, size);
        r = -EBADMSG;
    }
    if (r == 0) {
        memcpy(ret, buffer, size);
    }
    explicit_bzero(buffer, sizeof(buffer));
    return r;
}

void kit_secret_clear(struct kit_secret *secret) {
    explicit_bzero(secret, sizeof(*secret));
}
