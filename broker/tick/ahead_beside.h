// SPDX-License-Identifier: Apache-2.0
// A thread that reads the events of a large request while the tick takes them: unpacked, hashed,
// their keys made. None of that asks what the tick is doing, so a second processor can do it. The
// tick waits for none of them: what is not there by its turn it reads itself, and the thread goes
// on further ahead. What an event says is the same whoever reads it; what is refused, or finds no
// room, is left to the tick, which finds the same and says so.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/stores/block.h"
#include "broker/tick/decide.h"
#include "touchbus.pb-c.h"

// An event and what follows from its bytes alone.
struct foreseen {
    int code;        // of envelope_unpack_event; the rest is there where it is 0
    const char *why; // of code
    Touchbus__Event *event;
    uint8_t id_hash[BLOCK_ID_HASH_BYTES];
    uint64_t body_hash;
    struct event_keys keys;
    uint64_t customer; // the tick's: who has one of its keys, as far as the fold has it at hand
};

// What reading needs; borrowed, and changed by nobody meanwhile.
struct ahead_means {
    const struct decide *decide;
    const uint8_t *secret;
};

// The event of these bytes, in the arena. 0 or -ENOMEM.
int ahead_read(const struct ahead_means *means, const ProtobufCBinaryData *bytes,
               struct arena *arena, struct foreseen *ret);
// The same of an event that is at hand.
int ahead_read_event(const struct ahead_means *means, Touchbus__Event *event, struct arena *arena,
                     struct foreseen *ret);

struct ahead_beside;

int ahead_beside_new(struct ahead_beside **ret);
// Nothing may be going on; takes NULL.
struct ahead_beside *ahead_beside_free(struct ahead_beside *beside);
// Begins to read them, into the arena, which is the thread's until the end; events (n of them, not
// more than REQUEST_EVENTS_MAX) and means are borrowed until then.
void ahead_beside_begin(struct ahead_beside *beside, const struct ahead_means *means,
                        const ProtobufCBinaryData *events, size_t n, struct arena *arena);
// What was read of an event; NULL: nothing yet, and the thread need not begin with it any more.
// Valid until the next begin; what it points to as long as the arena.
struct foreseen *ahead_beside_find(struct ahead_beside *beside, size_t index);
// Has memory bring nearer what ahead_beside_find will be asked for.
void ahead_beside_prefetch(const struct ahead_beside *beside, size_t index);
// Reads no more of them, and waits for the one that is being read.
void ahead_beside_end(struct ahead_beside *beside);
