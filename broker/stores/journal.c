// SPDX-License-Identifier: Apache-2.0
// Writing the journal. A file grows by zeros that are on disk before a record is written over them,
// so that a record costs the disk one write and no change of the file's size; files are used again
// and again. Past the page cache where the file system can (O_DIRECT): that is the faster way here.
#include "broker/stores/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "broker/stores/journal_internal.h"
#include "broker/stores/store.h"
#include "schemas/base/guards.h"

enum {
    FILE_MODE = 0600,
    FIRST_BYTES = 64 << 10, // so that a few small commits need no more room on a full disk
    GROW_BYTES_MIN = 256 << 10,
    GROW_BYTES_MAX = 4 << 20,
    ZERO_BYTES = 1 << 20,
};

_Alignas(JOURNAL_PAGE_BYTES) static uint8_t zeros[ZERO_BYTES]; // never written

// ---- files

static int file_path(const char *dir, unsigned number, char ret[static PATH_MAX]) {
    int n = snprintf(ret, PATH_MAX, "%s/journal-%u", dir, number);
    return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int open_synchronous(const char *path, int flags) {
    flags |= O_RDWR | O_CLOEXEC | (GUARD(log_sync) ? O_DSYNC : 0);
    int descriptor = open(path, flags | O_DIRECT, FILE_MODE);
    return descriptor < 0 && errno == EINVAL ? open(path, flags, FILE_MODE) : descriptor;
}

// All of it, or an error: half a record is as good as none.
static int write_at(struct journal_file *file, const void *bytes, size_t size, uint64_t at) {
    ssize_t n = pwrite(file->descriptor, bytes, size, (off_t)at);
    return n < 0 ? -errno : (size_t)n == size ? 0 : -ENOSPC;
}

int journal_zero(struct journal_file *file, uint64_t from, uint64_t to) {
    int r = 0;
    for (uint64_t at = from; r == 0 && at < to; at += ZERO_BYTES) {
        r = write_at(file, zeros, to - at < ZERO_BYTES ? to - at : ZERO_BYTES, at);
    }
    return r;
}

static int open_file(struct journal_file *file, const char *dir, unsigned number, bool create) {
    char path[PATH_MAX];
    struct stat status;
    int r = file_path(dir, number, path);
    if (r < 0) {
        return r;
    }
    file->path = strdup(path);
    file->descriptor =
        file->path == NULL ? -1 : open_synchronous(path, create ? O_CREAT | O_TRUNC : 0);
    if (file->descriptor < 0) {
        return file->path == NULL ? -ENOMEM : -errno;
    }
    r = create ? journal_zero(file, 0, FIRST_BYTES) : 0;
    if (r == 0 && fstat(file->descriptor, &status) != 0) {
        r = -errno;
    }
    if (r == 0) {
        file->size = (uint64_t)status.st_size / JOURNAL_PAGE_BYTES * JOURNAL_PAGE_BYTES;
        file->used = JOURNAL_SLOT_BYTES;
        file->dirty_end = create ? JOURNAL_SLOT_BYTES : file->size;
    }
    return r;
}

int journal_open(const char *dir, const uint8_t id[static JOURNAL_ID_BYTES], bool create,
                 struct journal **ret) {
    struct journal *journal = calloc(1, sizeof(*journal));
    if (journal == NULL) {
        return -ENOMEM;
    }
    memcpy(journal->id, id, sizeof(journal->id));
    int r = 0;
    for (unsigned i = 0; i < JOURNAL_FILES; i++) {
        journal->files[i].descriptor = -1;
        r = r == 0 ? open_file(&journal->files[i], dir, i, create) : r;
    }
    if (r == 0 && create) { // what is in them is on disk
        r = store_sync_parent(journal->files[0].path);
    }
    if (r < 0) {
        journal_close(journal);
        return r;
    }
    *ret = journal;
    return 0;
}

struct journal *journal_close(struct journal *journal) {
    for (unsigned i = 0; journal != NULL && i < JOURNAL_FILES; i++) {
        if (journal->files[i].descriptor >= 0) {
            close(journal->files[i].descriptor);
        }
        free(journal->files[i].path);
    }
    free(journal);
    return NULL;
}

int journal_remove(const char *dir) {
    char path[PATH_MAX];
    struct stat status;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < JOURNAL_FILES; i++) {
        r = file_path(dir, i, path);
        struct journal_file file = {.descriptor = r == 0 ? open_synchronous(path, 0) : -1};
        if (file.descriptor < 0) {
            r = r == 0 && errno != ENOENT ? -errno : r;
            continue;
        }
        if (fstat(file.descriptor, &status) == 0) {
            // Bytes that nobody needs any more: the file goes whether they could be overwritten or
            // not.
            journal_zero(&file, 0, (uint64_t)status.st_size);
        }
        close(file.descriptor);
        r = unlink(path) != 0 ? -errno : 0;
    }
    return r; // whether they are gone from the disk, nobody asks
}

