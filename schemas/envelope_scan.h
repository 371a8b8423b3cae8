// SPDX-License-Identifier: Apache-2.0
// The scan of what comes from outside, and the limits it holds messages to.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "schemas/base/arena.h"

// What one field of a message may hold; 0: only what the frame allows.
struct field_limit {
    const char *name;    // the field's name: a test compares it with the descriptor's
    uint32_t bytes_max;  // of a string or bytes value
    uint32_t count_max;  // of a repeated field's elements
    const char *why_not; // static text for either
};
struct message_limits {
    const ProtobufCMessageDescriptor *message;
    const struct field_limit *fields; // indexed by field number
    uint32_t n_fields;
};
// One row a message that has limits.
const struct message_limits *envelope_limits(size_t *ret_n);

// 0; or a reason code with *ret_why a static text. Allocates nothing. *ret_controls: the singular
// and repeated text fields of the message itself, not of those inside, that hold control characters
// (base/utf8.h): a bit each, by number.
int envelope_scan(const ProtobufCMessageDescriptor *message, const uint8_t *data, size_t size,
                  uint64_t *ret_controls, const char **ret_why);
// The same, and *ret is the message in the arena, as protobuf_c_message_unpack makes it. Where the
// arena is full: REASON_TOO_LARGE. What is refused leaves nothing in the arena.
int envelope_read(const ProtobufCMessageDescriptor *message, const uint8_t *data, size_t size,
                  struct arena *arena, ProtobufCMessage **ret, uint64_t *ret_controls,
                  const char **ret_why);
