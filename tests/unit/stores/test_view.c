// SPDX-License-Identifier: Apache-2.0
// The view's tables, its scans, and its hash: every table, every byte.
#include "support.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "broker/stores/view.h"

enum { MAP_BYTES = 1 << 28 };

static struct view *open_view(const char *dir, enum view_kind kind) {
    struct view *view = NULL;
    assert_int_equal(view_open(support_path(dir, "view"), kind, MAP_BYTES, false, &view), 0);
    return view;
}

static void hash(struct view *view, char ret[65]) {
    struct view_txn *txn = NULL;
    assert_int_equal(view_begin(view, false, &txn), 0);
    assert_int_equal(view_hash(txn, ret), 0);
    view_abort(txn);
}

static void put(struct view *view, enum view_table table, const char *key, const char *value) {
    struct view_txn *txn = NULL;
    assert_int_equal(view_begin(view, true, &txn), 0);
    assert_int_equal(view_put(txn, table, key, strlen(key), value, strlen(value)), 0);
    assert_int_equal(view_commit(txn), 0);
}

static void test_the_hash_sees_every_table_and_byte(void **state) {
    struct view *view = open_view(*state, VIEW_LIVE);
    char before[65], after[65];
    for (unsigned table = 0; table < VIEW_N_TABLES; table++) {
        hash(view, before);
        put(view, table, "k", "v");
        hash(view, after);
        assert_string_not_equal(before, after);
        hash(view, before);
        put(view, table, "k", "w");
        hash(view, after);
        assert_string_not_equal(before, after);
    }
    view_close(view);
}

static void test_the_hash_parts_keys_from_values_and_tables_from_tables(void **state) {
    struct view *view = open_view(*state, VIEW_LIVE);
    char one[65], two[65];
    struct view_txn *txn = NULL;
    put(view, VIEW_LOOKUPS, "ab", "c");
    hash(view, one);
    assert_int_equal(view_begin(view, true, &txn), 0);
    assert_int_equal(view_delete(txn, VIEW_LOOKUPS, "ab", 2), 0);
    assert_int_equal(view_put(txn, VIEW_LOOKUPS, "a", 1, "bc", 2), 0);
    assert_int_equal(view_commit(txn), 0);
    hash(view, two);
    assert_string_not_equal(one, two);
    assert_int_equal(view_begin(view, true, &txn), 0);
    assert_int_equal(view_delete(txn, VIEW_LOOKUPS, "a", 1), 0);
    assert_int_equal(view_put(txn, VIEW_TIMELINE, "ab", 2, "c", 1), 0);
    assert_int_equal(view_commit(txn), 0);
    hash(view, two);
    assert_string_not_equal(one, two);
    view_close(view);
}

static void test_equal_content_is_an_equal_hash_whatever_the_way(void **state) {
    struct view *view = open_view(*state, VIEW_LIVE), *other = NULL;
    char one[65], two[65];
    uint64_t seed = 7;
    struct view_txn *txn = NULL;
    assert_int_equal(
        view_open(support_path(*state, "other"), VIEW_SCRATCH, MAP_BYTES, false, &other), 0);
    for (int i = 0; i < 500; i++) { // the detour: values that change, keys that go
        char key[3] = {(char)('a' + support_random(&seed) % 20),
                       (char)('a' + support_random(&seed) % 20), '\0'};
        char value[3] = {(char)('a' + support_random(&seed) % 20), 'x', '\0'};
        put(view, VIEW_CUSTOMERS, key, value);
    }
    assert_int_equal(view_begin(view, true, &txn), 0);
    for (int a = 'a'; a < 'a' + 20; a++) {
        for (int b = 'a'; b < 'a' + 20; b++) {
            char key[2] = {(char)a, (char)b};
            view_delete(txn, VIEW_CUSTOMERS, key, 2);
        }
    }
    assert_int_equal(view_put(txn, VIEW_CUSTOMERS, "zz", 2, "z", 1), 0);
    assert_int_equal(view_commit(txn), 0);
    put(other, VIEW_CUSTOMERS, "zz", "z");
    hash(view, one);
    hash(other, two);
    assert_string_equal(one, two);
    view_close(other);
    view_close(view);
}

struct rows {
    unsigned n;
    char text[256];
};

static int collect(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct rows *rows = user;
    (void)value;
    (void)size;
    strncat(rows->text, key, key_size);
    strncat(rows->text, " ", 2);
    rows->n++;
    return 0;
}

