// SPDX-License-Identifier: Apache-2.0
// Keys: made before use, opened only with the right one, gone when destroyed.
#include "support.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/stores/keys.h"
#include "broker/stores/keys_internal.h"
#include "broker/stores/lookup.h"
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

// The customer's secret as it lies in the store; its first table is the keys'.
static void read_secret_of(struct keys *keys, uint64_t customer, uint8_t ret[KEYS_SECRET_BYTES]) {
    struct store_txn *txn = NULL;
    const void *record = NULL;
    size_t size = 0;
    uint8_t key[8];
    store_be64(key, customer / KEYS_RECORD);
    assert_int_equal(store_begin(keys_store(keys), false, &txn), 0);
    assert_int_equal(store_get(txn, 0, key, sizeof(key), &record, &size), 0);
    memcpy(ret, (const uint8_t *)record + customer % KEYS_RECORD * KEYS_SECRET_BYTES,
           KEYS_SECRET_BYTES);
    store_abort(txn);
}

// How often the secret stands in the file, in whole pages, free ones and unused rests.
static unsigned count_in_file(const char *dir, const uint8_t secret[KEYS_SECRET_BYTES]) {
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    size_t size = 0;
    uint8_t *bytes = support_read(path, &size);
    unsigned n = 0;
    const uint8_t *at = bytes;
    while ((at = memmem(at, size - (size_t)(at - bytes), secret, KEYS_SECRET_BYTES)) != NULL) {
        n++;
        at++;
    }
    free(bytes);
    return n;
}

static void test_a_destroyed_key_opens_nothing(void **state) {
    struct keys *keys = NULL;
    struct keys_reader *reader = NULL;
    uint8_t sealed[1 + KEYS_SEAL_OVERHEAD], plain[1];
    assert_int_equal(keys_open(support_path(*state, "keys"), false, &keys), 0);
    assert_int_equal(keys_ensure(keys, 40), 0);
    assert_int_equal(keys_reader_new(keys, &reader), 0);
    assert_int_equal(keys_reader_begin(reader), 0);
    assert_int_equal(keys_seal(reader, 40, run, 1, "x", 1, sealed), 0);
    keys_reader_end(reader);
    assert_false(keys_is_destroyed(keys, 40));
    assert_int_equal(keys_destroy(keys, 40, 1234567), 0);
    for (int i = 0; i < 2; i++) { // at once, and after the next start
        assert_true(keys_is_destroyed(keys, 40));
        assert_false(keys_is_destroyed(keys, 41));
        assert_false(keys_is_destroyed(keys, 0));
        assert_int_equal(keys_n_destroyed(keys), 1);
        assert_int_equal(keys_reader_begin(reader), 0);
        assert_int_equal(keys_unseal(reader, 40, run, 1, sealed, sizeof(sealed), plain), 1);
        assert_int_equal(keys_seal(reader, 40, run, 2, "x", 1, sealed), 1);
        assert_int_equal(keys_seal(reader, 41, run, 2, "x", 1, sealed), 0);
        keys_reader_free(reader);
        keys_close(keys);
        assert_int_equal(keys_open(support_path(*state, "keys"), false, &keys), 0);
        assert_int_equal(keys_reader_new(keys, &reader), 0);
    }
    keys_reader_free(reader);
    keys_close(keys);
}

