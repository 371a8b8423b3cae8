// SPDX-License-Identifier: Apache-2.0
// What the scan makes of bytes as it walks them: the messages that protobuf_c_message_unpack would
// make, in an arena. Values come checked; only the arena's bound says no here.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "schemas/base/arena.h"
#include "schemas/envelope_table.h"

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
bool build_room(struct build *build, ProtobufCMessage *message, const struct wire_field *field,
                struct build_column *column, size_t more);
// A field that the descriptor does not have, with its bytes behind the tag.
bool build_unknown(struct build *build, ProtobufCMessage *message, uint32_t number,
                   unsigned wire_type, const uint8_t *data, size_t size);

// Where a singular field's value goes.
static inline void *build_place(ProtobufCMessage *message, const struct wire_field *field) {
    if (field->is_oneof) {
        uint32_t number = field->number;
        memcpy((char *)message + field->quantifier, &number, sizeof(number));
    }
    return (char *)message + field->offset;
}

// Where the last of n elements goes; there is room for it.
static inline void *build_element(ProtobufCMessage *message, const struct wire_field *field,
                                  size_t n) {
    char *elements;
    memcpy(&elements, (char *)message + field->offset, sizeof(elements));
    memcpy((char *)message + field->quantifier, &n, sizeof(n));
    return elements + (n - 1) * field->size;
}

static inline void build_number(void *place, const struct wire_field *field, uint64_t value) {
    if (field->is_zigzag) {
        value = value >> 1 ^ (0 - (value & 1));
    }
    uint32_t narrow = (uint32_t)value;
    if (field->size == sizeof(value)) {
        memcpy(place, &value, sizeof(value));
    } else {
        memcpy(place, &narrow, sizeof(narrow));
    }
}

static inline void build_text(struct build *build, void *place, const uint8_t *data, size_t size) {
    uint8_t *text = build->texts;
    memcpy(text, data, size);
    text[size] = '\0';
    memcpy(place, &text, sizeof(text));
    build->texts = text + size + 1;
}

static inline void build_bytes(struct build *build, void *place, const uint8_t *data, size_t size) {
    ProtobufCBinaryData bytes = {.len = size, .data = size > 0 ? build->texts : NULL};
    memcpy(build->texts, data, size);
    memcpy(place, &bytes, sizeof(bytes));
    build->texts += size;
}
