// SPDX-License-Identifier: Apache-2.0
// Restore points that are copies: whatever is left of the data file, the copied commit comes back
// byte for byte; a copy that is not whole is none, and one that fails leaves the point before.
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/stores/store.h"
#include "points.h"

enum { PAGE_BYTES = 4096, WORKS = 120 };

// Stands in for libc's: syncs of folders, or of files, fail while they are told to. Nothing is
// really synced, since power is cut here by hand.
static bool folders_fail, files_fail, pages_fail;

int fsync(int descriptor) {
    struct stat status;
    if (fstat(descriptor, &status) == 0 && (S_ISDIR(status.st_mode) ? folders_fail : files_fail)) {
        errno = EIO;
        return -1;
    }
    return 0;
}

int fdatasync(int descriptor) {
    return fsync(descriptor);
}

int sync_file_range(int descriptor, off_t offset, off_t size, unsigned flags) {
    (void)descriptor, (void)offset, (void)size, (void)flags;
    errno = EIO; // what was written behind everybody's back was not
    return pages_fail ? -1 : 0;
}

static void work(struct view *view, uint64_t *seed, uint64_t from, uint64_t to) {
    for (uint64_t applied = from; applied <= to; applied++) {
        points_work(view, seed, applied);
    }
}

static bool exists(const char *dir, const char *name) {
    return access(support_path(dir, name), F_OK) == 0;
}

// A view of 20 commits, copied; then of 40. What it was at the copy: expected.
static void copied_at_20(const char *dir, char expected[65]) {
    struct view *view = points_open(dir);
    uint64_t seed = 1;
    work(view, &seed, 1, 20);
    points_take_copy(view);
    points_hash(view, expected);
    assert_int_equal(view_restorable(view), 20);
    assert_false(view_is_pinned(view));
    work(view, &seed, 21, 40);
    view_close(view);
}

static void test_a_killed_view_comes_back_at_its_copy(void **state) {
    char expected[65];
    copied_at_20(*state, expected);
    points_expect(*state, 20, expected);
    points_expect(*state, 20, expected); // and again
}

static void test_it_does_not_matter_what_became_of_the_data_file(void **state) {
    char expected[65], data[PATH_BYTES];
    copied_at_20(*state, expected);
    memcpy(data, support_path(*state, "view/data.mdb"), PATH_BYTES);
    size_t size = 0;
    uint64_t seed = 8;
    uint8_t *now = support_read(data, &size);
    uint8_t *copy = support_read(support_path(*state, "view/restore-point"), &(size_t){0});

    assert_int_equal(unlink(data), 0);
    points_expect(*state, 20, expected);
    support_write(data, "", 0);
    points_expect(*state, 20, expected);
    for (size_t kept = size; kept > PAGE_BYTES; kept /= 3) { // a start that was cut short
        uint8_t *mixed = malloc(size);
        assert_non_null(mixed);
        memcpy(mixed, now, size);
        memcpy(mixed, copy, kept / 3);
        support_write(data, mixed, size);
        free(mixed);
        points_expect(*state, 20, expected);
    }
    for (size_t i = 0; i < size; i++) {
        now[i] = (uint8_t)support_random(&seed);
    }
    support_write(data, now, size);
    points_expect(*state, 20, expected);
    free(copy);
    free(now);
}

static void test_points_of_both_kinds_follow_each_other_through_power_cuts(void **state) {
    const char *dir = *state;
    char path[PATH_BYTES], expected[65];
    memcpy(path, support_path(dir, "view/data.mdb"), PATH_BYTES);
    uint64_t seed = 11, applied = 1;
    struct view *view = points_open(dir);
    work(view, &seed, applied, applied);
    points_take_steady(view);
    for (int round = 0; round < 25; round++) {
        size_t old_size = 0;
        uint8_t *old = NULL;
        for (uint64_t n = 1 + support_random(&seed) % 4; n > 0; n--) {
            uint64_t more = support_random(&seed) % 10;
            work(view, &seed, applied + 1, applied + more);
            applied += more;
            free(old);
            old = NULL;
            old_size = 0;
            if (support_random(&seed) % 2 == 0) {
                points_take_steady(view);
                old = support_read(path, &old_size);
            } else {
                points_take_copy(view); // the data file is not synced for it
            }
        }
        uint64_t point = view_restorable(view);
        points_hash(view, expected);
        work(view, &seed, applied + 1, applied + support_random(&seed) % 12);
        view_close(view);
        points_cut_power(path, old, old_size, &seed);
        free(old);
        points_expect(dir, point, expected);
        const char *why = NULL;
        assert_int_equal(view_restore(support_path(dir, "view"), &points_identity, &applied, &why),
                         0);
        view = points_open(dir);
        assert_int_equal(view_pin_restored(view, applied), 0);
        uint64_t more = support_random(&seed) % 5;
        work(view, &seed, applied + 1, applied + more);
        applied += more;
    }
    view_close(view);
}

