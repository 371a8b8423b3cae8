// SPDX-License-Identifier: Apache-2.0
// What spool.c and spool_open.c share.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connectors/kit/bounds.h"
#include "connectors/kit/spool.h"
#include "connectors/kit/spool_segment.h"

struct spool {
    int folder; // descriptor of the folder
    bool opened;
    uint64_t bytes_max;
    struct segment *segments; // by number; the last one is appended to while append_fd >= 0
    size_t n_segments, segments_capacity;
    int append_fd;
    bool failed;                   // an append was given up; the next spool_sync says so
    struct segment synced_segment; // the last segment as of the last sync

    // head <= read <= synced <= next: acked below head, read below read, on disk below synced.
    uint64_t head, read, synced, next;
    uint64_t cursor;          // head as the cursor file has it
    bool acked[SPOOL_WINDOW]; // of head..read, by number

    int read_fd;
    uint64_t read_first, read_offset; // segment, and where the record `read` starts in it
    uint8_t *buffer;
    size_t capacity;
    uint64_t torn;
};

int spool_grow(struct spool *spool); // room for one more segment
void spool_write_cursor(struct spool *spool);
void spool_settle(struct spool *spool);