// A reader remembers where records lie, in one place for several of them.
static void test_keys_that_a_reader_remembers_in_one_place_are_told_apart(void **state) {
    struct keys *keys = NULL;
    struct keys_reader *reader = NULL;
    uint8_t sealed[2][1 + KEYS_SEAL_OVERHEAD], plain[1];
    const uint64_t customers[] = {5, 5 + KEYS_RECORD * KEYS_FOUND_MAX};
    assert_int_equal(keys_open(support_path(*state, "keys"), false, &keys), 0);
    assert_int_equal(keys_ensure(keys, customers[1]), 0);
    assert_int_equal(keys_reader_new(keys, &reader), 0);
    assert_int_equal(keys_reader_begin(reader), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(keys_seal(reader, customers[i], run, 1, "x", 1, sealed[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *bytes = sealed[i % 2];
        assert_int_equal(
            keys_unseal(reader, customers[i % 2], run, 1, bytes, sizeof(sealed[0]), plain), 0);
        assert_int_equal(
            keys_unseal(reader, customers[1 - i % 2], run, 1, bytes, sizeof(sealed[0]), plain),
            -EBADMSG);
    }
    keys_reader_free(reader);
    keys_close(keys);
}

static int sum_row(void *user, uint64_t customer, int64_t time_us) {
    int64_t *sum = user;
    *sum += (int64_t)customer * time_us;
    return 0;
}

static void test_keys_are_destroyed_once_and_only_where_there_is_one(void **state) {
    struct keys *keys = NULL;
    int64_t sum = 0;
    enum { MANY = 300 }; // the set in memory grows more than once
    assert_int_equal(keys_open(support_path(*state, "keys"), false, &keys), 0);
    assert_int_equal(keys_destroy(keys, 1, 1), -EINVAL); // none was made
    assert_int_equal(keys_ensure(keys, 1), 0);
    assert_int_equal(keys_destroy(keys, 0, 1), -EINVAL); // nobody's
    assert_int_equal(keys_destroy(keys, keys_made(keys), 1), -EINVAL);
    for (uint64_t customer = 1; customer <= MANY; customer++) {
        assert_int_equal(keys_destroy(keys, 3 * customer, 2), 0);
        assert_int_equal(keys_destroy(keys, 3 * customer, 9), 1);
    }
    for (uint64_t customer = 1; customer <= UINT64_C(3) * MANY; customer++) {
        assert_true(keys_is_destroyed(keys, customer) == (customer % 3 == 0));
    }
    int64_t time_us = 0;
    assert_int_equal(keys_destroyed_at(keys, 2, &time_us), 1);
    assert_int_equal(keys_destroyed_at(keys, 3, &time_us), 0);
    assert_int_equal(time_us, 2); // the first time stays
    assert_int_equal(keys_each_destroyed(keys, sum_row, &sum), 0);
    assert_int_equal(sum, 270900); // 2 * 3 * (1 + ... + MANY)
    keys_close(keys);
}

static void test_a_scrub_leaves_no_copy_of_a_destroyed_key_in_the_file(void **state) {
    struct keys *keys = NULL;
    const char *dir = support_path(*state, "keys");
    uint8_t secrets[4][KEYS_SECRET_BYTES], neighbour[KEYS_SECRET_BYTES];
    static const uint64_t customers[4] = {1, 40, 8191, 8192 + 4000};
    assert_int_equal(keys_open(dir, false, &keys), 0);
    assert_int_equal(keys_ensure(keys, 1), 0);
    assert_false(keys_needs_scrub(keys));
    for (int i = 0; i < 4; i++) {
        read_secret_of(keys, customers[i], secrets[i]);
        assert_int_equal(count_in_file(dir, secrets[i]), 1);
    }
    read_secret_of(keys, 41, neighbour);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(keys_destroy(keys, customers[i], 1), 0);
    }
    // The control: this is what a scrub is for. Pages of those before may be used again by now.
    assert_true(count_in_file(dir, secrets[3]) > 0);
    assert_true(keys_needs_scrub(keys));
    keys_close(keys);

    assert_int_equal(keys_open(dir, false, &keys), 0); // as after a crash
    assert_true(keys_needs_scrub(keys));
    assert_int_equal(keys_scrub(keys), 0);
    assert_false(keys_needs_scrub(keys));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(count_in_file(dir, secrets[i]), 0);
    }
    assert_int_equal(count_in_file(dir, neighbour), 1);
    keys_close(keys);
    assert_int_equal(keys_open(dir, false, &keys), 0);
    assert_false(keys_needs_scrub(keys));
    assert_true(keys_is_destroyed(keys, 40));
    keys_close(keys);
}

static int compare_secret(const void *a, const void *b) {
    return memcmp(a, b, KEYS_SECRET_BYTES);
}

enum { BEGINNINGS = 1 << 24 };
static size_t beginning(const uint8_t *bytes) {
    return (size_t)bytes[0] << 16 | (size_t)bytes[1] << 8 | bytes[2];
}

// How many secrets that are not destroyed stand in the file, each as often as it does. Closes keys.
static size_t count_secrets(struct keys *keys, const char *dir, size_t n_gone) {
    size_t n = keys_made(keys), size = 0, n_found = 0;
    uint8_t(*secrets)[KEYS_SECRET_BYTES] = calloc(n, sizeof(*secrets));
    assert_non_null(secrets);
    for (size_t i = 0; i < n; i++) {
        read_secret_of(keys, i, secrets[i]);
    }
    keys_close(keys);
    qsort(secrets, n, sizeof(*secrets), compare_secret);
    assert_true(sodium_is_zero(secrets[n_gone - 1], KEYS_SECRET_BYTES));
    assert_false(sodium_is_zero(secrets[n_gone], KEYS_SECRET_BYTES));
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    uint8_t *bytes = support_read(path, &size);
    // LMDB puts rows at even places. What no secret begins with is passed over.
    bool *begins = calloc(BEGINNINGS, sizeof(*begins));
    assert_non_null(begins);
    for (size_t i = n_gone; i < n; i++) {
        begins[beginning(secrets[i])] = true;
    }
    for (size_t at = 0; at + KEYS_SECRET_BYTES <= size; at += 2) {
        n_found +=
            begins[beginning(bytes + at)] && bsearch(bytes + at, secrets[n_gone], n - n_gone,
                                                     sizeof(*secrets), compare_secret) != NULL;
    }
    free(begins);
    free(bytes);
    free(secrets);
    return n_found;
}

// Keys are made, pages are rewritten and used again, keys are destroyed, all in one process: no
// secret may come to lie where a scrub does not look, in the unused rest of another page.
static void test_every_secret_stands_in_the_file_once_after_a_scrub(void **state) {
    struct keys *keys = NULL;
    const char *dir = support_path(*state, "keys");
    enum { ROUNDS = 5, DESTROYED = 20 }; // keys destroyed in each
    assert_int_equal(keys_open(dir, false, &keys), 0);
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        assert_int_equal(keys_ensure(keys, i * KEYS_AHEAD), 0);
        for (uint64_t customer = 1; customer <= DESTROYED; customer++) {
            assert_int_equal(keys_destroy(keys, i * KEYS_AHEAD / 2 + 7 * customer, 1), 0);
        }
    }
    assert_int_equal(keys_scrub(keys), 0);
    size_t n_gone = (size_t)ROUNDS * DESTROYED, n_living = keys_made(keys) - n_gone;
    assert_int_equal(count_secrets(keys, dir, n_gone), n_living);
}

