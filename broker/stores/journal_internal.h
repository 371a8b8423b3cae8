// SPDX-License-Identifier: Apache-2.0
// What journal.c (writing), journal_read.c (reading) and journal_record.c share: the bytes.
//   file    slot for a point | records, each at a page's start
//   slot    struct journal_slot, the point's bytes; XXH3-64 over both but the sum itself
//   record  struct journal_head, changes, zeros up to the next page
//   change  struct journal_change_head, key, value
#pragma once

#include <stdatomic.h>

#include "broker/stores/journal.h"

enum { JOURNAL_FILES = 2, JOURNAL_SLOT_BYTES = JOURNAL_PAGE_BYTES };

#define JOURNAL_MAGIC UINT64_C(0x3152474c42540a00) // "\0\nTBLGR1"

struct journal_head {
    uint64_t magic;
    uint8_t id[JOURNAL_ID_BYTES];
    uint64_t number;
    uint64_t size; // of the changes
    uint64_t body_sum;
    uint64_t head_sum; // of what stands before it
};

struct journal_slot {
    uint64_t sum; // of what stands behind it
    uint64_t magic;
    uint8_t id[JOURNAL_ID_BYTES];
    uint64_t generation;
    uint64_t number;
    uint64_t size;
};
_Static_assert(sizeof(struct journal_slot) + JOURNAL_POINT_BYTES_MAX <= JOURNAL_SLOT_BYTES,
               "a slot is one page");

struct journal_change_head {
    uint8_t kind, table;
    uint16_t key_size;
    uint32_t size;
};

struct journal_file {
    char *path;
    int descriptor;       // writes are on disk when they return
    uint64_t size;        // that is allocated and written
    uint64_t used;        // where the next record goes
    uint64_t dirty_end;   // behind it are zeros
    uint64_t last_number; // the newest record; 0: none
};

struct journal {
    struct journal_file files[JOURNAL_FILES];
    unsigned active;
    uint8_t id[JOURNAL_ID_BYTES];
    uint64_t number;
    atomic_uint_fast64_t needed_after; // records up to here are not needed
    uint64_t generation;               // of the newest point
};

struct journal_record {
    uint8_t *bytes; // room for the head, then the changes; at a page's start
    size_t size, capacity;
    struct journal_seen *seen; // by hash of table and key; a power of two of them
    size_t n_seen, n_slots;
};

static inline uint64_t journal_round(uint64_t bytes) {
    return (bytes + JOURNAL_PAGE_BYTES - 1) / JOURNAL_PAGE_BYTES * JOURNAL_PAGE_BYTES;
}

// Calls each for every change of a record. -EBADMSG where the bytes are not changes.
int journal_changes(const uint8_t *bytes, size_t size, journal_each each, void *user);
// Zeros from `from` up to `to`, on disk.
int journal_zero(struct journal_file *file, uint64_t from, uint64_t to);
// The head and the zeros up to the page's end are set; the bytes to write, a multiple of a page.
size_t journal_record_finish(const struct journal_record *record,
                             const uint8_t id[static JOURNAL_ID_BYTES], uint64_t number);
