// SPDX-License-Identifier: Apache-2.0
// Hashes the live view in one read transaction, then builds the same from base and log beside it.
// It never writes a store of the broker's, takes no longer slice of the log than rebuild_step does,
// and dies with the broker that started it.
#include "broker/stores/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/fold/fold.h"
#include "broker/stores/rebuild.h"
#include "broker/stores/state_internal.h"
#include "broker/stores/store.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"

enum { TRIES_MAX = 5, PROGRESS_MS = 500, EXIT_EQUAL = 0, EXIT_NO = 1, EXIT_NO_BROKER = 3 };
// The scratch copy's address space: what it can grow to.
#define SCRATCH_MAP_BYTES ((size_t)1 << 40)

struct verify {
    const char *state;
    FILE *out;
    int lock;
    char scratch[STATE_PATH_BYTES];
    struct log *log;
    struct keys *keys;
    uint64_t applied;
    char live[65], rebuilt[65];
};

static void tell(struct verify *verify, const char *phase, uint64_t done, uint64_t total) {
    fprintf(verify->out, "{\"phase\": \"%s\", \"done\": %" PRIu64 ", \"total\": %" PRIu64 "}\n",
            phase, done, total);
    fflush(verify->out);
}

static int fail(struct verify *verify, const char *what, int r) {
    fprintf(verify->out, "{\"error\": \"%s: %s\"}\n", what, strerror(-r));
    fflush(verify->out);
    return r;
}

static int open_sub(struct verify *verify, const char *name, enum view_kind kind,
                    struct view **ret) {
    char path[STATE_PATH_BYTES];
    int r = state_path(verify->state, name, path);
    return r == 0 ? view_open(path, kind, 0, true, ret) : r;
}

static int hash_live(struct verify *verify) {
    struct view *view = NULL;
    struct view_txn *txn = NULL;
    tell(verify, "hash the live view", 0, 1);
    int r = open_sub(verify, "view", VIEW_LIVE, &view);
    if (r == 0) {
        r = view_begin(view, false, &txn);
    }
    if (r == 0) {
        verify->applied = view_applied(txn);
        r = view_hash(txn, verify->live);
        view_abort(txn);
    }
    view_close(view);
    return r;
}

static int hash_rebuilt(struct verify *verify, struct view *scratch) {
    struct view_txn *txn = NULL;
    tell(verify, "hash the rebuilt view", 0, 1);
    int r = view_begin(scratch, false, &txn);
    if (r == 0) {
        r = view_hash(txn, verify->rebuilt);
        view_abort(txn);
    }
    return r;
}

static int copy_base(struct verify *verify) {
    struct view *base = NULL;
    int r = open_sub(verify, "base", VIEW_BASE, &base);
    if (r == 0) {
        r = store_remove_folder(verify->scratch);
    }
    if (r == 0) {
        r = view_copy(base, verify->scratch);
    }
    view_close(base);
    return r;
}

// The base may have been written by an older fold; what is built from it is this one's.
static int take_identity(struct verify *verify, struct view *scratch, uint64_t *ret_applied) {
    struct view_identity identity = {.fold_version = FOLD_VERSION};
    struct view_txn *txn = NULL;
    memcpy(identity.incarnation, log_incarnation(verify->log), INCARNATION_BYTES);
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

static int fold_rest(struct verify *verify, struct view *scratch, uint64_t base_applied) {
    struct rebuild *rebuild = NULL;
    int64_t said_us = 0;
    uint64_t applied = base_applied;
    int r = rebuild_new(verify->log, verify->keys, scratch, &rebuild);
    for (r = r == 0 ? 1 : r; r == 1;) {
        int64_t now_us = clock_monotonic_us();
        if (now_us - said_us > PROGRESS_MS * CLOCK_US_PER_MS) {
            said_us = now_us;
            tell(verify, "rebuild", applied - base_applied, verify->applied - base_applied);
        }
        r = rebuild_step(rebuild, verify->applied, &applied);
    }
    rebuild_free(rebuild);
    return r;
}

// 0; -ENODATA: retention was faster, the base is newer now: again.
static int rebuild_beside(struct verify *verify) {
    struct view *scratch = NULL;
    uint64_t base_applied = 0;
    int r = copy_base(verify);
    if (r == 0) {
        r = view_open(verify->scratch, VIEW_SCRATCH, SCRATCH_MAP_BYTES, false, &scratch);
    }
    if (r == 0) {
        r = take_identity(verify, scratch, &base_applied);
    }
    if (r == 0 && base_applied > verify->applied) {
        r = -ENODATA; // the live view was hashed before the base went past it
    }
    if (r == 0) {
        r = fold_rest(verify, scratch, base_applied);
    }
    if (r == 0) {
        r = hash_rebuilt(verify, scratch);
    }
    view_close(scratch);
    int removed = store_remove_folder(verify->scratch);
    return r == 0 ? removed : r;
}

static int open_log_and_keys(struct verify *verify) {
    char path[STATE_PATH_BYTES];
    int r = state_path(verify->state, "log", path);
    if (r == 0) {
        r = log_open(path, 0, true, &verify->log);
    }
    if (r == 0) {
        r = state_path(verify->state, "keys", path);
    }
    return r == 0 ? keys_open(path, true, &verify->keys) : r;
}

// Holds the file shared that a starting broker wants for itself, and sees that a broker runs: what
// the view's file holds while none does is for its start to judge.
static int enter(struct verify *verify) {
    char path[STATE_PATH_BYTES];
    int r = state_path(verify->state, VERIFY_LOCK, path);
    if (r == 0) {
        r = store_lock(path, false, &verify->lock);
    }
    if (r == 0) {
        r = state_path(verify->state, "lock", path);
    }
    if (r < 0) {
        return r;
    }
    return store_is_locked(path) ? 0 : -ESRCH;
}

static int compare(struct verify *verify) {
    int r = -ENODATA;
    for (int i = 0; r == -ENODATA && i < TRIES_MAX; i++) {
        r = hash_live(verify);
        if (r == 0) {
            r = rebuild_beside(verify);
        }
    }
    return r;
}

static int conclude(struct verify *verify) {
    bool equal = strcmp(verify->live, verify->rebuilt) == 0;
    fprintf(verify->out,
            "{\"applied\": %" PRIu64 ", \"live_hash\": \"%s\", \"rebuilt_hash\": \"%s\", "
            "\"equal\": %s}\n",
            verify->applied, verify->live, verify->rebuilt, equal ? "true" : "false");
    fflush(verify->out);
    return equal ? EXIT_EQUAL : EXIT_NO;
}

int verify_run(const char *state_dir, FILE *out) {
    struct verify verify = {.state = state_dir, .out = out, .lock = -1};
    char name[64];
    int status = EXIT_NO;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(name, sizeof(name), VERIFY_SCRATCH "%ld", (long)getpid());
    int r = state_path(state_dir, name, verify.scratch);
    if (r == 0) {
        r = enter(&verify);
    }
    if (r == -ESRCH || r == -EBUSY) {
        fail(&verify, "no broker runs on this state folder", r);
        status = EXIT_NO_BROKER;
    } else if (r < 0) {
        fail(&verify, "the state folder", r);
    } else {
        r = open_log_and_keys(&verify);
        r = r == 0 ? compare(&verify) : r;
        status = r == 0 ? conclude(&verify) : EXIT_NO;
        if (r < 0) {
            fail(&verify, r == -ENODATA ? "retention trims faster than this can read" : "verify",
                 r);
        }
    }
    keys_close(verify.keys);
    log_close(verify.log);
    if (verify.lock >= 0) {
        close(verify.lock);
    }
    return status;
}
