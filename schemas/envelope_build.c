// SPDX-License-Identifier: Apache-2.0
// Strings and bytes values go behind each other into one block as large as the frame: each stands
// there behind a tag and a length, two bytes at least, and needs one more here, the NUL. Columns
// get room for the elements that follow each other in the frame, which are all, but for a writer
// that mixes its fields: then they grow as what doubles.
#include "schemas/envelope_build.h"

#include <assert.h>
#include <string.h>

bool build_start(struct build *build, struct arena *arena, size_t size) {
    build->arena = arena;
    build->texts = arena_alloc(arena, size);
    return build->texts != NULL;
}

ProtobufCMessage *build_message(struct build *build, const ProtobufCMessageDescriptor *descriptor) {
    ProtobufCMessage *message = arena_alloc(build->arena, descriptor->sizeof_message);
    if (message != NULL) {
        descriptor->message_init(message);
    }
    return message;
}

static size_t size_of(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_SINT64:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_ENUM:
        return sizeof(uint32_t);
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        break;
    }
    assert(type == PROTOBUF_C_TYPE_BOOL); // no .proto file of ours has the others
    return sizeof(protobuf_c_boolean);
}

bool build_room(struct build *build, ProtobufCMessage *message,
                const ProtobufCFieldDescriptor *field, struct build_column *column, size_t more) {
    size_t n = column->n;
    if (n + more <= column->room) {
        return true;
    }
    size_t size = size_of(field->type);
    size_t room = n + (more > n ? more : n);
    void *elements = arena_alloc(build->arena, room * size);
    if (elements == NULL) {
        return false;
    }
    assert(room <= UINT32_MAX);
    char *member = (char *)message + field->offset;
    if (n > 0) {
        const void *old;
        memcpy(&old, member, sizeof(old));
        memcpy(elements, old, n * size);
    }
    memcpy(member, &elements, sizeof(elements));
    column->room = (uint32_t)room;
    return true;
}

void *build_place(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, size_t n) {
    char *member = (char *)message + field->offset;
    char *quantifier = (char *)message + field->quantifier_offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        char *elements;
        memcpy(&elements, member, sizeof(elements));
        memcpy(quantifier, &n, sizeof(n));
        return elements + (n - 1) * size_of(field->type);
    }
    assert(field->label == PROTOBUF_C_LABEL_NONE);
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        memcpy(quantifier, &field->id, sizeof(field->id));
    }
    return member;
}

void build_number(void *place, ProtobufCType type, uint64_t value) {
    if (type == PROTOBUF_C_TYPE_SINT64 || type == PROTOBUF_C_TYPE_SINT32) {
        value = value >> 1 ^ (0 - (value & 1)); // zigzag
    }
    uint32_t narrow = (uint32_t)value;
    if (size_of(type) == sizeof(value)) {
        memcpy(place, &value, sizeof(value));
    } else {
        memcpy(place, &narrow, sizeof(narrow));
    }
}

void build_text(struct build *build, void *place, ProtobufCType type, const uint8_t *data,
                size_t size) {
    uint8_t *text = build->texts;
    if (size > 0) {
        memcpy(text, data, size);
    }
    if (type == PROTOBUF_C_TYPE_STRING) {
        text[size] = '\0';
        memcpy(place, &text, sizeof(text));
        build->texts = text + size + 1;
    } else {
        ProtobufCBinaryData bytes = {.len = size, .data = size > 0 ? text : NULL};
        memcpy(place, &bytes, sizeof(bytes));
        build->texts = text + size;
    }
}

bool build_unknown(struct build *build, ProtobufCMessage *message, uint32_t number,
                   unsigned wire_type, const uint8_t *data, size_t size) {
    unsigned n = message->n_unknown_fields; // WIRE_UNKNOWN_MAX at most
    ProtobufCMessageUnknownField *fields =
        arena_alloc(build->arena, (n + 1) * sizeof(message->unknown_fields[0]));
    if (fields == NULL) {
        return false;
    }
    if (n > 0) {
        memcpy(fields, message->unknown_fields, n * sizeof(fields[0]));
    }
    fields[n] = (ProtobufCMessageUnknownField){.tag = number,
                                               .wire_type = (ProtobufCWireType)wire_type,
                                               .len = size,
                                               .data = build->texts};
    memcpy(build->texts, data, size);
    build->texts += size;
    message->unknown_fields = fields;
    message->n_unknown_fields = n + 1;
    return true;
}
