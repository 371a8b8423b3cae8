// SPDX-License-Identifier: Apache-2.0
// What counts as text on the wire and in a body.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum utf8_kind { UTF8_MALFORMED, UTF8_WITH_CONTROLS, UTF8_PRINTABLE };

// Both answers of the two below in one pass.
enum utf8_kind utf8_kind(const void *data, size_t size);

// Well-formed UTF-8 (Unicode 15, table 3-7: no surrogates, nothing overlong, nothing beyond
// U+10FFFF) without a NUL, which C strings would cut at.
static inline bool utf8_check(const void *data, size_t size) {
    return utf8_kind(data, size) != UTF8_MALFORMED;
}

// Besides that no control characters: C0, DEL, C1.
static inline bool utf8_check_printable(const void *data, size_t size) {
    return utf8_kind(data, size) == UTF8_PRINTABLE;
}
