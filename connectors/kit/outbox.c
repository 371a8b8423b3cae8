// SPDX-License-Identifier: Apache-2.0
// Documents out, records kept. Everything goes the same way: NAME.new beside, fsync, rename, and
// one fsync of the folder a flush.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "connectors/kit/files.h"
#include "connectors/kit/outbox_private.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum { HASH_TEXT_BYTES = 33, DOCUMENT_MODE = 0640 };

char *outbox_escape(const char *text, char ret[static OUTBOX_PART_BYTES]) {
    static const char plain[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    size_t size = 0;
    for (const char *at = text; *at != '\0'; at++) {
        bool is_plain = !GUARD(path_traversal) || strchr(plain, *at) != NULL;
        if (size + 3 >= OUTBOX_PART_BYTES) {
            XXH128_hash_t hash = XXH3_128bits(text, strlen(text));
            size = OUTBOX_PART_BYTES - HASH_TEXT_BYTES - 1;
            snprintf(ret + size, OUTBOX_PART_BYTES - size, "~%016llx%016llx",
                     (unsigned long long)hash.high64, (unsigned long long)hash.low64);
            return ret;
        }
        size += (size_t)snprintf(ret + size, OUTBOX_PART_BYTES - size, is_plain ? "%c" : "%%%02X",
                                 (unsigned char)*at);
    }
    ret[size] = '\0';
    return ret;
}

static int open_folder(const char *path, int *ret_fd) {
    int r = files_make_folder(path);
    int fd = r < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = r < 0 ? r : fd < 0 ? -errno : 0;
    if (r < 0) {
        logging_error("folder=%s error=\"%s\"", path, strerror(-r));
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int outbox_open(const char *documents, const char *records, struct outbox **ret) {
    struct outbox *outbox = calloc(1, sizeof(*outbox));
    if (outbox == NULL) {
        return -ENOMEM;
    }
    outbox->documents_fd = outbox->records_fd = -1;
    int r = open_folder(documents, &outbox->documents_fd);
    r = r < 0 ? r : open_folder(records, &outbox->records_fd);
    if (r < 0) {
        outbox_close(outbox);
        return r;
    }
    *ret = outbox;
    return 0;
}

struct outbox *outbox_close(struct outbox *outbox) {
    if (outbox != NULL) {
        outbox_forget(outbox);
        cleanup_close(&outbox->documents_fd);
        cleanup_close(&outbox->records_fd);
        free(outbox);
    }
    return NULL;
}

static int write_file(int folder_fd, const char *name, const void *bytes, size_t size) {
    char aside[NAME_MAX + 1];
    int length = snprintf(aside, sizeof(aside), ".%s.new", name);
    if (length < 0 || (size_t)length >= sizeof(aside)) {
        return -ENAMETOOLONG;
    }
    _cleanup_(cleanup_close) int fd = openat(
        folder_fd, aside, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, DOCUMENT_MODE);
    int r = fd < 0 ? -errno : files_pwrite(fd, bytes, size, 0);
    if (r == 0 && (fsync(fd) != 0 || renameat(folder_fd, aside, folder_fd, name) != 0)) {
        r = -errno;
    }
    if (r < 0 && fd >= 0) {
        unlinkat(folder_fd, aside, 0);
    }
    return r;
}

int outbox_put(struct outbox *outbox, const char *name, const void *bytes, size_t size) {
    outbox->documents_changed = true;
    return write_file(outbox->documents_fd, name, bytes, size);
}

static struct record *find_record(struct outbox *outbox, const char *name) {
    for (size_t i = 0; i < outbox->n_records; i++) {
        if (strcmp(outbox->records[i].name, name) == 0) {
            return &outbox->records[i];
        }
    }
    return NULL;
}

static void *copy_of(const void *bytes, size_t size) {
    void *copy = malloc(size + 1);
    if (copy != NULL) {
        memcpy(copy, bytes, size);
    }
    return copy;
}

int outbox_remember(struct outbox *outbox, const char *name, const char *owner, const void *bytes,
                    size_t size) {
    struct record *record = find_record(outbox, name);
    if (owner != NULL && (strlen(owner) >= OUTBOX_OWNER_BYTES || strpbrk(owner, "@./") != NULL)) {
        return -EINVAL;
    }
    if ((record == NULL && outbox->n_records == OUTBOX_RECORDS_MAX) || strlen(name) > NAME_MAX) {
        return -ENOBUFS;
    }
    void *copy = copy_of(bytes, size);
    if (copy == NULL) {
        return -ENOMEM;
    }
    if (record == NULL) {
        record = &outbox->records[outbox->n_records++];
        snprintf(record->name, sizeof(record->name), "%s", name);
    }
    if (owner != NULL) {
        snprintf(record->owner, sizeof(record->owner), "%s", owner);
    }
    free(record->bytes);
    record->bytes = copy;
    record->size = size;
    return 0;
}

int outbox_read_record(const struct outbox *outbox, const char *name, void **ret,
                       size_t *ret_size) {
    _cleanup_(cleanup_close) int fd =
        openat(outbox->records_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        return errno == ENOENT ? 1 : -errno;
    }
    if (status.st_size > OUTBOX_DOCUMENT_BYTES_MAX) {
        return -EFBIG;
    }
    size_t size = (size_t)status.st_size;
    _cleanup_free_ void *bytes = malloc(size + 1);
    int r = bytes != NULL ? files_pread(fd, bytes, size, 0) : -ENOMEM;
    if (r == 0) {
        *ret = STEAL(bytes);
        *ret_size = size;
    }
    return r;
}

int outbox_recall(struct outbox *outbox, const char *name, void **ret, size_t *ret_size) {
    const struct record *record = find_record(outbox, name);
    if (record == NULL) {
        return outbox_read_record(outbox, name, ret, ret_size);
    }
    void *copy = copy_of(record->bytes, record->size);
    if (copy == NULL) {
        return -ENOMEM;
    }
    *ret = copy;
    *ret_size = record->size;
    return 0;
}

// The link first: a record without one would not be found by its owner.
static int write_record(const struct outbox *outbox, const struct record *record) {
    char link[NAME_MAX + 1];
    if (record->owner[0] != '\0') {
        int length = snprintf(link, sizeof(link), "@%s@%s", record->owner, record->name);
        if (length < 0 || (size_t)length >= sizeof(link)) {
            return -ENAMETOOLONG;
        }
        if (symlinkat(record->name, outbox->records_fd, link) != 0 && errno != EEXIST) {
            return -errno;
        }
    }
    return write_file(outbox->records_fd, record->name, record->bytes, record->size);
}

int outbox_flush(struct outbox *outbox) {
    int r = outbox->documents_changed && fsync(outbox->documents_fd) != 0 ? -errno : 0;
    for (size_t i = 0; i < outbox->n_records && r == 0; i++) {
        r = write_record(outbox, &outbox->records[i]);
    }
    if (r == 0 && outbox->n_records > 0 && fsync(outbox->records_fd) != 0) {
        r = -errno;
    }
    outbox->documents_changed = outbox->documents_changed && r != 0;
    outbox_forget(outbox);
    return r;
}

void outbox_forget(struct outbox *outbox) {
    for (size_t i = 0; i < outbox->n_records; i++) {
        free(outbox->records[i].bytes);
        outbox->records[i] = (struct record){0};
    }
    outbox->n_records = 0;
}
