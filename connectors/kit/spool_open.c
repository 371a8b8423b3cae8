// SPDX-License-Identifier: Apache-2.0
// How a spool comes back: its segments are read through once, damaged ends go aside, and reading
// starts at the cursor. The cursor file is a hint that spares repeats; losing it loses nothing.
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "connectors/kit/files.h"
#include "connectors/kit/spool_private.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/logging.h"

static const char cursor_name[] = "cursor";

void spool_write_cursor(struct spool *spool) {
    uint64_t cells[2] = {htole64(spool->head), 0};
    cells[1] = htole64(XXH3_64bits(&cells[0], sizeof(cells[0])));
    _cleanup_(cleanup_close) int fd =
        openat(spool->folder, cursor_name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : files_pwrite(fd, cells, sizeof(cells), 0);
    if (r != 0) {
        logging_warning("spool=cursor error=%s", strerror(-r));
        return;
    }
    spool->cursor = spool->head;
}

static uint64_t read_cursor(int folder) {
    uint64_t cells[2];
    _cleanup_(cleanup_close) int fd = openat(folder, cursor_name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || files_pread(fd, cells, sizeof(cells), 0) != 0 ||
        le64toh(cells[1]) != XXH3_64bits(&cells[0], sizeof(cells[0]))) {
        return 1;
    }
    return le64toh(cells[0]);
}

int spool_grow(struct spool *spool) {
    if (spool->n_segments < spool->segments_capacity) {
        return 0;
    }
    size_t capacity = spool->segments_capacity == 0 ? 16 : 2 * spool->segments_capacity;
    struct segment *segments = reallocarray(spool->segments, capacity, sizeof(*segments));
    if (segments == NULL) {
        return -ENOMEM;
    }
    spool->segments = segments;
    spool->segments_capacity = capacity;
    return 0;
}

static int compare_segments(const void *a, const void *b) {
    uint64_t x = ((const struct segment *)a)->first, y = ((const struct segment *)b)->first;
    return (x > y) - (x < y);
}

static int list_segments(struct spool *spool) {
    int fd = dup(spool->folder);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        return -errno;
    }
    int r = 0;
    for (struct dirent *entry; r == 0 && (entry = readdir(folder)) != NULL;) {
        uint64_t first;
        int end = 0;
        if (sscanf(entry->d_name, "spool-%16" SCNx64 ".seg%n", &first, &end) != 1 || end == 0 ||
            entry->d_name[end] != '\0') {
            continue;
        }
        r = spool->n_segments == SPOOL_SEGMENTS_MAX ? -E2BIG : spool_grow(spool);
        if (r == 0) {
            spool->segments[spool->n_segments++] = (struct segment){.first = first};
        }
    }
    closedir(folder);
    if (spool->n_segments > 0) {
        qsort(spool->segments, spool->n_segments, sizeof(*spool->segments), compare_segments);
    }
    return r;
}

static int recover(struct spool *spool) {
    uint64_t cursor = read_cursor(spool->folder);
    int r = list_segments(spool);
    for (size_t i = 0; r == 0 && i < spool->n_segments; i++) {
        struct segment *segment = &spool->segments[i];
        uint64_t torn = 0;
        r = segment_recover(spool->folder, segment->first, segment, &torn);
        if (torn > 0) {
            spool->torn += torn;
            logging_warning("spool=%016" PRIx64 " good_records=%" PRIu64 " torn_bytes=%" PRIu64
                            " kept_in=.torn",
                            segment->first, segment->n_records, torn);
        }
    }
    if (r != 0) {
        return r;
    }
    uint64_t end = cursor;
    for (size_t i = 0; i < spool->n_segments; i++) {
        // A cut tail leaves its numbers unused: never less than the segment could have had.
        uint64_t after = segment_end(&spool->segments[i]) + 1;
        end = after > end ? after : end;
    }
    spool->next = spool->synced = end;
    spool->head = spool->read = cursor;
    spool_settle(spool);
    spool_write_cursor(spool);
    return 0;
}

int spool_open(const char *folder, uint64_t bytes_max, struct spool **ret) {
    struct spool *spool = calloc(1, sizeof(*spool));
    if (spool == NULL) {
        return -ENOMEM;
    }
    spool->bytes_max = bytes_max;
    spool->append_fd = spool->read_fd = -1;
    spool->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = spool->folder < 0 ? -errno : recover(spool);
    if (r != 0) {
        spool_close(spool);
        return r;
    }
    spool->opened = true;
    *ret = spool;
    return 0;
}
