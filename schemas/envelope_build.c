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

bool build_room(struct build *build, ProtobufCMessage *message, const struct wire_field *field,
                struct build_column *column, size_t more) {
    size_t n = column->n;
    if (n + more <= column->room) {
        return true;
    }
    size_t room = n + (more > n ? more : n);
    void *elements = arena_alloc(build->arena, room * field->size);
    if (elements == NULL) {
        return false;
    }
    assert(room <= UINT32_MAX);
    char *member = (char *)message + field->offset;
    if (n > 0) {
        const void *old;
        memcpy(&old, member, sizeof(old));
        memcpy(elements, old, n * field->size);
    }
    memcpy(member, &elements, sizeof(elements));
    column->room = (uint32_t)room;
    return true;
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
