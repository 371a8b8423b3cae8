// SPDX-License-Identifier: Apache-2.0
// Restore points: whatever a power cut leaves of the pages written since, the commit of the restore
// point comes back byte for byte; and what is not fit is refused with a reason.
#include "support.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/stores/store.h"
#include "broker/stores/view.h"
#include "points.h"

// Stands in for libc's: a folder's sync fails while it is told to.
static bool folders_fail;

int fsync(int descriptor) {
    struct stat status;
    if (folders_fail && fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, descriptor);
}

static void test_a_killed_view_comes_back_at_its_restore_point(void **state) {
    struct view *view = points_open(*state);
    uint64_t seed = 1;
    char expected[65];
    for (uint64_t applied = 1; applied <= 20; applied++) {
        points_work(view, &seed, applied);
    }
    points_take_steady(view);
    points_hash(view, expected);
    assert_int_equal(view_restorable(view), 20);
    for (uint64_t applied = 21; applied <= 60; applied++) {
        points_work(view, &seed, applied);
    }
    view_close(view);
    points_expect(*state, 20, expected);
    points_expect(*state, 20, expected); // and again: a start that was cut short
}

static void test_a_power_cut_comes_back_at_the_restore_point(void **state) {
    const char *dir = *state;
    char path[PATH_BYTES];
    memcpy(path, support_path(dir, "view/data.mdb"), PATH_BYTES);
    uint64_t seed = 42, applied = 1;
    struct view *view = points_open(dir);
    points_work(view, &seed, applied++);
    points_take_steady(view);
    for (int round = 0; round < 60; round++) {
        char expected[65];
        uint64_t point = 0;
        size_t old_size = 0;
        uint8_t *old = NULL;
        // Points follow each other in one life, as in a broker's.
        for (uint64_t n = 1 + support_random(&seed) % 3; n > 0; n--) {
            for (uint64_t i = support_random(&seed) % 10; i > 0; i--) {
                points_work(view, &seed, applied++);
            }
            points_take_steady(view);
        }
        point = view_restorable(view);
        points_hash(view, expected);
        old = support_read(path, &old_size);
        for (uint64_t i = support_random(&seed) % 12; i > 0; i--) {
            points_work(view, &seed, applied++);
        }
        view_close(view);
        points_cut_power(path, old, old_size, &seed);
        free(old);
        points_expect(dir, point, expected);
        // Back, pinned before the first write, and on.
        const char *why = NULL;
        uint64_t restored = 0;
        assert_int_equal(view_restore(support_path(dir, "view"), &points_identity, &restored, &why),
                         0);
        view = points_open(dir);
        assert_int_equal(view_pin_restored(view, restored), 0);
        applied = restored + 1;
        for (uint64_t i = support_random(&seed) % 5; i > 0; i--) {
            points_work(view, &seed, applied++);
        }
    }
    view_close(view);
}

// The file is synced after the pin, with whatever was committed in between; a cut before the rename
// leaves the point before, whose pages are still pinned.
static void test_an_unfinished_point_leaves_the_one_before(void **state) {
    struct view *view = points_open(*state);
    struct view_snapshot *snapshot = NULL;
    uint64_t seed = 3;
    char expected[65];
    points_work(view, &seed, 1);
    points_take_steady(view);
    points_hash(view, expected);
    for (uint64_t applied = 2; applied < 20; applied++) {
        points_work(view, &seed, applied);
    }
    assert_int_equal(view_snapshot_begin(view, &snapshot), 0);
    assert_int_equal(view_snapshot_applied(snapshot), 19);
    for (uint64_t applied = 20; applied < 40; applied++) {
        points_work(view, &seed, applied);
    }
    // A folder in the place of the file that is written aside: finishing fails.
    assert_int_equal(mkdir(support_path(*state, "view/restore-point.new"), 0700), 0);
    assert_int_equal(view_snapshot_finish(view, snapshot), 1);
    assert_int_equal(view_restorable(view), 1);
    for (uint64_t applied = 40; applied < 60; applied++) {
        points_work(view, &seed, applied);
    }
    assert_int_equal(rmdir(support_path(*state, "view/restore-point.new")), 0);
    view_close(view);
    points_expect(*state, 1, expected);
}

// The point's file has its name then, though the name may not last: both points would need pins.
static void test_a_point_whose_name_is_not_synced_is_fatal(void **state) {
    struct view *view = points_open(*state);
    struct view_snapshot *snapshot = NULL;
    uint64_t seed = 6;
    points_work(view, &seed, 1);
    points_take_steady(view);
    points_work(view, &seed, 2);
    assert_int_equal(view_snapshot_begin(view, &snapshot), 0);
    folders_fail = true;
    int r = view_snapshot_finish(view, snapshot);
    folders_fail = false;
    assert_int_equal(r, -EIO);
    view_close(view);
}

