// SPDX-License-Identifier: Apache-2.0
// What falls due, as events of the system: at each turn of the tick's loop the first rows of the
// view's table `due` that are due by the timer clock go through decide's rules_due, a bounded
// number a tick, and what comes of them is logged, folded and judged as any follow-up is. The event
// that comes of a timer takes it out, in the same tick: once it is on disk it is not due any more,
// and before that nothing of it exists.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/tick/timer_clock.h"

struct tick;

struct timers {
    struct timer_clock clock;
    int64_t now_us;  // by which the open tick judges
    int64_t next_us; // when the next one is due; INT64_MAX: none
    int64_t kept_us; // what the log has of the clock; INT64_MIN: nothing
};

// At a start, after the receipt of the last event is known and the view is caught up.
int timers_load(struct tick *tick);
// Reads the clocks. Whether one is due.
bool timers_look(struct tick *tick);
// How long the loop may sleep; -1: there is none.
int timers_wait_ms(struct tick *tick);
// Inside an open tick: makes events of what is due, and notes when the next one is.
int timers_fire(struct tick *tick);
// At its end, before the commits: notes what its events armed, and now and then the clock.
int timers_note(struct tick *tick);
