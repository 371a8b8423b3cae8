// SPDX-License-Identifier: Apache-2.0
// Protobuf messages whose contents follow from a seed, by their descriptors.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schemas/base/arena.h"

struct draw {
    struct arena *arena;
    uint64_t seed;
    bool for_wire; // within the limits of touchbus.proto and without what an old reader refuses
};

uint64_t draw_below(struct draw *draw, uint64_t n);
ProtobufCMessage *draw_message(struct draw *draw, const ProtobufCMessageDescriptor *descriptor);
// What protobuf-c packs it to; in the draw's arena.
const uint8_t *draw_packed(struct draw *draw, const ProtobufCMessage *message, size_t *ret_size);
// Every message that stands alone: of touchbus.proto in a frame or the log, of the view in a row.
const ProtobufCMessageDescriptor *const *draw_descriptors(size_t *ret_n);
