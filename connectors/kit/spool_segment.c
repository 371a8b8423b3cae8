// SPDX-License-Identifier: Apache-2.0
// Segment files: their bytes and their recovery. Whatever cannot be read is kept aside under
// another name, never deleted, and never stops what can be read.
#include "connectors/kit/spool_segment.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xxhash.h>

#include "connectors/kit/bounds.h"
#include "connectors/kit/files.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"

static const char magic[8] = "tbspool1";

enum { NAME_BYTES = 64, COPY_BYTES = 1 << 16 };

static char *segment_name(uint64_t first, char name[static NAME_BYTES]) {
    snprintf(name, NAME_BYTES, "spool-%016" PRIx64 ".seg", first);
    return name;
}

static uint64_t record_hash(const void *data, size_t size, uint64_t number) {
    return XXH3_64bits_withSeed(data, size, number);
}

static void put_u64(uint8_t *at, uint64_t value) {
    value = htole64(value);
    memcpy(at, &value, sizeof(value));
}

static uint64_t get_u64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

int segment_create(int folder, uint64_t first, struct segment *ret) {
    char name[NAME_BYTES];
    uint8_t header[SEGMENT_HEADER_BYTES];
    int fd = openat(folder, segment_name(first, name), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    memcpy(header, magic, sizeof(magic));
    put_u64(header + sizeof(magic), first);
    int r = files_pwrite(fd, header, sizeof(header), 0);
    if (r == 0 && (fsync(fd) != 0 || fsync(folder) != 0)) {
        r = -errno;
    }
    if (r != 0) {
        unlinkat(folder, name, 0);
        close(fd);
        return r;
    }
    *ret = (struct segment){.first = first, .size = sizeof(header)};
    return fd;
}

int segment_open(int folder, uint64_t first) {
    char name[NAME_BYTES];
    int fd = openat(folder, segment_name(first, name), O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int segment_append(int fd, struct segment *segment, const void *data, size_t size) {
    uint8_t header[SEGMENT_RECORD_BYTES];
    put_u64(header, size);
    put_u64(header + 8, record_hash(data, size, segment_end(segment)));
    int r = files_pwrite(fd, header, sizeof(header), segment->size);
    if (r == 0) {
        r = files_pwrite(fd, data, size, segment->size + sizeof(header));
    }
    if (r != 0) {
        return r;
    }
    segment->size += sizeof(header) + size;
    segment->n_records++;
    return 0;
}

int segment_read(int fd, uint64_t number, uint64_t *offset, uint8_t **buffer, size_t *capacity,
                 size_t *ret_size) {
    uint8_t header[SEGMENT_RECORD_BYTES];
    if (files_pread(fd, header, sizeof(header), *offset) != 0) {
        return SEGMENT_DAMAGED;
    }
    uint64_t size = get_u64(header);
    if (size == 0 || size > SPOOL_RECORD_BYTES_MAX) {
        return SEGMENT_DAMAGED;
    }
    if (size > *capacity) {
        uint8_t *grown = realloc(*buffer, size);
        if (grown == NULL) {
            return -ENOMEM;
        }
        *buffer = grown;
        *capacity = size;
    }
    if (files_pread(fd, *buffer, size, *offset + sizeof(header)) != 0 ||
        (GUARD(spool_checksum) && record_hash(*buffer, size, number) != get_u64(header + 8))) {
        return SEGMENT_DAMAGED;
    }
    *offset += sizeof(header) + size;
    *ret_size = size;
    return 0;
}

int segment_set_aside(int folder, uint64_t first, uint64_t offset, uint64_t *ret_torn) {
    char aside[NAME_BYTES];
    static const char zero[COPY_BYTES];
    _cleanup_free_ char *block = malloc(COPY_BYTES);
    _cleanup_(cleanup_close) int fd = segment_open(folder, first);
    struct stat status;
    if (block == NULL || fd < 0 || fstat(fd, &status) != 0) {
        return block == NULL ? -ENOMEM : fd < 0 ? fd : -errno;
    }
    snprintf(aside, sizeof(aside), "spool-%016" PRIx64 "-%" PRIu64 ".torn", first, offset);
    _cleanup_(cleanup_close) int to =
        openat(folder, aside, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    if (to < 0) {
        return -errno;
    }
    uint64_t end = (uint64_t)status.st_size;
    bool empty = true;
    for (uint64_t at = offset; at < end;) {
        size_t n = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
        if (files_pread(fd, block, n, at) == 0) { // what the disk refuses stays a hole
            int r = files_pwrite(to, block, n, at - offset);
            if (r != 0) {
                return r;
            }
            empty = empty && memcmp(block, zero, n) == 0;
        }
        at += n;
    }
    if (fsync(to) != 0 || fsync(folder) != 0 || ftruncate(fd, (off_t)offset) != 0 ||
        fsync(fd) != 0) {
        return -errno;
    }
    if (empty) { // a file system's tail of zeros: nothing was ever there
        unlinkat(folder, aside, 0);
    }
    *ret_torn += end > offset ? end - offset : 0;
    return 0;
}

int segment_recover(int folder, uint64_t first, struct segment *ret, uint64_t *ret_torn) {
    uint8_t header[SEGMENT_HEADER_BYTES];
    _cleanup_free_ uint8_t *buffer = NULL;
    size_t capacity = 0, size;
    _cleanup_(cleanup_close) int fd = segment_open(folder, first);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        return fd < 0 ? fd : -errno;
    }
    uint64_t offset = 0, n_records = 0;
    if (files_pread(fd, header, sizeof(header), 0) == 0 &&
        memcmp(header, magic, sizeof(magic)) == 0 && get_u64(header + sizeof(magic)) == first) {
        offset = sizeof(header);
        while (offset < (uint64_t)status.st_size) {
            int r = segment_read(fd, first + n_records, &offset, &buffer, &capacity, &size);
            if (r < 0) {
                return r;
            }
            if (r == SEGMENT_DAMAGED) {
                break;
            }
            n_records++;
        }
    }
    if (offset < (uint64_t)status.st_size) {
        int r = segment_set_aside(folder, first, offset, ret_torn);
        if (r != 0) {
            return r;
        }
    }
    *ret = (struct segment){.first = first, .n_records = n_records, .size = offset};
    return 0;
}

int segment_remove(int folder, uint64_t first) {
    char name[NAME_BYTES];
    return unlinkat(folder, segment_name(first, name), 0) == 0 ? 0 : -errno;
}
