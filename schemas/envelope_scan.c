// SPDX-License-Identifier: Apache-2.0
// Walks protobuf bytes against a descriptor before protobuf-c sees them. protobuf-c trusts counts,
// merges repeated submessages at great cost and turns two bytes into a struct: here a frame shows
// first that it is well-formed and within its limits. Open messages stand on a stack of
// WIRE_DEPTH_MAX; nothing recurses and nothing is allocated. An unknown field passes where it is
// well-formed (fields may be added), a group never does.
// https://protobuf.dev/programming-guides/encoding/
#include "schemas/envelope_scan.h"

#include "schemas/base/guards.h"
#include "schemas/base/utf8.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LENGTH = 2, WIRE_32 = 5 };
enum { FIELDS_PER_MESSAGE_MAX = 64, FIELD_NUMBER_SHIFT = 3 };

struct level {
    const ProtobufCMessageDescriptor *message;
    const struct message_limits *limits; // NULL: none
    const uint8_t *end;
    uint64_t seen; // singular fields so far, by their index in the descriptor
    unsigned next; // index of the field that is likely to come next
};

struct scan {
    const uint8_t *at;
    unsigned depth;
    size_t n_unknown; // over the whole frame
    const char *why;
    struct level levels[WIRE_DEPTH_MAX];
    uint32_t counts[WIRE_DEPTH_MAX][FIELDS_PER_MESSAGE_MAX]; // elements, by the field's index
};

static int refuse(struct scan *scan, int code, const char *why) {
    scan->why = why;
    return code;
}

static const struct message_limits *find_limits(const ProtobufCMessageDescriptor *message) {
    size_t n;
    const struct message_limits *rows = envelope_limits(&n);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].message == message) {
            return &rows[i];
        }
    }
    return NULL;
}

static int push(struct scan *scan, const ProtobufCMessageDescriptor *message, const uint8_t *end) {
    if (scan->depth == WIRE_DEPTH_MAX) {
        return refuse(scan, REASON_BAD_FRAME, "nested too deeply");
    }
    for (unsigned i = 0; i < message->n_fields; i++) {
        scan->counts[scan->depth][i] = 0;
    }
    scan->levels[scan->depth++] =
        (struct level){.message = message, .limits = find_limits(message), .end = end};
    return 0;
}

// 0, or a reason where the varint is truncated, longer than 10 bytes or beyond 64 bits.
static int read_varint(struct scan *scan, const uint8_t *end, uint64_t *ret) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (scan->at == end) {
            return refuse(scan, REASON_BAD_FRAME, "truncated");
        }
        uint8_t byte = *scan->at++;
        if (shift == 63 && byte > 1) {
            break;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return 0;
        }
    }
    return refuse(scan, REASON_BAD_FRAME, "a varint is too long");
}

static const ProtobufCFieldDescriptor *find_field(struct level *level, uint32_t number) {
    const ProtobufCMessageDescriptor *message = level->message;
    for (unsigned tries = 0, i = level->next; tries < 2 && i < message->n_fields; tries++, i++) {
        if (message->fields[i].id == number) {
            level->next = message->fields[i].label == PROTOBUF_C_LABEL_REPEATED ? i : i + 1;
            return &message->fields[i];
        }
    }
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(message, number);
    if (field != NULL) {
        level->next = (unsigned)(field - message->fields) + 1;
    }
    return field;
}

// How a field of this type stands on the wire; a repeated number may also stand packed.
static unsigned wire_type_of(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_LENGTH;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_BOOL:
        break;
    }
    return WIRE_VARINT;
}

// Readers differ in what they make of a number that is too wide for its field: none gets one.
static bool fits(ProtobufCType type, uint64_t value) {
    if (type == PROTOBUF_C_TYPE_BOOL) {
        return value <= 1;
    }
    bool is_32 = type == PROTOBUF_C_TYPE_UINT32 || type == PROTOBUF_C_TYPE_SINT32 ||
                 type == PROTOBUF_C_TYPE_ENUM;
    return !is_32 || value <= UINT32_MAX;
}

static int scan_number(struct scan *scan, const ProtobufCFieldDescriptor *field,
                       const uint8_t *end) {
    uint64_t value;
    int r = read_varint(scan, end, &value);
    if (r == 0 && field != NULL && !fits(field->type, value)) {
        return refuse(scan, REASON_BAD_FRAME, "a number is too wide for its field");
    }
    return r;
}

static const struct field_limit *limit_of(const struct level *level,
                                          const ProtobufCFieldDescriptor *field) {
    const struct message_limits *limits = level->limits;
    if (limits == NULL || field->id >= limits->n_fields) {
        return NULL;
    }
    return limits->fields[field->id].name == NULL ? NULL : &limits->fields[field->id];
}

// One more element of a repeated field; every such field has a row with its bound.
static int count_element(struct scan *scan, const struct level *level,
                         const ProtobufCFieldDescriptor *field) {
    uint32_t *count = &scan->counts[scan->depth - 1][field - level->message->fields];
    *count += 1;
    const struct field_limit *limit = limit_of(level, field);
    if (GUARD(wire_counts) && limit != NULL && limit->count_max > 0 && *count > limit->count_max) {
        return refuse(scan, REASON_TOO_LARGE, limit->why_not);
    }
    return 0;
}

