// SPDX-License-Identifier: Apache-2.0
// Tables are published all at once with those of the messages inside: a reader without the lock
// sees whole ones or none. There is room for every message that we have, and then some.
#include "schemas/envelope_table.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "schemas/envelope_scan.h"

enum { MESSAGES_MAX = 64, FIELDS_MAX = 1024, BITS = 64 };

static struct wire_message messages[MESSAGES_MAX];
static struct wire_field fields[FIELDS_MAX];
static atomic_size_t n_published;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // of what follows, and of all writing
static size_t n_messages, n_fields;

static const struct wire_message *find(const ProtobufCMessageDescriptor *descriptor, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (messages[i].descriptor == descriptor) {
            return &messages[i];
        }
    }
    return NULL;
}

// Its fields follow when it is its turn.
static const struct wire_message *enlist(const ProtobufCMessageDescriptor *descriptor) {
    const struct wire_message *message = find(descriptor, n_messages);
    if (message == NULL) {
        assert(n_messages < MESSAGES_MAX);
        messages[n_messages].descriptor = descriptor;
        message = &messages[n_messages++];
    }
    return message;
}

static void set_number(struct wire_field *field, uint8_t size, uint64_t max, bool is_zigzag) {
    field->kind = WIRE_NUMBER;
    field->wire_type = WIRE_VARINT;
    field->size = size;
    field->max = max; // readers differ in what they make of a number that is too wide
    field->is_zigzag = is_zigzag;
}

static void set_length(struct wire_field *field, enum wire_kind kind, uint8_t size) {
    field->kind = (uint8_t)kind;
    field->wire_type = WIRE_LENGTH;
    field->size = size;
    field->max = UINT64_MAX;
}

static void set_type(struct wire_field *field, ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
        return set_length(field, WIRE_TEXT, sizeof(char *));
    case PROTOBUF_C_TYPE_BYTES:
        return set_length(field, WIRE_BYTES, sizeof(ProtobufCBinaryData));
    case PROTOBUF_C_TYPE_MESSAGE:
        return set_length(field, WIRE_MESSAGE, sizeof(ProtobufCMessage *));
    case PROTOBUF_C_TYPE_BOOL:
        return set_number(field, sizeof(protobuf_c_boolean), 1, false);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_ENUM:
        return set_number(field, sizeof(uint32_t), UINT32_MAX, false);
    case PROTOBUF_C_TYPE_SINT32:
        return set_number(field, sizeof(uint32_t), UINT32_MAX, true);
    case PROTOBUF_C_TYPE_UINT64:
        return set_number(field, sizeof(uint64_t), UINT64_MAX, false);
    case PROTOBUF_C_TYPE_SINT64:
        return set_number(field, sizeof(uint64_t), UINT64_MAX, true);
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
}

static void set_limits(struct wire_field *field, const ProtobufCMessageDescriptor *descriptor) {
    size_t n;
    const struct message_limits *rows = envelope_limits(&n);
    field->count_max = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].message != descriptor || field->number >= rows[i].n_fields) {
            continue;
        }
        const struct field_limit *limit = &rows[i].fields[field->number];
        field->why_not = limit->why_not;
        field->max = limit->bytes_max > 0 ? limit->bytes_max : field->max;
        field->count_max = limit->count_max > 0 ? limit->count_max : field->count_max;
    }
}

// Members of a oneof share a quantifier; of them one may stand.
static uint64_t taken_by(const ProtobufCMessageDescriptor *descriptor, unsigned index) {
    const ProtobufCFieldDescriptor *own = &descriptor->fields[index];
    uint64_t taken = UINT64_C(1) << index;
    for (unsigned i = 0;
         (own->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 && i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *other = &descriptor->fields[i];
        bool same = (other->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
                    other->quantifier_offset == own->quantifier_offset;
        taken |= same ? UINT64_C(1) << i : 0;
    }
    return taken;
}

static void fill_field(struct wire_field *field, const ProtobufCMessageDescriptor *descriptor,
                       unsigned index) {
    const ProtobufCFieldDescriptor *own = &descriptor->fields[index];
    assert(own->offset <= UINT16_MAX && own->quantifier_offset <= UINT16_MAX);
    *field = (struct wire_field){.is_repeated = own->label == PROTOBUF_C_LABEL_REPEATED,
                                 .is_oneof = (own->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0,
                                 .number = (uint16_t)own->id,
                                 .offset = (uint16_t)own->offset,
                                 .quantifier = (uint16_t)own->quantifier_offset,
                                 .taken = taken_by(descriptor, index)};
    assert(field->is_repeated || own->label == PROTOBUF_C_LABEL_NONE);
    set_type(field, own->type);
    set_limits(field, descriptor);
    if (field->kind == WIRE_MESSAGE) {
        field->message = enlist(own->descriptor);
    }
}

static void fill(struct wire_message *message) {
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    unsigned n = descriptor->n_fields;
    struct wire_field *rows = &fields[n_fields];
    message->fields = rows;
    message->n_fields = n == 0 ? 0 : descriptor->fields[n - 1].id + 1; // they are sorted
    n_fields += message->n_fields;
    assert(n <= BITS && n_fields <= FIELDS_MAX);
    uint8_t n_columns = 0;
    for (unsigned i = 0; i < n; i++) {
        struct wire_field *field = &rows[descriptor->fields[i].id];
        fill_field(field, descriptor, i);
        field->column = n_columns;
        n_columns += field->is_repeated;
    }
    assert(n_columns <= WIRE_COLUMNS_MAX);
}

static const struct wire_message *make(const ProtobufCMessageDescriptor *descriptor) {
    pthread_mutex_lock(&lock);
    size_t n_whole = n_messages;
    const struct wire_message *message = enlist(descriptor);
    for (; n_whole < n_messages; n_whole++) {
        fill(&messages[n_whole]);
    }
    atomic_store_explicit(&n_published, n_whole, memory_order_release);
    pthread_mutex_unlock(&lock);
    return message;
}

const struct wire_message *wire_message(const ProtobufCMessageDescriptor *descriptor) {
    const struct wire_message *message =
        find(descriptor, atomic_load_explicit(&n_published, memory_order_acquire));
    return message != NULL ? message : make(descriptor);
}
