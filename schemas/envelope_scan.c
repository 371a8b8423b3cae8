// SPDX-License-Identifier: Apache-2.0
// Walks protobuf bytes against a table of fields, and makes the message of them as it goes where
// one is asked for. A frame shows that it is well-formed and within its limits before anything is
// taken from it: field counts, lengths against the bytes left, wire types, UTF-8. Open messages
// stand on a stack of WIRE_DEPTH_MAX; nothing recurses. An unknown field passes where it is
// well-formed (fields may be added), a group never does.
// https://protobuf.dev/programming-guides/encoding/
#include "schemas/envelope_scan.h"

#include <string.h>

#include "schemas/base/guards.h"
#include "schemas/base/utf8.h"
#include "schemas/envelope_build.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

enum {
    FIELD_NUMBER_SHIFT = 3,
    // Of 32 bits; protobuf-c takes no longer ones, even where the rest is zero.
    TAG_BYTES_MAX = 5,
    LENGTH_BYTES_MAX = 5,
    CONTROLS_BITS = 64,
};

struct level {
    const struct wire_message *message;
    ProtobufCMessage *built; // NULL: it is only looked at
    const uint8_t *end;
    uint64_t seen;     // singular fields so far, by wire_field.taken
    uint64_t controls; // text fields that hold control characters, by number
    struct build_column columns[WIRE_COLUMNS_MAX];
};

struct scan {
    const uint8_t *at;
    const uint8_t *tag; // of the field that is being read
    struct level *top;
    size_t n_unknown; // over the whole frame
    const char *why;
    struct build build;
    struct level levels[WIRE_DEPTH_MAX];
};

static int refuse(struct scan *scan, int code, const char *why) {
    scan->why = why;
    return code;
}

static int refuse_full(struct scan *scan) {
    return refuse(scan, REASON_TOO_LARGE, "it unpacks to more than is allowed");
}

static int enter(struct scan *scan, struct level *level, const struct wire_message *message,
                 const uint8_t *end) {
    ProtobufCMessage *built = NULL;
    if (scan->build.arena != NULL) {
        built = build_message(&scan->build, message->descriptor);
        if (built == NULL) {
            return refuse_full(scan);
        }
    }
    *level = (struct level){.message = message, .built = built, .end = end};
    scan->top = level;
    return 0;
}

// 0, or a reason where the varint is truncated, longer than 10 bytes or beyond 64 bits.
static int read_long_varint(struct scan *scan, const uint8_t *end, uint64_t *ret) {
    const uint8_t *at = scan->at;
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (at == end) {
            return refuse(scan, REASON_BAD_FRAME, "truncated");
        }
        uint8_t byte = *at++;
        if (shift == 63 && byte > 1) {
            break;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            scan->at = at;
            *ret = value;
            return 0;
        }
    }
    return refuse(scan, REASON_BAD_FRAME, "a varint is too long");
}

// One byte or two, as nearly all are.
static inline int read_varint(struct scan *scan, const uint8_t *end, uint64_t *ret) {
    const uint8_t *at = scan->at;
    if (at < end && at[0] < 0x80) {
        *ret = at[0];
        scan->at = at + 1;
        return 0;
    }
    if (end - at >= 2 && at[1] < 0x80) {
        *ret = (at[0] & 0x7fU) | (uint64_t)at[1] << 7;
        scan->at = at + 2;
        return 0;
    }
    return read_long_varint(scan, end, ret);
}

// One more element of a repeated field; every such field has a row with its bound.
static int count_element(struct scan *scan, struct build_column *column,
                         const struct wire_field *field) {
    column->n += 1;
    if (GUARD(wire_counts) && column->n > field->count_max) {
        return refuse(scan, REASON_TOO_LARGE, field->why_not);
    }
    return 0;
}

// Of a byte or two: a call costs more.
static bool is_same(const uint8_t *a, const uint8_t *b, size_t size) {
    size_t i = 0;
    while (i < size && a[i] == b[i]) {
        i++;
    }
    return i == size;
}

