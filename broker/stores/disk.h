// SPDX-License-Identifier: Apache-2.0
// Room on the state folder's disk. LMDB shows a full disk as EIO in the middle of a commit, and
// then nobody knows what was written: so the broker stops accepting while there still is room, and
// a ballast file keeps back what a restart needs.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct store;

// Bytes that an unprivileged writer may still use. -errno where it cannot be told.
int disk_free_bytes(const char *state, uint64_t *ret);
// At a start: gives the ballast up where there is little room, so that the view can be restored.
void disk_make_room(const char *state, int64_t reserve_bytes);
// Now and then: whether publishing must stop. Lays the ballast down where there is ample room,
// gives it up where there is nearly none. Once low, it stays low until there is a tenth more than
// the reserve.
bool disk_check(const char *state, int64_t reserve_bytes, bool was_low);
// Whether a store's map (its address space, an option) is nearly used up: then a commit would fail
// as on a full disk. What is free within the file counts as room, all but what readers and restore
// points can hold back.
bool disk_map_is_low(struct store *store);
