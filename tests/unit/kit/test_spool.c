// SPDX-License-Identifier: Apache-2.0
// The spool's promises: order, durability across opens, a torn tail, bounds, removal.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "connectors/kit/bounds.h"
#include "connectors/kit/spool.h"

enum { PATH_BYTES = 512, ROOM = 64 << 20 };

struct place {
    char folder[PATH_BYTES];
    struct spool *spool;
};

static void open_spool(struct place *place, uint64_t bytes_max) {
    assert_int_equal(spool_open(place->folder, bytes_max, &place->spool), 0);
}

static void reopen(struct place *place) {
    place->spool = spool_close(place->spool);
    open_spool(place, ROOM);
}

static int setup(void **state) {
    struct place *place = calloc(1, sizeof(*place));
    assert_non_null(place);
    snprintf(place->folder, sizeof(place->folder), "%s/touchbus-spool-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(place->folder));
    open_spool(place, ROOM);
    *state = place;
    return 0;
}

// The first file whose name ends so; "" where there is none. Also how many there are.
static size_t find_files(const struct place *place, const char *end, char path[PATH_BYTES]) {
    size_t n = 0;
    DIR *folder = opendir(place->folder);
    assert_non_null(folder);
    if (path != NULL) {
        path[0] = '\0';
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length > strlen(end) && strcmp(entry->d_name + length - strlen(end), end) == 0) {
            n++;
            if (path != NULL) {
                snprintf(path, PATH_BYTES, "%.200s/%.200s", place->folder, entry->d_name);
            }
        }
    }
    closedir(folder);
    return n;
}

static int teardown(void **state) {
    struct place *place = *state;
    spool_close(place->spool);
    DIR *folder = opendir(place->folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        unlinkat(dirfd(folder), entry->d_name, 0);
    }
    closedir(folder);
    rmdir(place->folder);
    free(place);
    return 0;
}

static void append_text(struct place *place, const char *text) {
    assert_int_equal(spool_append(place->spool, text, strlen(text), NULL), 0);
}

// The next record must be text; its number.
static uint64_t expect(struct place *place, const char *text) {
    const void *data;
    size_t size;
    uint64_t number;
    assert_int_equal(spool_next(place->spool, &data, &size, &number), 0);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(data, text, size);
    return number;
}

static void expect_end(struct place *place) {
    const void *data;
    size_t size;
    uint64_t number;
    assert_int_equal(spool_next(place->spool, &data, &size, &number), SPOOL_END);
}

static void test_records_come_in_order(void **state) {
    struct place *place = *state;
    append_text(place, "one");
    append_text(place, "two");
    assert_int_equal(spool_sync(place->spool), 0);
    uint64_t one = expect(place, "one");
    assert_int_equal(expect(place, "two"), one + 1);
    expect_end(place);
}

static void test_unsynced_records_are_not_read(void **state) {
    struct place *place = *state;
    append_text(place, "one");
    expect_end(place);
    assert_int_equal(spool_sync(place->spool), 0);
    expect(place, "one");
}

static void test_records_survive_a_restart_until_acked(void **state) {
    struct place *place = *state;
    append_text(place, "one");
    append_text(place, "two");
    append_text(place, "three");
    assert_int_equal(spool_sync(place->spool), 0);
    uint64_t one = expect(place, "one");
    uint64_t two = expect(place, "two");
    spool_ack(place->spool, two); // out of order: one is still open
    reopen(place);
    expect(place, "one");
    expect(place, "two");
    expect(place, "three");
    spool_ack(place->spool, one);
    spool_ack(place->spool, two);
    reopen(place);
    expect(place, "three");
    expect_end(place);
}

static void test_acked_files_are_removed(void **state) {
    struct place *place = *state;
    append_text(place, "one");
    assert_int_equal(spool_sync(place->spool), 0);
    assert_int_equal(find_files(place, ".seg", NULL), 1);
    spool_ack(place->spool, expect(place, "one"));
    assert_int_equal(find_files(place, ".seg", NULL), 0);
    assert_int_equal(spool_records(place->spool), 0);
    assert_int_equal(spool_bytes(place->spool), 0);
    append_text(place, "two");
    assert_int_equal(spool_sync(place->spool), 0);
    expect(place, "two");
}

