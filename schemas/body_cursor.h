// SPDX-License-Identifier: Apache-2.0
// One msgpack header at a time: what the checks, the look-ups and the conversions of a body share.
// https://github.com/msgpack/msgpack/blob/master/spec.md
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schemas/body.h"

// Reads the header at the start of `left` bytes into everything of *ret but raw_size, and says in
// *ret_size how many bytes belong to the value itself: header and text, for a container only the
// header. Returns NULL, or a static text that says what is wrong: truncated, an extension type, an
// integer beyond int64, a number that is none, a count that the bytes left cannot hold.
const char *body_cursor_read(const uint8_t *data, size_t left, struct body_value *ret,
                             size_t *ret_size);
// How many bytes the value at data takes, with all that stands in it; 0 where they are not there or
// not msgpack. Reads nothing else of them: for skipping.
size_t body_cursor_span(const uint8_t *data, size_t size);
