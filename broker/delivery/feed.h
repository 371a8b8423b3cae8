// SPDX-License-Identifier: Apache-2.0
// Reading for delivery: blocks in slices, events unsealed straight into frames, a customer's events
// by the view's index. One a thread; it never looks past broker->visible.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/broker.h"
#include "broker/delivery/frame.h"
#include "broker/stores/block.h"

enum {
    FEED_BLOCKS = 8,                // heads kept within a slice
    FEED_AHEAD = 8,                 // events whose key is fetched before it is used
    FEED_SHARED_BLOCKS = 4,         // whose unsealed events are kept for other readers
    FEED_SHARED_MS = 1000,          // so long: a destroyed key is not outlived by more
    FEED_CHECKED_MS = 1000,         // so long a block's checksum is not computed again
    FEED_CUSTOMER_BATCH = 64 << 10, // sequences of a customer looked up at once
};

struct feed;

int feed_new(struct broker *broker, struct feed **ret);
struct feed *feed_free(struct feed *feed);
// A slice: everything below is between begin and end, and what it returns is valid until end. The
// owner ends it within READ_SLICE_MS_MAX. 0 or a negative errno.
int feed_begin(struct feed *feed);
// Somebody was erased: forgets what was unsealed.
void feed_forget(struct feed *feed);
// The event that erased the customer, as far as visible; 0: none. 0 or a negative errno.
int feed_erased(const struct feed *feed, uint64_t customer, uint64_t *ret);
// Whether there are several readers: those at the same place then share what is unsealed.
void feed_share(struct feed *feed, bool share, int64_t now_us);
void feed_end(struct feed *feed);
uint64_t feed_visible(const struct feed *feed); // as of begin
uint64_t feed_first(const struct feed *feed);   // the first sequence still there, as of begin
int feed_find_time(struct feed *feed, int64_t time_us, uint64_t *ret);
// The block that holds sequence, or the first one after it. 0; 1: none that is visible; -EBADMSG:
// damaged (logged). *ret_read (may be NULL) is set where it was read and not just remembered.
int feed_block(struct feed *feed, uint64_t sequence, const struct block_head **ret, bool *ret_read);
// One event by its sequence. 0; 1: it is not there; -EBADMSG.
int feed_entry(struct feed *feed, uint64_t sequence, const struct block_head **ret_block,
               struct block_entry *ret, bool *ret_read);
// Appends the event to the frame: open half, and the sealed one unsealed, without what names erased
// persons; where its key is destroyed the event is flagged `redacted` instead. 0; -ENOMEM;
// -EBADMSG: it does not unseal (logged).
int feed_write(struct feed *feed, const struct block_head *block, const struct block_entry *entry,
               uint32_t attempt, struct frame *frame);
// The lanes of an event, its own first. Returns how many, at most EVENT_LANES_MAX.
unsigned feed_lanes(const struct block_entry *entry, uint64_t ret[static EVENT_LANES_MAX]);
// Whether anything was ever merged into the customer: events of others are in its lane then, of
// some that are no part of it any more. 1, 0 or a negative errno.
int feed_had_leaves(const struct feed *feed, uint64_t customer);
// The customer's events above `after`, ascending, as far as the view has folded and the log is
// visible (*ret_upto; less where n_max was reached). 0 or a negative errno.
int feed_customer(struct feed *feed, uint64_t customer, uint64_t after, uint64_t *ret, size_t n_max,
                  size_t *ret_n, uint64_t *ret_upto);
