// SPDX-License-Identifier: Apache-2.0
// Slices of the log for the delivery thread. The heads of the last few blocks are remembered within
// a slice, so that an event that was found by scanning costs no second search when it is handed
// out.
#include "broker/feed.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/keys.h"
#include "broker/log.h"
#include "broker/view.h"
#include "schemas/base/logging.h"
#include "view.pb-c.h"

struct feed {
    struct broker *broker;
    struct log_reader *log;
    struct keys_reader *keys;
    uint64_t visible, first;
    struct block_head blocks[FEED_BLOCKS];
    unsigned n_blocks, next_block;
    uint64_t damaged; // the last block said to be damaged, so that it is said once
};

int feed_new(struct broker *broker, struct feed **ret) {
    struct feed *feed = calloc(1, sizeof *feed);
    if (!feed)
        return -ENOMEM;
    feed->broker = broker;
    int r = log_reader_new(broker->log, &feed->log);
    if (r == 0)
        r = keys_reader_new(broker->keys, &feed->keys);
    if (r < 0)
        feed_free(feed);
    else
        *ret = feed;
    return r;
}

struct feed *feed_free(struct feed *feed) {
    if (!feed)
        return NULL;
    keys_reader_free(feed->keys);
    log_reader_free(feed->log);
    free(feed);
    return NULL;
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
    int r = log_reader_block(feed->log, sequence, &found);
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

int feed_write(struct feed *feed, const struct block_head *block, const struct block_entry *entry,
               uint32_t attempt, struct frame *frame) {
    size_t plain_size =
        entry->sealed_size > KEYS_SEAL_OVERHEAD ? entry->sealed_size - KEYS_SEAL_OVERHEAD : 0;
    uint8_t *plain = frame_event(frame, entry->open, entry->open_size, plain_size);
    if (!plain)
        return -ENOMEM;
    int r = 1;
    if (plain_size)
        r = keys_unseal(feed->keys, entry->customer, block->run, entry->sequence, entry->sealed,
                        entry->sealed_size, plain);
    if (r < 0) {
        logging_error("event=damaged-event sequence=%" PRIu64 " what=seal", entry->sequence);
        return r;
    }
    frame_event_end(frame, entry->open_size, plain_size, r == 0, attempt);
    return 0;
}

// ---- lanes, from the open half

struct bytes {
    const uint8_t *at, *end;
};

static bool take_varint(struct bytes *bytes, uint64_t *ret) {
    uint64_t value = 0;
    for (unsigned shift = 0; bytes->at < bytes->end && shift < 64; shift += 7) {
        uint8_t byte = *bytes->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct bytes *bytes, struct bytes *ret) {
    uint64_t size;
    if (!take_varint(bytes, &size) || size > (size_t)(bytes->end - bytes->at))
        return false;
    *ret = (struct bytes){bytes->at, bytes->at + size};
    bytes->at += size;
    return true;
}

static void lane_add(uint64_t *lanes, unsigned *n, uint64_t lane) {
    for (unsigned i = 0; i < *n; i++)
        if (lanes[i] == lane)
            return;
    if (*n < EVENT_LANES_MAX)
        lanes[(*n)++] = lane;
}

unsigned feed_lanes(const struct block_entry *entry, uint64_t ret[static EVENT_LANES_MAX]) {
    enum { FIELD_LANES = 14, VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
    unsigned n = 0;
    lane_add(ret, &n, entry->lane);
    if (!(entry->flags & ENTRY_MANY_LANES))
        return n;
    struct bytes bytes = {entry->open, entry->open + entry->open_size}, run;
    uint64_t tag, value;
    while (take_varint(&bytes, &tag)) {
        bool lanes = tag >> 3 == FIELD_LANES;
        switch (tag & 7) {
        case VARINT:
            if (!take_varint(&bytes, &value))
                return n;
            if (lanes)
                lane_add(ret, &n, value);
            break;
        case BYTES:
            if (!take_bytes(&bytes, &run))
                return n;
            while (lanes && take_varint(&run, &value))
                lane_add(ret, &n, value);
            break;
        case FIXED64:
        case FIXED32:
            value = (tag & 7) == FIXED64 ? 8 : 4;
            if ((size_t)(bytes.end - bytes.at) < value)
                return n;
            bytes.at += value;
            break;
        default:
            return n;
        }
    }
    return n;
}

// ---- a customer's timeline

struct timeline {
    uint64_t after, *sequences;
    size_t n, n_max;
    bool full;
    int error;
};

static void timeline_add(struct timeline *timeline, const uint64_t *sequences, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (sequences[i] <= timeline->after)
            continue;
        if (timeline->n == timeline->n_max) {
            timeline->full = true;
            return;
        }
        timeline->sequences[timeline->n++] = sequences[i];
    }
}

static int timeline_run(void *user, const void *key, size_t key_size, const void *value,
                        size_t size) {
    (void)key, (void)key_size;
    struct timeline *timeline = user;
    View__Run *run = view__run__unpack(NULL, size, value);
    if (!run) {
        timeline->error = -EBADMSG;
        return 1;
    }
    timeline_add(timeline, run->sequence, run->n_sequence);
    view__run__free_unpacked(run, NULL);
    return timeline->full;
}

static int timeline_recent(struct timeline *timeline, struct view_txn *txn, uint64_t key) {
    const void *value;
    size_t size;
    int r = view_get(txn, VIEW_CUSTOMERS, &key, sizeof key, &value, &size);
    if (r != 0)
        return r < 0 ? r : 0;
    View__Customer *customer = view__customer__unpack(NULL, size, value);
    if (!customer)
        return -EBADMSG;
    timeline_add(timeline, customer->recent_sequence, customer->n_recent_sequence);
    view__customer__free_unpacked(customer, NULL);
    return 0;
}

int feed_customer(struct feed *feed, uint64_t customer, uint64_t after, uint64_t *ret, size_t n_max,
                  size_t *ret_n, uint64_t *ret_upto) {
    struct view_txn *txn;
    int r = view_begin(feed->broker->view, false, &txn);
    if (r < 0)
        return r;
    struct timeline timeline = {.after = after, .sequences = ret, .n_max = n_max};
    uint64_t key = htobe64(customer);
    r = view_scan(txn, VIEW_TIMELINE, &key, sizeof key, false, timeline_run, &timeline);
    if (r >= 0)
        r = timeline.error;
    if (r == 0 && !timeline.full)
        r = timeline_recent(&timeline, txn, key);
    uint64_t upto = view_applied(txn);
    view_abort(txn);
    if (r < 0)
        return r;
    if (upto > feed->visible)
        upto = feed->visible;
    while (timeline.n > 0 && ret[timeline.n - 1] > upto)
        timeline.n--;
    if (timeline.full && timeline.n > 0)
        upto = ret[timeline.n - 1];
    *ret_n = timeline.n;
    *ret_upto = upto;
    return 0;
}
