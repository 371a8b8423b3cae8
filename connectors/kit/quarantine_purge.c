// SPDX-License-Identifier: Apache-2.0
// Takes the rows of erased persons out of the quarantine file. The broker is asked while nobody is
// held up; then the rows that stay are written aside, with what came meanwhile, synced and renamed.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <xxhash.h>

#include "connectors/kit/files.h"
#include "connectors/kit/quarantine.h"
#include "schemas/base/base64.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum { COPY_BYTES = 1 << 16, SEEN_SLOTS = 1 << 16 };

struct row {
    uint64_t offset, size;
    uint64_t hash; // of its bytes
    bool goes;
};

struct purge {
    quarantine_tombstoned *ask;
    void *user;
    struct row *rows; // that were looked at, in the file's order
    size_t n_rows, n_allocated;
    struct kit_identity names[KIT_TOMBSTONED_MAX]; // to be asked about; owns the values
    size_t row_of[KIT_TOMBSTONED_MAX];
    size_t n_names;
    uint64_t n_unchecked;
    uint64_t seen[SEEN_SLOTS]; // hashes of names that are nobody's who was erased: most come often
};

// ---- asking, many at a time

static void forget_names(struct purge *purge) {
    names_free_values(purge->names, purge->n_names);
    purge->n_names = 0;
}

static uint64_t hash_of(const struct kit_identity *name) {
    return XXH3_64bits_withSeed(name->value, strlen(name->value),
                                XXH3_64bits(name->kind, strlen(name->kind)));
}

static int ask(struct purge *purge) {
    bool gone[KIT_TOMBSTONED_MAX] = {false};
    int r = purge->n_names == 0 ? 0 : purge->ask(purge->user, purge->names, purge->n_names, gone);
    for (size_t i = 0; i < purge->n_names && r == 0; i++) {
        struct row *row = &purge->rows[purge->row_of[i]];
        row->goes = row->goes || gone[i];
        if (!gone[i]) {
            uint64_t hash = hash_of(&purge->names[i]);
            purge->seen[hash % SEEN_SLOTS] = hash;
        }
    }
    forget_names(purge);
    return r;
}

// Takes the values over.
static int collect(struct purge *purge, struct names *names, size_t row) {
    int r = 0;
    size_t n_taken = 0;
    while (n_taken < names->n && r == 0) {
        if (purge->n_names == KIT_TOMBSTONED_MAX) {
            r = ask(purge);
            continue;
        }
        uint64_t hash = hash_of(&names->list[n_taken]);
        if (purge->seen[hash % SEEN_SLOTS] == hash) {
            names_free_values(names->list + n_taken++, 1);
            continue;
        }
        purge->names[purge->n_names] = names->list[n_taken++];
        purge->row_of[purge->n_names++] = row;
    }
    if (n_taken < names->n) {
        names_free_values(names->list + n_taken, names->n - n_taken);
    }
    names->n = 0;
    return r;
}

// ---- rows

static int note(struct purge *purge, uint64_t offset, const char *line, uint64_t size) {
    if (purge->n_rows == purge->n_allocated) {
        size_t wanted = purge->n_allocated == 0 ? 64 : 2 * purge->n_allocated;
        struct row *rows = reallocarray(purge->rows, wanted, sizeof(*rows));
        if (rows == NULL) {
            return -ENOMEM;
        }
        purge->rows = rows;
        purge->n_allocated = wanted;
    }
    purge->rows[purge->n_rows++] =
        (struct row){.offset = offset, .size = size, .hash = XXH3_64bits(line, size)};
    return 0;
}

// Whom the last row is about goes to those who are asked for.
static int look_at(struct purge *purge, const char *line, size_t size) {
    struct names names = {0};
    json_t *json = size > QUARANTINE_LINE_BYTES_MAX ? NULL : json_loadb(line, size, 0, NULL);
    const json_t *item = json_object_get(json, "item");
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    if (json_is_string(item) &&
        base64_decode(json_string_value(item), json_string_length(item), &bytes, &n_bytes) == 0) {
        names_find(bytes, n_bytes, &names);
    }
    purge->n_unchecked += names.n == 0 || names.cut;
    int r = collect(purge, &names, purge->n_rows - 1);
    names_clear(&names);
    json_decref(json);
    free(bytes);
    return r;
}

// Judges the rows from `from` up to end.
static int look_through(struct purge *purge, int fd, uint64_t from, uint64_t end) {
    int copy = dup(fd);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "r");
    if (file == NULL) {
        cleanup_close(&copy);
        return -ENOMEM;
    }
    _cleanup_free_ char *line = NULL;
    size_t capacity = 0;
    int r = fseeko(file, (off_t)from, SEEK_SET) == 0 ? 0 : -errno;
    while (r == 0 && from < end) {
        ssize_t size = getline(&line, &capacity, file);
        if (size <= 0) {
            r = ferror(file) ? -EIO : 0;
            break;
        }
        r = note(purge, from, line, (uint64_t)size);
        r = r == 0 ? look_at(purge, line, (size_t)size) : r;
        from += (uint64_t)size;
    }
    fclose(file);
    r = r == 0 ? ask(purge) : r;
    forget_names(purge);
    return r;
}