// The same of a copy that is large enough to be written in several pieces, as a backup's is.
static void test_every_secret_stands_in_a_scrubbed_copy_once(void **state) {
    enum { CUSTOMERS = 150000 };
    struct keys *keys = NULL;
    struct store_txn *txn = NULL;
    const char *dir = support_path(*state, "copy");
    assert_int_equal(keys_open(support_path(*state, "keys"), false, &keys), 0);
    assert_int_equal(keys_ensure(keys, CUSTOMERS), 0);
    assert_int_equal(store_begin(keys_store(keys), false, &txn), 0);
    assert_int_equal(store_copy_pinned(keys_store(keys), txn, dir, NULL, NULL), 0);
    store_abort(txn);
    keys_close(keys);
    assert_int_equal(keys_open(dir, false, &keys), 0);
    assert_int_equal(keys_destroy(keys, 1, 1), 0);
    assert_int_equal(keys_scrub(keys), 0);
    size_t n_living = keys_made(keys) - 1;
    assert_int_equal(count_secrets(keys, dir, 1), n_living);
}

enum { PAGE = 4096, AT_TXN_ID = 144 };

static uint64_t txn_of_slot(const uint8_t *file, size_t slot) {
    uint64_t txn = 0;
    memcpy(&txn, file + slot * PAGE + AT_TXN_ID, sizeof(txn));
    return txn;
}