int journal_sync(struct journal *journal) {
    for (unsigned i = 0; i < JOURNAL_FILES; i++) {
        if (fsync(journal->files[i].descriptor) != 0) {
            return -errno;
        }
    }
    return 0;
}

// ---- points

int journal_write_point(struct journal *journal, uint64_t number, const void *bytes, size_t size) {
    uint8_t page[JOURNAL_SLOT_BYTES] = {0};
    struct journal_slot slot = {.magic = JOURNAL_MAGIC,
                                .generation = journal->generation + 1,
                                .number = number,
                                .size = size};
    assert(size <= JOURNAL_POINT_BYTES_MAX);
    memcpy(slot.id, journal->id, sizeof(slot.id));
    memcpy(page, &slot, sizeof(slot));
    memcpy(page + sizeof(slot), bytes, size);
    slot.sum = XXH3_64bits(page + sizeof(slot.sum), sizeof(slot) - sizeof(slot.sum) + size);
    memcpy(page, &slot.sum, sizeof(slot.sum));
    // Through a descriptor of its own: what is synced here is seen as a sync.
    int descriptor =
        open(journal->files[slot.generation % JOURNAL_FILES].path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return -errno;
    }
    ssize_t n = pwrite(descriptor, page, sizeof(page), 0);
    int r = n < 0 ? -errno : (size_t)n == sizeof(page) ? 0 : -ENOSPC;
    if (GUARD(log_point_sync) && r == 0 && fdatasync(descriptor) != 0) {
        r = -errno;
    }
    close(descriptor);
    if (r == 0) {
        journal->generation = slot.generation;
        atomic_store(&journal->needed_after, number);
    }
    return r;
}

// ---- records

static int grow(struct journal_file *file, uint64_t end) {
    uint64_t more = file->size < GROW_BYTES_MIN ? GROW_BYTES_MIN : file->size;
    more = more < GROW_BYTES_MAX ? more : GROW_BYTES_MAX;
    uint64_t size = file->size + more < end ? end : file->size + more;
    int r = journal_zero(file, file->size, size);
    if (r == 0) {
        file->size = size;
    }
    return r;
}

int journal_append(struct journal *journal, const struct journal_record *record) {
    struct journal_file *file = &journal->files[journal->active];
    size_t size = journal_record_finish(record, journal->id, journal->number + 1);
    int r = file->used + size > file->size ? grow(file, file->used + size) : 0;
    if (r < 0) {
        return r;
    }
    r = write_at(file, record->bytes, size, file->used);
    if (r < 0) {
        return r == -ENOSPC ? -EIO : r; // some of it may be there
    }
    file->used += size;
    file->dirty_end = file->dirty_end > file->used ? file->dirty_end : file->used;
    file->last_number = ++journal->number;
    return 0;
}

uint64_t journal_number(const struct journal *journal) {
    return journal->number;
}

uint64_t journal_used(const struct journal *journal) {
    return journal->files[journal->active].used - JOURNAL_SLOT_BYTES;
}

static bool is_needed(const struct journal *journal, const struct journal_file *file) {
    return file->last_number > atomic_load(&journal->needed_after);
}

bool journal_can_turn(const struct journal *journal) {
    return !is_needed(journal, &journal->files[1 - journal->active]);
}

void journal_turn(struct journal *journal) {
    assert(journal_can_turn(journal));
    journal->active = 1 - journal->active;
    journal->files[journal->active].used = JOURNAL_SLOT_BYTES;
}

// ---- what records leave behind

bool journal_has_remains(const struct journal *journal) {
    bool has = false;
    for (unsigned i = 0; i < JOURNAL_FILES; i++) {
        const struct journal_file *file = &journal->files[i];
        has = has || (!is_needed(journal, file) && file->dirty_end > JOURNAL_SLOT_BYTES);
    }
    return has;
}

int journal_wipe(struct journal *journal, bool behind_used) {
    struct journal_file *file = &journal->files[1 - journal->active];
    if (is_needed(journal, file)) {
        return 0;
    }
    uint64_t from = behind_used ? file->used : JOURNAL_SLOT_BYTES;
    int r = GUARD(journal_wipe) ? journal_zero(file, from, file->dirty_end) : 0;
    if (r == 0 && file->dirty_end > from) {
        file->dirty_end = from;
    }
    return r;
}
