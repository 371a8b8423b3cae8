// SPDX-License-Identifier: Apache-2.0
// What the tests of restore points share: a view in DIR/view that works at random, its points, and
// power cuts under it.
#pragma once

#include <stdint.h>

#include "broker/stores/view.h"

extern const struct view_identity points_identity;

struct view *points_open(const char *dir);
void points_hash(struct view *view, char ret[65]);
// One commit of random puts and deletes, small and large.
void points_work(struct view *view, uint64_t *seed, uint64_t applied);
void points_take_steady(struct view *view);
void points_take_copy(struct view *view);
// A start on DIR/view comes up at this sequence, with this content.
void points_expect(const char *dir, uint64_t applied, const char *expected);
// A start on it builds it anew, for this reason; applied is what the point says nevertheless.
void points_refuse(const char *dir, const struct view_identity *expected, uint64_t applied,
                   const char *reason);
// A power cut: pages that were written since the sync are on disk, are not, or are torn. Which
// pages those are follows from comparing the file as it was synced (old_size 0: never) with the
// file at the cut.
void points_cut_power(const char *path, const uint8_t *old, size_t old_size, uint64_t *seed);
