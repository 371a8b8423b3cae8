// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/schemas/draw.h"

#include <string.h>

#include "tests/crash/chance.h"
#include "tests/unit/schemas/cmocka_all.h"
#include "touchbus.pb-c.h"
#include "view.pb-c.h"

enum { ELEMENTS_MAX = 40, WIRE_ELEMENTS_MAX = 4, TEXT_BYTES_MAX = 300, SHORT_BYTES_MAX = 12 };
enum { UNKNOWN_FIRST = 1000, UNKNOWN_NUMBERS = (1 << 29) - UNKNOWN_FIRST };

static const ProtobufCMessageDescriptor *const messages[] = {
    &touchbus__event__descriptor,
    &touchbus__publish_request__descriptor,
    &touchbus__publish_reply__descriptor,
    &touchbus__subscriber_message__descriptor,
    &touchbus__broker_message__descriptor,
    &touchbus__query__descriptor,
    &touchbus__answer__descriptor,
    &view__person__descriptor,
    &view__item__descriptor,
    &view__ledger__descriptor,
    &view__contested__descriptor,
    &view__customer__descriptor,
    &view__run__descriptor,
    &view__order__descriptor,
    &view__quote__descriptor,
    &view__cell__descriptor,
    &view__kept__descriptor,
    &view__waiting__descriptor,
    &view__held__descriptor,
};

const ProtobufCMessageDescriptor *const *draw_descriptors(size_t *ret_n) {
    *ret_n = sizeof(messages) / sizeof(messages[0]);
    return messages;
}

uint64_t draw_below(struct draw *draw, uint64_t n) {
    return chance_below(&draw->seed, n);
}

// Of every length that a varint has, the edges among them.
static uint64_t draw_number(struct draw *draw) {
    uint64_t bits = draw_below(draw, 65);
    uint64_t edge = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    uint64_t rows[] = {0, edge, edge + 1, chance(&draw->seed) & edge};
    return rows[draw_below(draw, 4)];
}

// Short mostly; sometimes of a length that takes two bytes itself.
static size_t draw_length(struct draw *draw) {
    if (draw_below(draw, 4) == 0) {
        return 0;
    }
    bool is_long = !draw->for_wire && draw_below(draw, 8) == 0;
    return draw_below(draw, is_long ? TEXT_BYTES_MAX : SHORT_BYTES_MAX);
}

static ProtobufCMessage *draw_at(struct draw *draw, const ProtobufCMessageDescriptor *descriptor,
                                 unsigned depth);

static void draw_value(struct draw *draw, const ProtobufCFieldDescriptor *field, void *member,
                       unsigned depth) {
    uint64_t wide = draw_number(draw);
    uint32_t narrow = (uint32_t)wide;
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        size_t length = draw_length(draw);
        char *text = arena_alloc(draw->arena, length + 1);
        memset(text, 'a', length);
        text[length] = '\0';
        memcpy(member, &text, sizeof(text));
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        ProtobufCBinaryData data = {.len = draw_length(draw)};
        data.data = data.len == 0 ? NULL : arena_calloc(draw->arena, data.len, 1);
        memcpy(member, &data, sizeof(data));
    } else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        ProtobufCMessage *message = draw_at(draw, field->descriptor, depth + 1);
        memcpy(member, &message, sizeof(message));
    } else if (field->type == PROTOBUF_C_TYPE_UINT64 || field->type == PROTOBUF_C_TYPE_SINT64) {
        memcpy(member, &wide, sizeof(wide));
    } else {
        narrow = field->type == PROTOBUF_C_TYPE_BOOL ? narrow & 1 : narrow;
        // a negative one is packed as 64 bits, which the wire refuses
        bool is_enum = draw->for_wire && field->type == PROTOBUF_C_TYPE_ENUM;
        narrow = is_enum ? narrow & INT32_MAX : narrow;
        memcpy(member, &narrow, sizeof(narrow));
    }
}

