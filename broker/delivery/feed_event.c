// SPDX-License-Identifier: Apache-2.0
// One event on its way into a frame: its sealed half is unsealed, once for all readers of a block,
// and loses what names erased persons; where the key is gone it is flagged instead. The halves are
// serialised bytes; only what has to lose something is unpacked.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/delivery/feed_internal.h"
#include "broker/tick/whose.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/envelope.h"
#include "touchbus.pb-c.h"

enum { SHARED_UNKNOWN, SHARED_PLAIN, SHARED_DESTROYED };

void feed_forget(struct feed *feed) {
    for (unsigned i = 0; i < FEED_SHARED_BLOCKS; i++) {
        struct shared *shared = &feed->shared[i];
        if (shared->plain)
            explicit_bzero(shared->plain, shared->capacity);
        shared->first = 0;
    }
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

// What is unsealed now is soon followed by those behind it: their keys are fetched.
static void fetch_ahead(const struct feed *feed, const struct block_head *block,
                        uint64_t sequence) {
    struct block_entry entry;
    uint64_t index = sequence + FEED_AHEAD - block->first;
    if (index < block->n_events && block_entry_get(block, (uint32_t)index, &entry) == 0)
        keys_reader_ahead(feed->keys, block_entry_key(&entry));
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
    fetch_ahead(feed, block, entry->sequence);
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
    struct whose whose = {
        .keys = feed->broker->keys, .arena = feed->arena, .policies = feed->broker->policy};
    arena_reset(feed->arena);
    Touchbus__Event *event = touchbus__event__unpack(arena_allocator(feed->arena), *size, plain);
    if (!event)
        return -EBADMSG;
    size_t n_identities = event->n_identities, packed_size = 0;
    const uint8_t *packed = NULL;
    int r = view_begin(feed->broker->view, false, &whose.txn);
    if (r < 0)
        return r;
    r = whose_drop_erased(&whose, event);
    view_abort(whose.txn);
    if (r < 0 || event->n_identities == n_identities)
        return r;
    r = envelope_pack_sealed(event, feed->arena, &packed, &packed_size);
    if (r < 0 || packed_size > *size)
        return r < 0 ? r : -EBADMSG;
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
