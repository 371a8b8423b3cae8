// SPDX-License-Identifier: Apache-2.0
// Messages that are being packed stand on a stack of PACK_DEPTH_MAX, each with the field it has
// come to; nothing recurses. Everything is written backwards: the bytes of a value, its length, its
// tag. It knows what proto3 makes of a .proto file: singular, repeated (numbers packed) and oneof
// fields of the types our files use. Any other field is a bug of ours.
// https://protobuf.dev/programming-guides/encoding/
#include "schemas/base/pack.h"

#include <assert.h>
#include <endian.h>
#include <stdbool.h>
#include <string.h>

#include "schemas/base/guards.h"

enum { WIRE_VARINT = 0, WIRE_LENGTH = 2, FIELD_NUMBER_SHIFT = 3 };
enum {
    VARINT_BYTES_MAX = 10,
    TAG_BYTES_MAX = 5,
    HALF_WORD_VARINT_BITS = 28,
    WORD_VARINT_BITS = 56
};
enum { SCRATCH_BYTES = 32 }; // for two varints

struct level {
    const ProtobufCMessage *message;
    const ProtobufCFieldDescriptor *first; // of its fields
    const ProtobufCFieldDescriptor *field; // the one it has come to
    size_t left;                           // elements of it that are not packed yet
    const uint8_t *end;
};

struct packing {
    const uint8_t *begin;
    unsigned depth;
    struct level levels[PACK_DEPTH_MAX];
};

// ---- varints: what they write ends at `at`, they return where it begins

// Of a value that is not 0. Sets eight bytes before `at` and uses as many as it needs: the
// seven-bit groups are spread over a word's bytes at once, all but the last of which say that one
// follows.
static inline uint8_t *put_word(uint8_t *at, uint64_t value) {
    unsigned size = ((63 - (unsigned)__builtin_clzll(value)) * 9 + 73) / 64; // a seventh, rounded
    uint64_t word = (value & 0x000000000fffffff) | (value & 0x00fffffff0000000) << 4;
    word = (word & 0x00003fff00003fff) | (word & 0x0fffc0000fffc000) << 2;
    word = (word & 0x007f007f007f007f) | (word & 0x3f803f803f803f80) << 1;
    word = htole64(word << (64 - 8 * size) | 0x0080808080808080);
    memcpy(at - sizeof(word), &word, sizeof(word));
    return at - size;
}

// The same with four bytes.
static inline uint8_t *put_half_word(uint8_t *at, uint32_t value) {
    unsigned size = ((31 - (unsigned)__builtin_clz(value)) * 9 + 73) / 64;
    uint32_t word = (value & 0x00003fff) | (value & 0x0fffc000) << 2;
    word = (word & 0x007f007f) | (word & 0x3f803f80) << 1;
    word = htole32(word << (32 - 8 * size) | 0x00808080);
    memcpy(at - sizeof(word), &word, sizeof(word));
    return at - size;
}

__attribute__((noinline)) static uint8_t *put_longest(uint8_t *at, uint64_t value) {
    bool has_top = value >> 63 != 0;
    if (has_top) {
        *--at = 1;
    }
    *--at = (uint8_t)((value >> WORD_VARINT_BITS & 0x7f) | (has_top ? 0x80 : 0));
    at -= 8;
    for (unsigned i = 0; i < 8; i++) {
        at[i] = (uint8_t)(value >> (7 * i) | 0x80);
    }
    return at;
}

// Needs VARINT_BYTES_MAX of room, whatever it uses.
static inline uint8_t *put_varint(uint8_t *at, uint64_t value) {
    if (value < 0x80) {
        *--at = (uint8_t)value;
        return at;
    }
    if (value >> HALF_WORD_VARINT_BITS == 0) {
        return put_half_word(at, (uint32_t)value);
    }
    return value >> WORD_VARINT_BITS == 0 ? put_word(at, value) : put_longest(at, value);
}

static inline uint8_t *put_tagged(uint8_t *at, uint32_t id, unsigned wire_type, uint64_t value) {
    at = put_varint(at, value);
    return put_varint(at, (uint64_t)id << FIELD_NUMBER_SHIFT | wire_type);
}

