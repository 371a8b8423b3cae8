// SPDX-License-Identifier: Apache-2.0
// Restore points of the live view: steady ones, and the way back to one of either kind (those that
// are copies are made in snapshot_copy.c). The idea of a steady one: a read transaction at commit T
// keeps every page of T where it is; once the file is synced, T's meta page (4 KiB) is all that is
// needed to come back to T, whatever later commits left half on disk. restore.md says why this is
// right and walks through the crash windows. It never restores a file that somebody may have open.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "broker/faultpoint.h"
#include "broker/stores/view_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

#define POINT_MAGIC UINT64_C(0x3150524256425400) // "\0TBVBRP1"
static const char point_name[] = "restore-point";

// The file `restore-point`: this, the meta page, then XXH3-64 of both.
struct point {
    uint64_t magic;
    uint64_t txn_id;
    uint64_t applied;
    uint8_t incarnation[INCARNATION_BYTES];
    uint32_t fold_version;
    uint32_t page_bytes;
};
enum { POINT_BYTES_MAX = sizeof(struct point) + STORE_PAGE_BYTES_MAX + sizeof(uint64_t) };

struct view_snapshot {
    struct store_txn *pin;
    struct point point;
    uint8_t page[STORE_PAGE_BYTES_MAX];
};

// What the pinned commit says of itself.
static int describe(struct view_snapshot *snapshot) {
    struct view_txn txn = {.txn = snapshot->pin};
    struct view_identity identity;
    int r = view_get_identity(&txn, &identity);
    if (r != 0) {
        return r > 0 ? -EBADMSG : r; // only a view that knows its log has restore points
    }
    size_t size = 0;
    r = store_read_meta(snapshot->pin, snapshot->page, &size);
    if (r < 0) {
        return r;
    }
    snapshot->point = (struct point){
        .magic = POINT_MAGIC,
        .txn_id = store_txn_id(snapshot->pin),
        .applied = view_applied(&txn),
        .fold_version = identity.fold_version,
        .page_bytes = (uint32_t)size,
    };
    memcpy(snapshot->point.incarnation, identity.incarnation, INCARNATION_BYTES);
    return 0;
}

int view_snapshot_begin(struct view *view, struct view_snapshot **ret) {
    struct view_snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (snapshot == NULL) {
        return -ENOMEM;
    }
    view_settle(view); // from here on nobody commits until this returns: the tick shows nothing
    int r = store_begin(view->store, false, &snapshot->pin);
    if (r == 0) {
        r = describe(snapshot);
    }
    if (r < 0) {
        store_abort(snapshot->pin);
        free(snapshot);
        return r;
    }
    *ret = snapshot;
    return 0;
}

static int write_all(int descriptor, const void *data, size_t size) {
    ssize_t n = write(descriptor, data, size);
    return n < 0 ? -errno : ((size_t)n == size ? 0 : -EIO);
}

// The new point in `aside`, on disk. 0 or a negative errno: path is as it was.
static int write_aside(const char *aside, const struct view_snapshot *snapshot) {
    uint8_t bytes[POINT_BYTES_MAX];
    size_t size = sizeof(snapshot->point);
    memcpy(bytes, &snapshot->point, size);
    memcpy(bytes + size, snapshot->page, snapshot->point.page_bytes);
    size += snapshot->point.page_bytes;
    uint64_t checksum = XXH3_64bits(bytes, size);
    memcpy(bytes + size, &checksum, sizeof(checksum));
    size += sizeof(checksum);

    int descriptor = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        return -errno;
    }
    int r = write_all(descriptor, bytes, size);
    if (r == 0 && fsync(descriptor) != 0) {
        r = -errno;
    }
    close(descriptor);
    return r;
}

