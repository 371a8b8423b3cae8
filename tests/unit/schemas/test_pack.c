// SPDX-License-Identifier: Apache-2.0
// Packing in one pass says what protobuf-c says, byte for byte: every message of touchbus.proto and
// of the view, with contents that follow from a seed.
#include <string.h>

#include "schemas/base/pack.h"
#include "tests/unit/schemas/cmocka_all.h"
#include "tests/unit/schemas/draw.h"
#include "touchbus.pb-c.h"

enum { ROUNDS = 60, ARENA_BYTES_MAX = 64 << 20 };

static struct draw draw;

static int set_up(void **state) {
    (void)state;
    draw = (struct draw){.arena = arena_new(ARENA_BYTES_MAX), .seed = 20240607};
    return draw.arena == NULL;
}

static int tear_down(void **state) {
    (void)state;
    draw.arena = arena_free(draw.arena);
    return 0;
}

// Room to spare, no byte too many, one too few: what is not its own stays as it was.
static void check_rooms(const ProtobufCMessage *message, const uint8_t *bytes, size_t size) {
    enum { AROUND = 64, SPARE = 4096 };
    const size_t spares[] = {SPARE, 9, 0};
    uint8_t *buffer = arena_alloc(draw.arena, AROUND + SPARE + size + AROUND);
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

static void test_pack_says_what_protobuf_c_says(void **state) {
    (void)state;
    size_t n;
    const ProtobufCMessageDescriptor *const *messages = draw_descriptors(&n);
    for (size_t i = 0; i < n; i++) {
        for (int round = 0; round < ROUNDS; round++) {
            arena_reset(draw.arena);
            const ProtobufCMessage *message = draw_message(&draw, messages[i]);
            size_t size;
            const uint8_t *bytes = draw_packed(&draw, message, &size);
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
            const uint8_t *bytes = draw_packed(&draw, &event.base, &size);
            check_rooms(&event.base, bytes, size);
        }
    }
}

// Parts by number, one behind the other, are the whole.
static void test_parts_make_the_whole(void **state) {
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        arena_reset(draw.arena);
        const ProtobufCMessage *message = draw_message(&draw, &touchbus__event__descriptor);
        size_t size;
        const uint8_t *bytes = draw_packed(&draw, message, &size);
        uint8_t *begin = arena_alloc(draw.arena, size + 1);
        uint8_t *at = pack_unknown_before(message, begin, begin + size);
        uint32_t last = UINT32_MAX;
        while (last > 0) {
            uint32_t first = last > 60 ? 60 : (uint32_t)draw_below(&draw, last) + 1;
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