// How many elements follow each other from the one whose tag was just read, itself among them.
static size_t count_run(const struct scan *scan, const uint8_t *end, unsigned wire_type,
                        size_t max) {
    size_t tag_size = (size_t)(scan->at - scan->tag);
    size_t n = 0;
    const uint8_t *at = scan->tag;
    while (n < max && (size_t)(end - at) > tag_size && is_same(at, scan->tag, tag_size)) {
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

// Where the next element goes; NULL where nothing is made of it.
static int place_element(struct scan *scan, struct level *level, const struct wire_field *field,
                         void **ret_place) {
    struct build_column *column = &level->columns[field->column];
    if (level->built != NULL && column->n == column->room) {
        size_t more = count_run(scan, level->end, field->wire_type, field->count_max);
        if (!build_room(&scan->build, level->built, field, column, more)) {
            return refuse_full(scan);
        }
    }
    int r = count_element(scan, column, field);
    if (r == 0) {
        *ret_place = level->built == NULL ? NULL : build_element(level->built, field, column->n);
    }
    return r;
}

// A singular field stands once; of a oneof one member stands.
static int place_singular(struct scan *scan, struct level *level, const struct wire_field *field,
                          void **ret_place) {
    if (GUARD(wire_singular) && (level->seen & field->taken) != 0) {
        return refuse(scan, REASON_BAD_FRAME, "a singular field stands twice");
    }
    level->seen |= field->taken;
    *ret_place = level->built == NULL ? NULL : build_place(level->built, field);
    return 0;
}

static inline int scan_number(struct scan *scan, const struct wire_field *field, const uint8_t *end,
                              void *place) {
    uint64_t value;
    int r = read_varint(scan, end, &value);
    if (r != 0) {
        return r;
    }
    if (value > field->max) {
        return refuse(scan, REASON_BAD_FRAME, "a number is too wide for its field");
    }
    if (place != NULL) {
        build_number(place, field, value);
    }
    return 0;
}

static inline int read_length(struct scan *scan, const uint8_t *end, const uint8_t **ret_end) {
    uint64_t length;
    const uint8_t *begin = scan->at;
    int r = read_varint(scan, end, &length);
    if (r != 0) {
        return r;
    }
    if (GUARD(wire_truncated) && length > (size_t)(end - scan->at)) {
        return refuse(scan, REASON_BAD_FRAME, "a length beyond the end");
    }
    if (GUARD(wire_length_bytes) && scan->at - begin > LENGTH_BYTES_MAX) {
        return refuse(scan, REASON_BAD_FRAME, "a length is too long");
    }
    *ret_end = scan->at + length;
    return 0;
}

static int scan_packed(struct scan *scan, struct level *level, const struct wire_field *field,
                       const uint8_t *end) {
    struct build_column *column = &level->columns[field->column];
    if (level->built != NULL) {
        size_t more = count_varints(scan->at, end);
        more = more > field->count_max ? field->count_max : more; // no more than may stand
        if (!build_room(&scan->build, level->built, field, column, more)) {
            return refuse_full(scan);
        }
    }
    int r = 0;
    while (r == 0 && scan->at < end) {
        r = count_element(scan, column, field);
        if (r == 0) {
            bool has_place = level->built != NULL && column->n <= column->room;
            r = scan_number(scan, field, end,
                            has_place ? build_element(level->built, field, column->n) : NULL);
        }
    }
    return r;
}

// A text, or bytes, up to `end`.
static int scan_text(struct scan *scan, struct level *level, const struct wire_field *field,
                     const uint8_t *end, void *place) {
    const uint8_t *at = scan->at;
    size_t length = (size_t)(end - at);
    if (GUARD(wire_lengths) && length > field->max) {
        return refuse(scan, REASON_TOO_LARGE, field->why_not);
    }
    scan->at = end;
    if (field->kind == WIRE_BYTES) {
        if (place != NULL) {
            build_bytes(&scan->build, place, at, length);
        }
        return 0;
    }
    enum utf8_kind kind = utf8_kind(at, length);
    if (GUARD(wire_utf8) && kind == UTF8_MALFORMED) {
        return refuse(scan, REASON_BAD_FRAME, "text that is not UTF-8, or holds a NUL");
    }
    if (kind == UTF8_WITH_CONTROLS && field->number < CONTROLS_BITS) {
        level->controls |= UINT64_C(1) << field->number;
    }
    if (place != NULL) {
        build_text(&scan->build, place, at, length);
    }
    return 0;
}

static int scan_message(struct scan *scan, const struct wire_field *field, const uint8_t *end,
                        void *place) {
    if (scan->top == &scan->levels[WIRE_DEPTH_MAX - 1]) {
        return refuse(scan, REASON_BAD_FRAME, "nested too deeply");
    }
    int r = enter(scan, scan->top + 1, field->message, end);
    if (r == 0 && place != NULL) {
        memcpy(place, &scan->top->built, sizeof(scan->top->built));
    }
    return r;
}

static int scan_known(struct scan *scan, struct level *level, const struct wire_field *field,
                      unsigned wire_type) {
    bool packed = wire_type != field->wire_type;
    if (packed && (wire_type != WIRE_LENGTH || !field->is_repeated)) {
        return refuse(scan, REASON_BAD_FRAME, "a field has the wrong wire type");
    }
    void *place = NULL;
    int r = 0;
    if (!field->is_repeated) {
        r = place_singular(scan, level, field, &place);
    } else if (!packed) {
        r = place_element(scan, level, field, &place);
    }
    if (r != 0) {
        return r;
    }
    if (wire_type == WIRE_VARINT) {
        return scan_number(scan, field, level->end, place);
    }
    const uint8_t *end;
    r = read_length(scan, level->end, &end);
    if (r != 0) {
        return r;
    }
    if (packed) {
        return scan_packed(scan, level, field, end);
    }
    return field->kind == WIRE_MESSAGE ? scan_message(scan, field, end, place)
                                       : scan_text(scan, level, field, end, place);
}

static int skip_fixed(struct scan *scan, const uint8_t *end, size_t width) {
    if ((size_t)(end - scan->at) < width) {
        return refuse(scan, REASON_BAD_FRAME, "truncated");
    }
    scan->at += width;
    return 0;
}

// Fixed-width numbers pass here only: no .proto file of ours has one.
static int skip_value(struct scan *scan, const uint8_t *end, unsigned wire_type) {
    uint64_t ignored;
    switch (wire_type) {
    case WIRE_VARINT:
        return read_varint(scan, end, &ignored);
    case WIRE_LENGTH: {
        int r = read_length(scan, end, &end);
        scan->at = r == 0 ? end : scan->at;
        return r;
    }
    case WIRE_64:
        return skip_fixed(scan, end, 8);
    case WIRE_32:
        return skip_fixed(scan, end, 4);
    default:
        return refuse(scan, REASON_BAD_FRAME, "an unknown wire type");
    }
}

static int scan_unknown(struct scan *scan, struct level *level, uint64_t tag) {
    const uint8_t *begin = scan->at;
    uint64_t number = tag >> FIELD_NUMBER_SHIFT;
    if (tag > UINT32_MAX || number == 0 || begin - scan->tag > TAG_BYTES_MAX) {
        return refuse(scan, REASON_BAD_FRAME, "a field number out of range");
    }
    if (GUARD(wire_unknown) && ++scan->n_unknown > WIRE_UNKNOWN_MAX) {
        return refuse(scan, REASON_TOO_LARGE, "too many unknown fields");
    }
    int r = skip_value(scan, level->end, tag & 7);
    if (r == 0 && level->built != NULL &&
        !build_unknown(&scan->build, level->built, (uint32_t)number, tag & 7, begin,
                       (size_t)(scan->at - begin))) {
        return refuse_full(scan);
    }
    return r;
}

static int scan_field(struct scan *scan, struct level *level) {
    uint64_t tag;
    scan->tag = scan->at;
    int r = read_varint(scan, level->end, &tag);
    if (r != 0) {
        return r;
    }
    uint64_t number = tag >> FIELD_NUMBER_SHIFT;
    if (number < level->message->n_fields && scan->at - scan->tag <= TAG_BYTES_MAX) {
        const struct wire_field *field = &level->message->fields[number];
        if (field->kind != WIRE_UNKNOWN) {
            return scan_known(scan, level, field, tag & 7);
        }
    }
    return scan_unknown(scan, level, tag);
}

static int walk(struct scan *scan, const ProtobufCMessageDescriptor *descriptor,
                const uint8_t *data, size_t size) {
    scan->at = data;
    scan->n_unknown = 0;
    scan->why = NULL;
    int r = enter(scan, scan->levels, wire_message(descriptor), data + size);
    while (r == 0) {
        struct level *level = scan->top;
        if (scan->at != level->end) {
            r = scan_field(scan, level);
        } else if (level != scan->levels) {
            scan->top--;
        } else {
            break;
        }
    }
    return r;
}

static const uint8_t nothing[1]; // protobuf-c gives no address to empty bytes

int envelope_scan(const ProtobufCMessageDescriptor *message, const uint8_t *data, size_t size,
                  uint64_t *ret_controls, const char **ret_why) {
    struct scan scan; // levels are set up as they are entered
    scan.build = (struct build){.arena = NULL};
    int r = walk(&scan, message, size == 0 ? nothing : data, size);
    if (r == 0) {
        *ret_controls = scan.levels[0].controls;
    } else {
        *ret_why = scan.why;
    }
    return r;
}

int envelope_read(const ProtobufCMessageDescriptor *message, const uint8_t *data, size_t size,
                  struct arena *arena, ProtobufCMessage **ret, uint64_t *ret_controls,
                  const char **ret_why) {
    struct scan scan;
    struct arena_mark mark = arena_mark(arena);
    int r = build_start(&scan.build, arena, size) ? 0 : refuse_full(&scan);
    if (r == 0) {
        r = walk(&scan, message, size == 0 ? nothing : data, size);
    }
    if (r == 0) {
        *ret = scan.levels[0].built;
        *ret_controls = scan.levels[0].controls;
    } else {
        if (GUARD(refused_is_forgotten)) {
            arena_rewind(arena, &mark);
        }
        *ret_why = scan.why;
    }
    return r;
}
