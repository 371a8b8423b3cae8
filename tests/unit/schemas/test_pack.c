// SPDX-License-Identifier: Apache-2.0
// Packing in one pass says what protobuf-c says, byte for byte: every message of touchbus.proto and
// of the view, with contents that follow from a seed.
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/arena.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/pack.h"
#include "tests/crash/chance.h"
#include "tests/unit/schemas/cmocka_all.h"
#include "touchbus.pb-c.h"
#include "view.pb-c.h"

enum { ROUNDS = 60, ELEMENTS_MAX = 40, TEXT_BYTES_MAX = 300, ARENA_BYTES_MAX = 64 << 20 };

static struct arena *arena;
static uint64_t seed;

static int set_up(void **state) {
    (void)state;
    arena = arena_new(ARENA_BYTES_MAX);
    seed = 20240607;
    return arena == NULL;
}

static int tear_down(void **state) {
    (void)state;
    arena = arena_free(arena);
    return 0;
}

static uint64_t draw(uint64_t n) {
    return chance_below(&seed, n);
}

// Of every length that a varint has, the edges among them.
static uint64_t draw_number(void) {
    uint64_t bits = draw(65);
    uint64_t edge = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    uint64_t rows[] = {0, edge, edge + 1, chance(&seed) & edge};
    return rows[draw(4)];
}

// Short mostly; sometimes of a length that takes two bytes itself.
static size_t draw_length(void) {
    return draw(4) == 0 ? 0 : draw(8) == 0 ? draw(TEXT_BYTES_MAX) : draw(12);
}

static ProtobufCMessage *draw_message(const ProtobufCMessageDescriptor *descriptor, unsigned depth);

static void draw_value(const ProtobufCFieldDescriptor *field, void *member, unsigned depth) {
    uint64_t wide = draw_number();
    uint32_t narrow = (uint32_t)wide;
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        size_t length = draw_length();
        char *text = arena_alloc(arena, length + 1);
        memset(text, 'a', length);
        text[length] = '\0';
        memcpy(member, &text, sizeof(text));
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        ProtobufCBinaryData data = {.len = draw_length()};
        data.data = data.len == 0 ? NULL : arena_calloc(arena, data.len, 1);
        memcpy(member, &data, sizeof(data));
    } else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        ProtobufCMessage *message = draw_message(field->descriptor, depth + 1);
        memcpy(member, &message, sizeof(message));
    } else if (field->type == PROTOBUF_C_TYPE_UINT64 || field->type == PROTOBUF_C_TYPE_SINT64) {
        memcpy(member, &wide, sizeof(wide));
    } else {
        narrow = field->type == PROTOBUF_C_TYPE_BOOL ? narrow & 1 : narrow;
        memcpy(member, &narrow, sizeof(narrow));
    }
}

static size_t size_of(ProtobufCType type) {
    if (type == PROTOBUF_C_TYPE_BYTES) {
        return sizeof(ProtobufCBinaryData);
    }
    bool is_64 = type == PROTOBUF_C_TYPE_STRING || type == PROTOBUF_C_TYPE_MESSAGE ||
                 type == PROTOBUF_C_TYPE_UINT64 || type == PROTOBUF_C_TYPE_SINT64;
    return is_64 ? 8 : 4;
}

static void draw_field(const ProtobufCFieldDescriptor *field, ProtobufCMessage *message,
                       unsigned depth) {
    char *member = (char *)message + field->offset;
    char *quantifier = (char *)message + field->quantifier_offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t n = depth > 1 ? draw(3) : draw(4) == 0 ? draw(ELEMENTS_MAX) : draw(3);
        char *elements = arena_calloc(arena, n + 1, size_of(field->type));
        for (size_t i = 0; i < n; i++) {
            draw_value(field, elements + i * size_of(field->type), depth);
        }
        memcpy(member, &elements, sizeof(elements));
        memcpy(quantifier, &n, sizeof(n));
    } else if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0) {
        draw_value(field, member, depth);
    } else if (draw(3) == 0) { // else it is another's, or nobody's
        memset(member, 0, size_of(field->type));
        if (draw(4) > 0) {
            draw_value(field, member, depth);
        } else if (field->default_value != NULL) {
            memcpy(member, &field->default_value, sizeof(field->default_value));
        }
        memcpy(quantifier, &field->id, sizeof(field->id));
    }
}

static void draw_unknown(ProtobufCMessage *message) {
    message->n_unknown_fields = (unsigned)draw(3);
    message->unknown_fields =
        arena_calloc(arena, message->n_unknown_fields + 1, sizeof(message->unknown_fields[0]));
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        size_t length = 1 + draw_length();
        message->unknown_fields[i] = (ProtobufCMessageUnknownField){
            .tag = 1 + (uint32_t)draw((1 << 29) - 1),
            .wire_type =
                draw(2) == 0 ? PROTOBUF_C_WIRE_TYPE_VARINT : PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
            .len = length,
            .data = arena_calloc(arena, length, 1)};
    }
}

