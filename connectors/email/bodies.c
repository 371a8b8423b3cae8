// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/bodies.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connectors/email/durable.h"
#include "schemas/base/clock.h"

enum { SHA256_DIGITS = 64 };

struct bodies {
    int fd, owners_fd;
};

int bodies_open(int folder_fd, struct bodies **ret) {
    struct bodies *bodies = calloc(1, sizeof(*bodies));
    if (bodies == NULL) {
        return -ENOMEM;
    }
    bodies->fd = durable_folder(folder_fd, "bodies");
    bodies->owners_fd = durable_folder(folder_fd, "owners");
    int r = bodies->fd < 0 ? bodies->fd : bodies->owners_fd < 0 ? bodies->owners_fd : 0;
    if (r < 0) {
        bodies_close(bodies);
        return r;
    }
    *ret = bodies;
    return 0;
}

struct bodies *bodies_close(struct bodies *bodies) {
    if (bodies != NULL) {
        cleanup_fd(&bodies->fd);
        cleanup_fd(&bodies->owners_fd);
        free(bodies);
    }
    return NULL;
}

// Names come out of events, too: nothing else is one.
static bool is_hash(const char *sha256) {
    return strlen(sha256) == SHA256_DIGITS && strspn(sha256, "0123456789abcdef") == SHA256_DIGITS;
}

int bodies_keep(struct bodies *bodies, const char *sha256, const void *bytes, size_t size) {
    if (!is_hash(sha256)) {
        return -EINVAL;
    }
    return faccessat(bodies->fd, sha256, F_OK, 0) == 0 &&
                   utimensat(bodies->fd, sha256, NULL, 0) == 0
               ? 0
               : durable_write(bodies->fd, sha256, bytes, size);
}

int bodies_own(struct bodies *bodies, const char *sha256, const char *customer) {
    char name[NAME_MAX];
    if (!is_hash(sha256) || strchr(customer, '/') != NULL ||
        faccessat(bodies->fd, sha256, F_OK, 0) != 0) {
        return 0;
    }
    int size = snprintf(name, sizeof(name), "%s.%s", customer, sha256);
    return size >= (int)sizeof(name) ? -ENAMETOOLONG
                                     : durable_write(bodies->owners_fd, name, "", 0);
}

// ---- who owns what

struct owners {
    const char *customer; // NULL: any
    const char *sha256;   // NULL: any
    size_t n;
    struct bodies *bodies;
};

// The hash in a name of DIR/owners; NULL: not one of these.
static const char *hash_of(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot != NULL && is_hash(dot + 1) ? dot + 1 : NULL;
}

static int count_owner(void *user, const char *name) {
    struct owners *owners = user;
    const char *hash = hash_of(name);
    owners->n += hash != NULL && strcmp(hash, owners->sha256) == 0;
    return 0;
}

static int disown(struct bodies *bodies, const char *name, const char *hash) {
    struct owners others = {.sha256 = hash};
    char body[SHA256_DIGITS + 1];
    snprintf(body, sizeof(body), "%s", hash);
    int r = durable_each(bodies->owners_fd, count_owner, &others);
    r = r == 0 && others.n == 1 ? durable_remove(bodies->fd, body) : r;
    return r == 0 ? durable_remove(bodies->owners_fd, name) : r;
}

static int disown_if_theirs(void *user, const char *name) {
    struct owners *owners = user;
    const char *hash = hash_of(name);
    size_t length = strlen(owners->customer);
    return hash != NULL && (size_t)(hash - 1 - name) == length &&
                   memcmp(name, owners->customer, length) == 0
               ? disown(owners->bodies, name, hash)
               : 0;
}

int bodies_erase(struct bodies *bodies, const char *customer) {
    struct owners owners = {.customer = customer, .bodies = bodies};
    return durable_each(bodies->owners_fd, disown_if_theirs, &owners);
}

// ---- age

struct expiry {
    int fd;
    int64_t before_us;
};

static int remove_if_old(void *user, const char *name) {
    const struct expiry *expiry = user;
    struct stat status;
    return fstatat(expiry->fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                   (int64_t)status.st_mtim.tv_sec * CLOCK_US_PER_S < expiry->before_us
               ? durable_remove(expiry->fd, name)
               : 0;
}

int bodies_expire(struct bodies *bodies, int64_t before_us) {
    struct expiry expiry = {bodies->fd, before_us};
    int r = durable_each(bodies->fd, remove_if_old, &expiry);
    expiry.fd = bodies->owners_fd;
    return r != 0 ? r : durable_each(bodies->owners_fd, remove_if_old, &expiry);
}
