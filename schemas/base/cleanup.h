// SPDX-License-Identifier: Apache-2.0
// Ownership by scope: _cleanup_(f) runs f on the variable's address when it leaves its scope.
#pragma once

#include <stdlib.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void cleanup_free(void *pointer) {
    free(*(void **)pointer);
}
#define _cleanup_free_ _cleanup_(cleanup_free)

// Gives the value away and leaves NULL behind, so that the scope's end frees nothing.
#define STEAL(pointer)                                                                             \
    __extension__({                                                                                \
        __typeof__(pointer) stolen_ = (pointer);                                                   \
        (pointer) = NULL;                                                                          \
        stolen_;                                                                                   \
    })
