// SPDX-License-Identifier: Apache-2.0
// Walks protobuf bytes against a descriptor, and makes the message of them as it goes where one is
// asked for. A frame shows that it is well-formed and within its limits before anything is taken
// from it: field counts, lengths against the bytes left, wire types, UTF-8. Open messages stand on
// a stack of WIRE_DEPTH_MAX; nothing recurses. An unknown field passes where it is well-formed
// (fields may be added), a group never does. https://protobuf.dev/programming-guides/encoding/
#include "schemas/envelope_scan.h"

#include <string.h>

#include "schemas/base/guards.h"
#include "schemas/base/utf8.h"
#include "schemas/envelope_build.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LENGTH = 2, WIRE_32 = 5 };
enum {
    FIELDS_PER_MESSAGE_MAX = 64,
    FIELD_NUMBER_SHIFT = 3,
    TAG_BYTES_MAX = 5, // of 32 bits; protobuf-c takes no longer one, even where the rest is zero
};

struct level {
    const ProtobufCMessageDescriptor *message;
    const struct message_limits *limits; // NULL: none
    ProtobufCMessage *built;             // NULL: it is only looked at
    const uint8_t *end;
    uint64_t seen; // singular fields so far, by their index in the descriptor
    unsigned next; // index of the field that is likely to come next
};

struct scan {
    const uint8_t *at;
    const uint8_t *tag; // of the field that is being read
    unsigned depth;
    size_t n_unknown; // over the whole frame
    const char *why;
    struct build build;
    struct level levels[WIRE_DEPTH_MAX];
    struct build_column columns[WIRE_DEPTH_MAX][FIELDS_PER_MESSAGE_MAX]; // by the field's index
};

static int refuse(struct scan *scan, int code, const char *why) {
    scan->why = why;
    return code;
}

