// SPDX-License-Identifier: Apache-2.0
// How the live view comes up: from its restore point, or where there is none that fits, anew from
// the base; then it catches up from the log. While it does, restore points are taken, so that a
// long catch-up neither grows the file without bound nor starts over after a kill.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/fold/fold.h"
#include "broker/query/query.h"
#include "broker/stores/disk.h"
#include "broker/stores/rebuild.h"
#include "broker/stores/state_internal.h"
#include "broker/stores/store.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum { STEPS_PER_POINT = 50, PROGRESS_S = 2 };

enum {
    // What an event rewrites of a view whose pages stay for a restore point, at least: measured at
    // saturation, where ticks are largest and so the fewest pages are written.
    REWRITTEN_BYTES = 4096,
    COPY_BYTES_MAX = 512 << 20, // a start copies it once more
};

bool state_copy_pays(struct broker *broker, uint64_t applied) {
    const struct configuration *configuration = &broker->configuration;
    uint64_t restorable = view_restorable(broker->view), live = 0, room = 0;
    // A copy may hold what is not shown yet.
    uint64_t rewritten = applied > restorable ? (applied - restorable) * REWRITTEN_BYTES : 0;
    if (store_live_bytes(view_store(broker->view), &live) < 0 || live > COPY_BYTES_MAX ||
        (GUARD(copy_pays) && live > rewritten) ||
        disk_free_bytes(configuration->state, &room) < 0) {
        return false;
    }
    return !GUARD(copy_room) || room >= live + (uint64_t)configuration->disk_reserve_bytes;
}

int state_take_point(struct broker *broker, uint64_t applied) {
    if (state_copy_pays(broker, applied)) {
        int r = view_take_copy(broker->view);
        if (r <= 0) {
            return r;
        }
    }
    struct view_snapshot *snapshot = NULL;
    int r = view_snapshot_begin(broker->view, &snapshot);
    return r == 0 ? view_snapshot_finish(broker->view, snapshot) : r;
}

static int take_point(struct broker *broker, uint64_t applied) {
    int r = state_take_point(broker, applied);
    return r == 1 ? -EIO : r;
}

// Now and then; and at once, where a copy ends the file's growth.
static bool is_point_due(struct broker *broker, uint64_t n_steps, uint64_t applied) {
    return n_steps % STEPS_PER_POINT == 0 ||
           (view_is_pinned(broker->view) && state_copy_pays(broker, applied));
}

static int catch_up_with(struct broker *broker, struct rebuild *rebuild, uint64_t last) {
    uint64_t applied = 0, n_steps = 0;
    int64_t said_us = clock_monotonic_us();
    int r = 1;
    while (r == 1) {
        r = rebuild_step(rebuild, last, &applied);
        if (r == 1 && is_point_due(broker, ++n_steps, applied)) {
            int point = take_point(broker, applied);
            r = point < 0 ? point : r;
        }
        if (r == 1 && clock_monotonic_us() - said_us > PROGRESS_S * CLOCK_US_PER_S) {
            said_us = clock_monotonic_us();
            logging_info("view=catching-up applied=%" PRIu64 " of=%" PRIu64, applied, last);
        }
    }
    return r;
}

static int catch_up(struct broker *broker) {
    struct rebuild *rebuild = NULL;
    uint64_t last = log_next(broker->log) - 1;
    int64_t began_us = clock_monotonic_us();
    uint64_t from = view_restorable(broker->view);
    int r = rebuild_new(broker->log, broker->keys, broker->view, &rebuild);
    if (r == 0) {
        r = catch_up_with(broker, rebuild, last);
    }
    rebuild_free(rebuild);
    if (r < 0) {
        logging_error("view=catching-up error=\"%s\"", strerror(-r));
        return r;
    }
    if (last > from) {
        logging_info("view=caught-up from=%" PRIu64 " to=%" PRIu64 " took_ms=%" PRId64, from, last,
                     (clock_monotonic_us() - began_us) / CLOCK_US_PER_MS);
    }
    return 0;
}

static int build_anew(struct broker *broker, const char *dir, const struct view_identity *identity,
                      const char *why) {
    if (log_next(broker->log) > 1) {
        logging_info("view=rebuilding from=base last=%" PRIu64 " why=\"%s\"",
                     log_next(broker->log) - 1, why);
    }
    int r = store_remove_folder(dir);
    if (r == 0) {
        r = view_copy(broker->base, dir);
    }
    if (r == 0) {
        r = view_open(dir, VIEW_LIVE, (size_t)broker->configuration.view_map_bytes, false,
                      &broker->view);
    }
    if (r == 0) {
        r = view_write_identity(broker->view, identity);
    }
    return r == 0 ? take_point(broker, 0) : r;
}