static void test_rotated_files_go_once_acked_while_others_stay(void **state) {
    struct place *place = *state;
    append_text(place, "before");
    uint64_t number = spool_rotate(place->spool);
    append_text(place, "behind");
    assert_int_equal(spool_sync(place->spool), 0);
    assert_int_equal(find_files(place, ".seg", NULL), 2);
    assert_false(spool_is_past(place->spool, number));
    uint64_t before = expect(place, "before"), behind = expect(place, "behind");
    spool_ack(place->spool, before);
    assert_true(spool_is_past(place->spool, number));
    assert_int_equal(find_files(place, ".seg", NULL), 1);
    spool_ack(place->spool, behind);
    assert_true(spool_is_past(place->spool, spool_rotate(place->spool)));
    assert_int_equal(find_files(place, ".seg", NULL), 0);
}

static void test_what_was_put_aside_is_removed_when_told_to(void **state) {
    struct place *place = *state;
    char path[PATH_BYTES];
    append_text(place, "one");
    assert_int_equal(spool_sync(place->spool), 0);
    find_files(place, ".seg", path);
    int fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "torn", 4), 4);
    close(fd);
    reopen(place);
    assert_int_equal(find_files(place, ".torn", NULL), 1);
    assert_int_equal(spool_remove_torn(place->spool), 4);
    assert_int_equal(find_files(place, ".torn", NULL), 0);
    assert_int_equal(spool_remove_torn(place->spool), 0);
    expect(place, "one");
}

static void test_records_span_segments(void **state) {
    struct place *place = *state;
    enum { SIZE = 1 << 20, N = 20 };
    char *block = malloc(SIZE);
    assert_non_null(block);
    for (int i = 0; i < N; i++) {
        memset(block, 'a' + i, SIZE);
        assert_int_equal(spool_append(place->spool, block, SIZE, NULL), 0);
    }
    assert_int_equal(spool_sync(place->spool), 0);
    assert_true(find_files(place, ".seg", NULL) > 1);
    reopen(place);
    assert_int_equal(spool_records(place->spool), N);
    uint64_t numbers[N];
    for (int i = 0; i < N; i++) {
        const void *data;
        size_t size;
        assert_int_equal(spool_next(place->spool, &data, &size, &numbers[i]), 0);
        assert_int_equal(size, SIZE);
        assert_int_equal(*(const char *)data, 'a' + i);
    }
    for (int i = N - 1; i >= 0; i--) {
        spool_ack(place->spool, numbers[i]);
    }
    assert_int_equal(find_files(place, ".seg", NULL), 0);
    free(block);
}

// Writes bytes behind the end of the only segment.
static void scribble(struct place *place, const void *bytes, size_t size) {
    char path[PATH_BYTES];
    assert_int_equal(find_files(place, ".seg", path), 1);
    int fd = open(path, O_WRONLY | O_APPEND);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

static void test_torn_tail_is_cut_and_kept_aside(void **state) {
    struct place *place = *state;
    append_text(place, "one");
    assert_int_equal(spool_sync(place->spool), 0);
    scribble(place, "\x05\0\0\0\0\0\0\0garbage", 15);
    reopen(place);
    assert_int_equal(spool_torn(place->spool), 15);
    assert_int_equal(find_files(place, ".torn", NULL), 1);
    expect(place, "one");
    append_text(place, "two");
    assert_int_equal(spool_sync(place->spool), 0);
    expect(place, "two");
    reopen(place);
    assert_int_equal(spool_torn(place->spool), 0);
    expect(place, "one");
    expect(place, "two");
}

static void test_every_cut_keeps_a_prefix(void **state) {
    struct place *place = *state;
    append_text(place, "one");
    append_text(place, "two");
    assert_int_equal(spool_sync(place->spool), 0);
    char path[PATH_BYTES];
    struct stat status;
    assert_int_equal(find_files(place, ".seg", path), 1);
    place->spool = spool_close(place->spool);
    assert_int_equal(stat(path, &status), 0);
    off_t one = 16 + 16 + 3, two = one + 16 + 3;
    assert_int_equal(status.st_size, two);
    for (off_t size = two - 1; size >= 0; size--) {
        assert_int_equal(truncate(path, size), 0);
        open_spool(place, ROOM);
        assert_int_equal(spool_records(place->spool), size >= one ? 1 : 0);
        if (size >= one) {
            expect(place, "one");
        }
        expect_end(place);
        place->spool = spool_close(place->spool);
        if (size > 0 && stat(path, &status) != 0) { // nothing good in it: it was removed
            int fd = open(path, O_CREAT | O_WRONLY, 0600);
            assert_true(fd >= 0);
            assert_int_equal(ftruncate(fd, size), 0);
            close(fd);
        }
    }
}

static void test_flipped_bit_is_not_read(void **state) {
    struct place *place = *state;
    append_text(place, "one");
    append_text(place, "two");
    assert_int_equal(spool_sync(place->spool), 0);
    char path[PATH_BYTES];
    assert_int_equal(find_files(place, ".seg", path), 1);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "T", 1, 16 + 16 + 3 + 16), 1);
    close(fd);
    expect(place, "one");
    expect_end(place); // found while reading
    assert_int_equal(find_files(place, ".torn", NULL), 1);
    append_text(place, "three");
    assert_int_equal(spool_sync(place->spool), 0);
    expect(place, "three");
    reopen(place);
    expect(place, "one");
    expect(place, "three");
}

