// SPDX-License-Identifier: Apache-2.0
// A store's file is made longer behind its pages in use, and nothing of them is touched.
#include "support.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/stores/store_internal.h"
#include "broker/stores/view.h"

#define PAGE UINT64_C(4096)
#define MANY (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)

#define TEST(test) cmocka_unit_test_setup_teardown(test, support_setup, support_teardown)

static int new_file(const char *dir, const char *name) {
    int descriptor = open(support_path(dir, name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(descriptor >= 0);
    return descriptor;
}

static uint64_t size_of(int descriptor) {
    struct stat status;
    assert_int_equal(fstat(descriptor, &status), 0);
    return (uint64_t)status.st_size;
}

static void fill(int descriptor, uint64_t bytes) {
    uint8_t page[PAGE];
    memset(page, 'x', sizeof(page));
    for (uint64_t at = 0; at < bytes; at += PAGE) {
        assert_int_equal(pwrite(descriptor, page, PAGE, (off_t)at), PAGE);
    }
}

static void assert_untouched(int descriptor, uint64_t bytes) {
    uint8_t page[PAGE], want[PAGE];
    memset(want, 'x', sizeof(want));
    for (uint64_t at = 0; at < bytes; at += PAGE) {
        assert_int_equal(pread(descriptor, page, PAGE, (off_t)at), PAGE);
        assert_memory_equal(page, want, PAGE);
    }
}

static void grow(int descriptor, uint64_t used, uint64_t map_bytes, struct store_ahead *ahead) {
    store_grow_ahead(descriptor, PAGE, used, map_bytes, ahead);
}

static void test_it_grows_by_a_quarter_and_by_8_mib_at_most(void **state) {
    int small = new_file(*state, "small"), large = new_file(*state, "large");
    struct store_ahead ahead = {0};
    fill(small, 40 * PAGE);
    grow(small, 40 * PAGE, MANY, &ahead);
    assert_int_equal(ahead.end, 50 * PAGE);
    assert_int_equal(size_of(small), 50 * PAGE);
    assert_untouched(small, 40 * PAGE);
    ahead = (struct store_ahead){0};
    assert_int_equal(ftruncate(large, 100 * MIB), 0);
    grow(large, 100 * MIB, MANY, &ahead);
    assert_int_equal(ahead.end, 108 * MIB);
    close(small);
    close(large);
}

static void test_nothing_is_written_while_half_of_it_is_left(void **state) {
    int file = new_file(*state, "half");
    struct store_ahead ahead = {0};
    grow(file, 80 * PAGE, MANY, &ahead);
    assert_int_equal(ahead.end, 100 * PAGE);
    fill(file, ahead.end); // what lies there now would be seen to change
    grow(file, 88 * PAGE, MANY, &ahead);
    assert_int_equal(ahead.end, 100 * PAGE);
    assert_untouched(file, ahead.end);
    grow(file, 92 * PAGE, MANY, &ahead);
    assert_int_equal(ahead.end, 115 * PAGE);
    assert_untouched(file, 100 * PAGE);
    close(file);
}

// A commit waits for it: it writes little where little was added, and gets there all the same.
static void test_it_catches_up_in_small_parts(void **state) {
    int file = new_file(*state, "parts");
    uint64_t used = 1000 * PAGE;
    struct store_ahead ahead = {.end = used, .used = used};
    unsigned n = 0;
    for (uint64_t before = used; ahead.end < used + used / 8; before = ahead.end, n++) {
        used += PAGE;
        grow(file, used, MANY, &ahead);
        assert_in_range(ahead.end - before, 1, 19 * PAGE);
    }
    assert_in_range(n, 7, 10);
    close(file);
}

static void test_lmdb_may_have_gone_beyond_it(void **state) {
    int file = new_file(*state, "beyond");
    struct store_ahead ahead = {.end = 100 * PAGE, .used = 90 * PAGE};
    fill(file, 400 * PAGE);
    grow(file, 400 * PAGE, MANY, &ahead);
    assert_int_equal(ahead.end, 500 * PAGE);
    assert_untouched(file, 400 * PAGE);
    close(file);
}

static void test_it_ends_with_the_map(void **state) {
    int file = new_file(*state, "map");
    struct store_ahead ahead = {0};
    grow(file, 80 * PAGE, 85 * PAGE, &ahead);
    assert_int_equal(ahead.end, 85 * PAGE);
    assert_int_equal(size_of(file), 85 * PAGE);
    close(file);
}

static void test_a_disk_that_refuses_is_no_error_here(void **state) {
    int file = new_file(*state, "refused");
    struct store_ahead ahead = {0};
    close(file);
    int reader = open(support_path(*state, "refused"), O_RDONLY | O_CLOEXEC);
    grow(reader, 80 * PAGE, MANY, &ahead);
    assert_int_equal(ahead.end, 80 * PAGE);
    assert_int_equal(size_of(reader), 0);
    close(reader);
}

// The view's own file: longer than its pages in use after a commit, and read as before.
static void test_a_live_view_grows_ahead(void **state) {
    static uint8_t row[1000];
    struct view *view = NULL;
    struct view_txn *txn = NULL;
    assert_int_equal(view_open(support_path(*state, "view"), VIEW_LIVE, MANY, false, &view), 0);
    assert_int_equal(view_begin(view, true, &txn), 0);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(view_put(txn, VIEW_CUSTOMERS, &i, sizeof(i), row, sizeof(row)), 0);
    }
    assert_int_equal(view_commit(txn), 0);
    uint64_t used, map;
    store_file_bytes(view_store(view), &used, &map);
    int file = open(support_path(*state, "view/data.mdb"), O_RDONLY | O_CLOEXEC);
    assert_in_range(size_of(file), used + used / 4 - PAGE, used + used / 4);
    close(file);
    view_close(view);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_it_grows_by_a_quarter_and_by_8_mib_at_most),
        TEST(test_nothing_is_written_while_half_of_it_is_left),
        TEST(test_it_catches_up_in_small_parts),
        TEST(test_lmdb_may_have_gone_beyond_it),
        TEST(test_it_ends_with_the_map),
        TEST(test_a_disk_that_refuses_is_no_error_here),
        TEST(test_a_live_view_grows_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
