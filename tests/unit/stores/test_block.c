// SPDX-License-Identifier: Apache-2.0
// A block comes back as it was built, and nothing else passes for one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/stores/block.h"

static const uint8_t run[BLOCK_RUN_BYTES] = "0123456789abcde";

static void *build(size_t *ret_size) {
    struct block_record records[] = {
        {.id_hash = {1},
         .body_hash = 11,
         .customer = 5,
         .lane = 50,
         .received_us = 1000,
         .time_us = -5,
         .flags = ENTRY_CREATED,
         .type = "order.placed",
         .channel = "web",
         .open = "open",
         .open_size = 4,
         .sealed = "sealed",
         .sealed_size = 6},
        {.id_hash = {2},
         .body_hash = 12,
         .received_us = 1001,
         .type = "page.viewed",
         .channel = "",
         .open = "o",
         .open_size = 1},
        {.id_hash = {3},
         .body_hash = 13,
         .received_us = 1001,
         .type = "order.placed",
         .channel = "web",
         .sealed = "s",
         .sealed_size = 1},
    };
    void *data = NULL;
    assert_int_equal(block_build(77, run, records, 3, &data, ret_size), 0);
    return data;
}

static void test_what_was_built_is_read(void **state) {
    (void)state;
    size_t size = 0;
    void *data = build(&size);
    struct block_head head;
    assert_int_equal(block_open(data, size, true, &head), 0);
    assert_int_equal(head.first, 77);
    assert_int_equal(head.n_events, 3);
    assert_int_equal(head.n_names, 4);
    assert_int_equal(head.received_first_us, 1000);
    assert_int_equal(head.received_last_us, 1001);
    assert_memory_equal(head.run, run, sizeof(run));

    struct block_entry entry;
    assert_int_equal(block_entry_get(&head, 0, &entry), 0);
    assert_int_equal(entry.sequence, 77);
    assert_int_equal(entry.id_hash[0], 1);
    assert_int_equal(entry.customer, 5);
    assert_int_equal(entry.lane, 50);
    assert_int_equal(entry.time_us, -5);
    assert_int_equal(entry.flags, ENTRY_CREATED);
    assert_string_equal(block_name(&head, entry.type), "order.placed");
    assert_string_equal(block_name(&head, entry.channel), "web");
    assert_memory_equal(entry.open, "open", 4);
    assert_int_equal(entry.open_size, 4);
    assert_memory_equal(entry.sealed, "sealed", 6);
    assert_int_equal(entry.sealed_size, 6);

    struct block_entry third;
    assert_int_equal(block_entry_get(&head, 2, &third), 0);
    assert_int_equal(third.type, entry.type); // each name stands once
    assert_int_equal(third.open_size, 0);
    assert_int_equal(block_entry_get(&head, 1, &third), 0);
    assert_string_equal(block_name(&head, third.channel), "");
    assert_null(block_name(&head, 4));
    free(data);
}

static void test_every_flipped_bit_is_refused(void **state) {
    (void)state;
    size_t size = 0;
    uint8_t *data = build(&size);
    for (size_t i = 0; i < size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            struct block_head head;
            data[i] ^= (uint8_t)(1 << bit);
            assert_int_equal(block_open(data, size, true, &head), -EBADMSG);
            data[i] ^= (uint8_t)(1 << bit);
        }
    }
    free(data);
}

static void test_every_truncation_is_refused(void **state) {
    (void)state;
    size_t size = 0;
    uint8_t *data = build(&size);
    for (size_t n = 0; n < size; n++) {
        struct block_head head;
        uint8_t *cut = malloc(n + 1);
        assert_non_null(cut);
        memcpy(cut, data, n);
        assert_int_equal(block_open(cut, n, true, &head), -EBADMSG);
        assert_int_equal(block_open(cut, n, false, &head), -EBADMSG);
        free(cut);
    }
    free(data);
}

