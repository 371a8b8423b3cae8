// SPDX-License-Identifier: Apache-2.0
// The thread: a table of duties, each with its interval, and jobs in between. What it needs of the
// stores' writer it asks the tick for and waits.
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "broker/stores/state.h"
#include "broker/stores/store.h"
#include "broker/stores/upkeep_internal.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"
#include "schemas/base/scheduling.h"
#include "schemas/reasons.h"

enum {
    DISK_MS = 250,         // at full speed the disk fills by some 20 MiB in between
    DUTY_MS = 1000,        // retention
    READERS_MS = 10000,    // dead and stuck readers
    READER_STUCK_S = 60,   // at least; three restore intervals where those are longer
    READER_LAG_MIN = 1000, // commits behind, below which nobody is called stuck
    JOBS_A_TURN_MAX = 64,
    UPKEEP_ARENA_BYTES = 16 << 20, // one event, unsealed and parsed
};

// ---- asking the tick

static int request_write(struct tick_job *job, struct tick *tick) {
    struct upkeep_request *request = (struct upkeep_request *)job;
    return request->write != NULL ? request->write(request, tick) : 0;
}

static void request_done(struct tick_job *job, int result) {
    struct upkeep_request *request = (struct upkeep_request *)job;
    struct upkeep *upkeep = request->upkeep;
    if (request->after != NULL) {
        request->after(request);
    }
    pthread_mutex_lock(&upkeep->lock);
    request->result = result;
    request->done = true;
    pthread_cond_signal(&upkeep->settled);
    pthread_mutex_unlock(&upkeep->lock);
}

int upkeep_ask(struct upkeep *upkeep, struct upkeep_request *request) {
    tick_job_init(&request->job, request_write, request_done);
    request->upkeep = upkeep;
    request->done = false;
    if (!mailbox_post(upkeep->broker->to_tick, &request->job.job)) {
        return REASON_BUSY;
    }
    // The request lies on this thread's stack: it must come back before we go on.
    pthread_mutex_lock(&upkeep->lock);
    while (!request->done) {
        pthread_cond_wait(&upkeep->settled, &upkeep->lock);
    }
    pthread_mutex_unlock(&upkeep->lock);
    return request->result;
}

// ---- duties

static void begin_snapshot(struct upkeep_request *request) {
    int r = view_snapshot_begin(request->upkeep->broker->view, &request->snapshot);
    if (r < 0) {
        logging_warning("restore_point=failed error=\"%s\"", strerror(-r));
    }
}

// Whether it is a restore point; where not, a steady one can be taken.
static bool take_copy(struct upkeep *upkeep) {
    struct broker *broker = upkeep->broker;
    if (!state_copy_pays(broker, atomic_load(&broker->visible))) {
        return false;
    }
    int64_t began_us = clock_monotonic_us();
    int r = view_take_copy(broker->view);
    logging_debug("restore_point=%" PRIu64 " kind=copy result=%d took_ms=%" PRId64,
                  view_restorable(broker->view), r,
                  (clock_monotonic_us() - began_us) / CLOCK_US_PER_MS);
    if (r < 0) {
        broker_fatal("view-sync", r); // which of two points is on disk, nobody knows
    }
    return r == 0;
}

void upkeep_point(struct upkeep *upkeep, bool now) {
    struct broker *broker = upkeep->broker;
    int64_t now_us = clock_monotonic_us();
    bool is_due = now || now_us >= upkeep->point_due_us;
    if (!is_due || atomic_load(&broker->visible) == view_restorable(broker->view)) {
        return;
    }
    upkeep->point_due_us = now_us + broker->configuration.restore_interval_us;
    if (take_copy(upkeep)) {
        return;
    }
    view_settle(broker->view); // most of it, before the tick has to wait for the rest
    struct upkeep_request request = {.after = begin_snapshot};
    upkeep_ask(upkeep, &request);
    if (request.snapshot != NULL) {
        int64_t began_us = clock_monotonic_us();
        uint64_t applied = view_snapshot_applied(request.snapshot);
        int r = view_snapshot_finish(broker->view, request.snapshot);
        logging_debug("restore_point=%" PRIu64 " result=%d took_ms=%" PRId64, applied, r,
                      (clock_monotonic_us() - began_us) / CLOCK_US_PER_MS);
        if (r < 0) {
            broker_fatal("view-sync", r); // what of it is on disk, nobody knows
        }
    }
}

static void duty_point(struct upkeep *upkeep) {
    upkeep_point(upkeep, false);
}

// Under a heavy load an interval is many events, and a start has to fold them all; and the file
// grows by what they rewrite, until a copy ends that.
static void duty_backlog(struct upkeep *upkeep) {
    struct broker *broker = upkeep->broker;
    uint64_t bound = (uint64_t)broker->configuration.restore_events;
    uint64_t visible = atomic_load(&broker->visible), restorable = view_restorable(broker->view);
    bool is_due = bound > 0 && visible > restorable &&
                  (visible - restorable >= bound ||
                   (view_is_pinned(broker->view) && state_copy_pays(broker, visible)));
    if (is_due) {
        upkeep_point(upkeep, true);
    }
}

static void duty_disk(struct upkeep *upkeep) {
    struct broker *broker = upkeep->broker;
    atomic_store(&broker->disk_low, state_is_low(broker));
}

static void duty_retention(struct upkeep *upkeep) {
    while (!atomic_load(&upkeep->broker->stop) && upkeep_retain(upkeep)) {
        upkeep_point(upkeep, false);
        duty_disk(upkeep);
    }
}

static void clear_dead(struct store *store, const char *name) {
    unsigned n = 0;
    int r = store_check_readers(store, &n);
    if (r < 0) {
        logging_warning("readers=%s error=\"%s\"", name, strerror(-r));
    } else if (n > 0) {
        logging_info("readers=%s dead=%u", name, n);
    }
}