// ---- with an eye on the room: NULL where it does not fit

static inline bool has_room(const uint8_t *begin, const uint8_t *at, size_t size) {
    return !GUARD(pack_room) || size <= (size_t)(at - begin);
}

static inline uint8_t *write_bytes(const uint8_t *begin, uint8_t *at, const void *data,
                                   size_t size) {
    if (!has_room(begin, at, size)) {
        return NULL;
    }
    at -= size;
    if (size > 0) {
        memcpy(at, data, size);
    }
    return at;
}

// Where room is scarce, made elsewhere first.
static uint8_t *write_tagged_tight(const uint8_t *begin, uint8_t *at, uint32_t id,
                                   unsigned wire_type, uint64_t value) {
    uint8_t scratch[SCRATCH_BYTES];
    uint8_t *end = scratch + sizeof(scratch);
    const uint8_t *made = put_tagged(end, id, wire_type, value);
    return write_bytes(begin, at, made, (size_t)(end - made));
}

// A varint value behind its tag, or the length of what was written, and its tag.
static inline uint8_t *write_tagged(const uint8_t *begin, uint8_t *at, uint32_t id,
                                    unsigned wire_type, uint64_t value) {
    return (size_t)(at - begin) >= SCRATCH_BYTES
               ? put_tagged(at, id, wire_type, value)
               : write_tagged_tight(begin, at, id, wire_type, value);
}

static uint8_t *write_data(const uint8_t *begin, uint8_t *at, uint32_t id, const void *data,
                           size_t size) {
    at = write_bytes(begin, at, data, size);
    return at == NULL ? NULL : write_tagged(begin, at, id, WIRE_LENGTH, size);
}

static inline uint8_t *write_text(const uint8_t *begin, uint8_t *at, uint32_t id,
                                  const char *text) {
    return write_data(begin, at, id, text, text == NULL ? 0 : strlen(text));
}

static uint8_t *write_unknown(const uint8_t *begin, uint8_t *at, const ProtobufCMessage *message) {
    for (size_t i = message->n_unknown_fields; at != NULL && i-- > 0;) {
        const ProtobufCMessageUnknownField *field = &message->unknown_fields[i];
        uint8_t scratch[SCRATCH_BYTES];
        uint8_t *end = scratch + sizeof(scratch);
        const uint8_t *tag =
            put_varint(end, (uint64_t)field->tag << FIELD_NUMBER_SHIFT | field->wire_type);
        at = write_bytes(begin, at, field->data, field->len);
        at = at == NULL ? NULL : write_bytes(begin, at, tag, (size_t)(end - tag));
    }
    return at;
}

// ---- numbers

