// SPDX-License-Identifier: Apache-2.0
// The events of a request, looked at a little before each is its turn: unpacked, its id hashed, its
// keys made. None of that depends on what comes before it in the log, and meanwhile memory fetches
// what will be asked of it: nearly every event is about somebody else than the one before, and
// waiting for memory costs more than most of what is done with it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "broker/bounds.h"
#include "broker/stores/block.h"
#include "broker/tick/decide.h"
#include "touchbus.pb-c.h"

struct request;
struct tick;

struct foreseen {
    int code;        // of envelope_unpack_event; the rest is there where it is 0
    const char *why; // of code
    Touchbus__Event *event;
    uint8_t id_hash[BLOCK_ID_HASH_BYTES];
    struct event_keys keys;
    uint64_t customer; // who has one of its keys, as far as the fold has it at hand
};

struct ahead {
    struct tick *tick;
    const struct request *request;
    size_t begin, end; // the events that were looked at
    struct foreseen events[AHEAD_EVENTS_MAX];
};

// An event that is at hand. 0 or -ENOMEM.
int ahead_look_at(struct tick *tick, Touchbus__Event *event, struct foreseen *ret);
void ahead_begin(struct ahead *ahead, struct tick *tick, const struct request *request);
// The request's event with this index, no less than the last time. It looks at those behind it that
// are small. *ret is valid until the next call. 0 or -ENOMEM.
int ahead_take(struct ahead *ahead, size_t index, const struct foreseen **ret);
