// SPDX-License-Identifier: Apache-2.0
// Messages that are being packed stand on a stack of PACK_DEPTH_MAX, each with the field it has
// come to; nothing recurses. Everything is written backwards: the bytes of a value, its length, its
// tag. It knows what proto3 makes of a .proto file: singular, repeated (numbers packed) and oneof
// fields of the types our files use. Any other field is a bug of ours.
// A message's fields are read from rows of 12 bytes, made of its descriptor the first time it is
// packed: most fields of most messages are empty, and that costs one look at the message.
// https://protobuf.dev/programming-guides/encoding/
#include "schemas/base/pack.h"

#include <assert.h>
#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "schemas/base/guards.h"

enum { WIRE_VARINT = 0, WIRE_LENGTH = 2, FIELD_NUMBER_SHIFT = 3 };
enum { VARINT_BYTES_MAX = 10, HALF_WORD_VARINT_BITS = 28, WORD_VARINT_BITS = 56 };
enum { SCRATCH_BYTES = 32 }; // for a varint and a tag, and for the bytes beside them
// What our .proto files hold, generously; SLOTS, where a message is found, is a power of two.
enum { MESSAGES_MAX = 96, SLOTS = 256, ROWS_MAX = 1024, NUMBER_MAX = 127, TAG_BYTES_MAX = 2 };
enum { DESCRIPTOR_SHIFT = 6 }; // descriptors begin further from each other than 2 to its power

_Static_assert(SLOTS > MESSAGES_MAX, "one of them is free");
_Static_assert(sizeof(ProtobufCMessageDescriptor) >= 1U << DESCRIPTOR_SHIFT, "slots differ");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a word's upper half is its end");

enum kind {
    KIND_UNSIGNED, // as it stands
    KIND_ZIGZAG,
    KIND_TRUE,
    KIND_NUMBER, // of another type
    KIND_TEXT,
    KIND_DATA,
    KIND_MESSAGE,
    KIND_ONEOF,
    KIND_COLUMN, // repeated numbers
    KIND_TEXTS,
    KIND_DATAS,
    KIND_MESSAGES,
};

// A field. Of a word of the message the upper half or all of it says whether it stands: its number,
// its pointer, its length or its elements' number, a oneof's chosen number.
struct row {
    uint16_t word;
    uint16_t member;
    uint8_t tag[TAG_BYTES_MAX]; // its last tag_size bytes
    uint8_t tag_size;
    uint8_t kind;
    uint8_t type;
    uint8_t number;
    uint8_t shift;   // of the word: 32 or 0
    uint8_t message; // of a field of messages: index of theirs
};

// What is known of a message.
struct plan {
    const ProtobufCMessageDescriptor *descriptor;
    const struct row *rows;
    uint8_t below[NUMBER_MAX + 2]; // how many rows have a lower number
};

struct level {
    const ProtobufCMessage *message;
    const struct row *first; // of its fields
    const struct row *row;   // the one it has come to
    size_t left;             // elements of it that are not packed yet
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

// Needs TAG_BYTES_MAX of room, whatever it uses.
static inline uint8_t *put_tag(uint8_t *at, const struct row *row) {
    memcpy(at - TAG_BYTES_MAX, row->tag, TAG_BYTES_MAX);
    return at - row->tag_size;
}

// ---- plans: made once, under the lock, then read by any thread without it

static struct {
    pthread_mutex_t lock;
    unsigned n_plans, n_shown, n_rows;
    struct plan plans[MESSAGES_MAX];
    struct row rows[ROWS_MAX];
    _Atomic(const struct plan *) slots[SLOTS]; // by descriptor, open addressing
} known = {.lock = PTHREAD_MUTEX_INITIALIZER};

// Descriptors are constants that lie near each other.
static size_t slot_of(const ProtobufCMessageDescriptor *descriptor) {
    return (uintptr_t)descriptor >> DESCRIPTOR_SHIFT & (SLOTS - 1);
}

static size_t slot_behind(size_t slot) {
    return (slot + 1) & (SLOTS - 1);
}

static bool is_wide(ProtobufCType type) {
    return type == PROTOBUF_C_TYPE_UINT64 || type == PROTOBUF_C_TYPE_SINT64 ||
           type == PROTOBUF_C_TYPE_STRING || type == PROTOBUF_C_TYPE_BYTES ||
           type == PROTOBUF_C_TYPE_MESSAGE;
}

static enum kind kind_of(const ProtobufCFieldDescriptor *field) {
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        return KIND_ONEOF;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        return repeated ? KIND_TEXTS : KIND_TEXT;
    }
    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        return repeated ? KIND_DATAS : KIND_DATA;
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        return repeated ? KIND_MESSAGES : KIND_MESSAGE;
    }
    if (repeated) {
        assert((field->flags & PROTOBUF_C_FIELD_FLAG_PACKED) != 0);
        return KIND_COLUMN;
    }
    if (field->type == PROTOBUF_C_TYPE_UINT64 || field->type == PROTOBUF_C_TYPE_UINT32) {
        return KIND_UNSIGNED;
    }
    return field->type == PROTOBUF_C_TYPE_SINT64 ? KIND_ZIGZAG
           : field->type == PROTOBUF_C_TYPE_BOOL ? KIND_TRUE
                                                 : KIND_NUMBER;
}

