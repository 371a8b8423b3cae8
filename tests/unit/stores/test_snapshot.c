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

enum { MAP_BYTES = 1 << 28, PAGE_BYTES = 4096 };

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

static const struct view_identity identity = {.incarnation = {4, 2}, .fold_version = 3};

static struct view *open_view(const char *dir) {
    struct view *view = NULL;
    assert_int_equal(view_open(support_path(dir, "view"), VIEW_LIVE, MAP_BYTES, false, &view), 0);
    return view;
}

static void hash(struct view *view, char ret[65]) {
    struct view_txn *txn = NULL;
    assert_int_equal(view_begin(view, false, &txn), 0);
    assert_int_equal(view_hash(txn, ret), 0);
    view_abort(txn);
}

// One commit of random puts and deletes, small and large.
static void work(struct view *view, uint64_t *seed, uint64_t applied) {
    static uint8_t value[9000];
    struct view_txn *txn = NULL;
    assert_int_equal(view_begin(view, true, &txn), 0);
    for (int i = 0; i < 60; i++) {
        uint8_t key[8];
        store_be64(key, support_random(seed) % 500);
        unsigned table = 1 + (unsigned)(support_random(seed) % (VIEW_N_TABLES - 1));
        memset(value, (int)support_random(seed), 32);
        if (support_random(seed) % 4 == 0) {
            assert_true(view_delete(txn, table, key, sizeof(key)) >= 0);
        } else {
            size_t size = support_random(seed) % 10 == 0 ? sizeof(value) : 200;
            assert_int_equal(view_put(txn, table, key, sizeof(key), value, size), 0);
        }
    }
    assert_int_equal(view_set_applied(txn, applied), 0);
    assert_int_equal(view_set_identity(txn, &identity), 0);
    assert_int_equal(view_commit(txn), 0);
}

static void take_point(struct view *view) {
    struct view_snapshot *snapshot = NULL;
    assert_int_equal(view_snapshot_begin(view, &snapshot), 0);
    assert_int_equal(view_snapshot_finish(view, snapshot), 0);
}

static void expect_restored(const char *dir, uint64_t applied, const char *expected) {
    const char *why = "";
    uint64_t restored = 0;
    char found[65];
    assert_int_equal(view_restore(support_path(dir, "view"), &identity, &restored, &why), 0);
    assert_int_equal(restored, applied);
    struct view *view = open_view(dir);
    assert_int_equal(view_pin_restored(view, applied), 0);
    assert_int_equal(view_restorable(view), applied);
    hash(view, found);
    assert_string_equal(found, expected);
    view_close(view);
}

static void expect_unfit(const char *dir, const struct view_identity *expected, uint64_t applied,
                         const char *reason) {
    const char *why = "";
    uint64_t restored = 99;
    assert_int_equal(view_restore(support_path(dir, "view"), expected, &restored, &why), 1);
    assert_string_equal(why, reason);
    assert_int_equal(restored, applied);
}

static void test_a_killed_view_comes_back_at_its_restore_point(void **state) {
    struct view *view = open_view(*state);
    uint64_t seed = 1;
    char expected[65];
    for (uint64_t applied = 1; applied <= 20; applied++) {
        work(view, &seed, applied);
    }
    take_point(view);
    hash(view, expected);
    assert_int_equal(view_restorable(view), 20);
    for (uint64_t applied = 21; applied <= 60; applied++) {
        work(view, &seed, applied);
    }
    view_close(view);
    expect_restored(*state, 20, expected);
    expect_restored(*state, 20, expected); // and again: a start that was cut short
}