// What stood behind the damage and was not synced yet went aside with it: its owner is told.
static void test_damage_before_a_sync_fails_it(void **state) {
    struct place *place = *state;
    append_text(place, "one");
    append_text(place, "two");
    assert_int_equal(spool_sync(place->spool), 0);
    append_text(place, "three");
    char path[PATH_BYTES];
    assert_int_equal(find_files(place, ".seg", path), 1);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "T", 1, 16 + 16 + 3 + 16), 1);
    close(fd);
    expect(place, "one");
    expect_end(place);
    assert_int_equal(spool_sync(place->spool), -EIO);
    append_text(place, "four");
    assert_int_equal(spool_sync(place->spool), 0);
    expect(place, "four");
}

static void test_full_is_said_and_ends(void **state) {
    struct place *place = *state;
    spool_close(place->spool);
    open_spool(place, 4096);
    char block[1024];
    memset(block, 'x', sizeof(block));
    int n = 0;
    while (n < 100 && spool_append(place->spool, block, sizeof(block), NULL) == 0) {
        n++;
    }
    assert_int_equal(n, 3);
    assert_false(spool_has_room(place->spool, 1, sizeof(block)));
    assert_int_equal(spool_sync(place->spool), 0);
    for (int i = 0; i < n; i++) {
        const void *data;
        size_t size;
        uint64_t number;
        assert_int_equal(spool_next(place->spool, &data, &size, &number), 0);
        spool_ack(place->spool, number);
    }
    assert_true(spool_has_room(place->spool, 1, sizeof(block)));
    assert_int_equal(spool_append(place->spool, block, sizeof(block), NULL), 0);
}

// A disk that fails once: the first fdatasync after this.
static bool sync_fails;
int __wrap_fdatasync(int fd);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd) {
    if (sync_fails) {
        sync_fails = false;
        errno = EIO;
        return -1;
    }
    return __real_fdatasync(fd);
}

static void test_failed_sync_is_said_once_and_never_tried_again(void **state) {
    struct place *place = *state;
    append_text(place, "one");
    assert_int_equal(spool_sync(place->spool), 0);
    append_text(place, "lost");
    sync_fails = true;
    assert_int_equal(spool_sync(place->spool), -EIO);
    assert_int_equal(spool_sync(place->spool), 0); // there is nothing left to make durable
    append_text(place, "two");
    assert_int_equal(spool_sync(place->spool), 0);
    assert_int_equal(find_files(place, ".seg", NULL), 2); // not behind what failed
    expect(place, "one");
    expect(place, "two");
    expect_end(place);
    reopen(place);
    expect(place, "one");
    expect(place, "two");
}

