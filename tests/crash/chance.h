// SPDX-License-Identifier: Apache-2.0
// Numbers that follow from a seed (splitmix64).
#pragma once

#include <stdint.h>

static inline uint64_t chance(uint64_t *seed) {
    uint64_t z = *seed += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

// 0 to n - 1.
static inline uint64_t chance_below(uint64_t *seed, uint64_t n) {
    return chance(seed) % n;
}
