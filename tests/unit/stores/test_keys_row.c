// SPDX-License-Identifier: Apache-2.0
// Sealed rows: equal content is equal bytes, no others share a nonce, and what a reader keeps of
// derived keys opens nothing that is not open anyway.
#include "support.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/stores/keys.h"
#include "broker/stores/keys_internal.h"

static void test_equal_rows_are_equal_bytes_and_no_others_share_a_nonce(void **state) {
    struct keys *keys = NULL;
    struct keys_reader *reader = NULL;
    enum { NONCE = 16, SIZE = 6 };
    uint8_t rows[5][SIZE + KEYS_ROW_OVERHEAD], plain[SIZE];
    assert_int_equal(keys_open(support_path(*state, "keys"), false, &keys), 0);
    assert_int_equal(keys_ensure(keys, 2), 0);
    assert_int_equal(keys_reader_new(keys, &reader), 0);
    assert_int_equal(keys_reader_begin(reader), 0);
    assert_int_equal(keys_seal_row(reader, 1, "p1", 2, "teapot", SIZE, rows[0]), 0);
    assert_int_equal(keys_seal_row(reader, 1, "p1", 2, "teapot", SIZE, rows[1]), 0);
    assert_int_equal(keys_seal_row(reader, 1, "p1", 2, "teacup", SIZE, rows[2]), 0);
    assert_int_equal(keys_seal_row(reader, 1, "p2", 2, "teapot", SIZE, rows[3]), 0);
    assert_int_equal(keys_seal_row(reader, 2, "p1", 2, "teapot", SIZE, rows[4]), 0);
    assert_memory_equal(rows[0], rows[1], sizeof(rows[0]));
    for (int i = 2; i < 5; i++) {
        assert_memory_not_equal(rows[0], rows[i], NONCE);
        assert_memory_not_equal(rows[0] + NONCE, rows[i] + NONCE, SIZE);
    }
    assert_int_equal(keys_open_row(reader, 1, "p1", 2, rows[0], sizeof(rows[0]), plain), 0);
    assert_memory_equal(plain, "teapot", SIZE);
    assert_int_equal(keys_open_row(reader, 1, "p2", 2, rows[0], sizeof(rows[0]), plain), -EBADMSG);
    assert_int_equal(keys_open_row(reader, 2, "p1", 2, rows[0], sizeof(rows[0]), plain), -EBADMSG);
    assert_int_equal(keys_open_row(reader, 1, "p1", 2, rows[0], KEYS_ROW_OVERHEAD - 1, plain),
                     -EBADMSG);
    keys_reader_end(reader);
    assert_int_equal(keys_destroy(keys, 1, 1), 0);
    assert_int_equal(keys_reader_begin(reader), 0);
    assert_int_equal(keys_open_row(reader, 1, "p1", 2, rows[0], sizeof(rows[0]), plain), 1);
    assert_int_equal(keys_seal_row(reader, 1, "p1", 2, "teapot", SIZE, rows[0]), 1);
    keys_reader_free(reader);
    keys_close(keys);
}

enum { SEALED_BYTES = 1 + KEYS_ROW_OVERHEAD, SAME_SLOT = KEYS_DERIVED_MAX };

static struct keys_reader *begin_keeping(struct keys *keys) {
    struct keys_reader *reader = NULL;
    assert_int_equal(keys_reader_new(keys, &reader), 0);
    assert_int_equal(keys_reader_keep_derived(reader), 0);
    assert_int_equal(keys_reader_begin(reader), 0);
    return reader;
}

static int seal(struct keys_reader *reader, uint64_t customer, uint8_t ret[SEALED_BYTES]) {
    return keys_seal_row(reader, customer, "place", 5, "x", 1, ret);
}

static void test_kept_keys_seal_as_others_do_also_where_two_share_a_slot(void **state) {
    struct keys *keys = NULL;
    struct keys_reader *plain = NULL;
    uint8_t want[SEALED_BYTES], sealed[SEALED_BYTES];
    assert_int_equal(keys_open(support_path(*state, "keys"), false, &keys), 0);
    assert_int_equal(keys_ensure(keys, 7 + SAME_SLOT), 0);
    struct keys_reader *reader = begin_keeping(keys);
    assert_int_equal(keys_reader_new(keys, &plain), 0);
    for (int i = 0; i < 6; i++) {
        uint64_t customer = i % 3 == 0 ? 7 : i % 3 == 1 ? 7 + SAME_SLOT : 8;
        assert_int_equal(keys_reader_begin(plain), 0);
        assert_int_equal(seal(plain, customer, want), 0);
        keys_reader_end(plain);
        assert_int_equal(seal(reader, customer, sealed), 0);
        assert_memory_equal(sealed, want, SEALED_BYTES);
        keys_reader_end(reader);
        assert_int_equal(keys_reader_begin(reader), 0);
    }
    keys_reader_free(plain);
    keys_reader_free(reader);
    keys_close(keys);
}

static void test_a_kept_key_goes_with_the_one_it_was_derived_from(void **state) {
    struct keys *keys = NULL;
    uint8_t sealed[SEALED_BYTES], content[1];
    assert_int_equal(keys_open(support_path(*state, "keys"), false, &keys), 0);
    assert_int_equal(keys_ensure(keys, 8), 0);
    struct keys_reader *reader = begin_keeping(keys);
    assert_int_equal(seal(reader, 7, sealed), 0);
    keys_reader_end(reader);
    assert_int_equal(keys_destroy(keys, 7, 1), 0);
    assert_int_equal(keys_reader_begin(reader), 0);
    assert_int_equal(seal(reader, 7, sealed), 1);
    assert_int_equal(keys_open_row(reader, 7, "place", 5, sealed, SEALED_BYTES, content), 1);
    keys_reader_free(reader);
    keys_close(keys);
}

static void test_what_is_forgotten_is_wiped_and_nobody_elses(void **state) {
    static const uint8_t nothing[KEYS_DERIVED_BYTES];
    struct keys *keys = NULL;
    uint8_t sealed[SEALED_BYTES];
    assert_int_equal(keys_open(support_path(*state, "keys"), false, &keys), 0);
    assert_int_equal(keys_ensure(keys, 8), 0);
    struct keys_reader *reader = begin_keeping(keys);
    assert_int_equal(seal(reader, 7, sealed), 0);
    assert_int_equal(seal(reader, 8, sealed), 0);
    keys_reader_forget(reader, 7 + SAME_SLOT);
    assert_memory_not_equal(reader->kept->keys[7], nothing, sizeof(nothing));
    keys_reader_forget(reader, 7);
    assert_memory_equal(reader->kept->keys[7], nothing, sizeof(nothing));
    assert_int_equal(reader->kept->customers[7], 0);
    assert_int_equal(reader->kept->customers[8], 8);
    keys_reader_free(reader);
    keys_close(keys);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, support_setup, support_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_equal_rows_are_equal_bytes_and_no_others_share_a_nonce),
        TEST(test_kept_keys_seal_as_others_do_also_where_two_share_a_slot),
        TEST(test_a_kept_key_goes_with_the_one_it_was_derived_from),
        TEST(test_what_is_forgotten_is_wiped_and_nobody_elses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
