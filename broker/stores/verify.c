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

#include "broker/stores/rehash.h"
#include "broker/stores/state_internal.h"
#include "broker/stores/store.h"

enum { TRIES_MAX = 5, EXIT_EQUAL = 0, EXIT_NO = 1, EXIT_NO_BROKER = 3 };

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

static void tell_rehash(void *user, const char *phase, uint64_t done, uint64_t total) {
    tell(user, phase, done, total);
}

// 0; -ENODATA: retention was faster, the base is newer now: again.
static int rebuild_beside(struct verify *verify) {
    char base[STATE_PATH_BYTES];
    int r = state_path(verify->state, "base", base);
    const struct rehash what = {.log = verify->log,
                                .keys = verify->keys,
                                .base = base,
                                .scratch = verify->scratch,
                                .last = verify->applied,
                                .tell = tell_rehash,
                                .user = verify};
    return r == 0 ? rehash(&what, verify->rebuilt) : r;
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

static int count_destroyed(void *user, uint64_t customer, int64_t time_us) {
    (void)customer, (void)time_us;
    ++*(uint64_t *)user;
    return 0;
}

// Whether a key was destroyed that *n_known does not count yet; counts it. The live view holds what
// was folded with the key until the event that erases is applied; a rebuild beside it does not.
static bool was_destroyed(struct verify *verify, uint64_t *n_known) {
    uint64_t n = 0;
    if (keys_each_destroyed(verify->keys, count_destroyed, &n) != 0 || n == *n_known) {
        return false;
    }
    *n_known = n;
    return true;
}

static int compare(struct verify *verify) {
    uint64_t n_destroyed = 0;
    int r = -ENODATA;
    for (int i = 0; r == -ENODATA && i < TRIES_MAX; i++) {
        r = hash_live(verify);
        if (r == 0) {
            r = rebuild_beside(verify);
        }
        if (r == 0 && strcmp(verify->live, verify->rebuilt) != 0 &&
            was_destroyed(verify, &n_destroyed) && i < TRIES_MAX - 1) {
            r = -ENODATA; // an erasure may have come in between: again
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
