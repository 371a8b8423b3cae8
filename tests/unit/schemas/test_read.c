// SPDX-License-Identifier: Apache-2.0
// Reading in one pass: what it accepts is what protobuf-c unpacks, and it refuses what the scan
// alone refuses. Frames that follow from a seed, whole, cut, with bytes changed, with their fields
// mixed.
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/envelope_scan.h"
#include "schemas/reasons.h"
#include "tests/unit/schemas/cmocka_all.h"
#include "tests/unit/schemas/draw.h"
#include "touchbus.pb-c.h"

enum { ROUNDS = 40, CHANGES = 8, ARENA_BYTES_MAX = 64 << 20 };

static struct draw draw;
static size_t n_accepted;
static size_t n_refused;

static int set_up(void **state) {
    (void)state;
    draw = (struct draw){.arena = arena_new(ARENA_BYTES_MAX), .seed = 7, .for_wire = true};
    return draw.arena == NULL;
}

static int tear_down(void **state) {
    (void)state;
    draw.arena = arena_free(draw.arena);
    return 0;
}

static int read_as_protobuf_c(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes,
                              size_t size) {
    const char *why = NULL;
    const char *scan_why = NULL;
    ProtobufCMessage *ours = NULL;
    size_t used = arena_used(draw.arena);
    uint64_t controls = 0;
    uint64_t scan_controls = 0;
    int r = envelope_read(descriptor, bytes, size, draw.arena, &ours, &controls, &why);
    assert_int_equal(envelope_scan(descriptor, bytes, size, &scan_controls, &scan_why), r);
    assert_true(why == scan_why && controls == scan_controls);
    n_accepted += r == 0;
    n_refused += r != 0;
    if (r != 0) {
        assert_null(ours);
        assert_int_equal(arena_used(draw.arena), used);
        return r;
    }
    ProtobufCMessage *theirs =
        protobuf_c_message_unpack(descriptor, arena_allocator(draw.arena), size, bytes);
    assert_non_null(theirs);
    size_t our_size;
    size_t their_size;
    const uint8_t *our_bytes = draw_packed(&draw, ours, &our_size);
    const uint8_t *their_bytes = draw_packed(&draw, theirs, &their_size);
    assert_int_equal(our_size, their_size);
    assert_memory_equal(our_bytes, their_bytes, our_size);
    return r;
}

static void test_what_is_whole_is_read_as_protobuf_c_reads_it(void **state) {
    (void)state;
    size_t n;
    const ProtobufCMessageDescriptor *const *messages = draw_descriptors(&n);
    for (size_t i = 0; i < n; i++) {
        for (int round = 0; round < ROUNDS; round++) {
            arena_reset(draw.arena);
            size_t size;
            const uint8_t *bytes = draw_packed(&draw, draw_message(&draw, messages[i]), &size);
            assert_int_equal(read_as_protobuf_c(messages[i], bytes, size), 0);
        }
    }
}

static void test_what_was_damaged_is_read_as_protobuf_c_reads_it(void **state) {
    (void)state;
    size_t n;
    const ProtobufCMessageDescriptor *const *messages = draw_descriptors(&n);
    n_accepted = n_refused = 0;
    for (size_t i = 0; i < n; i++) {
        for (int round = 0; round < ROUNDS; round++) {
            arena_reset(draw.arena);
            size_t size;
            const uint8_t *bytes = draw_packed(&draw, draw_message(&draw, messages[i]), &size);
            for (int change = 0; size > 0 && change < CHANGES; change++) {
                uint8_t *damaged = arena_copy(draw.arena, bytes, size);
                uint8_t *byte = &damaged[draw_below(&draw, size)];
                *byte ^= (uint8_t)(1 << draw_below(&draw, 8));
                read_as_protobuf_c(messages[i], damaged, size);
                read_as_protobuf_c(messages[i], bytes, draw_below(&draw, size));
            }
        }
    }
    assert_true(n_accepted > 500 && n_refused > 500);
}

// Elements of two columns by turns, and numbers packed and not: columns grow.
static void test_mixed_columns_are_whole(void **state) {
    (void)state;
    uint8_t bytes[4096];
    size_t size = 0;
    for (uint8_t i = 0; i < 100; i++) { // Settle.delivered unpacked, .failures, .delivered packed
        const uint8_t turn[] = {0x08, i, 0x12, 2, 0x08, i, 0x0a, 2, i, (uint8_t)(100 - i)};
        memcpy(bytes + size, turn, sizeof(turn));
        size += sizeof(turn);
    }
    assert_int_equal(read_as_protobuf_c(&touchbus__settle__descriptor, bytes, size), 0);
    size = 0;
    for (uint8_t i = 0; i < 16; i++) { // Event.identities and .keys
        const uint8_t turn[] = {0x8a, 1, 3, 0x0a, 1, 'a', 0xc2, 1, 3, 0x12, 1, 'b'};
        memcpy(bytes + size, turn, sizeof(turn));
        size += sizeof(turn);
    }
    assert_int_equal(read_as_protobuf_c(&touchbus__event__descriptor, bytes, size), 0);
}

// However many more elements a frame seems to have, room is made for as many as may stand.
static void test_room_is_made_for_what_may_stand(void **state) {
    (void)state;
    enum { SIZE = 1 << 20 };
    uint8_t *bytes = arena_calloc(draw.arena, SIZE, 1);
    for (size_t i = 0; i < SIZE; i += 2) {
        bytes[i] = 0x22; // Query.arguments
    }
    _cleanup_(cleanup_arena) struct arena *small = arena_new((size_t)2 * SIZE);
    ProtobufCMessage *message = NULL;
    uint64_t controls;
    const char *why = NULL;
    assert_int_equal(
        envelope_read(&touchbus__query__descriptor, bytes, SIZE, small, &message, &controls, &why),
        REASON_TOO_LARGE);
    assert_string_equal(why, "too many arguments");
    memset(bytes, 1, SIZE);
    const uint8_t head[] = {0x0a, 0x80, 0x80, 0x3f}; // Settle.delivered, 1,032,192 bytes
    memcpy(bytes, head, sizeof(head));
    assert_int_equal(envelope_read(&touchbus__settle__descriptor, bytes, 4 + 1032192, small,
                                   &message, &controls, &why),
                     REASON_TOO_LARGE);
    assert_string_equal(why, "too many delivered");
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_whole_is_read_as_protobuf_c_reads_it),
        TEST(test_what_was_damaged_is_read_as_protobuf_c_reads_it),
        TEST(test_mixed_columns_are_whole),
        TEST(test_room_is_made_for_what_may_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