// A full disk: every write fails after so many, until it is set back.
static int writes_left = -1;
ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t offset);
ssize_t __real_pwrite(int fd, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t offset) {
    if (writes_left == 0) {
        errno = ENOSPC;
        return -1;
    }
    writes_left -= writes_left > 0;
    return __real_pwrite(fd, data, size, offset);
}

static void test_full_disk_at_every_write_is_said_and_ends(void **state) {
    struct place *place = *state;
    for (int n = 0; n < 5; n++) { // a segment's header, then two records of two writes each
        writes_left = n;
        int r = spool_append(place->spool, "lost", 4, NULL);
        r = r != 0 ? r : spool_append(place->spool, "lost", 4, NULL);
        assert_int_equal(r, -ENOSPC);
        writes_left = -1;
        (void)spool_sync(place->spool); // says so once where something had been appended
        assert_int_equal(spool_sync(place->spool), 0);
        append_text(place, "good");
        assert_int_equal(spool_sync(place->spool), 0);
        spool_ack(place->spool, expect(place, "good"));
        expect_end(place);
        assert_int_equal(spool_records(place->spool), 0);
        assert_int_equal(find_files(place, ".seg", NULL), 0);
    }
}

static void test_more_than_the_window_is_not_skipped(void **state) {
    struct place *place = *state;
    for (size_t i = 0; i <= SPOOL_WINDOW; i++) {
        assert_int_equal(spool_append(place->spool, "x", 1, NULL), 0);
    }
    assert_int_equal(spool_sync(place->spool), 0);
    assert_false(spool_skip(place->spool));
    expect(place, "x"); // it is read as usual
}

static void test_skip_reads_on_behind(void **state) {
    struct place *place = *state;
    uint64_t one;
    assert_int_equal(spool_append(place->spool, "one", 3, &one), 0);
    assert_int_equal(spool_sync(place->spool), 0);
    assert_true(spool_skip(place->spool));
    expect_end(place);
    append_text(place, "two");
    assert_int_equal(spool_sync(place->spool), 0);
    expect(place, "two");
    spool_ack(place->spool, one);
    assert_int_equal(spool_records(place->spool), 1);
    reopen(place);
    expect(place, "two");
}

static void test_lost_cursor_repeats_and_loses_nothing(void **state) {
    struct place *place = *state;
    append_text(place, "one");
    append_text(place, "two");
    assert_int_equal(spool_sync(place->spool), 0);
    spool_ack(place->spool, expect(place, "one"));
    place->spool = spool_close(place->spool);
    char path[PATH_BYTES + 16];
    snprintf(path, sizeof(path), "%s/cursor", place->folder);
    assert_int_equal(truncate(path, 3), 0);
    open_spool(place, ROOM);
    expect(place, "one");
    expect(place, "two");
}

static void test_window_bounds_what_is_read(void **state) {
    struct place *place = *state;
    for (int i = 0; i <= SPOOL_WINDOW; i++) {
        append_text(place, "x");
    }
    assert_int_equal(spool_sync(place->spool), 0);
    uint64_t first = expect(place, "x");
    for (int i = 1; i < SPOOL_WINDOW; i++) {
        expect(place, "x");
    }
    expect_end(place);
    spool_ack(place->spool, first);
    expect(place, "x");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_records_come_in_order),
        TEST(test_unsynced_records_are_not_read),
        TEST(test_records_survive_a_restart_until_acked),
        TEST(test_acked_files_are_removed),
        TEST(test_rotated_files_go_once_acked_while_others_stay),
        TEST(test_what_was_put_aside_is_removed_when_told_to),
        TEST(test_records_span_segments),
        TEST(test_torn_tail_is_cut_and_kept_aside),
        TEST(test_every_cut_keeps_a_prefix),
        TEST(test_flipped_bit_is_not_read),
        TEST(test_damage_before_a_sync_fails_it),
        TEST(test_full_is_said_and_ends),
        TEST(test_failed_sync_is_said_once_and_never_tried_again),
        TEST(test_full_disk_at_every_write_is_said_and_ends),
        TEST(test_skip_reads_on_behind),
        TEST(test_more_than_the_window_is_not_skipped),
        TEST(test_lost_cursor_repeats_and_loses_nothing),
        TEST(test_window_bounds_what_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
