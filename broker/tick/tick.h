// SPDX-License-Identifier: Apache-2.0
// The tick thread: the only writer of log and view. See README.md, "One tick".
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/broker.h"
#include "broker/mailbox.h"
#include "broker/stores/log.h"
#include "touchbus.pb-c.h"

struct arena;
struct tick;

// Binds the publish endpoint, loads producers, ids and names. The stores are open and the view is
// caught up. 0; a negative errno, which was logged.
int tick_new(struct broker *broker, struct tick **ret);
struct tick *tick_free(struct tick *tick); // takes NULL; returns NULL
// Runs on the calling thread until SIGTERM or SIGINT (which it takes by signalfd: they must be
// blocked in every thread), then sets broker->stop and returns.
void tick_run(struct tick *tick);
// One more tick for the jobs of threads that are ending; waits up to timeout_ms for one. No
// requests are taken any more.
void tick_drain(struct tick *tick, int timeout_ms);

// Work for the tick from other threads, posted to broker->to_tick. `write` runs inside the tick's
// open transactions and may use the functions below; `done` runs after the tick is on disk and
// visible (result: what write returned, 0 or a positive reason code; a negative errno from write
// aborts the process). done owns the job and usually posts it back to its sender's mailbox or frees
// it.
struct tick_job {
    struct job job; // first; job.run is set by tick_job_init
    int (*write)(struct tick_job *job, struct tick *tick);
    void (*done)(struct tick_job *job, int result);
};
void tick_job_init(struct tick_job *job, int (*write)(struct tick_job *, struct tick *),
                   void (*done)(struct tick_job *, int));

// ---- inside `write`
struct broker *tick_broker(struct tick *tick);
struct arena *tick_arena(struct tick *tick); // reset at the tick's end
struct log_txn *tick_log(struct tick *tick);
struct view_txn *tick_view(struct tick *tick);
// An event by the system itself (admin.acted, configuration.changed, events.lost, ...): decided,
// folded and logged like any other. data is JSON of which the reference is taken. id follows from
// cause or is random. 0 or a reason code.
int tick_append(struct tick *tick, const char *type, json_t *data, const char *actor,
                uint64_t customer, uint64_t *ret_sequence);
// An event as if a client had published it unnumbered (quarantine fix). 0 or a reason code;
// *ret_sequence also for a duplicate.
int tick_publish(struct tick *tick, const Touchbus__Event *event, uint64_t *ret_sequence,
                 const char **ret_detail);