static ProtobufCMessage *draw_message(const ProtobufCMessageDescriptor *descriptor,
                                      unsigned depth) {
    ProtobufCMessage *message = arena_alloc(arena, descriptor->sizeof_message);
    descriptor->message_init(message);
    unsigned one_in = 1 + (unsigned)draw(4);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        if (draw(one_in) == 0) {
            draw_field(&descriptor->fields[i], message, depth);
        }
    }
    if (draw(3) == 0) {
        draw_unknown(message);
    }
    return message;
}

static const uint8_t *expected(const ProtobufCMessage *message, size_t *ret_size) {
    *ret_size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_alloc(arena, *ret_size + 1);
    assert_int_equal(protobuf_c_message_pack(message, bytes), *ret_size);
    return bytes;
}

// Room to spare, no byte too many, one too few: what is not its own stays as it was.
static void check_rooms(const ProtobufCMessage *message, const uint8_t *bytes, size_t size) {
    enum { AROUND = 64, SPARE = 4096 };
    const size_t spares[] = {SPARE, 9, 0};
    uint8_t *buffer = arena_alloc(arena, AROUND + SPARE + size + AROUND);
    for (size_t i = 0; i < sizeof(spares) / sizeof(spares[0]); i++) {
        uint8_t *begin = buffer + AROUND;
        uint8_t *end = begin + spares[i] + size;
        memset(buffer, '-', (size_t)(end + AROUND - buffer));
        const uint8_t *packed = pack_before(message, begin, end);
        assert_non_null(packed);
        assert_int_equal(end - packed, size);
        assert_memory_equal(packed, bytes, size);
        for (size_t k = 0; k < AROUND; k++) {
            assert_int_equal(buffer[k], '-');
            assert_int_equal(end[k], '-');
        }
    }
    if (size > 0) {
        uint8_t *begin = buffer + AROUND;
        memset(buffer, '-', AROUND + 1 + size);
        assert_null(pack_before(message, begin + 1, begin + size));
        for (size_t k = 0; k <= AROUND; k++) {
            assert_int_equal(buffer[k], '-');
        }
    }
}

static const ProtobufCMessageDescriptor *const messages[] = {
    &touchbus__event__descriptor,
    &touchbus__publish_request__descriptor,
    &touchbus__publish_reply__descriptor,
    &touchbus__subscriber_message__descriptor,
    &touchbus__broker_message__descriptor,
    &touchbus__query__descriptor,
    &touchbus__answer__descriptor,
    &view__person__descriptor,
    &view__item__descriptor,
    &view__ledger__descriptor,
    &view__contested__descriptor,
    &view__customer__descriptor,
    &view__run__descriptor,
    &view__order__descriptor,
    &view__quote__descriptor,
    &view__cell__descriptor,
    &view__kept__descriptor,
    &view__waiting__descriptor,
    &view__held__descriptor,
};

static void test_pack_says_what_protobuf_c_says(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        for (int round = 0; round < ROUNDS; round++) {
            arena_reset(arena);
            const ProtobufCMessage *message = draw_message(messages[i], 0);
            size_t size;
            const uint8_t *bytes = expected(message, &size);
            check_rooms(message, bytes, size);
        }
    }
}

// Every length of a varint, at each of its edges.
static void test_numbers_of_every_length(void **state) {
    (void)state;
    for (unsigned bits = 0; bits <= 64; bits++) {
        for (int64_t more = -1; more <= 1; more++) {
            uint64_t number = (bits == 64 ? 0 : UINT64_C(1) << bits) + (uint64_t)more;
            Touchbus__Event event;
            touchbus__event__init(&event);
            event.sequence = number;
            event.time_us = (int64_t)number;
            event.rank = (uint32_t)number;
            event.direction = (Touchbus__Direction)(int32_t)number;
            event.n_lanes = 1;
            event.lanes = &number;
            size_t size;
            const uint8_t *bytes = expected(&event.base, &size);
            check_rooms(&event.base, bytes, size);
        }
    }
}

// Parts by number, one behind the other, are the whole.
static void test_parts_make_the_whole(void **state) {
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        arena_reset(arena);
        const ProtobufCMessage *message = draw_message(&touchbus__event__descriptor, 0);
        size_t size;
        const uint8_t *bytes = expected(message, &size);
        uint8_t *begin = arena_alloc(arena, size + 1);
        uint8_t *at = pack_unknown_before(message, begin, begin + size);
        uint32_t last = UINT32_MAX;
        while (last > 0) {
            uint32_t first = last > 60 ? 60 : (uint32_t)draw(last) + 1;
            assert_non_null(at);
            at = pack_fields_before(message, first, last, begin, at);
            last = first - 1;
        }
        assert_ptr_equal(at, begin);
        assert_memory_equal(begin, bytes, size);
        assert_true(size == 0 || pack_before(message, begin + 1, begin + size) == NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pack_says_what_protobuf_c_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_numbers_of_every_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts_make_the_whole, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