// With the checksum not asked for, damage may pass, but never points outside of the block.
static void test_unchecked_damage_stays_inside(void **state) {
    (void)state;
    size_t size = 0;
    uint8_t *data = build(&size);
    uint8_t *copy = malloc(size); // its own allocation, so that a sanitizer sees a step outside
    assert_non_null(copy);
    for (size_t i = 0; i < size; i++) {
        for (int value = 0; value < 256; value += 15) {
            struct block_head head;
            memcpy(copy, data, size);
            copy[i] = (uint8_t)value;
            if (block_open(copy, size, false, &head) != 0) {
                continue;
            }
            for (uint32_t n = 0; n < head.n_names && n < 100; n++) {
                const char *name = block_name(&head, (uint16_t)n);
                assert_true(strlen(name) < size);
            }
            for (uint32_t n = 0; n < head.n_events; n++) {
                struct block_entry entry;
                if (block_entry_get(&head, n, &entry) == 0) {
                    assert_true(entry.open >= copy && entry.open + entry.open_size <= copy + size);
                    assert_true(entry.sealed + entry.sealed_size <= copy + size);
                }
            }
        }
    }
    free(copy);
    free(data);
}

static void test_a_block_has_a_bound(void **state) {
    (void)state;
    uint8_t *bytes = calloc(1, 1 << 20);
    assert_non_null(bytes);
    struct block_record records[9];
    for (size_t i = 0; i < 9; i++) {
        records[i] =
            (struct block_record){.type = "a", .channel = "", .open = bytes, .open_size = 1 << 20};
    }
    void *data = NULL;
    size_t size = 0;
    assert_int_equal(block_build(1, run, records, 9, &data, &size), -E2BIG);
    assert_null(data);
    records[0].open_size = SIZE_MAX;
    assert_int_equal(block_build(1, run, records, 1, &data, &size), -E2BIG);
    free(bytes);
}

static void test_a_full_tick_with_names_all_different(void **state) {
    (void)state;
    enum { N = TICK_EVENTS_MAX };
    static struct block_record records[N];
    static char names[N][16];
    for (size_t i = 0; i < N; i++) {
        for (size_t at = 0, rest = i; at < 5; at++, rest /= 10) {
            names[i][at] = (char)('0' + rest % 10);
        }
        records[i] = (struct block_record){
            .type = names[i], .channel = names[N - 1 - i], .open = "x", .open_size = 1};
    }
    void *data = NULL;
    size_t size = 0;
    struct block_head head;
    assert_int_equal(block_build(1, run, records, N, &data, &size), 0);
    assert_int_equal(block_open(data, size, true, &head), 0);
    assert_int_equal(head.n_names, N);
    for (uint32_t i = 0; i < N; i++) {
        struct block_entry entry;
        assert_int_equal(block_entry_get(&head, i, &entry), 0);
        assert_string_equal(block_name(&head, entry.type), names[i]);
        assert_string_equal(block_name(&head, entry.channel), names[N - 1 - i]);
    }
    free(data);
}

// Sequences stay below 2^63: SQLite's and JSON's readers have signed numbers, and first + n must
// not wrap. Zero is no sequence.
static void test_sequences_beyond_their_range_are_refused(void **state) {
    (void)state;
    static const struct {
        uint64_t first;
        int result;
    } rows[] = {
        {1, 0},
        {INT64_MAX - 1, 0},
        {INT64_MAX, -EBADMSG},
        {(uint64_t)INT64_MAX + 1, -EBADMSG},
        {UINT64_MAX, -EBADMSG},
        {0, -EBADMSG},
    };
    const struct block_record record = {.type = "page.viewed", .channel = ""};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        void *data = NULL;
        size_t size = 0;
        struct block_head head;
        assert_int_equal(block_build(rows[i].first, run, &record, 1, &data, &size), 0);
        assert_int_equal(block_open(data, size, true, &head), rows[i].result);
        free(data);
    }
}

static void test_an_entry_that_erases_is_sealed_with_nobodys_key(void **state) {
    (void)state;
    struct block_entry entry = {.customer = 7, .flags = ENTRY_CREATED};
    assert_int_equal(block_entry_key(&entry), 7);
    entry.flags = ENTRY_ERASES;
    assert_int_equal(block_entry_key(&entry), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_built_is_read),
        cmocka_unit_test(test_every_flipped_bit_is_refused),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_unchecked_damage_stays_inside),
        cmocka_unit_test(test_a_block_has_a_bound),
        cmocka_unit_test(test_a_full_tick_with_names_all_different),
        cmocka_unit_test(test_sequences_beyond_their_range_are_refused),
        cmocka_unit_test(test_an_entry_that_erases_is_sealed_with_nobodys_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
