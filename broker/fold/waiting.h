// SPDX-License-Identifier: Apache-2.0
// The keys of VIEW_WAITING: 'l' and the interaction's lookup -> Waiting; 'q' and the sequence that
// began it -> its lookup, of those that wait for an agent, in the order in which they came; 's' the
// same of all; 'a' and the actor's lookup -> Held; 'n' -> how many there are. Written by
// fold_routing.c from Stamp.routing alone.
#pragma once

#include <stdint.h>

#include "broker/stores/lookup.h"
#include "broker/stores/view.h"
#include "schemas/base/arena.h"
#include "view.pb-c.h"

// Their numbers stand in the log: never renumbered.
enum waiting_state {
    WAITING_ARRIVED = 1,  // it is there, in no queue
    WAITING_QUEUED = 2,   // no agent yet
    WAITING_ROUTED = 3,   // has an agent, who has not answered yet
    WAITING_ANSWERED = 4, // talks
    WAITING_ENDED = 5,    // stamp only: its row goes
    WAITING_ASKED = 6,    // stamp only: a chat's customer wrote
    WAITING_REPLIED = 7,  // stamp only: a chat's agent wrote
    WAITING_AGENT = 8,    // stamp only: the agent said how they are, nothing holds them any more
};

enum {
    WAITING_MAX = 10000, // live at a time; beyond, the oldest is forgotten
    WAITING_KEY_BYTES = 1 + LOOKUP_BYTES,
    WAITING_PLACE_BYTES = 1 + 8,
};
// An interaction whose end was never said is forgotten after it.
#define WAITING_LIFE_US (INT64_C(24) * 3600 * 1000000)

void waiting_key(char what, const uint8_t lookup[static LOOKUP_BYTES],
                 uint8_t ret[static WAITING_KEY_BYTES]);
void waiting_place(char what, uint64_t sequence, uint8_t ret[static WAITING_PLACE_BYTES]);
// The interaction, in the arena. 0; 1: it is not there; a negative errno.
int waiting_get(struct view_txn *txn, struct arena *arena,
                const uint8_t lookup[static LOOKUP_BYTES], View__Waiting **ret);
// The agent's hold. 0; 1: there is none; a negative errno.
int waiting_get_held(struct view_txn *txn, struct arena *arena,
                     const uint8_t lookup[static LOOKUP_BYTES], View__Held **ret);