static inline uint64_t zigzag(int64_t value) {
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

// The number at `member` as its varint says it.
static inline uint64_t read_number(ProtobufCType type, const void *member) {
    uint32_t narrow;
    uint64_t wide;
    switch (type) {
    case PROTOBUF_C_TYPE_UINT64:
        memcpy(&wide, member, sizeof(wide));
        return wide;
    case PROTOBUF_C_TYPE_SINT64:
        memcpy(&wide, member, sizeof(wide));
        return zigzag((int64_t)wide);
    case PROTOBUF_C_TYPE_SINT32:
        memcpy(&narrow, member, sizeof(narrow));
        return zigzag((int32_t)narrow);
    case PROTOBUF_C_TYPE_UINT32:
        memcpy(&narrow, member, sizeof(narrow));
        return narrow;
    case PROTOBUF_C_TYPE_ENUM: // negative ones are sign-extended
        memcpy(&narrow, member, sizeof(narrow));
        return (uint64_t)(int32_t)narrow;
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    assert(type == PROTOBUF_C_TYPE_BOOL); // no .proto file of ours has the others
    memcpy(&narrow, member, sizeof(narrow));
    return narrow != 0;
}

// The types of long columns, with all the room that the numbers can need: a function each, whose
// registers hold the constants of put_word from one number to the next.
__attribute__((noinline)) static uint8_t *put_uint32s(uint8_t *at, const uint32_t *elements,
                                                      size_t n) {
    while (n-- > 0) {
        at = put_varint(at, elements[n]);
    }
    return at;
}

__attribute__((noinline)) static uint8_t *put_uint64s(uint8_t *at, const uint64_t *elements,
                                                      size_t n) {
    while (n-- > 0) {
        at = put_varint(at, elements[n]);
    }
    return at;
}

__attribute__((noinline)) static uint8_t *put_sint64s(uint8_t *at, const int64_t *elements,
                                                      size_t n) {
    while (n-- > 0) {
        at = put_varint(at, zigzag(elements[n]));
    }
    return at;
}

static uint8_t *write_numbers_tight(const uint8_t *begin, uint8_t *at, ProtobufCType type,
                                    const char *elements, size_t n) {
    size_t size = type == PROTOBUF_C_TYPE_UINT64 || type == PROTOBUF_C_TYPE_SINT64
                      ? sizeof(uint64_t)
                      : sizeof(uint32_t);
    while (at != NULL && n-- > 0) {
        uint8_t scratch[SCRATCH_BYTES];
        uint8_t *end = scratch + sizeof(scratch);
        const uint8_t *made = put_varint(end, read_number(type, elements + n * size));
        at = write_bytes(begin, at, made, (size_t)(end - made));
    }
    return at;
}

static uint8_t *write_column(const uint8_t *begin, uint8_t *at,
                             const ProtobufCFieldDescriptor *field, const void *elements,
                             size_t n) {
    assert((field->flags & PROTOBUF_C_FIELD_FLAG_PACKED) != 0);
    const uint8_t *end = at;
    if (n > (size_t)(at - begin) / VARINT_BYTES_MAX) {
        at = write_numbers_tight(begin, at, field->type, elements, n);
    } else if (field->type == PROTOBUF_C_TYPE_UINT32) {
        at = put_uint32s(at, elements, n);
    } else if (field->type == PROTOBUF_C_TYPE_UINT64) {
        at = put_uint64s(at, elements, n);
    } else if (field->type == PROTOBUF_C_TYPE_SINT64) {
        at = put_sint64s(at, elements, n);
    } else {
        at = write_numbers_tight(begin, at, field->type, elements, n);
    }
    return at == NULL ? NULL : write_tagged(begin, at, field->id, WIRE_LENGTH, (size_t)(end - at));
}

// ---- fields. A field of messages is left to the stack: *ret_left of them

static uint8_t *write_elements(const uint8_t *begin, uint8_t *at,
                               const ProtobufCFieldDescriptor *field, const char *message,
                               size_t *ret_left) {
    size_t n;
    const void *elements;
    memcpy(&n, message + field->quantifier_offset, sizeof(n));
    if (n == 0) {
        return at;
    }
    memcpy(&elements, message + field->offset, sizeof(elements));
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        *ret_left = n;
    } else if (field->type == PROTOBUF_C_TYPE_STRING) {
        char *const *texts = elements;
        while (at != NULL && n-- > 0) {
            at = write_text(begin, at, field->id, texts[n]);
        }
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        const ProtobufCBinaryData *data = elements;
        while (at != NULL && n-- > 0) {
            at = write_data(begin, at, field->id, data[n].data, data[n].len);
        }
    } else {
        at = write_column(begin, at, field, elements, n);
    }
    return at;
}

// Whether a oneof's member is the one that is set.
static bool is_chosen(const ProtobufCFieldDescriptor *field, const char *message) {
    uint32_t number;
    memcpy(&number, message + field->quantifier_offset, sizeof(number));
    return number == field->id;
}

// A singular field that is not a oneof's is left out where it is empty or zero; of a oneof the one
// that is set always stands, but for a text or a message that is NULL or as at first.
static inline uint8_t *write_singular(const uint8_t *begin, uint8_t *at,
                                      const ProtobufCFieldDescriptor *field, const char *message,
                                      size_t *ret_left) {
    const char *member = message + field->offset;
    bool is_oneof = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    if (is_oneof && !is_chosen(field, message)) {
        return at;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text;
        memcpy(&text, member, sizeof(text));
        bool stands = text != NULL && (is_oneof ? text != field->default_value : *text != '\0');
        return stands ? write_text(begin, at, field->id, text) : at;
    }
    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        ProtobufCBinaryData data;
        memcpy(&data, member, sizeof(data));
        bool stands = data.len > 0 || is_oneof;
        return stands ? write_data(begin, at, field->id, data.data, data.len) : at;
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const void *nested;
        memcpy(&nested, member, sizeof(nested));
        *ret_left = nested != NULL;
        return at;
    }
    uint64_t number = read_number(field->type, member);
    bool stands = number != 0 || is_oneof;
    return stands ? write_tagged(begin, at, field->id, WIRE_VARINT, number) : at;
}