static uint64_t used_bytes(struct view *view) {
    uint64_t used = 0, map = 0;
    store_file_bytes(view_store(view), &used, &map);
    return used;
}

static void test_behind_a_copy_the_file_does_not_grow(void **state) {
    struct view *view = points_open(*state);
    uint64_t seed = 2, applied = 0;
    for (int round = 0; round < 4; round++, applied += 100) {
        work(view, &seed, applied + 1, applied + 100);
        points_take_copy(view);
    }
    uint64_t before = used_bytes(view);
    work(view, &seed, applied + 1, applied + 100);
    assert_true(used_bytes(view) < before + before / 4);
    points_take_steady(view);
    work(view, &seed, applied + 101, applied + 200);
    assert_true(used_bytes(view) > 2 * before);
    view_close(view);
}

struct writer {
    struct view *view;
    uint64_t seed;
};

static void *write_on(void *object) {
    struct writer *writer = object;
    work(writer->view, &writer->seed, 2, WORKS);
    return NULL;
}

// It is of one commit, whichever that was.
static void test_a_copy_taken_beside_the_writer_is_of_one_commit(void **state) {
    struct writer writer = {.view = points_open(*state), .seed = 4};
    char expected[65], other[PATH_BYTES];
    pthread_t thread;
    points_work(writer.view, &writer.seed, 1);
    assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
    for (int i = 0; i < 3; i++) {
        points_take_copy(writer.view);
    }
    pthread_join(thread, NULL);
    uint64_t point = view_restorable(writer.view);
    view_close(writer.view);

    memcpy(other, support_path(*state, "other"), PATH_BYTES);
    assert_int_equal(mkdir(other, 0700), 0);
    struct view *view = points_open(other);
    uint64_t seed = 4;
    work(view, &seed, 1, point);
    points_hash(view, expected);
    view_close(view);
    points_expect(*state, point, expected);
}

// The point before is a steady one, and its pages stay.
static void expect_point_before(const char *dir, struct view *view, uint64_t *seed,
                                const char *expected) {
    assert_int_equal(view_take_copy(view), 1);
    assert_int_equal(view_restorable(view), 5);
    assert_true(view_is_pinned(view));
    work(view, seed, 31, 60);
    view_close(view);
    points_expect(dir, 5, expected);
}

static struct view *steady_at_5(const char *dir, uint64_t *seed, char expected[65]) {
    struct view *view = points_open(dir);
    work(view, seed, 1, 5);
    points_take_steady(view);
    points_hash(view, expected);
    work(view, seed, 6, 30);
    return view;
}

static void test_a_copy_that_finds_no_room_leaves_the_point_before(void **state) {
    uint64_t seed = 3;
    char expected[65];
    struct view *view = steady_at_5(*state, &seed, expected);
    struct rlimit before, small = {.rlim_cur = 20000};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int r = view_take_copy(view);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(r, 1);
    assert_false(exists(*state, "view/restore-point.new")); // nor does half of it take room
    assert_int_equal(mkdir(support_path(*state, "view/restore-point.new"), 0700), 0);
    expect_point_before(*state, view, &seed, expected);
}

