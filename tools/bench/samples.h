// SPDX-License-Identifier: Apache-2.0
// Latencies as they were measured, in microseconds, and their percentiles. Exact: every sample is
// kept, up to a bound; what comes after it is counted and left out.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { SAMPLES_MAX = 16 << 20 };

struct samples {
    uint32_t *values;
    size_t n, capacity;
    size_t n_left_out;
};

void samples_add(struct samples *samples, int64_t value_us);
// The percentile, 0 to 100, of what was added; 0 where nothing was. Sorts.
uint32_t samples_percentile(struct samples *samples, double percentile);
void samples_clear(struct samples *samples); // frees
