// SPDX-License-Identifier: Apache-2.0
// Slices of the log for the delivery thread. The heads of the last few blocks are remembered within
// a slice, so that an event that was found by scanning costs no second search when it is handed
// out.
#include "broker/delivery/feed.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/stores/keys.h"
#include "broker/stores/log.h"
#include "broker/stores/view.h"
#include "broker/tick/whose.h"
#include "schemas/base/arena.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/envelope.h"
#include "touchbus.pb-c.h"
#include "view.pb-c.h"

enum { SHARED_UNKNOWN, SHARED_PLAIN, SHARED_DESTROYED };
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

void feed_forget(struct feed *feed) {
    for (unsigned i = 0; i < FEED_SHARED_BLOCKS; i++) {
        struct shared *shared = &feed->shared[i];
        if (shared->plain)
            explicit_bzero(shared->plain, shared->capacity);
        shared->first = 0;
    }
}

int feed_erased(const struct feed *feed, uint64_t customer, uint64_t *ret) {
    struct view_txn *txn;
    int r = view_begin(feed->broker->view, false, &txn);
    if (r < 0)
        return r;
    r = whose_erased_sequence(txn, customer, ret);
    view_abort(txn);
    return r;
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

// ---- reading a serialised half

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

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

// The next field: its number and wire type, its value or bytes. False at the end, or where it makes
// no sense.
static bool take_field(struct bytes *bytes, unsigned *ret_field, unsigned *ret_wire,
                       uint64_t *ret_value, struct bytes *ret_run) {
    uint64_t tag;
    if (!take_varint(bytes, &tag))
        return false;
    *ret_field = (unsigned)(tag >> 3);
    *ret_wire = tag & 7;
    if (*ret_wire == VARINT)
        return take_varint(bytes, ret_value);
    if (*ret_wire == BYTES)
        return take_bytes(bytes, ret_run);
    size_t size = *ret_wire == FIXED64 ? 8 : 4;
    if ((*ret_wire != FIXED64 && *ret_wire != FIXED32) || (size_t)(bytes->end - bytes->at) < size)
        return false;
    bytes->at += size;
    return true;
}

// The block's place among the shared ones, made where it is missing. NULL: nobody else is there to
// read it.
static struct shared *shared_of(struct feed *feed, const struct block_head *block) {
    if (!feed->sharing)
        return NULL;
    for (unsigned i = 0; i < FEED_SHARED_BLOCKS; i++)
        if (feed->shared[i].first == block->first)
            return &feed->shared[i];
    struct shared *shared = &feed->shared[feed->next_shared];
    feed->next_shared = (feed->next_shared + 1) % FEED_SHARED_BLOCKS;
    shared->first = 0;
    if (shared->capacity < block->size || shared->n_states < block->n_events) {
        free(shared->plain);
        free(shared->states);
        shared->plain = malloc(block->size);
        shared->states = malloc(block->n_events);
        bool made = shared->plain && shared->states;
        shared->capacity = made ? block->size : 0;
        shared->n_states = made ? block->n_events : 0;
        if (!made)
            return NULL;
    }
    memset(shared->states, SHARED_UNKNOWN, block->n_events);
    shared->first = block->first;
    shared->made_us = feed->now_us;
    return shared;
}

// 0; 1: its key is destroyed; -EBADMSG.
static int unseal(struct feed *feed, const struct block_head *block,
                  const struct block_entry *entry, uint8_t *plain, size_t plain_size) {
    struct shared *shared = shared_of(feed, block);
    uint8_t *state = shared ? &shared->states[entry->sequence - block->first] : NULL;
    uint8_t *place = shared ? shared->plain + (entry->sealed - block->data) : NULL;
    // What was unsealed before, and the key in this slice's snapshot, outlive the key.
    if (GUARD(feed_cache_drop) && whose_is_erased(feed->broker->keys, block_entry_key(entry)))
        return 1;
    if (state && *state == SHARED_PLAIN) {
        memcpy(plain, place, plain_size);
        return 0;
    }
    if (state && *state == SHARED_DESTROYED)
        return 1;
    int r = keys_unseal(feed->keys, block_entry_key(entry), block->run, entry->sequence,
                        entry->sealed, entry->sealed_size, plain);
    if (state && r == 0)
        memcpy(place, plain, plain_size);
    if (state && r >= 0)
        *state = r == 0 ? SHARED_PLAIN : SHARED_DESTROYED;
    return r;
}

// Whether the sealed half may name somebody whom its keys do not: a mailbox of several people.
static bool may_name_erased(const struct feed *feed, const uint8_t *plain, size_t size) {
    enum { FIELD_IDENTITIES = 17, FIELD_KEYS = 24 };
    struct bytes bytes = {plain, plain + size}, run;
    size_t n_identities = 0, n_keys = 0;
    unsigned field, wire;
    uint64_t value;
    if (keys_n_destroyed(feed->broker->keys) == 0)
        return false;
    while (take_field(&bytes, &field, &wire, &value, &run)) {
        n_identities += field == FIELD_IDENTITIES;
        n_keys += field == FIELD_KEYS;
    }
    return whose_may_name_erased(feed->broker->keys, n_identities, n_keys);
}

// Takes the identities of erased persons out of somebody else's event. 0 or a negative errno.
static int drop_names(struct feed *feed, uint8_t *plain, size_t *size) {
    struct whose whose = {.keys = feed->broker->keys, .arena = feed->arena};
    arena_reset(feed->arena);
    Touchbus__Event *event = touchbus__event__unpack(arena_allocator(feed->arena), *size, plain);
    if (!event)
        return -EBADMSG;
    size_t n_identities = event->n_identities, packed_size;
    const uint8_t *packed;
    int r = view_begin(feed->broker->view, false, &whose.txn);
    if (r < 0)
        return r;
    r = whose_drop_erased(&whose, event);
    view_abort(whose.txn);
    if (r == 0 && event->n_identities < n_identities)
        r = envelope_pack_sealed(event, feed->arena, &packed, &packed_size);
    if (r < 0 || event->n_identities == n_identities)
        return r;
    if (packed_size > *size)
        return -EBADMSG;
    memcpy(plain, packed, packed_size);
    *size = packed_size;
    return 0;
}

static const uint8_t redacted[] = {0xe0, 0x02, 0x01}; // Event.redacted = true, serialised

int feed_write(struct feed *feed, const struct block_head *block, const struct block_entry *entry,
               uint32_t attempt, struct frame *frame) {
    bool has_plain = entry->sealed_size >= KEYS_SEAL_OVERHEAD;
    size_t size = has_plain ? entry->sealed_size - KEYS_SEAL_OVERHEAD : 0;
    size_t plain_max = size > sizeof redacted ? size : sizeof redacted;
    uint8_t *plain = frame_event(frame, entry->open, entry->open_size, plain_max);
    if (!plain)
        return -ENOMEM;
    int r = has_plain ? unseal(feed, block, entry, plain, size) : 1;
    if (r == 0 && may_name_erased(feed, plain, size))
        r = drop_names(feed, plain, &size);
    if (r < 0) {
        logging_error("event=damaged-event sequence=%" PRIu64 " what=seal", entry->sequence);
        return r;
    }
    if (r == 1) {
        memcpy(plain, redacted, sizeof redacted);
        size = sizeof redacted;
    }
    frame_event_end(frame, entry->open_size, plain_max, size, attempt);
    return 0;
}

// ---- lanes, from the open half

static void lane_add(uint64_t *lanes, unsigned *n, uint64_t lane) {
    for (unsigned i = 0; i < *n; i++)
        if (lanes[i] == lane)
            return;
    if (*n < EVENT_LANES_MAX)
        lanes[(*n)++] = lane;
}

unsigned feed_lanes(const struct block_entry *entry, uint64_t ret[static EVENT_LANES_MAX]) {
    enum { FIELD_LANES = 14 };
    unsigned n = 0, field, wire;
    lane_add(ret, &n, entry->lane);
    if (!(entry->flags & ENTRY_MANY_LANES))
        return n;
    struct bytes bytes = {entry->open, entry->open + entry->open_size}, run = {0};
    uint64_t value;
    while (take_field(&bytes, &field, &wire, &value, &run)) {
        if (field == FIELD_LANES && wire == VARINT)
            lane_add(ret, &n, value);
        while (field == FIELD_LANES && wire == BYTES && take_varint(&run, &value))
            lane_add(ret, &n, value);
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

// The run that `after` may lie in.
static int timeline_first_run(void *user, const void *key, size_t key_size, const void *value,
                              size_t size) {
    timeline_run(user, key, key_size, value, size);
    return 1;
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
    if (customer->erased_sequence) // all that is left
        timeline_add(timeline, &customer->erased_sequence, 1);
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
    // A run is found by its first sequence: what was read before is not read again.
    uint64_t from[2] = {key, htobe64(after + 1)};
    r = view_scan_from(txn, VIEW_TIMELINE, &key, sizeof key, from, sizeof from, true,
                       timeline_first_run, &timeline);
    if (r >= 0 && !timeline.error && !timeline.full)
        r = view_scan_from(txn, VIEW_TIMELINE, &key, sizeof key, from, sizeof from, false,
                           timeline_run, &timeline);
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
