// SPDX-License-Identifier: Apache-2.0
// What is dirty of a file is written out piece by piece, and an error is told.
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "broker/stores/store_internal.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, support_setup, support_teardown)

enum {
    PAGE = 4096,
    BYTES = 200 * PAGE, // some pieces, the last one not full
    CACHESTAT = 451,
    TMPFS = 0x01021994,
};

static int new_file(const char *dir) {
    int descriptor = open(support_path(dir, "file"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(descriptor >= 0);
    return descriptor;
}

// Of a file's page cache, by cachestat(2). False where the kernel cannot tell (before 6.5).
static bool count_dirty(int descriptor, uint64_t *ret) {
    struct {
        uint64_t offset, size;
    } all = {0, 0};
    struct {
        uint64_t cached, dirty, writeback, evicted, recently_evicted;
    } found = {0};
    struct statfs system;
    if (fstatfs(descriptor, &system) != 0 || system.f_type == TMPFS ||
        syscall(CACHESTAT, descriptor, &all, &found, 0) != 0) {
        return false;
    }
    *ret = found.dirty + found.writeback;
    return true;
}

static void test_nothing_dirty_is_left_and_nothing_is_changed(void **state) {
    int descriptor = new_file(*state);
    uint8_t page[PAGE], found[PAGE];
    uint64_t dirty = 0;
    memset(page, 'x', sizeof(page));
    for (off_t at = 0; at < BYTES; at += PAGE) {
        assert_int_equal(pwrite(descriptor, page, PAGE, at), PAGE);
    }
    assert_int_equal(store_write_out(descriptor), 0);
    if (count_dirty(descriptor, &dirty)) {
        assert_int_equal(dirty, 0);
    }
    for (off_t at = 0; at < BYTES; at += PAGE) {
        assert_int_equal(pread(descriptor, found, PAGE, at), PAGE);
        assert_memory_equal(found, page, PAGE);
    }
    assert_int_equal(lseek(descriptor, 0, SEEK_END), BYTES);
    close(descriptor);
}

static void test_an_empty_file_and_a_huge_one_of_nothing_are_no_work(void **state) {
    int descriptor = new_file(*state);
    assert_int_equal(store_write_out(descriptor), 0);
    assert_int_equal(ftruncate(descriptor, (off_t)1 << 42), 0);
    assert_int_equal(store_write_out(descriptor), 0);
    close(descriptor);
}

static void test_an_error_is_told(void **state) {
    (void)state;
    assert_int_equal(store_write_out(-1), -EBADF);
    assert_int_equal(store_written(-1), -EBADF);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_dirty_is_left_and_nothing_is_changed),
        TEST(test_an_empty_file_and_a_huge_one_of_nothing_are_no_work),
        TEST(test_an_error_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
