// SPDX-License-Identifier: Apache-2.0
// Columns are kept in the order of buckets, so that equal observations are equal bytes.
#include "broker/fold/spread.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "schemas/base/money.h"

enum { A_DOUBLING = 16, A_DOUBLING_BITS = 4, GROWTH = 8 };
#define TIME_MS_MAX ((UINT64_C(1) << 42) - 1)

uint32_t spread_bucket(int64_t time_us) {
    uint64_t ms = time_us < 0 ? 0 : (uint64_t)time_us / 1000;
    ms = ms > TIME_MS_MAX ? TIME_MS_MAX : ms;
    if (ms < A_DOUBLING) {
        return (uint32_t)ms;
    }
    unsigned doublings = 63U - (unsigned)__builtin_clzll(ms) - A_DOUBLING_BITS;
    return (doublings + 1) * A_DOUBLING + (uint32_t)(ms >> doublings) % A_DOUBLING;
}

uint64_t spread_end_ms(uint32_t bucket) {
    if (bucket < A_DOUBLING) {
        return bucket + UINT64_C(1);
    }
    uint32_t doublings = bucket / A_DOUBLING - 1;
    return (bucket % A_DOUBLING + A_DOUBLING + UINT64_C(1)) << doublings;
}

// A column with room for one more at `at`; what it was unpacked to may be full.
static void *column_open(struct arena *arena, void *column, size_t n, size_t at, size_t size) {
    uint8_t *moved = arena_alloc(arena, (n + GROWTH) * size);
    if (moved != NULL && n > 0) {
        memcpy(moved, column, at * size);
        memcpy(moved + (at + 1) * size, (const uint8_t *)column + at * size, (n - at) * size);
    }
    return moved;
}

int spread_add(struct arena *arena, View__Spread *spread, int64_t time_us) {
    uint32_t bucket = spread_bucket(time_us);
    size_t at = 0;
    while (at < spread->n_bucket && spread->bucket[at] < bucket) {
        at++;
    }
    if (at == spread->n_bucket || spread->bucket[at] != bucket) {
        uint32_t *buckets =
            column_open(arena, spread->bucket, spread->n_bucket, at, sizeof(*buckets));
        uint64_t *counts = column_open(arena, spread->count, spread->n_count, at, sizeof(*counts));
        if (buckets == NULL || counts == NULL) {
            return -ENOMEM;
        }
        buckets[at] = bucket;
        counts[at] = 0;
        spread->bucket = buckets;
        spread->count = counts;
        spread->n_bucket = ++spread->n_count;
    }
    spread->count[at]++;
    spread->number++;
    money_add(&spread->sum_us, time_us);
    return 0;
}
