// SPDX-License-Identifier: Apache-2.0
// Restore points that are copies: the newest commit in a file of its own, which no later write can
// touch. Nothing is pinned between two of them, so LMDB uses its few pages again and again. It
// never gives the point before up until the copy is on disk and says what it holds.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "broker/faultpoint.h"
#include "broker/stores/view_internal.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

static int read_commit(struct view *view, struct view_identity *ret, uint64_t *ret_applied) {
    struct store_txn *stored = NULL;
    int r = store_begin(view->store, false, &stored); // not what is shown: what would be copied
    if (r < 0) {
        return r;
    }
    struct view_txn txn = {.view = view, .txn = stored};
    r = view_get_identity(&txn, ret);
    *ret_applied = view_applied(&txn);
    store_abort(stored);
    return r > 0 ? -EBADMSG : r; // only a view that knows its log has restore points
}

int view_read_copy(const char *path, struct view_identity *ret, uint64_t *ret_applied) {
    struct view *copy = NULL;
    int r = store_check_file(path);
    r = r == 0 ? view_open(path, VIEW_COPY, 0, true, &copy) : r;
    r = r == 0 ? read_commit(copy, ret, ret_applied) : r;
    view_close(copy);
    return r == -EBADMSG ? 1 : r;
}

// 0 and what the copy in `aside` holds; 1: as store_copy_file; or a negative errno.
static int copy_aside(struct view *view, const char *aside, uint64_t *ret_applied) {
    struct view_identity before, identity;
    uint64_t least = 0;
    int r = read_commit(view, &before, &least);
    r = r == 0 ? store_copy_file(view->store, aside) : r;
    FAULTPOINT("in-restore-point");
    if (r != 0) {
        return r;
    }
    r = view_read_copy(aside, &identity, ret_applied);
    bool is_later = r == 0 && *ret_applied >= least &&
                    memcmp(identity.incarnation, before.incarnation, INCARNATION_BYTES) == 0 &&
                    identity.fold_version == before.fold_version;
    return r < 0 || is_later ? r : -EBADMSG;
}

int view_take_copy(struct view *view) {
    char aside[PATH_MAX];
    uint64_t applied = 0;
    struct store_txn *pin = NULL;
    int r = view_point_path(view->dir, ".new", aside);
    if (GUARD(point_settled)) {
        view_settle(view);
    }
    r = r == 0 ? copy_aside(view, aside, &applied) : r;
    if (r < 0) {
        logging_warning("restore_point=not-copied error=\"%s\"", strerror(-r));
        unlink(aside);
        return 1;
    }
    return r == 1 ? -EIO : view_publish_point(view, &pin, applied);
}