// A backup brings the view of the log that it copied, whose incarnation the copy has left behind;
// up to where they part, it is this log's view as well. *ret_end: the first sequence that it may
// not hold.
static int restore(struct broker *broker, const char *dir, const struct view_identity *identity,
                   uint64_t *ret_applied, uint64_t *ret_end, const char **ret_why) {
    struct view_identity before = *identity;
    int r = view_restore(dir, identity, ret_applied, ret_why);
    *ret_end = log_next(broker->log);
    if (r == 1 && *ret_applied == 0 && log_parting(broker->log) != 0) {
        memcpy(before.incarnation, log_incarnation_before(broker->log), INCARNATION_BYTES);
        *ret_end = log_parting(broker->log);
        r = view_restore(dir, &before, ret_applied, ret_why);
    }
    return r;
}

static int open_live(struct broker *broker, const char *dir, const struct view_identity *identity,
                     uint64_t applied) {
    int r = view_open(dir, VIEW_LIVE, (size_t)broker->configuration.view_map_bytes, false,
                      &broker->view);
    r = r == 0 ? view_pin_restored(broker->view, applied) : r;
    return r == 0 ? view_claim(broker->view, identity) : r;
}

// 0: open and pinned; 1 and *ret_why: not to be had; -ESTALE (said): it holds what the log does
// not; negative errno.
static int open_restored(struct broker *broker, const char *dir,
                         const struct view_identity *identity, const char **ret_why) {
    uint64_t applied = 0, end = 0;
    int r = restore(broker, dir, identity, &applied, &end, ret_why);
    if (GUARD(view_ahead) && r >= 0 && applied >= end) {
        logging_error("log=rolled-back next=%" PRIu64 " view=%" PRIu64
                      " hint=\"the log is older than the view: an old copy was put in its place; "
                      "bring back the newer log, or restore a backup whole, or start once with "
                      "--accept-older-log and lose what came behind it\"",
                      end, applied);
        return -ESTALE;
    }
    r = r == 0 ? open_live(broker, dir, identity, applied) : r;
    if (r == -EBADMSG) {
        broker->view = view_close(broker->view);
        *ret_why = "the view does not open at its restore point";
        return 1;
    }
    return r;
}

static bool is_marked(const char *state, char marker[static STATE_PATH_BYTES]) {
    return state_path(state, VIEW_REBUILD_MARKER, marker) == 0 && access(marker, F_OK) == 0;
}

// The numbers behind the log's end were given once already: from here on it is another log.
static int accept_older(struct broker *broker, struct view_identity *identity) {
    int r = log_renew(broker->log);
    memcpy(identity->incarnation, log_incarnation(broker->log), INCARNATION_BYTES);
    r = r == 0 ? view_write_identity(broker->base, identity) : r;
    if (r == 0) {
        logging_warning("log=accepted next=%" PRIu64 " why=\"--accept-older-log\"",
                        log_next(broker->log));
    }
    return r < 0 ? r : 1;
}

int state_open_view(struct broker *broker) {
    const char *state = broker->configuration.state, *why = "the log was rolled back";
    char dir[STATE_PATH_BYTES], marker[STATE_PATH_BYTES];
    struct view_identity identity = {.fold_version = FOLD_VERSION};
    memcpy(identity.incarnation, log_incarnation(broker->log), INCARNATION_BYTES);
    int r = state_path(state, "view", dir);
    if (r < 0) {
        return r;
    }
    bool marked = is_marked(state, marker);
    r = open_restored(broker, dir, &identity, &why);
    if (r == -ESTALE && broker->configuration.accept_older_log) {
        r = accept_older(broker, &identity);
    }
    if (r == 0 && marked) {
        broker->view = view_close(broker->view);
        why = "an operator asked for it";
        r = 1;
    }
    if (r == 1) {
        r = build_anew(broker, dir, &identity, why);
    }
    if (r == -ESTALE) {
        return r; // said
    }
    if (r < 0) {
        logging_error("view=%s error=\"%s\"", dir, strerror(-r));
        return r;
    }
    r = catch_up(broker);
    if (r == 0 && marked && unlink(marker) != 0) {
        r = -errno;
    }
    return r;
}
