// SPDX-License-Identifier: Apache-2.0
// One segment file of the spool: a header with the number of its first record, then records of
// length, checksum and bytes. The checksum is seeded with the record's number, so that old bytes
// are never taken for new ones. Private to the spool.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct segment {
    uint64_t first;     // number of its first record
    uint64_t n_records; // good ones
    uint64_t size;      // bytes up to the end of the last good record
};

enum { SEGMENT_HEADER_BYTES = 16, SEGMENT_RECORD_BYTES = 16, SEGMENT_DAMAGED = 1 };

static inline uint64_t segment_end(const struct segment *segment) {
    return segment->first + segment->n_records;
}

// Creates the file for appending, durably (it and the folder's entry are synced). Returns its
// descriptor.
int segment_create(int folder, uint64_t first, struct segment *ret);
// Opens it for reading. Returns its descriptor.
int segment_open(int folder, uint64_t first);
// Writes a record at the end. 0 or a negative errno; then the end is as it was, the bytes behind it
// undefined.
int segment_append(int fd, struct segment *segment, const void *data, size_t size);
// Reads the record at *offset and moves it on. *buffer grows as needed, the caller frees it.
// SEGMENT_DAMAGED: no good record there.
int segment_read(int fd, uint64_t number, uint64_t *offset, uint8_t **buffer, size_t *capacity,
                 size_t *ret_size);
// Counts the good records of a file. What follows the last of them is copied to a .torn file beside
// it, cut off, and counted in *ret_torn.
int segment_recover(int folder, uint64_t first, struct segment *ret, uint64_t *ret_torn);
// Copies everything from offset on to the .torn file and cuts it off.
int segment_set_aside(int folder, uint64_t first, uint64_t offset, uint64_t *ret_torn);
int segment_remove(int folder, uint64_t first);
