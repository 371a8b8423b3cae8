// SPDX-License-Identifier: Apache-2.0
// Which (source, id) the last few million events had. Two open-addressing tables of 16-byte slots,
// a young and an old one: when the young one is full, the old one is forgotten and they change
// places, so that between half and all of events_max are known. Memory is bounded by
// dedup_bytes(events_max) and taken from the system only as it fills.
//
// A find is a strong hint (64 keyed bits), not an answer: the caller confirms it against the full
// hash in the block's entry, where it also finds the body's hash and the age.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/stores/block.h"
#include "broker/stores/log.h"
#include "schemas/base/arena.h"
#include "touchbus.pb-c.h"

struct dedup;

// events_max: at least 2. NULL where memory is short.
struct dedup *dedup_new(uint64_t events_max);
struct dedup *dedup_free(struct dedup *dedup); // takes NULL; returns NULL
size_t dedup_bytes(uint64_t events_max);
// Fills it from the log's blocks that are at most age_us old. A damaged one is named on the log and
// left out. 0, or a negative errno.
int dedup_load(struct dedup *dedup, struct log_reader *reader, int64_t since_us);
void dedup_add(struct dedup *dedup, const uint8_t id_hash[static BLOCK_ID_HASH_BYTES],
               uint64_t sequence);
// Has memory fetch what dedup_find will look at: worth it a while before.
void dedup_prefetch(const struct dedup *dedup, const uint8_t id_hash[static BLOCK_ID_HASH_BYTES]);
// The last sequence added under this hash; false where there is none.
bool dedup_find(const struct dedup *dedup, const uint8_t id_hash[static BLOCK_ID_HASH_BYTES],
                uint64_t *ret_sequence);

// The keyed hashes (SipHash-2-4, libsodium) of an event as its client sent it. secret has 16 bytes.
void dedup_hash_id(const uint8_t *secret, const Touchbus__Event *event,
                   uint8_t ret[static BLOCK_ID_HASH_BYTES]);
// Everything but the trace context and the time: a source that corrects its clock, or starts a new
// trace, for a repeat has still sent the same event. 0, or -ENOMEM.
int dedup_hash_body(const uint8_t *secret, const Touchbus__Event *event, struct arena *arena,
                    uint64_t *ret);
// A keyed hash of a text, e.g. for lanes.
uint64_t dedup_hash_text(const uint8_t *secret, const char *text);