static void set_tag(struct row *row, uint32_t number, unsigned wire_type) {
    uint32_t tag = number << FIELD_NUMBER_SHIFT | wire_type;
    bool is_short = tag < 0x80;
    row->tag_size = is_short ? 1 : 2;
    row->tag[0] = is_short ? 0 : (uint8_t)(tag | 0x80);
    row->tag[1] = (uint8_t)(is_short ? tag : tag >> 7);
}

// Where the word is that says whether it stands.
static void set_word(struct row *row, const ProtobufCFieldDescriptor *field) {
    bool is_narrow = false;
    size_t at = field->offset;
    if (row->kind == KIND_ONEOF) {
        at = field->quantifier_offset;
        is_narrow = true;
    } else if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        at = field->quantifier_offset;
    } else if (row->kind == KIND_DATA) {
        at += offsetof(ProtobufCBinaryData, len);
    } else {
        is_narrow = !is_wide(field->type);
    }
    row->shift = is_narrow ? 32 : 0;
    row->word = (uint16_t)(is_narrow ? at - sizeof(uint32_t) : at); // a message begins with others
}

// Makes room for a message that is not known yet.
static unsigned index_of(const ProtobufCMessageDescriptor *descriptor) {
    unsigned i = 0;
    while (i < known.n_plans && known.plans[i].descriptor != descriptor) {
        i++;
    }
    if (i == known.n_plans) {
        assert(known.n_plans < MESSAGES_MAX && descriptor->sizeof_message <= UINT16_MAX);
        known.plans[known.n_plans++].descriptor = descriptor;
    }
    return i;
}

static void make_row(struct row *row, const ProtobufCFieldDescriptor *field) {
    assert(field->id <= NUMBER_MAX &&
           (field->label == PROTOBUF_C_LABEL_REPEATED || field->label == PROTOBUF_C_LABEL_NONE));
    bool is_message = field->type == PROTOBUF_C_TYPE_MESSAGE;
    bool has_length = is_message || field->type == PROTOBUF_C_TYPE_STRING ||
                      field->type == PROTOBUF_C_TYPE_BYTES ||
                      field->label == PROTOBUF_C_LABEL_REPEATED;
    row->member = (uint16_t)field->offset;
    row->kind = (uint8_t)kind_of(field);
    row->type = (uint8_t)field->type;
    row->number = (uint8_t)field->id;
    row->message = is_message ? (uint8_t)index_of(field->descriptor) : 0;
    set_tag(row, field->id, has_length ? WIRE_LENGTH : WIRE_VARINT);
    set_word(row, field);
}

static void make_plan(struct plan *plan) {
    const ProtobufCMessageDescriptor *descriptor = plan->descriptor;
    struct row *rows = known.rows + known.n_rows;
    unsigned n = 0;
    assert(descriptor->n_fields <= ROWS_MAX - known.n_rows);
    for (unsigned number = 0; number < sizeof(plan->below); number++) {
        plan->below[number] = (uint8_t)n;
        if (n < descriptor->n_fields && descriptor->fields[n].id == number) {
            make_row(&rows[n], &descriptor->fields[n]);
            n++;
        }
    }
    assert(n == descriptor->n_fields); // protobuf-c sorts them by number
    plan->rows = rows;
    known.n_rows += n;
}

static void show_plan(const struct plan *plan) {
    size_t slot = slot_of(plan->descriptor);
    while (atomic_load_explicit(&known.slots[slot], memory_order_relaxed) != NULL) {
        slot = slot_behind(slot);
    }
    atomic_store_explicit(&known.slots[slot], plan, memory_order_release);
}