static int refuse_full(struct scan *scan) {
    return refuse(scan, REASON_TOO_LARGE, "it unpacks to more than is allowed");
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

static int push(struct scan *scan, const ProtobufCMessageDescriptor *message, const uint8_t *end,
                ProtobufCMessage **ret_built) {
    if (scan->depth == WIRE_DEPTH_MAX) {
        return refuse(scan, REASON_BAD_FRAME, "nested too deeply");
    }
    ProtobufCMessage *built = NULL;
    if (scan->build.arena != NULL) {
        built = build_message(&scan->build, message);
        if (built == NULL) {
            return refuse_full(scan);
        }
    }
    memset(scan->columns[scan->depth], 0, message->n_fields * sizeof(scan->columns[0][0]));
    scan->levels[scan->depth++] = (struct level){
        .message = message, .limits = find_limits(message), .built = built, .end = end};
    *ret_built = built;
    return 0;
}

// 0, or a reason where the varint is truncated, longer than 10 bytes or beyond 64 bits.
static int read_long_varint(struct scan *scan, const uint8_t *end, uint64_t *ret) {
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

static inline int read_varint(struct scan *scan, const uint8_t *end, uint64_t *ret) {
    if (scan->at < end && *scan->at < 0x80) {
        *ret = *scan->at++;
        return 0;
    }
    return read_long_varint(scan, end, ret);
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

static const struct field_limit *limit_of(const struct level *level,
                                          const ProtobufCFieldDescriptor *field) {
    const struct message_limits *limits = level->limits;
    if (limits == NULL || field->id >= limits->n_fields) {
        return NULL;
    }
    return limits->fields[field->id].name == NULL ? NULL : &limits->fields[field->id];
}

static struct build_column *column_of(struct scan *scan, const struct level *level,
                                      const ProtobufCFieldDescriptor *field) {
    return &scan->columns[scan->depth - 1][field - level->message->fields];
}

// One more element of a repeated field; every such field has a row with its bound.
static int count_element(struct scan *scan, const struct level *level,
                         const ProtobufCFieldDescriptor *field) {
    struct build_column *column = column_of(scan, level, field);
    column->n += 1;
    const struct field_limit *limit = limit_of(level, field);
    if (GUARD(wire_counts) && limit != NULL && limit->count_max > 0 &&
        column->n > limit->count_max) {
        return refuse(scan, REASON_TOO_LARGE, limit->why_not);
    }
    return 0;
}

// How many elements follow each other from the one whose tag was just read, itself among them.
static size_t count_run(const struct scan *scan, const uint8_t *end, unsigned wire_type,
                        size_t max) {
    size_t tag_size = (size_t)(scan->at - scan->tag);
    size_t n = 0;
    const uint8_t *at = scan->tag;
    while (n < max && (size_t)(end - at) > tag_size && memcmp(at, scan->tag, tag_size) == 0) {
        uint64_t length = 0;
        at += tag_size;
        for (unsigned shift = 0; at < end && shift < 64; shift += 7) {
            length |= (uint64_t)(*at & 0x7f) << shift;
            if (*at++ < 0x80) {
                break;
            }
        }
        length = wire_type == WIRE_LENGTH ? length : 0;
        n++;
        if (length > (size_t)(end - at)) {
            break; // it is refused when it is its turn
        }
        at += length;
    }
    return n == 0 ? 1 : n;
}

static size_t count_varints(const uint8_t *at, const uint8_t *end) {
    size_t n = 0;
    for (; at < end; at++) {
        n += *at < 0x80;
    }
    return n;
}

// No more than may stand.
static size_t elements_max(const struct level *level, const ProtobufCFieldDescriptor *field) {
    const struct field_limit *limit = limit_of(level, field);
    return limit != NULL && limit->count_max > 0 ? limit->count_max : SIZE_MAX;
}

// Where a value that stands on its own goes; `place` is NULL where nothing is made of it.
static int place_value(struct scan *scan, const struct level *level,
                       const ProtobufCFieldDescriptor *field, unsigned wire_type,
                       void **ret_place) {
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        *ret_place = level->built == NULL ? NULL : build_place(level->built, field, 0);
        return 0;
    }
    struct build_column *column = column_of(scan, level, field);
    if (level->built != NULL && column->n == column->room) {
        size_t more = count_run(scan, level->end, wire_type, elements_max(level, field));
        if (!build_room(&scan->build, level->built, field, column, more)) {
            return refuse_full(scan);
        }
    }
    int r = count_element(scan, level, field);
    if (r == 0) {
        *ret_place = level->built == NULL ? NULL : build_place(level->built, field, column->n);
    }
    return r;
}

static int scan_number(struct scan *scan, const ProtobufCFieldDescriptor *field, const uint8_t *end,
                       void *place) {
    uint64_t value;
    int r = read_varint(scan, end, &value);
    if (r != 0 || field == NULL) {
        return r;
    }
    if (!fits(field->type, value)) {
        return refuse(scan, REASON_BAD_FRAME, "a number is too wide for its field");
    }
    if (place != NULL) {
        build_number(place, field->type, value);
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
    struct build_column *column = column_of(scan, level, field);
    if (level->built != NULL) {
        size_t more = count_varints(scan->at, end);
        size_t max = elements_max(level, field);
        more = more > max ? max : more;
        if (!build_room(&scan->build, level->built, field, column, more)) {
            return refuse_full(scan);
        }
    }
    while (scan->at < end) {
        int r = count_element(scan, level, field);
        if (r == 0) {
            bool has_place = level->built != NULL && column->n <= column->room;
            r = scan_number(scan, field, end,
                            has_place ? build_place(level->built, field, column->n) : NULL);
        }
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

static int scan_text(struct scan *scan, const struct level *level,
                     const ProtobufCFieldDescriptor *field, const uint8_t *end, void *place) {
    size_t length = (size_t)(end - scan->at);
    const struct field_limit *limit = limit_of(level, field);
    if (GUARD(wire_lengths) && limit != NULL && limit->bytes_max > 0 && length > limit->bytes_max) {
        return refuse(scan, REASON_TOO_LARGE, limit->why_not);
    }
    if (GUARD(wire_utf8) && field->type == PROTOBUF_C_TYPE_STRING &&
        !utf8_check(scan->at, length)) {
        return refuse(scan, REASON_BAD_FRAME, "text that is not UTF-8, or holds a NUL");
    }
    if (place != NULL) {
        build_text(&scan->build, place, field->type, scan->at, length);
    }
    scan->at = end;
    return 0;
}

static int scan_message(struct scan *scan, const ProtobufCFieldDescriptor *field,
                        const uint8_t *end, void *place) {
    ProtobufCMessage *built;
    int r = push(scan, field->descriptor, end, &built);
    if (r == 0 && place != NULL) {
        memcpy(place, &built, sizeof(built));
    }
    return r;
}

static int scan_unknown(struct scan *scan, const struct level *level, uint64_t tag,
                        const uint8_t *begin) {
    bool fits = level->built == NULL ||
                build_unknown(&scan->build, level->built, (uint32_t)(tag >> FIELD_NUMBER_SHIFT),
                              tag & 7, begin, (size_t)(scan->at - begin));
    return fits ? 0 : refuse_full(scan);
}

static int scan_length(struct scan *scan, const struct level *level,
                       const ProtobufCFieldDescriptor *field, bool packed, void *place) {
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
    if (packed) {
        return scan_packed(scan, level, field, end);
    }
    return field->type == PROTOBUF_C_TYPE_MESSAGE ? scan_message(scan, field, end, place)
                                                  : scan_text(scan, level, field, end, place);
}

static int scan_fixed(struct scan *scan, const struct level *level, size_t width) {
    if ((size_t)(level->end - scan->at) < width) {
        return refuse(scan, REASON_BAD_FRAME, "truncated");
    }
    scan->at += width;
    return 0;
}

// Fixed-width numbers pass where they are unknown: no .proto file of ours has one.
static int scan_wire(struct scan *scan, const struct level *level,
                     const ProtobufCFieldDescriptor *field, unsigned wire_type, bool packed,
                     void *place) {
    switch (wire_type) {
    case WIRE_VARINT:
        return scan_number(scan, field, level->end, place);
    case WIRE_LENGTH:
        return scan_length(scan, level, field, packed, place);
    case WIRE_64:
        return scan_fixed(scan, level, 8);
    case WIRE_32:
        return scan_fixed(scan, level, 4);
    default:
        return refuse(scan, REASON_BAD_FRAME, "an unknown wire type");
    }
}

static int scan_known(struct scan *scan, struct level *level, const ProtobufCFieldDescriptor *field,
                      unsigned wire_type) {
    unsigned expected = wire_type_of(field->type);
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    bool packed = repeated && wire_type == WIRE_LENGTH && expected == WIRE_VARINT;
    if (wire_type != expected && !packed) {
        return refuse(scan, REASON_BAD_FRAME, "a field has the wrong wire type");
    }
    void *place = NULL;
    int r = repeated ? 0 : mark_singular(scan, level, field);
    if (r == 0 && !packed) {
        r = place_value(scan, level, field, wire_type, &place);
    }
    return r != 0 ? r : scan_wire(scan, level, field, wire_type, packed, place);
}

static int scan_field(struct scan *scan, struct level *level) {
    uint64_t tag;
    scan->tag = scan->at;
    int r = read_varint(scan, level->end, &tag);
    if (r != 0) {
        return r;
    }
    if (tag > UINT32_MAX || tag >> FIELD_NUMBER_SHIFT == 0 ||
        scan->at - scan->tag > TAG_BYTES_MAX) {
        return refuse(scan, REASON_BAD_FRAME, "a field number out of range");
    }
    unsigned wire_type = tag & 7;
    const ProtobufCFieldDescriptor *field =
        find_field(level, (uint32_t)(tag >> FIELD_NUMBER_SHIFT));
    if (field != NULL) {
        return scan_known(scan, level, field, wire_type);
    }
    if (GUARD(wire_unknown) && ++scan->n_unknown > WIRE_UNKNOWN_MAX) {
        return refuse(scan, REASON_TOO_LARGE, "too many unknown fields");
    }
    const uint8_t *begin = scan->at;
    r = scan_wire(scan, level, NULL, wire_type, false, NULL);
    return r != 0 ? r : scan_unknown(scan, level, tag, begin);
}

static int walk(struct scan *scan, const ProtobufCMessageDescriptor *message, const uint8_t *data,
                size_t size, ProtobufCMessage **ret) {
    scan->at = data;
    scan->depth = 0;
    scan->n_unknown = 0;
    scan->why = NULL;
    int r = push(scan, message, data + size, ret);
    while (r == 0 && scan->depth > 0) {
        struct level *level = &scan->levels[scan->depth - 1];
        if (scan->at == level->end) {
            scan->depth--;
        } else {
            r = scan_field(scan, level);
        }
    }
    return r;
}

static const uint8_t nothing[1]; // protobuf-c gives no address to empty bytes

int envelope_scan(const ProtobufCMessageDescriptor *message, const uint8_t *data, size_t size,
                  const char **ret_why) {
    struct scan scan; // levels and columns are set up as they are entered
    scan.build = (struct build){.arena = NULL};
    ProtobufCMessage *none;
    int r = walk(&scan, message, size == 0 ? nothing : data, size, &none);
    if (r != 0) {
        *ret_why = scan.why;
    }
    return r;
}

int envelope_read(const ProtobufCMessageDescriptor *message, const uint8_t *data, size_t size,
                  struct arena *arena, ProtobufCMessage **ret, const char **ret_why) {
    struct scan scan;
    ProtobufCMessage *built = NULL;
    struct arena_mark mark = arena_mark(arena);
    int r = build_start(&scan.build, arena, size) ? 0 : refuse_full(&scan);
    if (r == 0) {
        r = walk(&scan, message, size == 0 ? nothing : data, size, &built);
    }
    if (r == 0) {
        *ret = built;
    } else {
        if (GUARD(refused_is_forgotten)) {
            arena_rewind(arena, &mark);
        }
        *ret_why = scan.why;
    }
    return r;
}