// Every key of the folder's is the one that it was, but for the last destroyed one's.
static void expect_keys(const char *dir, uint8_t (*secrets)[KEYS_SECRET_BYTES], size_t n,
                        uint64_t last_destroyed) {
    struct keys *keys = NULL;
    uint8_t secret[KEYS_SECRET_BYTES];
    assert_int_equal(keys_open(dir, false, &keys), 0);
    assert_int_equal(keys_made(keys), n);
    for (uint64_t i = 0; i < n; i++) {
        read_secret_of(keys, i, secret);
        if (i != last_destroyed) {
            assert_memory_equal(secret, secrets[i], KEYS_SECRET_BYTES);
        }
    }
    keys_close(keys);
}

// Any of the pages that a scrub writes may have reached the disk, and the last commit may be lost
// with it: the one before is whole, too.
static void test_a_scrub_that_is_cut_short_harms_no_commit(void **state) {
    enum { LAST = 40, ROUNDS = 12 };
    struct keys *keys = NULL;
    const char *dir = support_path(*state, "keys"), *why = NULL;
    char path[PATH_BYTES], lock[PATH_BYTES];
    size_t size = 0, size_after = 0;
    uint64_t below = 0, seed = 7;
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    snprintf(lock, sizeof(lock), "%s/lock.mdb", dir);
    assert_int_equal(keys_open(dir, false, &keys), 0);
    assert_int_equal(keys_ensure(keys, 1), 0);
    for (uint64_t customer = 4; customer <= LAST; customer += 4) {
        assert_int_equal(keys_destroy(keys, customer * 100, 1), 0);
    }
    assert_int_equal(keys_destroy(keys, LAST, 1), 0);
    size_t n = keys_made(keys);
    uint8_t(*secrets)[KEYS_SECRET_BYTES] = calloc(n, sizeof(*secrets));
    assert_non_null(secrets);
    for (uint64_t i = 0; i < n; i++) {
        read_secret_of(keys, i, secrets[i]);
    }
    uint8_t *before = support_read(path, &size);
    assert_int_equal(store_wipe_free(keys_store(keys), UINT32_MAX, &below), 0);
    uint8_t *after = support_read(path, &size_after);
    assert_int_equal(size, size_after);
    assert_memory_not_equal(before, after, size);
    keys_close(keys);
    size_t older = txn_of_slot(before, 0) < txn_of_slot(before, 1) ? 0 : 1;
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t *mixed = malloc(size);
        assert_non_null(mixed);
        for (size_t at = 0; at < size; at += PAGE) {
            const uint8_t *from = round > 1 && support_random(&seed) % 2 == 0 ? before : after;
            memcpy(mixed + at, from + at, PAGE);
        }
        support_write(path, mixed, size);
        free(mixed);
        unlink(lock);
        if (round % 2 == 1) {
            assert_int_equal(store_write_meta(dir, before + older * PAGE, PAGE,
                                              txn_of_slot(before, older), &why),
                             0);
        }
        expect_keys(dir, secrets, n, LAST);
    }
    free(before);
    free(after);
    free(secrets);
}

