// SPDX-License-Identifier: Apache-2.0
// One Delivery on its way out, written by hand: each event is tag, length, open half, unsealed
// half, straight into the buffer that ZeroMQ then sends. What ZeroMQ has not sent yet is counted,
// per peer and in all, so that a slow peer holds a bounded share of the heap.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include "schemas/limits.h"

enum {
    FRAME_TARGET_BYTES = 512 << 10,  // a frame is sent once it holds that much
    PEER_UNSENT_BYTES_MAX = 4 << 20, // of one peer; it is handed nothing more above it
    ALL_UNSENT_BYTES_MAX = 64 << 20, // of all peers; above it a peer has one frame at most
};

// Counts of all peers; outlives the thread until ZeroMQ has let go of the last frame.
struct outlets;
int outlets_new(struct outlets **ret);
void outlets_leave(struct outlets *outlets); // takes NULL; freed with the last frame
// Readable after frames were let go of, where outlets_wait was called since.
int outlets_descriptor(const struct outlets *outlets);
void outlets_wait(struct outlets *outlets);
void outlets_rest(struct outlets *outlets); // drains the descriptor
size_t outlets_unsent(const struct outlets *outlets);

// Counts of one peer.
struct outlet;
struct outlet *outlet_new(struct outlets *outlets);
void outlet_leave(struct outlet *outlet);         // takes NULL
bool outlet_is_full(const struct outlet *outlet); // hand it nothing more yet
size_t outlet_unsent(const struct outlet *outlet);

struct frame {
    uint8_t *buffer;
    size_t used, capacity;
    size_t capacity_next; // what the last one came to: it need not grow step by step again
    uint32_t n_events;
    uint64_t failures; // Delivery.failures; the owner sets it with the first event
    uint32_t attempts[DELIVERY_EVENTS_MAX];
    bool tried; // some attempt is above 1
};

bool frame_is_full(const struct frame *frame);
// Begins an event and returns where its unsealed half of at most plain_max bytes goes; NULL:
// memory.
uint8_t *frame_event(struct frame *frame, const void *open, size_t open_size, size_t plain_max);
// Ends it with the plain_size bytes that were written there.
void frame_event_end(struct frame *frame, size_t open_size, size_t plain_max, size_t plain_size,
                     uint32_t attempt);
// The message, ready to be sent; the frame is empty again. 0 or -ENOMEM.
int frame_finish(struct frame *frame, const uint8_t incarnation[static INCARNATION_BYTES],
                 uint64_t head, struct outlet *outlet, zmq_msg_t *ret);
void frame_clear(struct frame *frame);
