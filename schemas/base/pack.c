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
enum { VARINT_BYTES_MAX = 10, WORD_VARINT_BITS = 56 };

struct level {
    const ProtobufCMessage *message;
    const ProtobufCFieldDescriptor *first; // of its fields
    const ProtobufCFieldDescriptor *field; // the one it has come to
    size_t left;                           // elements of it that are not packed yet
    const uint8_t *end;
};

struct packing {
    uint8_t *begin;
    uint8_t *at; // what follows is written
    unsigned depth;
    struct level levels[PACK_DEPTH_MAX];
};

static bool has_room(const struct packing *packing, size_t size) {
    return !GUARD(pack_room) || size <= (size_t)(packing->at - packing->begin);
}

// As many bytes as are used of the eight that it sets before `at`: the seven-bit groups are spread
// over a word's bytes at once, all but the last of which say that another one follows.
static uint8_t *put_word_varint(uint8_t *at, uint64_t value) {
    unsigned n_bits = 64 - (unsigned)__builtin_clzll(value | 1);
    unsigned n_unused = 8 - (n_bits + 6) / 7;
    uint64_t word = (value & 0x000000000fffffff) | (value & 0x00fffffff0000000) << 4;
    word = (word & 0x00003fff00003fff) | (word & 0x0fffc0000fffc000) << 2;
    word = (word & 0x007f007f007f007f) | (word & 0x3f803f803f803f80) << 1;
    word |= 0x0080808080808080 >> (8 * n_unused);
    word = htole64(word << (8 * n_unused));
    memcpy(at - 8, &word, sizeof(word));
    return at - (8 - n_unused);
}

// With VARINT_BYTES_MAX of room.
static inline uint8_t *put_varint(uint8_t *at, uint64_t value) {
    if (value < 0x80) {
        *--at = (uint8_t)value;
        return at;
    }
    if (value >> WORD_VARINT_BITS == 0) {
        return put_word_varint(at, value);
    }
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

// The same where room is scarce.
static bool write_varint_tight(struct packing *packing, uint64_t value) {
    uint8_t bytes[2 * VARINT_BYTES_MAX];
    uint8_t *end = bytes + sizeof(bytes);
    uint8_t *at = put_varint(end, value);
    size_t size = (size_t)(end - at);
    if (!has_room(packing, size)) {
        return false;
    }
    packing->at -= size;
    memcpy(packing->at, at, size);
    return true;
}

static inline bool write_varint(struct packing *packing, uint64_t value) {
    if (!has_room(packing, VARINT_BYTES_MAX)) {
        return write_varint_tight(packing, value);
    }
    packing->at = put_varint(packing->at, value);
    return true;
}

static inline bool write_tag(struct packing *packing, const ProtobufCFieldDescriptor *field,
                             unsigned wire_type) {
    return write_varint(packing, (uint64_t)field->id << FIELD_NUMBER_SHIFT | wire_type);
}

static inline bool write_bytes(struct packing *packing, const void *data, size_t size) {
    if (!has_room(packing, size)) {
        return false;
    }
    packing->at -= size;
    if (size > 0) {
        memcpy(packing->at, data, size);
    }
    return true;
}

// Length and tag of what was written since the position `end`.
static inline bool write_head(struct packing *packing, const ProtobufCFieldDescriptor *field,
                              const uint8_t *end) {
    return write_varint(packing, (uint64_t)(end - packing->at)) &&
           write_tag(packing, field, WIRE_LENGTH);
}

static uint64_t zigzag(int64_t value) {
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

static bool write_text(struct packing *packing, const ProtobufCFieldDescriptor *field,
                       const char *text) {
    const uint8_t *end = packing->at;
    return write_bytes(packing, text, text == NULL ? 0 : strlen(text)) &&
           write_head(packing, field, end);
}

static bool write_data(struct packing *packing, const ProtobufCFieldDescriptor *field,
                       const ProtobufCBinaryData *data) {
    const uint8_t *end = packing->at;
    return write_bytes(packing, data->data, data->len) && write_head(packing, field, end);
}

static inline size_t size_of_number(ProtobufCType type) {
    return type == PROTOBUF_C_TYPE_UINT64 || type == PROTOBUF_C_TYPE_SINT64 ? sizeof(uint64_t)
                                                                            : sizeof(uint32_t);
}

static inline bool write_numbers(struct packing *packing, ProtobufCType type, const char *elements,
                                 size_t n) {
    size_t size = size_of_number(type);
    if (n > SIZE_MAX / VARINT_BYTES_MAX || !has_room(packing, n * VARINT_BYTES_MAX)) {
        for (size_t i = n; i-- > 0;) {
            if (!write_varint(packing, read_number(type, elements + i * size))) {
                return false;
            }
        }
        return true;
    }
    uint8_t *at = packing->at;
    for (size_t i = n; i-- > 0;) {
        at = put_varint(at, read_number(type, elements + i * size));
    }
    packing->at = at;
    return true;
}

// A column; those that long ones have are compiled each for its own.
static bool write_column(struct packing *packing, const ProtobufCFieldDescriptor *field,
                         const char *elements, size_t n) {
    assert((field->flags & PROTOBUF_C_FIELD_FLAG_PACKED) != 0);
    const uint8_t *end = packing->at;
    bool fits;
    if (field->type == PROTOBUF_C_TYPE_UINT32) {
        fits = write_numbers(packing, PROTOBUF_C_TYPE_UINT32, elements, n);
    } else if (field->type == PROTOBUF_C_TYPE_UINT64) {
        fits = write_numbers(packing, PROTOBUF_C_TYPE_UINT64, elements, n);
    } else if (field->type == PROTOBUF_C_TYPE_SINT64) {
        fits = write_numbers(packing, PROTOBUF_C_TYPE_SINT64, elements, n);
    } else {
        fits = write_numbers(packing, field->type, elements, n);
    }
    return fits && write_head(packing, field, end);
}

static void push(struct packing *packing, const ProtobufCMessage *message, uint32_t first,
                 uint32_t last) {
    assert(packing->depth < PACK_DEPTH_MAX);
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    const ProtobufCFieldDescriptor *begin = descriptor->fields;
    const ProtobufCFieldDescriptor *end = descriptor->fields + descriptor->n_fields;
    while (begin < end && end[-1].id > last) {
        end--;
    }
    while (begin < end && begin->id < first) {
        begin++;
    }
    packing->levels[packing->depth++] =
        (struct level){.message = message, .first = begin, .field = end, .end = packing->at};
}

static bool write_unknown(struct packing *packing, const ProtobufCMessage *message) {
    for (size_t i = message->n_unknown_fields; i-- > 0;) {
        const ProtobufCMessageUnknownField *field = &message->unknown_fields[i];
        if (!write_bytes(packing, field->data, field->len) ||
            !write_varint(packing, (uint64_t)field->tag << FIELD_NUMBER_SHIFT | field->wire_type)) {
            return false;
        }
    }
    return true;
}

// Puts a message that is a field's value onto the stack; its unknown fields come last.
static bool enter(struct packing *packing, const ProtobufCMessage *message) {
    push(packing, message, 0, UINT32_MAX);
    return write_unknown(packing, message);
}

static bool write_elements(struct packing *packing, struct level *level,
                           const ProtobufCFieldDescriptor *field) {
    size_t n;
    const char *elements;
    memcpy(&n, (const char *)level->message + field->quantifier_offset, sizeof(n));
    memcpy(&elements, (const char *)level->message + field->offset, sizeof(elements));
    if (n == 0) {
        return true;
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        level->left = n;
        return true;
    }
    bool fits = true;
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        for (size_t i = n; fits && i-- > 0;) {
            fits = write_text(packing, field, ((char *const *)elements)[i]);
        }
        return fits;
    }
    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        for (size_t i = n; fits && i-- > 0;) {
            fits = write_data(packing, field, &((const ProtobufCBinaryData *)elements)[i]);
        }
        return fits;
    }
    return write_column(packing, field, elements, n);
}