static void test_a_scrub_waits_for_readers_that_may_see_the_key(void **state) {
    struct keys *keys = NULL;
    struct keys_reader *reader = NULL;
    const char *dir = support_path(*state, "keys");
    uint8_t secret[KEYS_SECRET_BYTES], sealed[1 + KEYS_SEAL_OVERHEAD], plain[1];
    assert_int_equal(keys_open(dir, false, &keys), 0);
    assert_int_equal(keys_ensure(keys, 1), 0);
    read_secret_of(keys, 7, secret);
    assert_int_equal(keys_reader_new(keys, &reader), 0);
    assert_int_equal(keys_reader_begin(reader), 0);
    assert_int_equal(keys_seal(reader, 7, run, 1, "x", 1, sealed), 0);
    assert_int_equal(keys_destroy(keys, 7, 1), 0);
    assert_int_equal(keys_scrub(keys), 1);
    assert_true(keys_needs_scrub(keys));
    assert_true(count_in_file(dir, secret) > 0);
    assert_int_equal(keys_unseal(reader, 7, run, 1, sealed, sizeof(sealed), plain), 0); // whole
    keys_reader_end(reader);
    assert_int_equal(keys_scrub(keys), 0);
    assert_int_equal(count_in_file(dir, secret), 0);
    keys_reader_free(reader);
    keys_close(keys);
}

static void test_a_store_from_before_destroying_opens(void **state) {
    static const char *const tables[] = {"keys", "meta"};
    static const uint8_t hash_secret[KEYS_HASH_SECRET_BYTES] = {1};
    struct store_options options = {.tables = tables, .n_tables = 2, .map_bytes = 1 << 28};
    struct store *store = NULL;
    struct store_txn *txn = NULL;
    struct keys *keys = NULL;
    assert_int_equal(store_open(support_path(*state, "keys"), &options, &store), 0);
    assert_int_equal(store_begin(store, true, &txn), 0);
    assert_int_equal(store_put(txn, 1, "hash-secret", 11, hash_secret, sizeof(hash_secret)), 0);
    assert_int_equal(store_commit(txn), 0);
    store_close(store);
    assert_int_equal(keys_open(support_path(*state, "keys"), false, &keys), 0);
    assert_int_equal(keys_ensure(keys, 1), 0);
    assert_int_equal(keys_destroy(keys, 1, 1), 0);
    keys_close(keys);
}

static void test_lookups_part_keys_from_references_and_kinds_from_values(void **state) {
    static const uint8_t secret[16] = {1}, other[16] = {2};
    uint8_t rows[5][LOOKUP_BYTES];
    char long_text[400] = "";
    (void)state;
    memset(long_text, 'x', sizeof(long_text) - 1);
    assert_true(lookup_key(secret, "order", "1", rows[0]));
    assert_true(lookup_reference(secret, "order", "1", rows[1]));
    assert_true(lookup_key(secret, "orde", "r1", rows[2]));
    assert_true(lookup_key(other, "order", "1", rows[3]));
    for (int i = 1; i < 4; i++) {
        assert_memory_not_equal(rows[0], rows[i], LOOKUP_BYTES);
    }
    assert_true(lookup_key(secret, "order", "1", rows[4]));
    assert_memory_equal(rows[0], rows[4], LOOKUP_BYTES);
    assert_false(lookup_key(secret, "order", long_text, rows[0]));
    assert_false(lookup_reference(secret, long_text, "1", rows[0]));
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
        cmocka_unit_test_setup_teardown(
            test_keys_that_a_reader_remembers_in_one_place_are_told_apart, support_setup,
            support_teardown),
        cmocka_unit_test_setup_teardown(test_a_destroyed_key_opens_nothing, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_keys_are_destroyed_once_and_only_where_there_is_one,
                                        support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_a_scrub_leaves_no_copy_of_a_destroyed_key_in_the_file,
                                        support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_every_secret_stands_in_the_file_once_after_a_scrub,
                                        support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_every_secret_stands_in_a_scrubbed_copy_once,
                                        support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_a_scrub_that_is_cut_short_harms_no_commit,
                                        support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_a_scrub_waits_for_readers_that_may_see_the_key,
                                        support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_a_store_from_before_destroying_opens, support_setup,
                                        support_teardown),
        cmocka_unit_test(test_lookups_part_keys_from_references_and_kinds_from_values),
        cmocka_unit_test_setup_teardown(test_no_two_keys_are_equal_and_a_copy_opens_the_same,
                                        support_setup, support_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
