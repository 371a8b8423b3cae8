// SPDX-License-Identifier: Apache-2.0
// What a disk may hold after a power cut: its files (file.h), and the folder's changes (create,
// rename, remove) in their order up to some point at or after the last that was synced, as journals
// keep them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace.h"

struct disk;

// unsynced: the prefix of the paths whose syncs are left out, NULL: none. The trace
// is borrowed.
struct disk *disk_new(struct trace *trace, const char *unsynced);
struct disk *disk_free(struct disk *disk); // takes NULL; returns NULL
void disk_apply(struct disk *disk, const struct trace_op *op);
// Writes what a power cut now could leave into `folder`, which must not exist. The same seed leaves
// the same.
void disk_cut(struct disk *disk, uint64_t seed, const char *folder);
// Whether `folder` is what was written, byte for byte: that the recorder missed nothing.
bool disk_equals(struct disk *disk, const char *folder);
