// SPDX-License-Identifier: Apache-2.0
// Opens the base and checks that it fits the log: each check names one way in which a state folder
// can have been put together wrongly.
#include "broker/stores/base.h"

#include <errno.h>
#include <string.h>

#include "broker/fold/fold.h"
#include "schemas/base/guards.h"

static int read_state(struct view *base, struct view_identity *ret, bool *ret_known,
                      uint64_t *ret_applied) {
    struct view_txn *txn = NULL;
    int r = view_begin(base, false, &txn);
    if (r < 0) {
        return r;
    }
    r = view_get_identity(txn, ret);
    if (r >= 0) {
        *ret_known = r == 0;
        *ret_applied = view_applied(txn);
    }
    view_abort(txn);
    return r < 0 ? r : 0;
}

// A backup brings the base of the log that it copied: that log's incarnation is known to the copy,
// and where the two part. Returns the first sequence that the base cannot have folded; 0: it is of
// another log.
static uint64_t end_of_ours(const struct view_identity *identity, struct log *log) {
    if (memcmp(identity->incarnation, log_incarnation(log), INCARNATION_BYTES) == 0) {
        return log_next(log);
    }
    bool is_before =
        memcmp(identity->incarnation, log_incarnation_before(log), INCARNATION_BYTES) == 0;
    uint64_t parting = log_parting(log) != 0 ? log_parting(log) : log_next(log);
    return is_before ? parting : 0;
}

static int check(struct view *base, struct log *log, uint64_t *ret_applied) {
    struct view_identity identity, ours = {.fold_version = FOLD_VERSION};
    bool known = false;
    uint64_t applied = 0;
    memcpy(ours.incarnation, log_incarnation(log), INCARNATION_BYTES);
    int r = read_state(base, &identity, &known, &applied);
    if (r < 0) {
        return r;
    }
    uint64_t end = known ? end_of_ours(&identity, log) : log_next(log);
    if (GUARD(base_of_another_log) && end == 0) {
        return -EXDEV;
    }
    if (known && identity.fold_version > FOLD_VERSION) {
        return -ENOTSUP;
    }
    if (GUARD(base_ahead) && applied >= end) {
        return -ESTALE;
    }
    if (applied + 1 < log_first(log)) {
        return -ENODATA;
    }
    if (!known || identity.fold_version != FOLD_VERSION ||
        memcmp(identity.incarnation, ours.incarnation, INCARNATION_BYTES) != 0) {
        r = view_write_identity(base, &ours);
    }
    if (r == 0) {
        *ret_applied = applied;
    }
    return r;
}

int base_open(const char *dir, size_t map_bytes, struct log *log, struct view **ret,
              uint64_t *ret_applied) {
    struct view *base = NULL;
    int r = view_open(dir, VIEW_BASE, map_bytes, false, &base);
    if (r < 0) {
        return r;
    }
    r = check(base, log, ret_applied);
    if (r < 0) {
        view_close(base);
        return r;
    }
    *ret = base;
    return 0;
}