// A power cut: pages that were written since the sync are on disk, are not, or are torn. Which
// pages those are follows from comparing the file at the restore point with the file at the cut.
static void cut_power(const char *path, const uint8_t *old, size_t old_size, uint64_t *seed) {
    size_t size = 0;
    uint8_t *now = support_read(path, &size);
    for (size_t at = 0; at + PAGE_BYTES <= size; at += PAGE_BYTES) {
        bool existed = at + PAGE_BYTES <= old_size;
        if (existed && memcmp(now + at, old + at, PAGE_BYTES) == 0) {
            continue;
        }
        uint8_t before[PAGE_BYTES] = {0};
        if (existed) {
            memcpy(before, old + at, PAGE_BYTES);
        }
        // A meta page is small enough to be whole; other pages tear at sectors.
        switch (support_random(seed) % (at < (size_t)2 * PAGE_BYTES ? 2 : 3)) {
        case 0:
            break;
        case 1:
            memcpy(now + at, before, PAGE_BYTES);
            break;
        default:
            for (size_t sector = 0; sector < PAGE_BYTES; sector += 512) {
                if (support_random(seed) % 2 == 0) {
                    memcpy(now + at + sector, before + sector, 512);
                }
            }
        }
    }
    // The file's length may be that of the sync, or any since.
    size_t kept = size;
    if (size > old_size && support_random(seed) % 2 == 0) {
        kept = old_size + support_random(seed) % (size - old_size + 1);
    }
    support_write(path, now, kept);
    free(now);
}

static void test_a_power_cut_comes_back_at_the_restore_point(void **state) {
    const char *dir = *state;
    char path[PATH_BYTES];
    memcpy(path, support_path(dir, "view/data.mdb"), PATH_BYTES);
    uint64_t seed = 42, applied = 1;
    struct view *view = open_view(dir);
    work(view, &seed, applied++);
    take_point(view);
    for (int round = 0; round < 60; round++) {
        char expected[65];
        uint64_t point = 0;
        size_t old_size = 0;
        uint8_t *old = NULL;
        // Points follow each other in one life, as in a broker's.
        for (uint64_t n = 1 + support_random(&seed) % 3; n > 0; n--) {
            for (uint64_t i = support_random(&seed) % 10; i > 0; i--) {
                work(view, &seed, applied++);
            }
            take_point(view);
        }
        point = view_restorable(view);
        hash(view, expected);
        old = support_read(path, &old_size);
        for (uint64_t i = support_random(&seed) % 12; i > 0; i--) {
            work(view, &seed, applied++);
        }
        view_close(view);
        cut_power(path, old, old_size, &seed);
        free(old);
        expect_restored(dir, point, expected);
        // Back, pinned before the first write, and on.
        const char *why = NULL;
        uint64_t restored = 0;
        assert_int_equal(view_restore(support_path(dir, "view"), &identity, &restored, &why), 0);
        view = open_view(dir);
        assert_int_equal(view_pin_restored(view, restored), 0);
        applied = restored + 1;
        for (uint64_t i = support_random(&seed) % 5; i > 0; i--) {
            work(view, &seed, applied++);
        }
    }
    view_close(view);
}

// The file is synced after the pin, with whatever was committed in between; a cut before the rename
// leaves the point before, whose pages are still pinned.
static void test_an_unfinished_point_leaves_the_one_before(void **state) {
    struct view *view = open_view(*state);
    struct view_snapshot *snapshot = NULL;
    uint64_t seed = 3;
    char expected[65];
    work(view, &seed, 1);
    take_point(view);
    hash(view, expected);
    for (uint64_t applied = 2; applied < 20; applied++) {
        work(view, &seed, applied);
    }
    assert_int_equal(view_snapshot_begin(view, &snapshot), 0);
    assert_int_equal(view_snapshot_applied(snapshot), 19);
    for (uint64_t applied = 20; applied < 40; applied++) {
        work(view, &seed, applied);
    }
    // A folder in the place of the file that is written aside: finishing fails.
    assert_int_equal(mkdir(support_path(*state, "view/restore-point.new"), 0700), 0);
    assert_int_equal(view_snapshot_finish(view, snapshot), 1);
    assert_int_equal(view_restorable(view), 1);
    for (uint64_t applied = 40; applied < 60; applied++) {
        work(view, &seed, applied);
    }
    assert_int_equal(rmdir(support_path(*state, "view/restore-point.new")), 0);
    view_close(view);
    expect_restored(*state, 1, expected);
}

