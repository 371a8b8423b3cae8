// SPDX-License-Identifier: Apache-2.0
// Takes the rows of erased persons out of the quarantine file. The broker is asked while nobody is
// held up; then the rows that stay are written aside, with what came meanwhile, synced and renamed.
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "connectors/kit/files.h"
#include "connectors/kit/quarantine.h"
#include "schemas/base/base64.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum { COPY_BYTES = 1 << 16 };

struct row {
    uint64_t offset;
    uint64_t size;
};

struct purge {
    quarantine_tombstoned *ask;
    void *user;
    struct row *rows; // that go
    size_t n_rows, n_allocated;
    uint64_t n_unchecked;
};

// 1: it is about somebody who was erased; 0: it is not, as far as anybody can say; negative errno.
static int judge(struct purge *purge, const char *line, size_t size) {
    struct names names = {0};
    json_t *json = json_loadb(line, size, 0, NULL);
    const json_t *item = json_object_get(json, "item");
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    int r = 0;
    if (json_is_string(item) &&
        base64_decode(json_string_value(item), json_string_length(item), &bytes, &n_bytes) == 0) {
        names_find(bytes, n_bytes, &names);
    }
    bool gone[KIT_TOMBSTONED_MAX];
    for (size_t at = 0; at < names.n && r == 0; at += KIT_TOMBSTONED_MAX) {
        size_t n = names.n - at < KIT_TOMBSTONED_MAX ? names.n - at : KIT_TOMBSTONED_MAX;
        memset(gone, 0, sizeof(gone));
        r = purge->ask(purge->user, names.list + at, n, gone);
        for (size_t i = 0; i < n && r == 0; i++) {
            r = gone[i] ? 1 : 0;
        }
    }
    purge->n_unchecked += r == 0 && (names.n == 0 || names.cut);
    names_clear(&names);
    json_decref(json);
    free(bytes);
    return r;
}

static int note(struct purge *purge, uint64_t offset, uint64_t size) {
    if (purge->n_rows == purge->n_allocated) {
        size_t wanted = purge->n_allocated == 0 ? 64 : 2 * purge->n_allocated;
        struct row *rows = reallocarray(purge->rows, wanted, sizeof(*rows));
        if (rows == NULL) {
            return -ENOMEM;
        }
        purge->rows = rows;
        purge->n_allocated = wanted;
    }
    purge->rows[purge->n_rows++] = (struct row){offset, size};
    return 0;
}

// Judges the rows from *from up to end.
static int look_through(struct purge *purge, int fd, uint64_t from, uint64_t end) {
    int copy = dup(fd);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "r");
    if (file == NULL || fseeko(file, (off_t)from, SEEK_SET) != 0) {
        return -errno;
    }
    _cleanup_free_ char *line = NULL;
    size_t capacity = 0;
    int r = 0;
    while (r == 0 && from < end) {
        ssize_t size = getline(&line, &capacity, file);
        if (size <= 0) {
            r = ferror(file) ? -EIO : 0;
            break;
        }
        r = size > QUARANTINE_LINE_BYTES_MAX ? 0 : judge(purge, line, (size_t)size);
        purge->n_unchecked += size > QUARANTINE_LINE_BYTES_MAX;
        r = r == 1 ? note(purge, from, (uint64_t)size) : r;
        from += (uint64_t)size;
    }
    fclose(file);
    return r;
}

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

int quarantine_purge(struct quarantine *quarantine, uint64_t *from, quarantine_tombstoned *ask,
                     void *user, uint64_t *ret_unchecked) {
    struct purge purge = {.ask = ask, .user = user};
    uint64_t end, size, gone = 0;
    int r = quarantine_hold(quarantine, &end);
    if (r != 0) {
        return r;
    }
    _cleanup_(cleanup_close) int fd = fcntl(quarantine->fd, F_DUPFD_CLOEXEC, 0);
    quarantine_release(quarantine);
    uint64_t begin = *from <= end ? *from : 0;
    r = fd < 0 ? -errno : look_through(&purge, fd, begin, end);
    if (r == 0 && purge.n_rows > 0 && GUARD(quarantine_purge)) {
        r = quarantine_hold(quarantine, &size);
        if (r == 0) {
            // An operator emptied it meanwhile: look again.
            r = size < end ? -EAGAIN : rewrite(quarantine, &purge, size);
            quarantine_release(quarantine);
        }
    }
    for (size_t i = 0; i < purge.n_rows; i++) {
        gone += purge.rows[i].size;
    }
    if (r == 0) {
        *from = end - gone;
        *ret_unchecked = purge.n_unchecked;
        if (purge.n_rows > 0) {
            logging_info("quarantine=purged rows=%zu bytes=%llu", purge.n_rows,
                         (unsigned long long)gone);
        }
    }
    free(purge.rows);
    return r;
}