static size_t size_of(ProtobufCType type) {
    if (type == PROTOBUF_C_TYPE_BYTES) {
        return sizeof(ProtobufCBinaryData);
    }
    bool is_64 = type == PROTOBUF_C_TYPE_STRING || type == PROTOBUF_C_TYPE_MESSAGE ||
                 type == PROTOBUF_C_TYPE_UINT64 || type == PROTOBUF_C_TYPE_SINT64;
    return is_64 ? 8 : 4;
}

static size_t draw_count(struct draw *draw, unsigned depth) {
    bool is_long = depth < 2 && draw_below(draw, 4) == 0;
    return draw_below(draw, draw->for_wire ? WIRE_ELEMENTS_MAX : is_long ? ELEMENTS_MAX : 3);
}

static void draw_field(struct draw *draw, const ProtobufCFieldDescriptor *field,
                       ProtobufCMessage *message, unsigned depth) {
    char *member = (char *)message + field->offset;
    char *quantifier = (char *)message + field->quantifier_offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t n = draw_count(draw, depth);
        char *elements = arena_calloc(draw->arena, n + 1, size_of(field->type));
        for (size_t i = 0; i < n; i++) {
            draw_value(draw, field, elements + i * size_of(field->type), depth);
        }
        memcpy(member, &elements, sizeof(elements));
        memcpy(quantifier, &n, sizeof(n));
    } else if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0) {
        draw_value(draw, field, member, depth);
    } else if (draw_below(draw, 3) == 0) { // else it is another's, or nobody's
        memset(member, 0, size_of(field->type));
        if (draw_below(draw, 4) > 0) {
            draw_value(draw, field, member, depth);
        } else if (field->default_value != NULL) {
            memcpy(member, &field->default_value, sizeof(field->default_value));
        }
        memcpy(quantifier, &field->id, sizeof(field->id));
    }
}

static ProtobufCMessageUnknownField draw_unknown_field(struct draw *draw) {
    uint8_t *data = arena_calloc(draw->arena, 1 + SHORT_BYTES_MAX, 1);
    ProtobufCMessageUnknownField field = {.tag = UNKNOWN_FIRST +
                                                 (uint32_t)draw_below(draw, UNKNOWN_NUMBERS),
                                          .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT,
                                          .data = data};
    if (draw_below(draw, 2) == 0) {
        field.len = 1 + draw_below(draw, 9);
        memset(data, 0x81, field.len - 1);
        data[field.len - 1] = 1;
    } else {
        field.wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
        data[0] = (uint8_t)draw_below(draw, SHORT_BYTES_MAX);
        field.len = 1U + data[0];
    }
    return field;
}

static void draw_unknown(struct draw *draw, ProtobufCMessage *message) {
    message->n_unknown_fields = (unsigned)draw_below(draw, 3);
    message->unknown_fields = arena_calloc(draw->arena, message->n_unknown_fields + 1,
                                           sizeof(message->unknown_fields[0]));
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        message->unknown_fields[i] = draw_unknown_field(draw);
    }
}

static ProtobufCMessage *draw_at(struct draw *draw, const ProtobufCMessageDescriptor *descriptor,
                                 unsigned depth) {
    ProtobufCMessage *message = arena_alloc(draw->arena, descriptor->sizeof_message);
    descriptor->message_init(message);
    uint64_t one_in = 1 + draw_below(draw, 4);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        if (draw_below(draw, one_in) == 0) {
            draw_field(draw, &descriptor->fields[i], message, depth);
        }
    }
    if (draw_below(draw, 3) == 0 && (depth == 0 || !draw->for_wire)) {
        draw_unknown(draw, message);
    }
    return message;
}

ProtobufCMessage *draw_message(struct draw *draw, const ProtobufCMessageDescriptor *descriptor) {
    return draw_at(draw, descriptor, 0);
}

const uint8_t *draw_packed(struct draw *draw, const ProtobufCMessage *message, size_t *ret_size) {
    *ret_size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_alloc(draw->arena, *ret_size + 1);
    assert_int_equal(protobuf_c_message_pack(message, bytes), *ret_size);
    return bytes;
}
