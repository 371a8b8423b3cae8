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
#include <time.h>
#include <unistd.h>

#include "broker/stores/rehash.h"
#include "broker/stores/state_internal.h"
#include "broker/stores/store.h"
#include "view.pb-c.h"

enum {
    TRIES_MAX = 5,
    SETTLE_TRIES_MAX = 300, // 30 s for an erasure that is under way
    SETTLE_WAIT_MS = 100,
    EXIT_EQUAL = 0,
    EXIT_NO = 1,
    EXIT_NO_BROKER = 3,
};

struct verify {
    const char *state;
    FILE *out;
    int lock;
    char scratch[STATE_PATH_BYTES];
    struct log *log;
    struct keys *keys;
    uint64_t applied, n_destroyed;
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

struct erasures {
    struct view_txn *txn;
    uint64_t n;
    bool pending; // a key is gone, the event that says so is not applied yet
};

static int look_at_erased(void *user, uint64_t customer, int64_t time_us) {
    (void)time_us;
    struct erasures *erasures = user;
    uint8_t key[8];
    const void *value;
    size_t size;
    store_be64(key, customer);
    erasures->n++;
    int r = erasures->txn == NULL
                ? 1
                : view_get(erasures->txn, VIEW_CUSTOMERS, key, sizeof(key), &value, &size);
    if (r == 0) {
        View__Customer *record = view__customer__unpack(NULL, size, value);
        r = record == NULL ? -EBADMSG : 0;
        erasures->pending = erasures->pending || (r == 0 && record->erased_sequence == 0);
        view__customer__free_unpacked(record, NULL);
    }
    return r < 0 ? r : 0;
}

// -EAGAIN: a customer is being erased. Until that is applied the view holds what was folded with a
// key that a rebuild does not have.
static int hash_live(struct verify *verify) {
    struct view *view = NULL;
    struct erasures erasures = {.n = 0};
    tell(verify, "hash the live view", 0, 1);
    int r = open_sub(verify, "view", VIEW_LIVE, &view);
    if (r == 0) {
        r = view_begin(view, false, &erasures.txn);
    }
    if (r == 0) {
        verify->applied = view_applied(erasures.txn);
        r = keys_each_destroyed(verify->keys, look_at_erased, &erasures);
        verify->n_destroyed = erasures.n;
        r = r == 0 && erasures.pending ? -EAGAIN : r;
        r = r == 0 ? view_hash(erasures.txn, verify->live) : r;
        view_abort(erasures.txn);
    }
    view_close(view);
    return r;
}

// Whether a key was destroyed since the live view was hashed: its events could not be read then.
static bool was_destroyed(struct verify *verify) {
    struct erasures erasures = {.n = 0};
    return keys_each_destroyed(verify->keys, look_at_erased, &erasures) == 0 &&
           erasures.n != verify->n_destroyed;
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

static int hash_settled(struct verify *verify) {
    int r = hash_live(verify);
    for (int i = 0; r == -EAGAIN && i < SETTLE_TRIES_MAX; i++) {
        struct timespec wait = {.tv_nsec = SETTLE_WAIT_MS * 1000000L};
        nanosleep(&wait, NULL);
        r = hash_live(verify);
    }
    return r;
}

static int compare(struct verify *verify) {
    int r = -ENODATA;
    for (int i = 0; r == -ENODATA && i < TRIES_MAX; i++) {
        r = hash_settled(verify);
        if (r == 0) {
            r = rebuild_beside(verify);
        }
        if (r == 0 && strcmp(verify->live, verify->rebuilt) != 0 && i < TRIES_MAX - 1 &&
            was_destroyed(verify)) {
            r = -ENODATA;
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
            fail(&verify,
                 r == -ENODATA  ? "retention trims faster than this can read"
                 : r == -EAGAIN ? "an erasure is under way"
                                : "verify",
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