// With all that it is made of, before any of them is shown.
__attribute__((noinline)) static const struct plan *
learn(const ProtobufCMessageDescriptor *descriptor) {
    pthread_mutex_lock(&known.lock);
    const struct plan *plan = &known.plans[index_of(descriptor)];
    for (unsigned i = known.n_shown; i < known.n_plans; i++) {
        make_plan(&known.plans[i]);
    }
    while (known.n_shown < known.n_plans) {
        show_plan(&known.plans[known.n_shown++]);
    }
    pthread_mutex_unlock(&known.lock);
    return plan;
}

static inline const struct plan *plan_of(const ProtobufCMessageDescriptor *descriptor) {
    for (size_t slot = slot_of(descriptor);; slot = slot_behind(slot)) {
        const struct plan *plan = atomic_load_explicit(&known.slots[slot], memory_order_acquire);
        if (plan == NULL) {
            return learn(descriptor);
        }
        if (plan->descriptor == descriptor) {
            return plan;
        }
    }
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
__attribute__((noinline)) static uint8_t *
write_tagged_tight(const uint8_t *begin, uint8_t *at, const struct row *row, uint64_t value) {
    uint8_t scratch[SCRATCH_BYTES];
    uint8_t *end = scratch + sizeof(scratch);
    const uint8_t *made = put_tag(put_varint(end, value), row);
    return write_bytes(begin, at, made, (size_t)(end - made));
}

// A varint value behind its tag, or the length of what was written, and its tag.
static inline uint8_t *write_tagged(const uint8_t *begin, uint8_t *at, const struct row *row,
                                    uint64_t value) {
    return (size_t)(at - begin) >= SCRATCH_BYTES ? put_tag(put_varint(at, value), row)
                                                 : write_tagged_tight(begin, at, row, value);
}

static inline uint8_t *write_data(const uint8_t *begin, uint8_t *at, const struct row *row,
                                  const void *data, size_t size) {
    at = write_bytes(begin, at, data, size);
    return at == NULL ? NULL : write_tagged(begin, at, row, size);
}

static inline uint8_t *write_text(const uint8_t *begin, uint8_t *at, const struct row *row,
                                  const char *text) {
    return write_data(begin, at, row, text, text == NULL ? 0 : strlen(text));
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
    size_t size = is_wide(type) ? sizeof(uint64_t) : sizeof(uint32_t);
    while (at != NULL && n-- > 0) {
        uint8_t scratch[SCRATCH_BYTES];
        uint8_t *end = scratch + sizeof(scratch);
        const uint8_t *made = put_varint(end, read_number(type, elements + n * size));
        at = write_bytes(begin, at, made, (size_t)(end - made));
    }
    return at;
}

static uint8_t *write_column(const uint8_t *begin, uint8_t *at, const struct row *row,
                             const void *elements, size_t n) {
    const uint8_t *end = at;
    if (n > (size_t)(at - begin) / VARINT_BYTES_MAX) {
        at = write_numbers_tight(begin, at, row->type, elements, n);
    } else if (row->type == PROTOBUF_C_TYPE_UINT32) {
        at = put_uint32s(at, elements, n);
    } else if (row->type == PROTOBUF_C_TYPE_UINT64) {
        at = put_uint64s(at, elements, n);
    } else if (row->type == PROTOBUF_C_TYPE_SINT64) {
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

static uint8_t *write_texts(const uint8_t *begin, uint8_t *at, const struct row *row,
                            char *const *texts, size_t n) {
    while (at != NULL && n-- > 0) {
        at = write_text(begin, at, row, texts[n]);
    }
    return at;
}

static uint8_t *write_datas(const uint8_t *begin, uint8_t *at, const struct row *row,
                            const ProtobufCBinaryData *data, size_t n) {
    while (at != NULL && n-- > 0) {
        at = write_data(begin, at, row, data[n].data, data[n].len);
    }
    return at;
}

// The member of a oneof that is set always stands, but for a text or a message that is NULL or as
// at first.
static uint8_t *write_chosen(const uint8_t *begin, uint8_t *at, const struct row *row,
                             const char *member, size_t *ret_left) {
    ProtobufCBinaryData data;
    const char *text;
    if (row->type == PROTOBUF_C_TYPE_STRING) {
        text = pointer_at(member);
        bool stands = text != NULL && text != protobuf_c_empty_string;
        return stands ? write_text(begin, at, row, text) : at;
    }
    if (row->type == PROTOBUF_C_TYPE_BYTES) {
        memcpy(&data, member, sizeof(data));
        return write_data(begin, at, row, data.data, data.len);
    }
    if (row->type == PROTOBUF_C_TYPE_MESSAGE) {
        *ret_left = pointer_at(member) != NULL;
        return at;
    }
    return write_tagged(begin, at, row, read_number(row->type, member));
}

// A field whose word is not 0.
static inline uint8_t *write_field(const uint8_t *begin, uint8_t *at, const struct row *row,
                                   const char *member, uint64_t word, size_t *ret_left) {
    ProtobufCBinaryData data;
    const char *text;
    switch ((enum kind)row->kind) {
    case KIND_UNSIGNED:
        return write_tagged(begin, at, row, word);
    case KIND_ZIGZAG:
        return write_tagged(begin, at, row, zigzag((int64_t)word));
    case KIND_TRUE:
        return write_tagged(begin, at, row, 1);
    case KIND_NUMBER:
        return write_tagged(begin, at, row, read_number(row->type, member));
    case KIND_TEXT:
        text = pointer_at(member);
        return *text == '\0' ? at : write_text(begin, at, row, text);
    case KIND_DATA:
        memcpy(&data, member, sizeof(data));
        return write_data(begin, at, row, data.data, data.len);
    case KIND_MESSAGE:
        *ret_left = 1;
        return at;
    case KIND_ONEOF:
        return word == row->number ? write_chosen(begin, at, row, member, ret_left) : at;
    case KIND_COLUMN:
        return write_column(begin, at, row, pointer_at(member), word);
    case KIND_TEXTS:
        return write_texts(begin, at, row, pointer_at(member), word);
    case KIND_DATAS:
        return write_datas(begin, at, row, pointer_at(member), word);
    case KIND_MESSAGES:
        *ret_left = word;
        return at;
    }
    return at;
}

// The fields of a level, down to its first or to one of messages.
static uint8_t *write_fields(const uint8_t *begin, uint8_t *at, struct level *level) {
    const struct row *row = level->row, *first = level->first;
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

static void push(struct packing *packing, const ProtobufCMessage *message, const struct row *first,
                 const struct row *end, const uint8_t *at) {
    assert(packing->depth < PACK_DEPTH_MAX);
    packing->levels[packing->depth++] =
        (struct level){.message = message, .first = first, .row = end, .end = at};
}

// Puts a whole message onto the stack; its unknown fields come last.
static uint8_t *enter(struct packing *packing, const ProtobufCMessage *message,
                      const struct plan *plan, uint8_t *at) {
    push(packing, message, plan->rows, plan->rows + plan->descriptor->n_fields, at);
    return message->n_unknown_fields == 0 ? at : write_unknown(packing->begin, at, message);
}

// The next of the messages that a level's field still has.
static uint8_t *enter_element(struct packing *packing, struct level *level, uint8_t *at) {
    const struct row *row = level->row;
    const char *member = (const char *)level->message + row->member;
    ProtobufCMessage *const *elements = (const void *)member;
    if (row->kind == KIND_MESSAGES) {
        elements = pointer_at(member);
    }
    return enter(packing, elements[--level->left], &known.plans[row->message], at);
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
            at = write_tagged(packing->begin, at, level[-1].row, (size_t)(level->end - at));
        }
    }
    return at;
}

uint8_t *pack_before(const ProtobufCMessage *message, uint8_t *begin, uint8_t *end) {
    struct packing packing; // levels are set up as they are entered
    packing.begin = begin;
    packing.depth = 0;
    uint8_t *at = enter(&packing, message, plan_of(message->descriptor), end);
    return pack(&packing, at);
}

// How many rows of it have a lower number.
static unsigned rows_below(const struct plan *plan, uint32_t number) {
    return plan->below[number > NUMBER_MAX ? NUMBER_MAX + 1 : number];
}

uint8_t *pack_fields_before(const ProtobufCMessage *message, uint32_t first, uint32_t last,
                            uint8_t *begin, uint8_t *end) {
    const struct plan *plan = plan_of(message->descriptor);
    unsigned n = last >= NUMBER_MAX ? message->descriptor->n_fields : rows_below(plan, last + 1);
    struct packing packing;
    packing.begin = begin;
    packing.depth = 0;
    push(&packing, message, plan->rows + rows_below(plan, first), plan->rows + n, end);
    return pack(&packing, end);
}

uint8_t *pack_unknown_before(const ProtobufCMessage *message, uint8_t *begin, uint8_t *end) {
    return write_unknown(begin, end, message);
}
