// SPDX-License-Identifier: Apache-2.0
// The order of types of events in tables that every event is looked for in: strcmp's, without a
// call where the first letters differ, as they nearly always do.
#pragma once

#include <string.h>

static inline int type_order(const char *one, const char *other) {
    enum { AT_ONCE = 3 };
    for (int i = 0; i < AT_ONCE; i++) {
        if (one[i] != other[i] || one[i] == '\0') {
            return (unsigned char)one[i] - (unsigned char)other[i];
        }
    }
    return strcmp(one + AT_ONCE, other + AT_ONCE);
}