// ---- the file anew

static int copy_range(int from, uint64_t offset, uint64_t end, int to, uint64_t *at) {
    char buffer[COPY_BYTES];
    int r = 0;
    while (r == 0 && offset < end) {
        size_t n = end - offset < sizeof(buffer) ? (size_t)(end - offset) : sizeof(buffer);
        r = files_pread(from, buffer, n, offset);
        r = r == 0 ? files_pwrite(to, buffer, n, *at) : r;
        offset += n;
        *at += n;
    }
    return r;
}

// Everything but the rows that go, and what came since. Held.
static int rewrite(struct quarantine *quarantine, const struct purge *purge, uint64_t size) {
    _cleanup_(cleanup_close) int aside =
        openat(quarantine->folder, QUARANTINE_ASIDE,
               O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    uint64_t offset = 0, at = 0;
    int r = aside < 0 ? -errno : 0;
    for (size_t i = 0; i < purge->n_rows && r == 0; i++) {
        if (!purge->rows[i].goes) {
            continue;
        }
        r = copy_range(quarantine->fd, offset, purge->rows[i].offset, aside, &at);
        offset = purge->rows[i].offset + purge->rows[i].size;
    }
    r = r == 0 ? copy_range(quarantine->fd, offset, size, aside, &at) : r;
    if (r == 0 &&
        (fsync(aside) != 0 ||
         renameat(quarantine->folder, QUARANTINE_ASIDE, quarantine->folder, QUARANTINE_NAME) != 0 ||
         fsync(quarantine->folder) != 0)) {
        r = -errno;
    }
    if (r < 0) {
        unlinkat(quarantine->folder, QUARANTINE_ASIDE, 0);
        return r;
    }
    cleanup_close(&quarantine->fd); // which has no name any more
    quarantine->fd = -1;
    return 0;
}

// Whether the rows that go are still where they were looked at: an operator may have emptied the
// file meanwhile, and others' rows come since. 0; -EAGAIN; another negative errno. Held.
static int check_rows(const struct quarantine *quarantine, const struct purge *purge) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < purge->n_rows; i++) {
        const struct row *row = &purge->rows[i];
        if (!row->goes) {
            continue;
        }
        _cleanup_free_ char *line = malloc(row->size);
        r = line == NULL ? -ENOMEM : files_pread(quarantine->fd, line, row->size, row->offset);
        if (r == 0 && XXH3_64bits(line, row->size) != row->hash) {
            r = -EAGAIN;
        }
    }
    return r;
}

// Writes the file without the rows that go. end: up to where it was looked through.
static int remove_rows(struct quarantine *quarantine, const struct purge *purge, uint64_t end) {
    uint64_t size = 0;
    int r = quarantine_hold(quarantine, &size);
    if (r == 0) {
        r = size < end ? -EAGAIN : check_rows(quarantine, purge); // else look again
        r = r == 0 ? rewrite(quarantine, purge, size) : r;
        quarantine_release(quarantine);
    }
    return r;
}

static int purge_range(struct quarantine *quarantine, struct purge *purge, uint64_t *from) {
    uint64_t end = 0, gone = 0;
    size_t n_gone = 0;
    int r = quarantine_hold(quarantine, &end);
    if (r != 0) {
        return r;
    }
    _cleanup_(cleanup_close) int fd = fcntl(quarantine->fd, F_DUPFD_CLOEXEC, 0);
    quarantine_release(quarantine);
    r = fd < 0 ? -errno : look_through(purge, fd, *from <= end ? *from : 0, end);
    for (size_t i = 0; i < purge->n_rows; i++) {
        n_gone += purge->rows[i].goes;
        gone += purge->rows[i].goes ? purge->rows[i].size : 0;
    }
    if (r == 0 && n_gone > 0 && GUARD(quarantine_purge)) {
        r = remove_rows(quarantine, purge, end);
    }
    if (r == 0) {
        *from = end - gone;
    }
    if (r == 0 && n_gone > 0) {
        logging_info("quarantine=purged rows=%zu bytes=%" PRIu64, n_gone, gone);
    }
    return r;
}

int quarantine_purge(struct quarantine *quarantine, uint64_t *from, quarantine_tombstoned *asked,
                     void *user, uint64_t *ret_unchecked) {
    struct purge *purge = calloc(1, sizeof(*purge));
    if (purge == NULL) {
        return -ENOMEM;
    }
    purge->ask = asked;
    purge->user = user;
    int r = purge_range(quarantine, purge, from);
    if (r == 0) {
        *ret_unchecked = purge->n_unchecked;
    }
    free(purge->rows);
    free(purge);
    return r;
}