static void test_a_copy_that_is_not_synced_leaves_the_point_before(void **state) {
    uint64_t seed = 3;
    char expected[65];
    struct view *view = steady_at_5(*state, &seed, expected);
    files_fail = true;
    int r = view_take_copy(view);
    files_fail = false;
    assert_int_equal(r, 1);
    assert_false(exists(*state, "view/restore-point.new"));
    assert_int_equal(mkdir(support_path(*state, "view/restore-point.new"), 0700), 0);
    expect_point_before(*state, view, &seed, expected);
}

// The data file is never synced where points are copies: who else would notice?
static void test_pages_that_the_disk_did_not_take_are_not_copied(void **state) {
    uint64_t seed = 3;
    char expected[65];
    struct view *view = steady_at_5(*state, &seed, expected);
    pages_fail = true;
    int r = view_take_copy(view);
    pages_fail = false;
    assert_int_equal(r, -EIO);
    assert_false(exists(*state, "view/restore-point.new"));
    view_close(view);
    points_expect(*state, 5, expected);
}

static void test_a_copy_whose_name_is_not_synced_is_fatal(void **state) {
    uint64_t seed = 3;
    char expected[65];
    struct view *view = steady_at_5(*state, &seed, expected);
    folders_fail = true;
    int r = view_take_copy(view);
    folders_fail = false;
    assert_int_equal(r, -EIO);
    view_close(view);
}

static void test_what_is_not_fit_is_refused_with_its_reason(void **state) {
    static const char damaged[] = "the restore point is damaged";
    char expected[65], point[PATH_BYTES];
    copied_at_20(*state, expected);
    memcpy(point, support_path(*state, "view/restore-point"), PATH_BYTES);
    size_t size = 0;
    uint8_t *copy = support_read(point, &size);

    struct view_identity other = points_identity;
    other.fold_version++;
    points_refuse(*state, &other, 20, "the view is of another fold version");
    other = points_identity;
    other.incarnation[0]++;
    points_refuse(*state, &other, 0, "the restore point is of another log");

    support_write(point, copy, size - PAGE_BYTES);
    points_refuse(*state, &points_identity, 0, damaged);
    support_write(point, copy, size / 2);
    points_refuse(*state, &points_identity, 0, damaged);
    support_write(point, copy, 100);
    points_refuse(*state, &points_identity, 0, damaged);
    uint8_t *longer = calloc(1, size + PAGE_BYTES);
    assert_non_null(longer);
    memcpy(longer, copy, size);
    support_write(point, longer, size + PAGE_BYTES);
    points_refuse(*state, &points_identity, 0, damaged);
    free(longer);
    // What LMDB reads of its meta pages, and the mark.
    static const struct {
        size_t from, to;
    } parts[] = {{0, 152}, {PAGE_BYTES, PAGE_BYTES + 152}, {2048, 2064}};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        for (size_t at = parts[i].from; at < parts[i].to; at += 5) {
            copy[at] ^= 1;
            support_write(point, copy, size);
            points_refuse(*state, &points_identity, 0, damaged);
            copy[at] ^= 1;
        }
    }
    support_write(point, copy, size);
    points_expect(*state, 20, expected);
    free(copy);
}

static void test_going_back_removes_the_lock_file(void **state) {
    char expected[65];
    const char *why = NULL;
    uint64_t applied = 0;
    copied_at_20(*state, expected);
    support_write(support_path(*state, "view/lock.mdb"), "x", 1);
    assert_int_equal(view_restore(support_path(*state, "view"), &points_identity, &applied, &why),
                     0);
    assert_false(exists(*state, "view/lock.mdb"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, support_setup, support_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_killed_view_comes_back_at_its_copy),
        TEST(test_it_does_not_matter_what_became_of_the_data_file),
        TEST(test_points_of_both_kinds_follow_each_other_through_power_cuts),
        TEST(test_behind_a_copy_the_file_does_not_grow),
        TEST(test_a_copy_taken_beside_the_writer_is_of_one_commit),
        TEST(test_a_copy_that_finds_no_room_leaves_the_point_before),
        TEST(test_a_copy_that_is_not_synced_leaves_the_point_before),
        TEST(test_pages_that_the_disk_did_not_take_are_not_copied),
        TEST(test_a_copy_whose_name_is_not_synced_is_fatal),
        TEST(test_what_is_not_fit_is_refused_with_its_reason),
        TEST(test_going_back_removes_the_lock_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