static void test_a_scan_goes_both_ways_within_its_prefix(void **state) {
    struct view *view = open_view(*state, VIEW_LIVE);
    struct view_txn *txn = NULL;
    static const char *const keys[] = {"a", "b1", "b2", "b3", "c", "\xff\xff", "\xff\xff\x31"};
    for (size_t i = 0; i < 7; i++) {
        put(view, VIEW_TIMELINE, keys[i], "v");
    }
    assert_int_equal(view_begin(view, false, &txn), 0);
    struct rows rows = {.n = 0};
    assert_int_equal(view_scan(txn, VIEW_TIMELINE, "b", 1, false, collect, &rows), 0);
    assert_string_equal(rows.text, "b1 b2 b3 ");
    rows = (struct rows){.n = 0};
    assert_int_equal(view_scan(txn, VIEW_TIMELINE, "b", 1, true, collect, &rows), 0);
    assert_string_equal(rows.text, "b3 b2 b1 ");
    rows = (struct rows){.n = 0};
    assert_int_equal(view_scan(txn, VIEW_TIMELINE, "\xff\xff", 2, true, collect, &rows), 0);
    assert_string_equal(rows.text, "\xff\xff"
                                   "1 \xff\xff ");
    rows = (struct rows){.n = 0};
    assert_int_equal(view_scan(txn, VIEW_TIMELINE, "d", 1, true, collect, &rows), 0);
    assert_int_equal(view_scan(txn, VIEW_TIMELINE, "d", 1, false, collect, &rows), 0);
    assert_int_equal(view_scan(txn, VIEW_ITEMS, "", 0, true, collect, &rows), 0);
    assert_int_equal(rows.n, 0);
    assert_int_equal(view_scan(txn, VIEW_TIMELINE, "", 0, true, collect, &rows), 0);
    assert_int_equal(rows.n, 7);
    view_abort(txn);
    view_close(view);
}

static void test_applied_and_identity_are_kept(void **state) {
    struct view *view = open_view(*state, VIEW_BASE);
    struct view_txn *txn = NULL;
    struct view_identity identity = {.incarnation = {1, 2, 3}, .fold_version = 9}, read = {{0}, 0};
    assert_int_equal(view_begin(view, true, &txn), 0);
    assert_int_equal(view_applied(txn), 0);
    assert_int_equal(view_get_identity(txn, &read), 1);
    assert_int_equal(view_set_applied(txn, UINT64_C(0x102030405060708)), 0);
    assert_int_equal(view_set_identity(txn, &identity), 0);
    assert_int_equal(view_commit(txn), 0);
    view_close(view);
    view = open_view(*state, VIEW_BASE);
    assert_int_equal(view_begin(view, false, &txn), 0);
    assert_int_equal(view_applied(txn), UINT64_C(0x102030405060708));
    assert_int_equal(view_get_identity(txn, &read), 0);
    assert_int_equal(read.fold_version, 9);
    assert_memory_equal(read.incarnation, identity.incarnation, INCARNATION_BYTES);
    view_abort(txn);
    view_close(view);
}

static void test_a_reader_keeps_its_snapshot_and_a_copy_has_it_all(void **state) {
    struct view *view = open_view(*state, VIEW_LIVE), *copy = NULL;
    struct view_txn *txn = NULL;
    const void *value = NULL;
    size_t size = 0;
    char one[65], two[65];
    put(view, VIEW_NAMES, "k", "old");
    assert_int_equal(view_begin(view, false, &txn), 0);
    put(view, VIEW_NAMES, "k", "new");
    assert_int_equal(view_get(txn, VIEW_NAMES, "k", 1, &value, &size), 0);
    assert_memory_equal(value, "old", 3);
    view_abort(txn);
    assert_int_equal(view_copy(view, support_path(*state, "copy")), 0);
    assert_int_equal(view_open(support_path(*state, "copy"), VIEW_SCRATCH, MAP_BYTES, false, &copy),
                     0);
    hash(view, one);
    hash(copy, two);
    assert_string_equal(one, two);
    view_close(copy);
    view_close(view);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, support_setup, support_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_the_hash_sees_every_table_and_byte),
        TEST(test_the_hash_parts_keys_from_values_and_tables_from_tables),
        TEST(test_equal_content_is_an_equal_hash_whatever_the_way),
        TEST(test_a_scan_goes_both_ways_within_its_prefix),
        TEST(test_applied_and_identity_are_kept),
        TEST(test_a_reader_keeps_its_snapshot_and_a_copy_has_it_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
