// SPDX-License-Identifier: Apache-2.0
// A copy of the base as a scratch view, and the log folded into it. It writes nothing else.
#include "broker/stores/rehash.h"

#include <errno.h>
#include <string.h>

#include "broker/fold/fold.h"
#include "broker/stores/rebuild.h"
#include "broker/stores/store.h"
#include "schemas/base/clock.h"

enum { PROGRESS_MS = 500 };
// The scratch copy's address space: what it can grow to.
#define SCRATCH_MAP_BYTES ((size_t)1 << 40)

static void tell(const struct rehash *what, const char *phase, uint64_t done, uint64_t total) {
    if (what->tell != NULL) {
        what->tell(what->user, phase, done, total);
    }
}

static int copy_base(const struct rehash *what) {
    struct view *base = NULL;
    int r = view_open(what->base, VIEW_BASE, 0, true, &base);
    r = r == 0 ? store_remove_folder(what->scratch) : r;
    r = r == 0 ? view_copy(base, what->scratch) : r;
    view_close(base);
    return r;
}

// The base may have been written by an older fold; what is built from it is this one's.
static int take_identity(const struct rehash *what, struct view *scratch, uint64_t *ret_applied) {
    struct view_identity identity = {.fold_version = FOLD_VERSION};
    struct view_txn *txn = NULL;
    memcpy(identity.incarnation, log_incarnation(what->log), INCARNATION_BYTES);
    int r = view_begin(scratch, true, &txn);
    if (r < 0) {
        return r;
    }
    *ret_applied = view_applied(txn);
    r = view_set_identity(txn, &identity);
    if (r < 0) {
        view_abort(txn);
        return r;
    }
    return view_commit(txn);
}

static int fold_rest(const struct rehash *what, struct view *scratch, uint64_t from) {
    struct rebuild *rebuild = NULL;
    int64_t said_us = 0;
    uint64_t applied = from;
    int r = rebuild_new(what->log, what->keys, scratch, &rebuild);
    for (r = r == 0 ? 1 : r; r == 1;) {
        int64_t now_us = clock_monotonic_us();
        if (now_us - said_us > PROGRESS_MS * CLOCK_US_PER_MS) {
            said_us = now_us;
            tell(what, "rebuild", applied - from, what->last - from);
        }
        r = rebuild_step(rebuild, what->last, &applied);
    }
    rebuild_free(rebuild);
    return r;
}

static int hash_scratch(const struct rehash *what, struct view *scratch, char ret[static 65]) {
    struct view_txn *txn = NULL;
    tell(what, "hash the rebuilt view", 0, 1);
    int r = view_begin(scratch, false, &txn);
    if (r == 0) {
        r = view_hash(txn, ret);
        view_abort(txn);
    }
    return r;
}

int rehash(const struct rehash *what, char ret[static 65]) {
    struct view *scratch = NULL;
    uint64_t from = 0;
    int r = copy_base(what);
    r = r == 0 ? view_open(what->scratch, VIEW_SCRATCH, SCRATCH_MAP_BYTES, false, &scratch) : r;
    r = r == 0 ? take_identity(what, scratch, &from) : r;
    if (r == 0 && from > what->last) {
        r = -ENODATA;
    }
    r = r == 0 ? fold_rest(what, scratch, from) : r;
    r = r == 0 ? hash_scratch(what, scratch, ret) : r;
    view_close(scratch);
    int removed = store_remove_folder(what->scratch);
    return r == 0 ? removed : r;
}