int view_point_path(const char *dir, const char *suffix, char ret[static PATH_MAX]) {
    int n = snprintf(ret, PATH_MAX, "%s/%s%s", dir, point_name, suffix);
    return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int view_publish_point(struct view *view, struct store_txn **pin, uint64_t applied) {
    char path[PATH_MAX], aside[PATH_MAX];
    int r = view_point_path(view->dir, "", path);
    r = r == 0 ? view_point_path(view->dir, ".new", aside) : r;
    if (r == 0 && rename(aside, path) != 0) {
        logging_warning("restore_point=not-written error=\"%s\"", strerror(errno));
        unlink(aside); // it may be large
        return 1;
    }
    // Renamed: where this fails, either point may be the one on disk, and only one can stay
    // pinned.
    r = r == 0 ? store_sync_parent(path) : r;
    if (r == 0) {
        // The point on disk is this one now: the pages of the one before may be used again.
        store_abort(view->pin);
        view->pin = STEAL(*pin);
        atomic_store(&view->restorable, applied);
    }
    return r;
}

int view_snapshot_finish(struct view *view, struct view_snapshot *snapshot) {
    char aside[PATH_MAX];
    int r = view_point_path(view->dir, ".new", aside);
    r = r == 0 ? store_sync(view->store) : r;
    if (r == 0) {
        int written = write_aside(aside, snapshot);
        FAULTPOINT("in-restore-point");
        if (written < 0) {
            logging_warning("restore_point=not-written error=\"%s\"", strerror(-written));
            r = 1;
        }
    }
    r = r == 0 ? view_publish_point(view, &snapshot->pin, snapshot->point.applied) : r;
    store_abort(snapshot->pin);
    free(snapshot);
    return r;
}

bool view_is_pinned(const struct view *view) {
    return view->pin != NULL;
}

uint64_t view_snapshot_applied(const struct view_snapshot *snapshot) {
    return snapshot->point.applied;
}

uint64_t view_restorable(const struct view *view) {
    return atomic_load(&view->restorable);
}

// A copy says itself what it is. 0; 1; negative errno.
static int describe_copy(const char *path, struct point *ret) {
    struct view_identity identity;
    *ret = (struct point){.magic = 0};
    int r = view_read_copy(path, &identity, &ret->applied);
    if (r == 0) {
        ret->fold_version = identity.fold_version;
        memcpy(ret->incarnation, identity.incarnation, INCARNATION_BYTES);
    }
    return r;
}

// 0, with magic 0 where the file is a copy; 1 and why; negative errno.
static int read_point(const char *path, uint8_t bytes[static POINT_BYTES_MAX], struct point *ret,
                      const char **ret_why) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        *ret_why = "there is no restore point";
        return errno == ENOENT ? 1 : -errno;
    }
    ssize_t n = read(descriptor, bytes, POINT_BYTES_MAX);
    int r = n < 0 ? -errno : 0;
    close(descriptor);
    if (r < 0) {
        return r;
    }
    struct point point;
    uint64_t checksum = 0;
    size_t size = (size_t)n;
    *ret_why = "the restore point is damaged";
    if (size < sizeof(point) + sizeof(checksum)) {
        return 1;
    }
    memcpy(&point, bytes, sizeof(point));
    memcpy(&checksum, bytes + size - sizeof(checksum), sizeof(checksum));
    if (point.magic != POINT_MAGIC) {
        return describe_copy(path, ret);
    }
    if (point.page_bytes > STORE_PAGE_BYTES_MAX ||
        size != sizeof(point) + point.page_bytes + sizeof(checksum) ||
        (GUARD(point_checksum) && checksum != XXH3_64bits(bytes, size - sizeof(checksum)))) {
        return 1;
    }
    *ret = point;
    return 0;
}

int view_restore(const char *dir, const struct view_identity *expected, uint64_t *ret_applied,
                 const char **ret_why) {
    char path[PATH_MAX];
    uint8_t bytes[POINT_BYTES_MAX];
    struct point point = {.magic = 0};
    *ret_applied = 0;
    int r = view_point_path(dir, "", path);
    if (r == 0) {
        r = read_point(path, bytes, &point, ret_why);
    }
    if (r != 0) {
        return r;
    }
    if (GUARD(point_of_another_log) &&
        memcmp(point.incarnation, expected->incarnation, INCARNATION_BYTES) != 0) {
        *ret_why = "the restore point is of another log";
        return 1;
    }
    *ret_applied = point.applied;
    if (point.fold_version != expected->fold_version) {
        *ret_why = "the view is of another fold version";
        return 1;
    }
    if (!GUARD(restore_at_start)) {
        return 0;
    }
    if (point.magic == POINT_MAGIC) {
        return store_write_meta(dir, bytes + sizeof(point), point.page_bytes, point.txn_id,
                                ret_why);
    }
    *ret_why = "the restore point is damaged";
    return store_put_back(path, dir);
}

int view_pin_restored(struct view *view, uint64_t applied) {
    struct store_txn *pin = NULL;
    int r = store_begin(view->store, false, &pin);
    if (r < 0) {
        return r;
    }
    struct view_txn txn = {.txn = pin};
    if (GUARD(point_applied) && GUARD(restore_at_start) && view_applied(&txn) != applied) {
        store_abort(pin);
        return -EBADMSG;
    }
    store_abort(view->pin);
    view->pin = pin;
    atomic_store(&view->restorable, applied);
    return 0;
}
