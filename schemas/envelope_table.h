// SPDX-License-Identifier: Apache-2.0
// What the scan asks of a message, a row a field: protobuf-c's descriptor and the limits together,
// by field number. Made when the first message of its kind comes, and kept.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LENGTH = 2, WIRE_32 = 5 };
enum { WIRE_COLUMNS_MAX = 16 }; // repeated fields of one message

enum wire_kind { WIRE_UNKNOWN, WIRE_NUMBER, WIRE_TEXT, WIRE_BYTES, WIRE_MESSAGE };

struct wire_field {
    // WIRE_UNKNOWN: no field has this number. A row takes a cache line.
    _Alignas(64) uint8_t kind;
    uint8_t wire_type; // a repeated number may also stand packed
    uint8_t size;      // of a value in memory
    uint8_t column;    // a repeated field's place among them
    bool is_repeated, is_oneof, is_zigzag;
    uint16_t number;
    uint16_t offset, quantifier; // of its members: value or pointer; count or which of the oneof
    uint32_t count_max;          // elements; UINT32_MAX: no bound
    uint64_t max;                // a text's length, a number's value
    uint64_t taken;              // a bit of its own, and those of the other members of its oneof
    const char *why_not;         // beyond count_max, beyond a text's max
    const struct wire_message *message;
};

struct wire_message {
    const ProtobufCMessageDescriptor *descriptor;
    const struct wire_field *fields; // by number
    uint32_t n_fields;
};

// Any thread. Never NULL.
const struct wire_message *wire_message(const ProtobufCMessageDescriptor *descriptor);