// A singular field stands once; of a oneof, whose members share a quantifier, one member stands.
static int mark_singular(struct scan *scan, struct level *level,
                         const ProtobufCFieldDescriptor *field) {
    const ProtobufCFieldDescriptor *fields = level->message->fields;
    uint64_t taken = UINT64_C(1) << (field - fields);
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        for (unsigned i = 0; i < level->message->n_fields; i++) {
            bool same = (fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
                        fields[i].quantifier_offset == field->quantifier_offset;
            taken |= same ? UINT64_C(1) << i : 0;
        }
    }
    if (GUARD(wire_singular) && (level->seen & taken) != 0) {
        return refuse(scan, REASON_BAD_FRAME, "a singular field stands twice");
    }
    level->seen |= taken;
    return 0;
}

static int scan_packed(struct scan *scan, const struct level *level,
                       const ProtobufCFieldDescriptor *field, const uint8_t *end) {
    while (scan->at < end) {
        int r = count_element(scan, level, field);
        if (r == 0) {
            r = scan_number(scan, field, end);
        }
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

// A length-delimited value of a known field; `end` is its own end.
static int scan_value(struct scan *scan, const struct level *level,
                      const ProtobufCFieldDescriptor *field, const uint8_t *end) {
    size_t length = (size_t)(end - scan->at);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        return push(scan, field->descriptor, end);
    }
    if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_BYTES) {
        return scan_packed(scan, level, field, end);
    }
    const struct field_limit *limit = limit_of(level, field);
    if (GUARD(wire_lengths) && limit != NULL && limit->bytes_max > 0 && length > limit->bytes_max) {
        return refuse(scan, REASON_TOO_LARGE, limit->why_not);
    }
    if (GUARD(wire_utf8) && field->type == PROTOBUF_C_TYPE_STRING &&
        !utf8_check(scan->at, length)) {
        return refuse(scan, REASON_BAD_FRAME, "text that is not UTF-8, or holds a NUL");
    }
    scan->at = end;
    return 0;
}

static int scan_length(struct scan *scan, const struct level *level,
                       const ProtobufCFieldDescriptor *field) {
    uint64_t length;
    int r = read_varint(scan, level->end, &length);
    if (r != 0) {
        return r;
    }
    if (GUARD(wire_truncated) && length > (size_t)(level->end - scan->at)) {
        return refuse(scan, REASON_BAD_FRAME, "a length beyond the end");
    }
    const uint8_t *end = scan->at + length;
    if (field == NULL) {
        scan->at = end;
        return 0;
    }
    return scan_value(scan, level, field, end);
}

static int scan_fixed(struct scan *scan, const struct level *level, size_t width) {
    if ((size_t)(level->end - scan->at) < width) {
        return refuse(scan, REASON_BAD_FRAME, "truncated");
    }
    scan->at += width;
    return 0;
}

static int check_known(struct scan *scan, struct level *level,
                       const ProtobufCFieldDescriptor *field, unsigned wire_type) {
    unsigned expected = wire_type_of(field->type);
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    bool packed = repeated && wire_type == WIRE_LENGTH && expected == WIRE_VARINT;
    if (wire_type != expected && !packed) {
        return refuse(scan, REASON_BAD_FRAME, "a field has the wrong wire type");
    }
    if (!repeated) {
        return mark_singular(scan, level, field);
    }
    return packed ? 0 : count_element(scan, level, field);
}

static int scan_field(struct scan *scan, struct level *level) {
    uint64_t tag;
    int r = read_varint(scan, level->end, &tag);
    if (r != 0) {
        return r;
    }
    if (tag > UINT32_MAX || tag >> FIELD_NUMBER_SHIFT == 0) {
        return refuse(scan, REASON_BAD_FRAME, "a field number out of range");
    }
    unsigned wire_type = tag & 7;
    const ProtobufCFieldDescriptor *field =
        find_field(level, (uint32_t)(tag >> FIELD_NUMBER_SHIFT));
    if (GUARD(wire_unknown) && field == NULL && ++scan->n_unknown > WIRE_UNKNOWN_MAX) {
        return refuse(scan, REASON_TOO_LARGE, "too many unknown fields");
    }
    if (field != NULL) {
        r = check_known(scan, level, field, wire_type);
        if (r != 0) {
            return r;
        }
    }
    switch (wire_type) {
    case WIRE_VARINT:
        return scan_number(scan, field, level->end);
    case WIRE_LENGTH:
        return scan_length(scan, level, field);
    case WIRE_64:
        return scan_fixed(scan, level, 8);
    case WIRE_32:
        return scan_fixed(scan, level, 4);
    default:
        return refuse(scan, REASON_BAD_FRAME, "an unknown wire type");
    }
}

int envelope_scan(const ProtobufCMessageDescriptor *message, const uint8_t *data, size_t size,
                  const char **ret_why) {
    static const uint8_t nothing[1];
    data = size == 0 ? nothing : data; // protobuf-c gives no address to empty bytes
    struct scan scan;                  // levels and counts are set up as they are entered
    scan.at = data;
    scan.depth = 0;
    scan.n_unknown = 0;
    scan.why = NULL;
    int r = push(&scan, message, data + size);
    while (r == 0 && scan.depth > 0) {
        struct level *level = &scan.levels[scan.depth - 1];
        if (scan.at == level->end) {
            scan.depth--;
        } else {
            r = scan_field(&scan, level);
        }
    }
    if (r != 0) {
        *ret_why = scan.why;
    }
    return r;
}
