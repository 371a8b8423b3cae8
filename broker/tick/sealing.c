// SPDX-License-Identifier: Apache-2.0
// Events into rows of a block. It knows nothing of ticks on their way: the tick's thread fills rows
// while it waits for the tick before, the commit's thread those that are left.
#include "broker/tick/sealing.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "broker/tick/tick_internal.h"
#include "schemas/base/guards.h"
#include "schemas/envelope.h"

// How many records ahead what leads to the next one is fetched.
enum { AHEAD_KEY = 4, AHEAD_PLACE = 8, AHEAD_EVENT = 12 };

int sealing_new(struct sealing *sealing) {
    sealing->arena = arena_new(TICK_BLOCK_ARENA_BYTES_MAX);
    sealing->rows = calloc(TICK_RECORDS_MAX, sizeof(*sealing->rows));
    return sealing->arena == NULL || sealing->rows == NULL ? -ENOMEM : 0;
}

void sealing_free(struct sealing *sealing) {
    arena_free(sealing->arena);
    free(sealing->rows);
}

void sealing_reset(struct sealing *sealing) {
    arena_reset(sealing->arena);
    sealing->n = 0;
}

// The sealed half as it goes into the block. A destroyed key leaves nothing to read.
static int seal(struct sealing *sealing, struct keys_reader *keys, const Touchbus__Event *event,
                struct block_record *ret) {
    uint8_t *half;
    size_t size;
    int r = envelope_pack_to_seal(event, KEYS_SEAL_OVERHEAD, sealing->arena, &half, &size);
    if (r != 0) {
        return r;
    }
    // The event that erases a customer comes when the key is gone.
    uint64_t key = event->erases ? 0 : event->customer;
    r = keys_seal(keys, key, sealing->run, event->sequence, half, size, half);
    if (r >= 0) {
        ret->sealed = half;
        ret->sealed_size = r == 0 ? size + KEYS_SEAL_OVERHEAD : 0;
    }
    return r < 0 ? r : 0;
}

void sealing_ahead(const struct keys_reader *keys, const struct record *records, size_t n) {
    if (n > AHEAD_EVENT) {
        __builtin_prefetch(&records[AHEAD_EVENT].event->customer);
        keys_reader_far_ahead(keys, records[AHEAD_PLACE].event->customer);
    }
    if (n > AHEAD_KEY) {
        keys_reader_ahead(keys, records[AHEAD_KEY].event->customer);
    }
}

int sealing_add(struct sealing *sealing, struct keys_reader *keys, const struct record *record) {
    const Touchbus__Event *event = record->event;
    struct block_record *row = &sealing->rows[sealing->n];
    if (sealing->n == 0 || !GUARD(one_run)) {
        randombytes_buf(sealing->run, sizeof(sealing->run));
    }
    *row = (struct block_record){
        .body_hash = record->body_hash,
        .customer = event->customer,
        .lane = event->lanes[0],
        .received_us = event->received_us,
        .time_us = event->has_time ? event->time_us : event->received_us,
        .flags = (event->created ? ENTRY_CREATED : 0) |
                 (event->n_lanes > 1 ? ENTRY_MANY_LANES : 0) | (event->erases ? ENTRY_ERASES : 0),
        .type = event->type,
        .channel = event->channel,
    };
    memcpy(row->id_hash, record->id_hash, sizeof(row->id_hash));
    const uint8_t *open;
    int r = envelope_pack_open(event, sealing->arena, &open, &row->open_size);
    row->open = open;
    r = r != 0 ? r : seal(sealing, keys, event, row);
    sealing->n += r == 0;
    return r;
}