static void test_work_between_begin_and_finish_is_not_in_the_point(void **state) {
    struct view *view = points_open(*state);
    struct view_snapshot *snapshot = NULL;
    uint64_t seed = 3;
    char expected[65];
    points_work(view, &seed, 7);
    points_hash(view, expected);
    assert_int_equal(view_snapshot_begin(view, &snapshot), 0);
    for (uint64_t applied = 8; applied < 30; applied++) {
        points_work(view, &seed, applied);
    }
    assert_int_equal(view_snapshot_finish(view, snapshot), 0);
    for (uint64_t applied = 30; applied < 50; applied++) {
        points_work(view, &seed, applied);
    }
    view_close(view);
    points_expect(*state, 7, expected);
}

static void test_what_is_not_fit_is_refused_with_its_reason(void **state) {
    struct view *view = points_open(*state);
    uint64_t seed = 5;
    points_work(view, &seed, 1);
    view_close(view);
    points_refuse(*state, &points_identity, 0, "there is no restore point");

    view = points_open(*state);
    char data[PATH_BYTES], point[PATH_BYTES];
    memcpy(data, support_path(*state, "view/data.mdb"), PATH_BYTES);
    memcpy(point, support_path(*state, "view/restore-point"), PATH_BYTES);
    size_t old_size = 0, size = 0, point_size = 0;
    uint8_t *old = support_read(data, &old_size);
    for (uint64_t applied = 2; applied < 30; applied++) {
        points_work(view, &seed, applied);
    }
    points_take_steady(view);
    view_close(view);
    uint8_t *now = support_read(data, &size), *bytes = support_read(point, &point_size);

    struct view_identity other = points_identity;
    other.fold_version++;
    points_refuse(*state, &other, 29, "the view is of another fold version");
    other = points_identity;
    other.incarnation[0]++;
    points_refuse(*state, &other, 0, "the restore point is of another log");

    support_write(data, old, old_size); // an older file under a newer point
    uint8_t *grown = calloc(1, size);
    assert_non_null(grown);
    memcpy(grown, old, old_size);
    points_refuse(*state, &points_identity, 29, "the file is shorter than its restore point");
    support_write(data, grown, size);
    points_refuse(*state, &points_identity, 29, "the file is older than its restore point");
    assert_int_equal(unlink(data), 0);
    points_refuse(*state, &points_identity, 29, "the file is missing");
    support_write(data, now, size);

    for (size_t i = 0; i < point_size; i += 61) {
        bytes[i] ^= 1;
        support_write(point, bytes, point_size);
        points_refuse(*state, &points_identity, 0, "the restore point is damaged");
        bytes[i] ^= 1;
    }
    support_write(point, bytes, point_size / 2);
    points_refuse(*state, &points_identity, 0, "the restore point is damaged");
    support_write(point, bytes, point_size);
    const char *why = NULL;
    uint64_t applied = 0;
    assert_int_equal(view_restore(support_path(*state, "view"), &points_identity, &applied, &why),
                     0);
    view = points_open(*state); // what was restored has to be at the sequence that the point names
    assert_int_equal(view_pin_restored(view, applied + 1), -EBADMSG);
    assert_int_equal(view_pin_restored(view, applied), 0);
    view_close(view);
    free(grown);
    free(old);
    free(now);
    free(bytes);
}

static void test_restoring_removes_the_lock_file(void **state) {
    struct view *view = points_open(*state);
    uint64_t seed = 5, applied = 0;
    const char *why = NULL;
    points_work(view, &seed, 1);
    points_take_steady(view);
    view_close(view);
    support_write(support_path(*state, "view/lock.mdb"), "x", 1);
    assert_int_equal(view_restore(support_path(*state, "view"), &points_identity, &applied, &why),
                     0);
    assert_int_not_equal(access(support_path(*state, "view/lock.mdb"), F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, support_setup, support_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_killed_view_comes_back_at_its_restore_point),
        TEST(test_a_power_cut_comes_back_at_the_restore_point),
        TEST(test_an_unfinished_point_leaves_the_one_before),
        TEST(test_a_point_whose_name_is_not_synced_is_fatal),
        TEST(test_work_between_begin_and_finish_is_not_in_the_point),
        TEST(test_what_is_not_fit_is_refused_with_its_reason),
        TEST(test_restoring_removes_the_lock_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
