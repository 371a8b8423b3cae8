// SPDX-License-Identifier: Apache-2.0
// Slices of the log for the delivery thread. The heads of the last few blocks are remembered within
// a slice, so that an event that was found by scanning costs no second search when it is handed
// out.
#include "broker/delivery/feed_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/clock.h"
#include "schemas/base/logging.h"

int feed_new(struct broker *broker, struct feed **ret) {
    struct feed *feed = calloc(1, sizeof *feed);
    if (!feed)
        return -ENOMEM;
    feed->broker = broker;
    int r = log_reader_new(broker->log, &feed->log);
    if (r == 0)
        r = keys_reader_new(broker->keys, &feed->keys);
    if (r == 0 && !(feed->arena = arena_new(FEED_ARENA_BYTES)))
        r = -ENOMEM;
    if (r < 0)
        feed_free(feed);
    else
        *ret = feed;
    return r;
}

struct feed *feed_free(struct feed *feed) {
    if (!feed)
        return NULL;
    for (unsigned i = 0; i < FEED_SHARED_BLOCKS; i++) {
        free(feed->shared[i].plain);
        free(feed->shared[i].states);
    }
    arena_free(feed->arena);
    keys_reader_free(feed->keys);
    log_reader_free(feed->log);
    free(feed);
    return NULL;
}

void feed_share(struct feed *feed, bool share, int64_t now_us) {
    feed->sharing = share;
    feed->now_us = now_us;
    for (unsigned i = 0; i < FEED_SHARED_BLOCKS; i++) {
        struct shared *shared = &feed->shared[i];
        if (shared->first && now_us - shared->made_us >= FEED_SHARED_MS * CLOCK_US_PER_MS)
            shared->first = 0;
    }
}

int feed_begin(struct feed *feed) {
    // visible before the snapshot: what it says is then in the snapshot.
    feed->visible = atomic_load(&feed->broker->visible);
    feed->n_blocks = feed->next_block = 0;
    int r = log_reader_begin(feed->log);
    if (r < 0)
        return r;
    r = keys_reader_begin(feed->keys);
    if (r < 0) {
        log_reader_end(feed->log);
        return r;
    }
    feed->first = log_reader_first(feed->log);
    return 0;
}

void feed_end(struct feed *feed) {
    keys_reader_end(feed->keys);
    log_reader_end(feed->log);
}

uint64_t feed_visible(const struct feed *feed) {
    return feed->visible;
}

uint64_t feed_first(const struct feed *feed) {
    return feed->first;
}

int feed_find_time(struct feed *feed, int64_t time_us, uint64_t *ret) {
    return log_reader_find_time(feed->log, time_us, ret);
}

static void say_damaged(struct feed *feed, const struct block_head *block) {
    if (feed->damaged == block->first)
        return;
    feed->damaged = block->first;
    logging_error("event=damaged-block first=%" PRIu64 " events=%" PRIu32, block->first,
                  block->n_events);
}

// Lanes make members come back to blocks of a moment ago, an event at a time, and a checksum is
// over a whole block.
static int read_block(struct feed *feed, uint64_t sequence, struct block_head *ret) {
    int64_t now_us = clock_monotonic_us();
    if (now_us - feed->checked_us >= FEED_CHECKED_MS * CLOCK_US_PER_MS) {
        memset(feed->checked, 0, sizeof feed->checked);
        feed->checked_us = now_us;
    }
    int r = log_reader_block_again(feed->log, sequence, feed->checked, FEED_BLOCKS, ret);
    for (unsigned i = 0; r == 0 && i < FEED_BLOCKS; i++)
        if (feed->checked[i] == ret->first)
            return 0;
    if (r == 0) {
        feed->checked[feed->next_checked] = ret->first;
        feed->next_checked = (feed->next_checked + 1) % FEED_BLOCKS;
    }
    return r;
}

int feed_block(struct feed *feed, uint64_t sequence, const struct block_head **ret,
               bool *ret_read) {
    for (unsigned i = 0; i < feed->n_blocks; i++) {
        const struct block_head *block = &feed->blocks[i];
        if (sequence >= block->first && sequence - block->first < block->n_events) {
            *ret = block;
            return 0;
        }
    }
    if (sequence > feed->visible)
        return 1;
    struct block_head *block = &feed->blocks[feed->next_block];
    struct block_head found;
    int r = read_block(feed, sequence, &found);
    if (r == -EBADMSG)
        say_damaged(feed, &found);
    if (r != 0)
        return r;
    if (found.first > feed->visible)
        return 1;
    *block = found;
    feed->next_block = (feed->next_block + 1) % FEED_BLOCKS;
    if (feed->n_blocks < FEED_BLOCKS)
        feed->n_blocks++;
    if (ret_read)
        *ret_read = true;
    *ret = block;
    return 0;
}

int feed_entry(struct feed *feed, uint64_t sequence, const struct block_head **ret_block,
               struct block_entry *ret, bool *ret_read) {
    const struct block_head *block;
    int r = feed_block(feed, sequence, &block, ret_read);
    if (r != 0)
        return r;
    if (sequence < block->first)
        return 1;
    r = block_entry_get(block, (uint32_t)(sequence - block->first), ret);
    if (r == 0)
        *ret_block = block;
    return r;
}
