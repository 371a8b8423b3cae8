// SPDX-License-Identifier: Apache-2.0
// Protobuf messages as bytes, in one pass: a message is written from its last field to its first,
// so that each length is known when it is written and nothing is measured ahead. The bytes are
// those that protobuf_c_message_pack writes.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "schemas/base/arena.h"

// Nesting of what is packed: a matter of our .proto files, none of which is recursive.
enum { PACK_DEPTH_MAX = 8 };

// Writes the message so that it ends before `end`; returns where it begins. NULL: it would begin
// before `begin`; what stands between the two is undefined then.
uint8_t *pack_before(const ProtobufCMessage *message, uint8_t *begin, uint8_t *end);
// Only the message's own fields of these numbers, first and last among them, with all that is in
// them, and no unknown ones.
uint8_t *pack_fields_before(const ProtobufCMessage *message, uint32_t first, uint32_t last,
                            uint8_t *begin, uint8_t *end);
// Only what a newer writer's fields left in the message.
uint8_t *pack_unknown_before(const ProtobufCMessage *message, uint8_t *begin, uint8_t *end);
