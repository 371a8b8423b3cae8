// SPDX-License-Identifier: Apache-2.0
// What the scan makes of bytes as it walks them: the messages that protobuf_c_message_unpack would
// make, in an arena. Values come checked; only the arena's bound says no here.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schemas/base/arena.h"

struct build {
    struct arena *arena; // NULL: nothing is made
    uint8_t *texts;      // where the next string or bytes value goes
};

// Of a repeated field: how many elements stand, and how many the column has room for.
struct build_column {
    uint32_t n, room;
};

// For a frame of `size` bytes. False: the arena is full, as in all of these.
bool build_start(struct build *build, struct arena *arena, size_t size);
// As it is before any field is set. NULL: the arena is full.
ProtobufCMessage *build_message(struct build *build, const ProtobufCMessageDescriptor *descriptor);
// Room for `more` elements behind those that stand; they are not there yet.
bool build_room(struct build *build, ProtobufCMessage *message,
                const ProtobufCFieldDescriptor *field, struct build_column *column, size_t more);
// Where the next value of the field goes; of a column one for which there is room, the last of n.
void *build_place(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, size_t n);
void build_number(void *place, ProtobufCType type, uint64_t value);
// Of type string or bytes.
void build_text(struct build *build, void *place, ProtobufCType type, const uint8_t *data,
                size_t size);
// A field that the descriptor does not have, with its bytes behind the tag.
bool build_unknown(struct build *build, ProtobufCMessage *message, uint32_t number,
                   unsigned wire_type, const uint8_t *data, size_t size);
