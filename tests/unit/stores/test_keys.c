// SPDX-License-Identifier: Apache-2.0
// Keys: made before use, opened only with the right one, gone when destroyed.
#include "support.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "broker/stores/keys.h"
#include "broker/stores/store.h"

static const uint8_t run[BLOCK_RUN_BYTES] = {9, 8, 7};

static void test_what_was_sealed_is_unsealed_after_reopening(void **state) {
    struct keys *keys = NULL;
    struct keys_reader *reader = NULL;
    uint8_t sealed[5 + KEYS_SEAL_OVERHEAD], plain[5], secret[KEYS_HASH_SECRET_BYTES];
    assert_int_equal(keys_open(support_path(*state, "keys"), false, &keys), 0);
    assert_int_equal(keys_ensure(keys, 3), 0);
    memcpy(secret, keys_hash_secret(keys), sizeof(secret));
    assert_int_equal(keys_reader_new(keys, &reader), 0);
    assert_int_equal(keys_reader_begin(reader), 0);
    assert_int_equal(keys_seal(reader, 3, run, 42, "hello", 5, sealed), 0);
    keys_reader_end(reader);
    keys_reader_free(reader);
    keys_close(keys);

    assert_int_equal(keys_open(support_path(*state, "keys"), false, &keys), 0);
    assert_memory_equal(secret, keys_hash_secret(keys), sizeof(secret));
    assert_int_equal(keys_reader_new(keys, &reader), 0);
    assert_int_equal(keys_reader_begin(reader), 0);
    assert_int_equal(keys_unseal(reader, 3, run, 42, sealed, sizeof(sealed), plain), 0);
    assert_memory_equal(plain, "hello", 5);
    assert_int_equal(keys_unseal(reader, 4, run, 42, sealed, sizeof(sealed), plain), -EBADMSG);
    assert_int_equal(keys_unseal(reader, 3, run, 43, sealed, sizeof(sealed), plain), -EBADMSG);
    assert_int_equal(keys_unseal(reader, 3, run, 42, sealed, 3, plain), -EBADMSG);
    keys_reader_end(reader);
    keys_reader_free(reader);
    keys_close(keys);
}

static void test_a_key_made_during_a_slice_is_seen(void **state) {
    struct keys *keys = NULL;
    struct keys_reader *reader = NULL;
    uint8_t sealed[1 + KEYS_SEAL_OVERHEAD];
    assert_int_equal(keys_open(support_path(*state, "keys"), false, &keys), 0);
    assert_int_equal(keys_ensure(keys, 0), 0);
    assert_int_equal(keys_reader_new(keys, &reader), 0);
    assert_int_equal(keys_reader_begin(reader), 0);
    assert_int_equal(keys_seal(reader, 1000000, run, 1, "x", 1, sealed), 1);
    assert_int_equal(keys_ensure(keys, 1000000), 0);
    assert_int_equal(keys_seal(reader, 1000000, run, 1, "x", 1, sealed), 0);
    assert_int_equal(keys_seal(reader, 1000000 + KEYS_AHEAD, run, 1, "x", 1, sealed), 0);
    keys_reader_free(reader);
    keys_close(keys);
}

static void test_a_destroyed_key_opens_nothing(void **state) {
    static const char *const tables[] = {"keys", "meta"};
    struct keys *keys = NULL;
    struct keys_reader *reader = NULL;
    uint8_t sealed[1 + KEYS_SEAL_OVERHEAD], plain[1];
    assert_int_equal(keys_open(support_path(*state, "keys"), false, &keys), 0);
    assert_int_equal(keys_ensure(keys, 40), 0);
    assert_int_equal(keys_reader_new(keys, &reader), 0);
    assert_int_equal(keys_reader_begin(reader), 0);
    assert_int_equal(keys_seal(reader, 40, run, 1, "x", 1, sealed), 0);
    keys_reader_free(reader);
    keys_close(keys);

    struct store_options options = {.tables = tables, .n_tables = 2, .map_bytes = 1 << 28};
    struct store *store = NULL;
    struct store_txn *txn = NULL;
    const void *record = NULL;
    size_t size = 0;
    uint8_t key[8], copy[KEYS_RECORD * KEYS_SECRET_BYTES];
    store_be64(key, 40 / KEYS_RECORD);
    assert_int_equal(store_open(support_path(*state, "keys"), &options, &store), 0);
    assert_int_equal(store_begin(store, true, &txn), 0);
    assert_int_equal(store_get(txn, 0, key, sizeof(key), &record, &size), 0);
    assert_int_equal(size, sizeof(copy));
    memcpy(copy, record, size);
    memset(&copy[(size_t)(40 % KEYS_RECORD) * KEYS_SECRET_BYTES], 0, KEYS_SECRET_BYTES);
    assert_int_equal(store_put(txn, 0, key, sizeof(key), copy, sizeof(copy)), 0);
    assert_int_equal(store_commit(txn), 0);
    store_close(store);

    assert_int_equal(keys_open(support_path(*state, "keys"), false, &keys), 0);
    assert_int_equal(keys_reader_new(keys, &reader), 0);
    assert_int_equal(keys_reader_begin(reader), 0);
    assert_int_equal(keys_unseal(reader, 40, run, 1, sealed, sizeof(sealed), plain), 1);
    assert_int_equal(keys_seal(reader, 40, run, 2, "x", 1, sealed), 1);
    assert_int_equal(keys_seal(reader, 41, run, 2, "x", 1, sealed), 0);
    keys_reader_free(reader);
    keys_close(keys);
}

static void test_no_two_keys_are_equal_and_a_copy_opens_the_same(void **state) {
    struct keys *keys = NULL, *copy = NULL;
    struct keys_reader *reader = NULL;
    uint8_t one[8 + KEYS_SEAL_OVERHEAD], two[8 + KEYS_SEAL_OVERHEAD], plain[8];
    assert_int_equal(keys_open(support_path(*state, "keys"), false, &keys), 0);
    assert_int_equal(keys_ensure(keys, 0), 0);
    assert_int_equal(keys_reader_new(keys, &reader), 0);
    assert_int_equal(keys_reader_begin(reader), 0);
    assert_int_equal(keys_seal(reader, 0, run, 1, "12345678", 8, one), 0);
    assert_int_equal(keys_seal(reader, 31, run, 1, "12345678", 8, two), 0);
    assert_memory_not_equal(one, two, sizeof(one));
    keys_reader_free(reader);
    assert_int_equal(keys_copy(keys, support_path(*state, "backup")), 0);
    keys_close(keys);
    assert_int_equal(keys_open(support_path(*state, "backup"), false, &copy), 0);
    assert_int_equal(keys_reader_new(copy, &reader), 0);
    assert_int_equal(keys_reader_begin(reader), 0);
    assert_int_equal(keys_unseal(reader, 31, run, 1, two, sizeof(two), plain), 0);
    keys_reader_free(reader);
    keys_close(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_sealed_is_unsealed_after_reopening,
                                        support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_a_key_made_during_a_slice_is_seen, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_a_destroyed_key_opens_nothing, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_no_two_keys_are_equal_and_a_copy_opens_the_same,
                                        support_setup, support_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