// A singular field that is not a oneof's is left out where it is empty or zero; of a oneof the one
// that is set always stands, but for a text or a message that is NULL or as at first.
static bool write_singular(struct packing *packing, struct level *level,
                           const ProtobufCFieldDescriptor *field) {
    const char *member = (const char *)level->message + field->offset;
    bool is_oneof = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    if (is_oneof) {
        uint32_t number;
        memcpy(&number, (const char *)level->message + field->quantifier_offset, sizeof(number));
        if (number != field->id) {
            return true;
        }
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text;
        memcpy(&text, member, sizeof(text));
        bool stands = text != NULL && (is_oneof ? text != field->default_value : *text != '\0');
        return !stands || write_text(packing, field, text);
    }
    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        const ProtobufCBinaryData *data = (const void *)member;
        return (data->len == 0 && !is_oneof) || write_data(packing, field, data);
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const void *message;
        memcpy(&message, member, sizeof(message));
        level->left = message != NULL ? 1 : 0;
        return true;
    }
    uint64_t number = read_number(field->type, member);
    return (number == 0 && !is_oneof) ||
           (write_varint(packing, number) && write_tag(packing, field, WIRE_VARINT));
}

static bool write_field(struct packing *packing, struct level *level) {
    const ProtobufCFieldDescriptor *field = --level->field;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return write_elements(packing, level, field);
    }
    assert(field->label == PROTOBUF_C_LABEL_NONE);
    return write_singular(packing, level, field);
}

// The next of the messages that a level's field still has.
static bool enter_element(struct packing *packing, struct level *level) {
    const ProtobufCFieldDescriptor *field = level->field;
    const char *member = (const char *)level->message + field->offset;
    ProtobufCMessage *const *elements = (const void *)member;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        memcpy(&elements, member, sizeof(elements));
    }
    return enter(packing, elements[--level->left]);
}

static uint8_t *pack(struct packing *packing) {
    while (packing->depth > 0) {
        struct level *level = &packing->levels[packing->depth - 1];
        bool fits = true;
        while (fits && level->left == 0 && level->field > level->first) {
            fits = write_field(packing, level);
        }
        if (fits && level->left > 0) {
            fits = enter_element(packing, level);
        } else if (fits && --packing->depth > 0) {
            fits = write_head(packing, level[-1].field, level->end);
        }
        if (!fits) {
            return NULL;
        }
    }
    return packing->at;
}

uint8_t *pack_before(const ProtobufCMessage *message, uint8_t *begin, uint8_t *end) {
    struct packing packing; // levels are set up as they are entered
    packing.begin = begin;
    packing.at = end;
    packing.depth = 0;
    return enter(&packing, message) ? pack(&packing) : NULL;
}

uint8_t *pack_fields_before(const ProtobufCMessage *message, uint32_t first, uint32_t last,
                            uint8_t *begin, uint8_t *end) {
    struct packing packing;
    packing.begin = begin;
    packing.at = end;
    packing.depth = 0;
    push(&packing, message, first, last);
    return pack(&packing);
}

uint8_t *pack_unknown_before(const ProtobufCMessage *message, uint8_t *begin, uint8_t *end) {
    struct packing packing;
    packing.begin = begin;
    packing.at = end;
    packing.depth = 0;
    return write_unknown(&packing, message) ? packing.at : NULL;
}
