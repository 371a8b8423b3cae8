// SPDX-License-Identifier: Apache-2.0
// The queue in front of the tick, for requests that came while it was full: one line an owner (a
// key; without keys a connection), served in turn by events (deficit round robin). So a flood of
// one waits behind itself, not in front of the others. Turns alone would not do: whoever waits for
// an answer before it sends on has nothing in line for a while, and finds the tick taken when it
// comes back. So while others are served one that has much in line gets a request a tick, and one
// that was over its credit or quota is held back further.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

#include "broker/tick/publish.h"

enum {
    LINES_MAX = 1024,         // two owners whose hashes meet share a line, which is rare
    LINE_QUANTUM = 512,       // events a turn
    LINE_FLOOD_US = 1000000,  // how long an owner that was over its credit or quota is held back,
    LINE_FAIR_US = 100000,    // while somebody else was served so shortly before:
    LINE_FLOOD_FRACTION = 8,  // to an eighth of what the others get,
    LINE_REST_US = 500000,    // and a request after so long at the latest
    LINE_HEAVY_EVENTS = 4096, // in line: such an owner gets one request of a tick beside others
    WAITING_MAX = 1024,       // requests left for the next tick
    WAITING_BYTES_MAX = 32 << 20,
    WAITING_OWNER_MAX = WAITING_MAX / 2, // of them one owner's
    WAITING_OWNER_BYTES_MAX = WAITING_BYTES_MAX / 2,
};

// A request that came while the tick was full.
struct waiting {
    struct waiting *next;
    uint64_t owner;
    uint8_t peer[PUBLISH_PEER_BYTES_MAX];
    size_t peer_size;
    zmq_msg_t body;
    uint32_t n_events;
};

struct line {
    struct line *next; // in the ring of those where somebody waits
    struct waiting *first, **end;
    size_t n, bytes, n_events;
    uint32_t deficit; // events it may send in now
    uint64_t tick;    // in which it was served last
    // Of one that floods; monotonic, 0: never.
    int64_t flooded_us, served_us;
    uint64_t others_seen; // of lines->others
    uint32_t allowance;   // events it may send in beside the others
};

struct lines {
    struct line lines[LINES_MAX];
    struct line *turn; // the ring: whose turn it is
    struct line *last; // the one before turn
    size_t n_ring, n, bytes;
    uint64_t others;    // events of owners that do not flood, ever
    int64_t others_us;  // when one of them was served last
    int64_t flooded_us; // when somebody flooded last
    uint64_t tick;      // counted by lines_begin
    bool may_go_on;     // who is held back may go in the next tick
};

void lines_begin(struct lines *lines); // another tick
// Takes waiting, at the end of its owner's line.
void lines_put(struct lines *lines, struct waiting *waiting);
// The next one, the caller's; NULL where none waits, or may go now.
struct waiting *lines_take(struct lines *lines, int64_t now_us);
bool lines_are_full(const struct lines *lines);
// Whether the owner has what one owner may have in it.
bool lines_owner_is_full(const struct lines *lines, uint64_t owner);
// The owner was over its credit or its quota.
void lines_mark_flood(struct lines *lines, uint64_t owner, int64_t now_us);
// Whether somebody floods these days: then every request has to stand in line.
bool lines_are_flooded(const struct lines *lines, int64_t now_us);
// A request of the owner goes into a tick.
void lines_served(struct lines *lines, uint64_t owner, uint32_t n_events, int64_t now_us);
struct waiting *waiting_free(struct waiting *waiting); // takes NULL
