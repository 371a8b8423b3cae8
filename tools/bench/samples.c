// SPDX-License-Identifier: Apache-2.0
// A growing array and qsort.
#include "tools/bench/samples.h"

#include <stdlib.h>

enum { SAMPLES_FIRST = 1 << 16 };

static int grow(struct samples *samples) {
    size_t capacity = samples->capacity == 0 ? SAMPLES_FIRST : samples->capacity * 2;
    uint32_t *values =
        capacity > SAMPLES_MAX ? NULL : realloc(samples->values, capacity * sizeof(*values));
    if (values == NULL) {
        return -1;
    }
    samples->values = values;
    samples->capacity = capacity;
    return 0;
}

void samples_add(struct samples *samples, int64_t value_us) {
    if (samples->n == samples->capacity && grow(samples) != 0) {
        samples->n_left_out++;
        return;
    }
    samples->values[samples->n++] = value_us < 0            ? 0
                                    : value_us > UINT32_MAX ? UINT32_MAX
                                                            : (uint32_t)value_us;
}

static int compare(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

uint32_t samples_percentile(struct samples *samples, double percentile) {
    if (samples->n == 0) {
        return 0;
    }
    qsort(samples->values, samples->n, sizeof(*samples->values), compare);
    size_t index = (size_t)(percentile / 100 * (double)(samples->n - 1) + 0.5);
    return samples->values[index];
}

void samples_clear(struct samples *samples) {
    free(samples->values);
    *samples = (struct samples){0};
}
