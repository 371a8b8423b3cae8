// SPDX-License-Identifier: Apache-2.0
// The spool's queue over its segments: where appending, reading and acking stand. Appending never
// goes on in a segment of an earlier run, so that what a crash left at an end stays an end. Records
// are told apart by number only; a gap between segments (a cut tail) counts as acked.
#include "connectors/kit/spool.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connectors/kit/bounds.h"
#include "connectors/kit/files.h"
#include "connectors/kit/spool_private.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

uint64_t spool_records(const struct spool *spool) {
    uint64_t n = 0;
    for (size_t i = 0; i < spool->n_segments; i++) {
        const struct segment *segment = &spool->segments[i];
        uint64_t from = segment->first > spool->head ? segment->first : spool->head;
        n += segment_end(segment) > from ? segment_end(segment) - from : 0;
    }
    return n;
}

uint64_t spool_bytes(const struct spool *spool) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < spool->n_segments; i++) {
        bytes += spool->segments[i].size;
    }
    return bytes;
}

uint64_t spool_torn(const struct spool *spool) {
    return spool->torn;
}

bool spool_has_room(const struct spool *spool, size_t n_records, uint64_t bytes) {
    uint64_t more = bytes + n_records * SEGMENT_RECORD_BYTES + SEGMENT_HEADER_BYTES;
    return (!GUARD(spool_full) || spool_bytes(spool) + more <= spool->bytes_max) &&
           spool->n_segments < SPOOL_SEGMENTS_MAX;
}

// ---- append and sync

static void stop_appending(struct spool *spool) {
    if (spool->append_fd >= 0) {
        close(spool->append_fd);
        spool->append_fd = -1;
    }
}

static int start_appending(struct spool *spool) {
    int r = spool_grow(spool);
    if (r != 0) {
        return r;
    }
    int fd = segment_create(spool->folder, spool->next, &spool->segments[spool->n_segments]);
    if (fd < 0) {
        return fd;
    }
    spool->append_fd = fd;
    spool->synced_segment = spool->segments[spool->n_segments++];
    return 0;
}

// The end goes back to what was synced. The bytes behind it may stay where the disk refuses even
// that: then they come again at the next start, under ids the broker knows.
static void give_up_unsynced(struct spool *spool) {
    if (spool->append_fd < 0) {
        return;
    }
    struct segment *segment = &spool->segments[spool->n_segments - 1];
    *segment = spool->synced_segment;
    if (ftruncate(spool->append_fd, (off_t)segment->size) != 0) {
        logging_error("spool=%016" PRIx64 " error=%s", segment->first, strerror(errno));
    }
    stop_appending(spool);
    if (segment->n_records == 0) { // its name is free again for the next one
        segment_remove(spool->folder, segment->first);
        spool->n_segments--;
    }
    spool->failed = spool->synced != spool->next;
    spool->synced = spool->next; // the numbers are gone for good
}

int spool_append(struct spool *spool, const void *data, size_t size, uint64_t *ret_number) {
    assert(size > 0 && size <= SPOOL_RECORD_BYTES_MAX);
    if (spool->failed) {
        return -EIO;
    }
    if (!spool_has_room(spool, 1, size)) {
        return SPOOL_FULL;
    }
    if (spool->append_fd >= 0 &&
        spool->segments[spool->n_segments - 1].size > SPOOL_SEGMENT_BYTES) {
        int r = spool_sync(spool);
        if (r != 0) {
            return r;
        }
        stop_appending(spool);
    }
    int r = spool->append_fd >= 0 ? 0 : start_appending(spool);
    if (r == 0) {
        r = segment_append(spool->append_fd, &spool->segments[spool->n_segments - 1], data, size);
    }
    if (r != 0) {
        give_up_unsynced(spool);
        return r;
    }
    if (ret_number != NULL) {
        *ret_number = spool->next;
    }
    spool->next++;
    return 0;
}

int spool_sync(struct spool *spool) {
    if (!spool->failed && spool->synced == spool->next) {
        return 0;
    }
    int r = -EIO;
    if (GUARD(spool_sync) && !spool->failed && fdatasync(spool->append_fd) != 0) {
        r = -errno;
        give_up_unsynced(spool);
    }
    if (spool->failed) {
        spool->failed = false;
        return r;
    }
    spool->synced = spool->next;
    spool->synced_segment = spool->segments[spool->n_segments - 1];
    return 0;
}

// ---- read

static void stop_reading(struct spool *spool) {
    if (spool->read_fd >= 0) {
        close(spool->read_fd);
        spool->read_fd = -1;
    }
}

// The segment that reading stands in or comes to next. Moves read over a gap.
static struct segment *segment_to_read(struct spool *spool) {
    for (size_t i = 0; i < spool->n_segments; i++) {
        struct segment *segment = &spool->segments[i];
        if (segment_end(segment) <= spool->read) {
            continue;
        }
        if (segment->first > spool->read) {
            spool->read = segment->first;
        }
        return segment;
    }
    return NULL;
}

