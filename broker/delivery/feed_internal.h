// SPDX-License-Identifier: Apache-2.0
// The feed's state: feed.c (slices and blocks), feed_event.c (one event into a frame),
// feed_customer.c (a customer's events).
#pragma once

#include "broker/delivery/feed.h"
#include "broker/stores/keys.h"
#include "broker/stores/log.h"
#include "schemas/base/arena.h"

enum { FEED_ARENA_BYTES = 16 << 20 }; // one event, unpacked

// One block's events as they were unsealed, each at the place it has in the block.
struct shared {
    uint64_t first; // of the block; 0: free
    int64_t made_us;
    uint8_t *plain, *states; // states: one an event
    size_t capacity, n_states;
};

struct feed {
    struct shared shared[FEED_SHARED_BLOCKS];
    unsigned next_shared;
    bool sharing;
    int64_t now_us;
    struct broker *broker;
    struct log_reader *log;
    struct keys_reader *keys;
    struct arena *arena; // for names of one event
    uint64_t visible, first;
    struct block_head blocks[FEED_BLOCKS];
    unsigned n_blocks, next_block;
    uint64_t
        checked[FEED_BLOCKS]; // firsts of blocks whose checksum was right within FEED_CHECKED_MS
    unsigned next_checked;
    int64_t checked_us; // when the oldest of them was looked at
    uint64_t damaged;   // the last block said to be damaged, so that it is said once
};
