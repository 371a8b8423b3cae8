// SPDX-License-Identifier: Apache-2.0
// What upkeep.c and upkeep_trim.c share.
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "broker/stores/rebuild.h"
#include "broker/stores/retention.h"
#include "broker/stores/upkeep.h"
#include "broker/tick/tick.h"
#include "schemas/base/arena.h"

// One thing asked of the tick, waited for.
struct upkeep_request {
    struct tick_job job; // first
    struct upkeep *upkeep;
    int (*write)(struct upkeep_request *request, struct tick *tick);
    void (*after)(struct upkeep_request *request); // on the tick thread, between two ticks; or NULL
    bool done;
    int result;
    // arguments and results, by request
    uint64_t floor, lost_first, lost_last, erasures;
    unsigned n_trimmed;
    struct view_snapshot *snapshot;
};

struct upkeep {
    struct broker *broker;
    pthread_mutex_t lock;
    pthread_cond_t settled;
    struct log_reader *log;
    struct keys_reader *keys;
    struct arena *arena;     // for one event
    uint64_t erasures_done;  // of broker->erasures; at first none, whatever that says
    int64_t erased_again_us; // monotonic; something was in the way, look again then
    struct rebuild *base;    // folds into broker->base
    struct retention_pace pace;
    uint64_t announced;      // losses up to here stand in the log
    int64_t point_due_us;    // monotonic
    int64_t trim_halted_us;  // monotonic; retention failed then, and waits; 0: it did not
    uint64_t oldest_reader;  // the oldest read transaction of the view at the last look,
    int64_t oldest_since_us; // and since when it is that one
};

// Posts the request and waits for it. What write returned: 0, a reason code; REASON_BUSY where the
// tick's mailbox is full. write may be NULL.
int upkeep_ask(struct upkeep *upkeep, struct upkeep_request *request);
// Takes a restore point where one is due.
void upkeep_point(struct upkeep *upkeep, bool now);
// Does what an erasure leaves to be done, where there was one or a start finds one unfinished.
void upkeep_erased(struct upkeep *upkeep);
// One look at retention, bounded in time. Returns whether there is more to do at once.
bool upkeep_retain(struct upkeep *upkeep);
