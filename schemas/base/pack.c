// SPDX-License-Identifier: Apache-2.0
// Messages that are being packed stand on a stack of PACK_DEPTH_MAX, each with the field it has
// come to; nothing recurses. Everything is written backwards: the bytes of a value, its length, its
// tag. What a message's fields are is read from its plan (pack_plan.h).
// https://protobuf.dev/programming-guides/encoding/
#include "schemas/base/pack.h"

#include <assert.h>
#include <endian.h>
#include <stdbool.h>
#include <string.h>

#include "schemas/base/guards.h"
#include "schemas/base/pack_plan.h"

enum { VARINT_BYTES_MAX = 10, HALF_WORD_VARINT_BITS = 28, WORD_VARINT_BITS = 56 };

struct level {
    const ProtobufCMessage *message;
    const struct pack_row *first; // of its fields
    const struct pack_row *row;   // the one it has come to
    size_t left;                  // elements of it that are not packed yet
    const uint8_t *end;
};

struct packing {
    unsigned depth;
    struct level levels[PACK_DEPTH_MAX]; // set up as they are entered
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

// Needs PACK_TAG_BYTES_MAX of room, whatever it uses.
static inline uint8_t *put_tag(uint8_t *at, const struct pack_row *row) {
    memcpy(at - PACK_TAG_BYTES_MAX, row->tag, PACK_TAG_BYTES_MAX);
    return at - row->tag_size;
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

// Made elsewhere first where room is scarce.
__attribute__((noinline)) static uint8_t *write_varint(const uint8_t *begin, uint8_t *at,
                                                       uint64_t value) {
    uint8_t scratch[VARINT_BYTES_MAX];
    uint8_t *end = scratch + sizeof(scratch);
    if (at - begin >= VARINT_BYTES_MAX) {
        return put_varint(at, value);
    }
    const uint8_t *made = put_varint(end, value);
    return write_bytes(begin, at, made, (size_t)(end - made));
}

__attribute__((noinline)) static uint8_t *
write_tagged_tight(const uint8_t *begin, uint8_t *at, const struct pack_row *row, uint64_t value) {
    const uint8_t *tag = row->tag + PACK_TAG_BYTES_MAX - row->tag_size;
    at = write_varint(begin, at, value);
    return at == NULL ? NULL : write_bytes(begin, at, tag, row->tag_size);
}

// A varint value behind its tag, or the length of what was written, and its tag.
static inline uint8_t *write_tagged(const uint8_t *begin, uint8_t *at, const struct pack_row *row,
                                    uint64_t value) {
    return at - begin >= VARINT_BYTES_MAX + PACK_TAG_BYTES_MAX
               ? put_tag(put_varint(at, value), row)
               : write_tagged_tight(begin, at, row, value);
}

static inline uint8_t *write_data(const uint8_t *begin, uint8_t *at, const struct pack_row *row,
                                  const void *data, size_t size) {
    at = write_bytes(begin, at, data, size);
    return at == NULL ? NULL : write_tagged(begin, at, row, size);
}

static inline uint8_t *write_text(const uint8_t *begin, uint8_t *at, const struct pack_row *row,
                                  const char *text) {
    return write_data(begin, at, row, text, text == NULL ? 0 : strlen(text));
}

// They come last in a message.
static inline uint8_t *write_unknown(const uint8_t *begin, uint8_t *at,
                                     const ProtobufCMessage *message) {
    for (size_t i = message->n_unknown_fields; at != NULL && i-- > 0;) {
        const ProtobufCMessageUnknownField *field = &message->unknown_fields[i];
        uint64_t tag = (uint64_t)field->tag << PACK_NUMBER_SHIFT | field->wire_type;
        at = write_bytes(begin, at, field->data, field->len);
        at = at == NULL ? NULL : write_varint(begin, at, tag);
    }
    return at;
}

// ---- numbers

static inline uint64_t zigzag(int64_t value) {
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

// The n-th of the numbers at `elements` as its varint says it.
static inline uint64_t read_number(ProtobufCType type, const void *elements, size_t n) {
    const uint32_t *narrow = elements;
    const uint64_t *wide = elements;
    if (type == PROTOBUF_C_TYPE_ENUM) { // negative ones are sign-extended
        return (uint64_t)(int32_t)narrow[n];
    }
    if (type == PROTOBUF_C_TYPE_SINT32) {
        return zigzag((int32_t)narrow[n]);
    }
    if (type == PROTOBUF_C_TYPE_UINT32) {
        return narrow[n];
    }
    if (type == PROTOBUF_C_TYPE_UINT64) {
        return wide[n];
    }
    if (type == PROTOBUF_C_TYPE_SINT64) {
        return zigzag((int64_t)wide[n]);
    }
    assert(type == PROTOBUF_C_TYPE_BOOL); // no .proto file of ours has the others
    return narrow[n] != 0;
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
                                    const void *elements, size_t n) {
    while (at != NULL && n-- > 0) {
        at = write_varint(begin, at, read_number(type, elements, n));
    }
    return at;
}

static uint8_t *write_column(const uint8_t *begin, uint8_t *at, const struct pack_row *row,
                             const void *elements, size_t n) {
    const uint8_t *end = at;
    bool fits = n <= (size_t)(at - begin) / VARINT_BYTES_MAX;
    if (fits && row->type == PROTOBUF_C_TYPE_UINT32) {
        at = put_uint32s(at, elements, n);
    } else if (fits && row->type == PROTOBUF_C_TYPE_UINT64) {
        at = put_uint64s(at, elements, n);
    } else if (fits && row->type == PROTOBUF_C_TYPE_SINT64) {
        at = put_sint64s(at, elements, n);
    } else {
        at = write_numbers_tight(begin, at, row->type, elements, n);
    }
    return at == NULL ? NULL : write_tagged(begin, at, row, (size_t)(end - at));
}

// ---- fields. A field of messages is left to the stack: *ret_left of them

static inline const void *pointer_at(const char *member) {
    const void *pointer;
    memcpy(&pointer, member, sizeof(pointer));
    return pointer;
}

static uint8_t *write_texts(const uint8_t *begin, uint8_t *at, const struct pack_row *row,
                            char *const *texts, size_t n) {
    while (at != NULL && n-- > 0) {
        at = write_text(begin, at, row, texts[n]);
    }
    return at;
}

static inline uint8_t *write_datas(const uint8_t *begin, uint8_t *at, const struct pack_row *row,
                                   const void *elements, size_t n) {
    const ProtobufCBinaryData *data = elements;
    while (at != NULL && n-- > 0) {
        at = write_data(begin, at, row, data[n].data, data[n].len);
    }
    return at;
}

// The member of a oneof that is set always stands, but for a text or a message that is NULL or as
// at first.
static uint8_t *write_chosen(const uint8_t *begin, uint8_t *at, const struct pack_row *row,
                             const char *member, size_t *ret_left) {
    const char *text;
    if (row->type == PROTOBUF_C_TYPE_STRING) {
        text = pointer_at(member);
        bool stands = text != NULL && text != protobuf_c_empty_string;
        return stands ? write_text(begin, at, row, text) : at;
    }
    if (row->type == PROTOBUF_C_TYPE_BYTES) {
        return write_datas(begin, at, row, member, 1);
    }
    if (row->type == PROTOBUF_C_TYPE_MESSAGE) {
        *ret_left = pointer_at(member) != NULL;
        return at;
    }
    return write_tagged(begin, at, row, read_number(row->type, member, 0));
}

// A field whose word is not 0.
static inline uint8_t *write_field(const uint8_t *begin, uint8_t *at, const struct pack_row *row,
                                   const char *member, uint64_t word, size_t *ret_left) {
    const char *text;
    switch ((enum pack_kind)row->kind) {
    case PACK_KIND_UNSIGNED:
        return write_tagged(begin, at, row, word);
    case PACK_KIND_ZIGZAG:
        return write_tagged(begin, at, row, zigzag((int64_t)word));
    case PACK_KIND_TRUE:
        return write_tagged(begin, at, row, 1);
    case PACK_KIND_NUMBER:
        return write_tagged(begin, at, row, read_number(row->type, member, 0));
    case PACK_KIND_TEXT:
        text = pointer_at(member);
        return *text == '\0' ? at : write_text(begin, at, row, text);
    case PACK_KIND_DATA:
        return write_datas(begin, at, row, member, 1);
    case PACK_KIND_TEXTS:
        return write_texts(begin, at, row, pointer_at(member), word);
    case PACK_KIND_DATAS:
        return write_datas(begin, at, row, pointer_at(member), word);
    case PACK_KIND_COLUMN:
        return write_column(begin, at, row, pointer_at(member), word);
    case PACK_KIND_ONEOF:
        return word == row->number ? write_chosen(begin, at, row, member, ret_left) : at;
    case PACK_KIND_MESSAGE:
    case PACK_KIND_MESSAGES:
        *ret_left = row->kind == PACK_KIND_MESSAGE ? 1 : word;
        break;
    }
    return at;
}

// The fields of a level, down to its first or to one of messages.
static uint8_t *write_fields(const uint8_t *begin, uint8_t *at, struct level *level) {
    const struct pack_row *row = level->row, *first = level->first;
    const char *message = (const char *)level->message;
    size_t left = 0;
    while (at != NULL && left == 0 && row > first) {
        uint64_t word;
        row--;
        memcpy(&word, message + row->word, sizeof(word));
        word >>= row->shift;
        if (word != 0) {
            at = write_field(begin, at, row, message + row->member, word, &left);
        }
    }
    level->row = row;
    level->left = left;
    return at;
}

// ---- messages

static void push(struct packing *packing, const ProtobufCMessage *message,
                 const struct pack_row *first, const struct pack_row *end, const uint8_t *at) {
    assert(packing->depth < PACK_DEPTH_MAX);
    packing->levels[packing->depth++] =
        (struct level){.message = message, .first = first, .row = end, .end = at};
}

// The next of the messages that a level's field still has, as a whole.
static uint8_t *enter_element(const uint8_t *begin, uint8_t *at, struct packing *packing,
                              struct level *level) {
    const struct pack_row *row = level->row;
    const struct pack_plan *plan = &pack_plans[row->message];
    const char *member = (const char *)level->message + row->member;
    ProtobufCMessage *const *elements =
        row->kind == PACK_KIND_MESSAGES ? pointer_at(member) : (const void *)member;
    const ProtobufCMessage *message = elements[--level->left];
    push(packing, message, plan->rows, plan->rows + plan->descriptor->n_fields, at);
    return write_unknown(begin, at, message);
}

// The message's fields from `first` up to `end_row`.
static uint8_t *pack_rows(const ProtobufCMessage *message, const struct pack_row *first,
                          const struct pack_row *end_row, const uint8_t *begin, uint8_t *at) {
    struct packing packing;
    packing.depth = 0;
    push(&packing, message, first, end_row, at);
    while (at != NULL && packing.depth > 0) {
        struct level *level = &packing.levels[packing.depth - 1];
        if (level->left == 0) {
            at = write_fields(begin, at, level);
        }
        if (at != NULL && level->left > 0) {
            at = enter_element(begin, at, &packing, level);
        } else if (at != NULL && --packing.depth > 0) {
            at = write_tagged(begin, at, level[-1].row, (size_t)(level->end - at));
        }
    }
    return at;
}

uint8_t *pack_before(const ProtobufCMessage *message, uint8_t *begin, uint8_t *end) {
    const struct pack_plan *plan = pack_plan_of(message->descriptor);
    uint8_t *at = write_unknown(begin, end, message);
    return pack_rows(message, plan->rows, plan->rows + message->descriptor->n_fields, begin, at);
}

uint8_t *pack_fields_before(const ProtobufCMessage *message, uint32_t first, uint32_t last,
                            uint8_t *begin, uint8_t *end) {
    const struct pack_plan *plan = pack_plan_of(message->descriptor);
    return pack_rows(message, pack_plan_from(plan, first), pack_plan_from(plan, (uint64_t)last + 1),
                     begin, end);
}

uint8_t *pack_unknown_before(const ProtobufCMessage *message, uint8_t *begin, uint8_t *end) {
    return write_unknown(begin, end, message);
}
