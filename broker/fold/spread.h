// SPDX-License-Identifier: Apache-2.0
// How times are distributed: counted in buckets of a fixed logarithmic scale, 16 to each doubling
// of a millisecond, so that sums over hours and channels are sums of counts, and a percentile is
// known to a sixteenth of itself. After the histograms of HdrHistogram.
#pragma once

#include <stdint.h>

#include "schemas/base/arena.h"
#include "view.pb-c.h"

enum { SPREAD_BUCKETS_MAX = 640 };

// The bucket of a time; one below zero counts as zero.
uint32_t spread_bucket(int64_t time_us);
// The first millisecond that is in the next bucket.
uint64_t spread_end_ms(uint32_t bucket);
// Takes an observation in; what it needs comes from arena. 0 or -ENOMEM.
int spread_add(struct arena *arena, View__Spread *spread, int64_t time_us);
