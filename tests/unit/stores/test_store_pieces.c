// SPDX-License-Identifier: Apache-2.0
// While somebody waits for an answer LMDB's writes are small, and say the same as large ones: what
// is written is what was to be, and a failure is told as write(2) tells it.
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "broker/stores/store.h"
#include "broker/stores/store_pieces.h"
#include "schemas/base/scheduling.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, support_setup, teardown)

enum {
    MAP_BYTES = 1 << 26,
    VALUE_BYTES = 1 << 20,
    ROWS = 500,
    ROW_BYTES = 900,
    PARTS_MAX = 40,
    PART_BYTES_MAX = 1 << 18,
    FOUR_PIECES = 4 * STORE_PIECE_BYTES,
};

// ---- the calls themselves, counted and made to fail (the linker's --wrap)

static size_t largest;
static unsigned n_calls, fails_at; // 0: never

ssize_t __real_pwrite(int fd, const void *bytes, size_t size, off_t at);
ssize_t __real_write(int fd, const void *bytes, size_t size);
ssize_t __real_writev(int fd, const struct iovec *parts, int n);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t at);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);
ssize_t __wrap_writev(int fd, const struct iovec *parts, int n);

static bool fails(size_t size) {
    largest = size > largest ? size : largest;
    errno = EIO;
    return ++n_calls == fails_at;
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t at) {
    return fails(size) ? -1 : __real_pwrite(fd, bytes, size, at);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t size) {
    return fails(size) ? -1 : __real_write(fd, bytes, size);
}

static size_t sum(const struct iovec *parts, int n) {
    size_t size = 0;
    for (int i = 0; i < n; i++) {
        size += parts[i].iov_len;
    }
    return size;
}

ssize_t __wrap_writev(int fd, const struct iovec *parts, int n) {
    return fails(sum(parts, n)) ? -1 : __real_writev(fd, parts, n);
}

static void begin(bool wanted, unsigned failing) {
    scheduling_yields(wanted);
    largest = n_calls = 0;
    fails_at = failing;
}

static int teardown(void **state) {
    begin(false, 0);
    return support_teardown(state);
}

// ---- a store's commits

static uint8_t value[VALUE_BYTES];

static void fill(uint64_t seed) {
    for (size_t i = 0; i < sizeof(value); i++) {
        value[i] = (uint8_t)support_random(&seed);
    }
}

static void put(struct store_txn *txn, unsigned number, size_t size) {
    uint8_t key[2] = {(uint8_t)(number >> 8), (uint8_t)number};
    assert_int_equal(store_put(txn, 0, key, sizeof(key), value + number, size), 0);
}

static void check(struct store_txn *txn, unsigned number, size_t size) {
    uint8_t key[2] = {(uint8_t)(number >> 8), (uint8_t)number};
    const void *found;
    size_t found_size;
    assert_int_equal(store_get(txn, 0, key, sizeof(key), &found, &found_size), 0);
    assert_int_equal(found_size, size);
    assert_memory_equal(found, value + number, size);
}

// A large value, as a block of the log is one, and many rows, as a view's are.
static void commit_and_read(const char *dir, bool wanted) {
    static const char *const tables[] = {"rows"};
    struct store_options options = {
        .tables = tables, .n_tables = 1, .map_bytes = MAP_BYTES, .no_sync = true};
    struct store *store;
    struct store_txn *txn;
    fill(wanted);
    assert_int_equal(store_open(dir, &options, &store), 0);
    begin(wanted, 0);
    assert_int_equal(store_begin(store, true, &txn), 0);
    put(txn, 0, VALUE_BYTES);
    for (unsigned i = 1; i <= ROWS; i++) {
        put(txn, i, ROW_BYTES);
    }
    assert_int_equal(store_commit(txn), 0);
    assert_int_equal(store_begin(store, false, &txn), 0);
    check(txn, 0, VALUE_BYTES);
    for (unsigned i = 1; i <= ROWS; i++) {
        check(txn, i, ROW_BYTES);
    }
    store_abort(txn);
    assert_null(store_close(store));
}

static void test_a_commit_is_written_in_pieces_while_somebody_waits(void **state) {
    commit_and_read(support_path(*state, "waits"), true);
    assert_in_range(largest, 1, STORE_PIECE_BYTES);
}

static void test_and_at_one_go_otherwise(void **state) {
    commit_and_read(support_path(*state, "nobody"), false);
    assert_true(largest >= VALUE_BYTES);
}

// ---- the same bytes at the same place, whatever the parts are

static int new_file(const char *dir) {
    int fd = open(support_path(dir, "file"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static void test_parts_of_any_size_are_written_one_after_the_other(void **state) {
    static uint8_t found[VALUE_BYTES];
    uint64_t seed = 7;
    fill(3);
    for (unsigned round = 0; round < 200; round++) {
        struct iovec parts[PARTS_MAX];
        int n = 1 + (int)(support_random(&seed) % PARTS_MAX), fd = new_file(*state);
        size_t size = 0;
        for (int i = 0; i < n; i++) {
            bool is_large = support_random(&seed) % 8 == 0;
            parts[i].iov_base = value + size;
            parts[i].iov_len = is_large ? support_random(&seed) % PART_BYTES_MAX : 4096;
            parts[i].iov_len =
                size + parts[i].iov_len > VALUE_BYTES ? VALUE_BYTES - size : parts[i].iov_len;
            size += parts[i].iov_len;
        }
        begin(true, 0);
        assert_int_equal(store_lmdb_writev(fd, parts, n), size);
        assert_in_range(largest, 0, STORE_PIECE_BYTES);
        assert_int_equal(store_lmdb_pwrite(fd, value, size, (off_t)size), size);
        assert_in_range(largest, 0, STORE_PIECE_BYTES);
        for (int half = 0; half < 2; half++) {
            assert_int_equal(pread(fd, found, size, half * (off_t)size), size);
            assert_memory_equal(found, value, size);
        }
        close(fd);
    }
}

// LMDB takes less than all for an error of the disk, and -1 with errno for what it says.
static void test_a_failure_is_told_as_write_tells_it(void **state) {
    struct iovec parts[] = {
        {value, 4096}, {value + 4096, FOUR_PIECES}, {value + 4096 + FOUR_PIECES, 4096}};
    size_t all = sum(parts, 3);
    int fd = new_file(*state);
    for (unsigned failing = 1; failing <= 6; failing++) {
        begin(true, failing);
        ssize_t written = store_lmdb_writev(fd, parts, 3);
        assert_true(failing == 1 ? written == -1 && errno == EIO
                                 : written > 0 && (size_t)written < all);
    }
    begin(true, 7);
    assert_int_equal(store_lmdb_writev(fd, parts, 3), all);
    begin(true, 1);
    assert_int_equal(store_lmdb_pwrite(fd, value, VALUE_BYTES, 0), -1);
    assert_int_equal(errno, EIO);
    begin(true, 3);
    assert_int_equal(store_lmdb_pwrite(fd, value, VALUE_BYTES, 0), 2 * STORE_PIECE_BYTES);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_commit_is_written_in_pieces_while_somebody_waits),
        TEST(test_and_at_one_go_otherwise),
        TEST(test_parts_of_any_size_are_written_one_after_the_other),
        TEST(test_a_failure_is_told_as_write_tells_it),
    };
    return cmocka_run_group_tests_name("unit_store_pieces", tests, NULL, NULL);
}