// ---- messages

static void push(struct packing *packing, const ProtobufCMessage *message,
                 const ProtobufCFieldDescriptor *first, const ProtobufCFieldDescriptor *end,
                 const uint8_t *at) {
    assert(packing->depth < PACK_DEPTH_MAX);
    packing->levels[packing->depth++] =
        (struct level){.message = message, .first = first, .field = end, .end = at};
}

// Puts a whole message onto the stack; its unknown fields come last.
static uint8_t *enter(struct packing *packing, const ProtobufCMessage *message, uint8_t *at) {
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    push(packing, message, descriptor->fields, descriptor->fields + descriptor->n_fields, at);
    return message->n_unknown_fields == 0 ? at : write_unknown(packing->begin, at, message);
}

// The next of the messages that a level's field still has.
static uint8_t *enter_element(struct packing *packing, struct level *level, uint8_t *at) {
    const ProtobufCFieldDescriptor *field = level->field;
    const char *member = (const char *)level->message + field->offset;
    ProtobufCMessage *const *elements = (const void *)member;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        memcpy(&elements, member, sizeof(elements));
    }
    return enter(packing, elements[--level->left], at);
}

// The fields of a level, down to its first or to one of messages.
static uint8_t *write_fields(const uint8_t *begin, uint8_t *at, struct level *level) {
    const ProtobufCFieldDescriptor *field = level->field;
    const ProtobufCFieldDescriptor *first = level->first;
    const char *message = (const char *)level->message;
    size_t left = 0;
    while (at != NULL && left == 0 && field > first) {
        field--;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            at = write_elements(begin, at, field, message, &left);
        } else {
            assert(field->label == PROTOBUF_C_LABEL_NONE);
            at = write_singular(begin, at, field, message, &left);
        }
    }
    level->field = field;
    level->left = left;
    return at;
}

static uint8_t *pack(struct packing *packing, uint8_t *at) {
    while (at != NULL && packing->depth > 0) {
        struct level *level = &packing->levels[packing->depth - 1];
        if (level->left == 0) {
            at = write_fields(packing->begin, at, level);
        }
        if (at != NULL && level->left > 0) {
            at = enter_element(packing, level, at);
        } else if (at != NULL && --packing->depth > 0) {
            at = write_tagged(packing->begin, at, level[-1].field->id, WIRE_LENGTH,
                              (size_t)(level->end - at));
        }
    }
    return at;
}

uint8_t *pack_before(const ProtobufCMessage *message, uint8_t *begin, uint8_t *end) {
    struct packing packing; // levels are set up as they are entered
    packing.begin = begin;
    packing.depth = 0;
    uint8_t *at = enter(&packing, message, end);
    return pack(&packing, at);
}

uint8_t *pack_fields_before(const ProtobufCMessage *message, uint32_t first, uint32_t last,
                            uint8_t *begin, uint8_t *end) {
    const ProtobufCFieldDescriptor *fields = message->descriptor->fields;
    const ProtobufCFieldDescriptor *to = fields + message->descriptor->n_fields;
    while (to > fields && to[-1].id > last) {
        to--;
    }
    const ProtobufCFieldDescriptor *from = to;
    while (from > fields && from[-1].id >= first) {
        from--;
    }
    struct packing packing;
    packing.begin = begin;
    packing.depth = 0;
    push(&packing, message, from, to, end);
    return pack(&packing, end);
}

uint8_t *pack_unknown_before(const ProtobufCMessage *message, uint8_t *begin, uint8_t *end) {
    return write_unknown(begin, end, message);
}