// A reader that stays makes the file grow with every commit. Restore points move on by themselves,
// so what stands still for several intervals is somebody's mistake, or a stopped process.
static void look_for_stuck(struct upkeep *upkeep) {
    uint64_t oldest = 0, lag = store_reader_lag(view_store(upkeep->broker->view), &oldest);
    int64_t now_us = clock_monotonic_us();
    int64_t bound_us = 3 * upkeep->broker->configuration.restore_interval_us;
    if (lag < READER_LAG_MIN || oldest != upkeep->oldest_reader) {
        upkeep->oldest_reader = oldest;
        upkeep->oldest_since_us = now_us;
        return;
    }
    if (bound_us < READER_STUCK_S * CLOCK_US_PER_S) {
        bound_us = READER_STUCK_S * CLOCK_US_PER_S;
    }
    if (now_us - upkeep->oldest_since_us > bound_us) {
        logging_warning(
            "reader=stuck lag=%" PRIu64 " since_s=%" PRId64
            " hint=\"the view's file grows until it goes; is a 'view verify' stopped?\"",
            lag, (now_us - upkeep->oldest_since_us) / CLOCK_US_PER_S);
    }
}

static void duty_readers(struct upkeep *upkeep) {
    struct broker *broker = upkeep->broker;
    clear_dead(log_store(broker->log), "log");
    clear_dead(keys_store(broker->keys), "keys");
    clear_dead(view_store(broker->view), "view");
    clear_dead(view_store(broker->base), "base");
    look_for_stuck(upkeep);
}

static const struct duty {
    void (*run)(struct upkeep *upkeep);
    int interval_ms; // 0: restore_interval
} duties[] = {
    {.run = duty_point, .interval_ms = 0},
    {.run = duty_backlog, .interval_ms = DISK_MS},
    {.run = duty_disk, .interval_ms = DISK_MS},
    {.run = duty_retention, .interval_ms = DUTY_MS},
    {.run = duty_readers, .interval_ms = READERS_MS},
    {.run = upkeep_erased, .interval_ms = DUTY_MS},
};
enum { N_DUTIES = sizeof(duties) / sizeof(duties[0]) };

static int64_t interval_us(const struct upkeep *upkeep, const struct duty *duty) {
    return duty->interval_ms > 0 ? duty->interval_ms * CLOCK_US_PER_MS
                                 : upkeep->broker->configuration.restore_interval_us;
}

// Runs what is due; returns when the next is.
static int64_t run_duties(struct upkeep *upkeep, int64_t due_us[static N_DUTIES]) {
    int64_t next_us = INT64_MAX;
    for (size_t i = 0; i < N_DUTIES && !atomic_load(&upkeep->broker->stop); i++) {
        int64_t now_us = clock_monotonic_us();
        if (now_us >= due_us[i]) {
            duties[i].run(upkeep);
            due_us[i] = now_us + interval_us(upkeep, &duties[i]);
        }
        next_us = due_us[i] < next_us ? due_us[i] : next_us;
    }
    return next_us;
}

static void run_jobs(struct upkeep *upkeep) {
    struct job *job = NULL;
    for (int n = 0; n < JOBS_A_TURN_MAX && (job = mailbox_take(upkeep->broker->to_upkeep)) != NULL;
         n++) {
        job->run(job, upkeep);
    }
}

void *upkeep_run(void *object) {
    struct upkeep *upkeep = object;
    struct broker *broker = upkeep->broker;
    int64_t due_us[N_DUTIES] = {0}; // the first of each at once
    scheduling_patient();
    while (!atomic_load(&broker->stop)) {
        int64_t wait_us = run_duties(upkeep, due_us) - clock_monotonic_us();
        struct pollfd mail = {.fd = mailbox_descriptor(broker->to_upkeep), .events = POLLIN};
        if (wait_us > 0 && !atomic_load(&broker->stop)) {
            poll(&mail, 1, (int)(wait_us / CLOCK_US_PER_MS) + 1);
        }
        run_jobs(upkeep);
        upkeep_erased(upkeep); // the tick wakes this thread for it
    }
    run_jobs(upkeep); // whoever waits is told
    return NULL;
}

int upkeep_new(struct broker *broker, struct upkeep **ret) {
    struct upkeep *upkeep = calloc(1, sizeof(*upkeep));
    if (upkeep == NULL) {
        return -ENOMEM;
    }
    upkeep->broker = broker;
    pthread_mutex_init(&upkeep->lock, NULL);
    pthread_cond_init(&upkeep->settled, NULL);
    upkeep->erasures_done = UINT64_MAX;
    upkeep->point_due_us = clock_monotonic_us() + broker->configuration.restore_interval_us;
    upkeep->arena = arena_new(UPKEEP_ARENA_BYTES);
    int r = upkeep->arena == NULL ? -ENOMEM : log_reader_new(broker->log, &upkeep->log);
    r = r == 0 ? keys_reader_new(broker->keys, &upkeep->keys) : r;
    r = r == 0 ? rebuild_new(broker->log, broker->keys, broker->base, &upkeep->base) : r;
    if (r < 0) {
        upkeep_free(upkeep);
        return r;
    }
    *ret = upkeep;
    return 0;
}

struct upkeep *upkeep_free(struct upkeep *upkeep) {
    if (upkeep != NULL) {
        rebuild_free(upkeep->base);
        keys_reader_free(upkeep->keys);
        log_reader_free(upkeep->log);
        arena_free(upkeep->arena);
        pthread_cond_destroy(&upkeep->settled);
        pthread_mutex_destroy(&upkeep->lock);
        free(upkeep);
    }
    return NULL;
}