static int start_reading(struct spool *spool, const struct segment *segment) {
    stop_reading(spool);
    spool->read_fd = segment_open(spool->folder, segment->first);
    if (spool->read_fd < 0) {
        return spool->read_fd;
    }
    spool->read_first = segment->first;
    spool->read_offset = SEGMENT_HEADER_BYTES;
    for (uint64_t number = segment->first; number < spool->read; number++) {
        size_t size;
        int r = segment_read(spool->read_fd, number, &spool->read_offset, &spool->buffer,
                             &spool->capacity, &size);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

// A segment that was good when it was opened no longer is: the rest of it goes aside.
static void lose_rest(struct spool *spool, struct segment *segment) {
    logging_error("spool=%016" PRIx64 " damaged_from_record=%" PRIu64 " records=%" PRIu64
                  " kept_in=.torn",
                  segment->first, spool->read, segment_end(segment) - spool->read);
    int r = segment_set_aside(spool->folder, segment->first, spool->read_offset, &spool->torn);
    if (r != 0) {
        logging_error("spool=%016" PRIx64 " error=%s", segment->first, strerror(-r));
    }
    if (segment == &spool->segments[spool->n_segments - 1]) {
        stop_appending(spool);
        spool->failed = spool->failed || spool->synced != spool->next; // they went aside too
        spool->synced = spool->next;
    }
    segment->n_records = spool->read - segment->first;
    segment->size = spool->read_offset;
    stop_reading(spool);
}

int spool_next(struct spool *spool, const void **ret, size_t *ret_size, uint64_t *ret_number) {
    for (size_t tries = 0; tries <= SPOOL_SEGMENTS_MAX; tries++) {
        struct segment *segment = segment_to_read(spool);
        if (segment == NULL || (GUARD(spool_synced) && spool->read >= spool->synced) ||
            spool->read - spool->head >= SPOOL_WINDOW) {
            return SPOOL_END;
        }
        int r = 0;
        if (spool->read_fd < 0 || spool->read_first != segment->first) {
            r = start_reading(spool, segment);
        }
        if (r == 0) {
            r = segment_read(spool->read_fd, spool->read, &spool->read_offset, &spool->buffer,
                             &spool->capacity, ret_size);
        }
        if (r == 0) {
            *ret = spool->buffer;
            *ret_number = spool->read++;
            return 0;
        }
        if (r < 0) {
            stop_reading(spool);
            return r;
        }
        lose_rest(spool, segment);
        spool_settle(spool);
    }
    return SPOOL_END;
}

bool spool_skip(struct spool *spool) {
    if (spool->next - spool->head > SPOOL_WINDOW) {
        return false;
    }
    spool->read = spool->next;
    stop_reading(spool);
    return true;
}

// ---- ack

void spool_ack(struct spool *spool, uint64_t number) {
    if (number < spool->head || number >= spool->read) {
        return;
    }
    spool->acked[number % SPOOL_WINDOW] = true;
    spool_settle(spool);
}

// Moves head over what is acked or missing, and removes segments that lie below it.
void spool_settle(struct spool *spool) {
    for (;;) {
        struct segment *oldest = spool->n_segments > 0 ? &spool->segments[0] : NULL;
        if (oldest == NULL) {
            spool->head = spool->read = spool->next;
            break;
        }
        if (spool->head >= segment_end(oldest) &&
            (oldest->n_records > 0 || spool->append_fd < 0 || spool->n_segments > 1)) {
            bool last = spool->n_segments == 1;
            if (last && spool->synced != spool->next) {
                break; // more is on its way into it
            }
            if (last) {
                stop_appending(spool);
            }
            if (spool->read_fd >= 0 && spool->read_first == oldest->first) {
                stop_reading(spool);
            }
            segment_remove(spool->folder, oldest->first);
            memmove(oldest, oldest + 1, --spool->n_segments * sizeof(*oldest));
            continue;
        }
        if (spool->head < oldest->first) {
            spool->head = oldest->first;
            spool->read = spool->read > spool->head ? spool->read : spool->head;
            continue;
        }
        if (spool->head >= spool->read || !spool->acked[spool->head % SPOOL_WINDOW]) {
            break;
        }
        spool->acked[spool->head % SPOOL_WINDOW] = false;
        spool->head++;
    }
    if (spool->head - spool->cursor >= SPOOL_CURSOR_RECORDS) {
        spool_write_cursor(spool);
    }
}

// ---- nothing stays

uint64_t spool_rotate(struct spool *spool) {
    // A failed sync gives up what was appended, and its file ends there as well.
    if (spool_sync(spool) == 0) {
        stop_appending(spool);
    }
    spool_settle(spool);
    return spool->next;
}

bool spool_is_past(const struct spool *spool, uint64_t number) {
    return spool->n_segments == 0 || spool->segments[0].first >= number;
}

int64_t spool_remove_torn(struct spool *spool) {
    static const char end[] = ".torn";
    int64_t bytes = 0;
    DIR *folder = files_open_names(spool->folder);
    if (folder == NULL) {
        return -errno;
    }
    for (struct dirent *entry; bytes >= 0 && (entry = readdir(folder)) != NULL;) {
        struct stat status;
        size_t length = strlen(entry->d_name);
        if (strncmp(entry->d_name, "spool-", 6) != 0 || length < sizeof(end) ||
            strcmp(entry->d_name + length - strlen(end), end) != 0) {
            continue;
        }
        bool there = fstatat(spool->folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0;
        bytes = there && unlinkat(spool->folder, entry->d_name, 0) == 0 ? bytes + status.st_size
                                                                        : -errno;
    }
    closedir(folder);
    if (bytes >= 0 && fsync(spool->folder) != 0) {
        return -errno;
    }
    spool->torn = bytes >= 0 ? 0 : spool->torn;
    return bytes;
}

struct spool *spool_close(struct spool *spool) {
    if (spool == NULL) {
        return NULL;
    }
    stop_appending(spool);
    stop_reading(spool);
    if (spool->folder >= 0) {
        if (spool->opened) {
            spool_write_cursor(spool);
        }
        close(spool->folder);
    }
    free(spool->segments);
    free(spool->buffer);
    free(spool);
    return NULL;
}
