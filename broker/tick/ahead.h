// SPDX-License-Identifier: Apache-2.0
// The events of a request, looked at a little before each is its turn: read (ahead_beside.h: where
// there are many, by a thread beside this one), and then step by step what will be asked about it
// fetched into the processor's memory: nearly every event is about somebody else than the one
// before, and waiting for memory costs more than most of what is done with it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "broker/bounds.h"
#include "broker/tick/ahead_beside.h"

struct request;
struct tick;

struct ahead {
    struct tick *tick;
    const struct request *request;
    struct ahead_means means;
    bool is_beside;                            // the thread reads them, too
    size_t begin, end;                         // the events that were looked at
    struct foreseen *events[AHEAD_EVENTS_MAX]; // each in `own`, or the thread's
    struct foreseen own[AHEAD_EVENTS_MAX];
};

// An event that is at hand. 0 or -ENOMEM.
int ahead_look_at(struct tick *tick, Touchbus__Event *event, struct foreseen *ret);
// Borrows all three until ahead_end, which has to follow: the thread reads the request until then.
void ahead_begin(struct ahead *ahead, struct tick *tick, const struct request *request);
// The request's event with this index, no less than the last time. It looks at those behind it that
// are small. *ret is valid until the next call. 0 or -ENOMEM.
int ahead_take(struct ahead *ahead, size_t index, const struct foreseen **ret);
void ahead_end(struct ahead *ahead);
