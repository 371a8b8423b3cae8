// SPDX-License-Identifier: Apache-2.0
// A block: the events of one tick as they lie in the log. Layout, little endian, all offsets from
// the block's start:
//   header (fixed) | entries (fixed, one an event) | dictionary of names | open and sealed bytes
// Immutable once written; the checksum (XXH3-64) covers everything behind itself.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BLOCK_RUN_BYTES = 16, BLOCK_ID_HASH_BYTES = 16 };

enum {
    ENTRY_CREATED = 1,    // made its customer
    ENTRY_MANY_LANES = 2, // see Event.lanes
    ENTRY_ERASES = 4,     // see Event.erases: sealed with nobody's key, its customer's is gone
};

// One event to be written. Everything is borrowed until the block is.
struct block_record {
    uint8_t id_hash[BLOCK_ID_HASH_BYTES]; // keyed hash of (source, id)
    uint64_t body_hash;                   // keyed hash of what the client sent
    uint64_t customer;                    // 0 nobody
    uint64_t lane;
    int64_t received_us;
    int64_t time_us; // the event's own, received where it has none
    uint32_t flags;
    const char *type, *channel; // channel may be ""
    const void *open, *sealed;  // sealed: already encrypted
    size_t open_size, sealed_size;
};

// One event as read; pointers into the block.
struct block_entry {
    uint64_t sequence;
    const uint8_t *id_hash;
    uint64_t body_hash, customer, lane;
    int64_t received_us, time_us;
    uint32_t flags;
    uint16_t type, channel; // index into the block's names
    const uint8_t *open, *sealed;
    size_t open_size, sealed_size;
};

// A checked view over bytes that the caller keeps alive.
struct block_head {
    const uint8_t *data;
    size_t size;
    uint64_t first; // first sequence
    uint32_t n_events;
    uint32_t n_names;
    int64_t received_first_us, received_last_us;
    const uint8_t *run; // BLOCK_RUN_BYTES
};

// A block that is measured and not yet written: whoever has room for it writes it there. -E2BIG
// over BLOCK_BYTES_MAX.
struct block_draft;
int block_measure(const struct block_record *records, size_t n, struct block_draft **ret,
                  size_t *ret_size);
struct block_draft *block_draft_free(struct block_draft *draft); // takes NULL; returns NULL
void cleanup_block_draft(struct block_draft **draft);
// The sequences of its records start at first. ret has room for what block_measure said.
void block_write(const struct block_draft *draft, uint64_t first,
                 const uint8_t run[static BLOCK_RUN_BYTES], void *ret);
// Both at once; *ret is malloc'ed.
int block_build(uint64_t first, const uint8_t run[static BLOCK_RUN_BYTES],
                const struct block_record *records, size_t n, void **ret, size_t *ret_size);
// Checks bounds (always) and checksum (if asked). 0, or -EBADMSG: the block is damaged.
int block_open(const void *data, size_t size, bool check_sum, struct block_head *ret);
// The index-th entry; index < n_events. -EBADMSG where it points outside.
int block_entry_get(const struct block_head *block, uint32_t index, struct block_entry *ret);
// Whose key seals it: its customer's, or nobody's (0).
uint64_t block_entry_key(const struct block_entry *entry);
// A name of the dictionary, terminated; NULL where there is none.
const char *block_name(const struct block_head *block, uint16_t index);