// The point's file has its name then, though the name may not last: both points would need pins.
static void test_a_point_whose_name_is_not_synced_is_fatal(void **state) {
    struct view *view = open_view(*state);
    struct view_snapshot *snapshot = NULL;
    uint64_t seed = 6;
    work(view, &seed, 1);
    take_point(view);
    work(view, &seed, 2);
    assert_int_equal(view_snapshot_begin(view, &snapshot), 0);
    folders_fail = true;
    int r = view_snapshot_finish(view, snapshot);
    folders_fail = false;
    assert_int_equal(r, -EIO);
    view_close(view);
}

static void test_work_between_begin_and_finish_is_not_in_the_point(void **state) {
    struct view *view = open_view(*state);
    struct view_snapshot *snapshot = NULL;
    uint64_t seed = 3;
    char expected[65];
    work(view, &seed, 7);
    hash(view, expected);
    assert_int_equal(view_snapshot_begin(view, &snapshot), 0);
    for (uint64_t applied = 8; applied < 30; applied++) {
        work(view, &seed, applied);
    }
    assert_int_equal(view_snapshot_finish(view, snapshot), 0);
    for (uint64_t applied = 30; applied < 50; applied++) {
        work(view, &seed, applied);
    }
    view_close(view);
    expect_restored(*state, 7, expected);
}

static void test_what_is_not_fit_is_refused_with_its_reason(void **state) {
    struct view *view = open_view(*state);
    uint64_t seed = 5;
    work(view, &seed, 1);
    view_close(view);
    expect_unfit(*state, &identity, 0, "there is no restore point");

    view = open_view(*state);
    char data[PATH_BYTES], point[PATH_BYTES];
    memcpy(data, support_path(*state, "view/data.mdb"), PATH_BYTES);
    memcpy(point, support_path(*state, "view/restore-point"), PATH_BYTES);
    size_t old_size = 0, size = 0, point_size = 0;
    uint8_t *old = support_read(data, &old_size);
    for (uint64_t applied = 2; applied < 30; applied++) {
        work(view, &seed, applied);
    }
    take_point(view);
    view_close(view);
    uint8_t *now = support_read(data, &size), *bytes = support_read(point, &point_size);

    struct view_identity other = identity;
    other.fold_version++;
    expect_unfit(*state, &other, 29, "the view is of another fold version");
    other = identity;
    other.incarnation[0]++;
    expect_unfit(*state, &other, 0, "the restore point is of another log");

    support_write(data, old, old_size); // an older file under a newer point
    uint8_t *grown = calloc(1, size);
    assert_non_null(grown);
    memcpy(grown, old, old_size);
    expect_unfit(*state, &identity, 29, "the file is shorter than its restore point");
    support_write(data, grown, size);
    expect_unfit(*state, &identity, 29, "the file is older than its restore point");
    assert_int_equal(unlink(data), 0);
    expect_unfit(*state, &identity, 29, "the file is missing");
    support_write(data, now, size);

    for (size_t i = 0; i < point_size; i += 61) {
        bytes[i] ^= 1;
        support_write(point, bytes, point_size);
        expect_unfit(*state, &identity, 0, "the restore point is damaged");
        bytes[i] ^= 1;
    }
    support_write(point, bytes, point_size / 2);
    expect_unfit(*state, &identity, 0, "the restore point is damaged");
    support_write(point, bytes, point_size);
    const char *why = NULL;
    uint64_t applied = 0;
    assert_int_equal(view_restore(support_path(*state, "view"), &identity, &applied, &why), 0);
    view = open_view(*state); // what was restored has to be at the sequence that the point names
    assert_int_equal(view_pin_restored(view, applied + 1), -EBADMSG);
    assert_int_equal(view_pin_restored(view, applied), 0);
    view_close(view);
    free(grown);
    free(old);
    free(now);
    free(bytes);
}

static void test_restoring_removes_the_lock_file(void **state) {
    struct view *view = open_view(*state);
    uint64_t seed = 5, applied = 0;
    const char *why = NULL;
    work(view, &seed, 1);
    take_point(view);
    view_close(view);
    support_write(support_path(*state, "view/lock.mdb"), "x", 1);
    assert_int_equal(view_restore(support_path(*state, "view"), &identity, &applied, &why), 0);
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
