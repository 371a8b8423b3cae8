// SPDX-License-Identifier: Apache-2.0
// The log: no gaps, nothing lost over a reopening, damage named, one writer.
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/stores/log.h"
#include "broker/stores/store.h"
#include "schemas/limits.h"

enum { MAP_BYTES = 1 << 28 };

static struct log *open_log(const char *dir) {
    struct log *log = NULL;
    assert_int_equal(log_open(support_path(dir, "log"), MAP_BYTES, false, &log), 0);
    return log;
}

static void append(struct log *log, size_t n) {
    struct log_txn *txn = NULL;
    size_t size = 0;
    void *block = support_block(log_next(log), n, &size);
    assert_int_equal(log_begin(log, &txn), 0);
    assert_int_equal(log_append(txn, log_next(log), block, size), 0);
    assert_int_equal(log_commit(txn), 0);
    free(block);
}

static unsigned trim(struct log *log, uint64_t floor, unsigned n_max) {
    struct log_txn *txn = NULL;
    unsigned n = 0;
    assert_int_equal(log_begin(log, &txn), 0);
    assert_int_equal(log_trim(txn, floor, n_max, &n), 0);
    assert_int_equal(log_commit(txn), 0);
    return n;
}

// A process of its own that reads the log until it is killed. The pipe says when it has begun.
static pid_t start_reader(const char *dir, bool pins) {
    int begun[2];
    char byte = 0;
    assert_int_equal(pipe(begun), 0);
    pid_t child = fork();
    if (child == 0) {
        struct log *log = NULL;
        struct log_reader *reader = NULL;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int r = log_open(support_path(dir, "log"), MAP_BYTES, true, &log);
        if (r == 0 && pins) {
            r = log_reader_new(log, &reader);
            r = r == 0 ? log_reader_begin(reader) : r;
        }
        _exit(r == 0 && write(begun[1], &byte, 1) == 1 && pause() < 0 ? 1 : 1);
    }
    assert_true(child > 0);
    close(begun[1]);
    assert_int_equal(read(begun[0], &byte, 1), 1);
    close(begun[0]);
    return child;
}

static void end_reader(pid_t child) {
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_a_killed_readers_slot_is_free_after_a_start(void **state) {
    log_close(open_log(*state));
    pid_t holder = start_reader(*state, false); // as long as one is there, LMDB keeps the slots
    end_reader(start_reader(*state, true));
    struct log *log = open_log(*state);
    unsigned n_stale = 1;
    assert_int_equal(store_check_readers(log_store(log), &n_stale), 0);
    assert_int_equal(n_stale, 0);
    log_close(log);
    end_reader(holder);
}

static void test_append_refuses_gap(void **state) {
    struct log *log = open_log(*state);
    struct log_txn *txn = NULL;
    size_t size = 0;
    append(log, 10);
    void *ahead = support_block(12, 3, &size);
    assert_int_equal(log_begin(log, &txn), 0);
    assert_int_equal(log_append(txn, 12, ahead, size), 1);
    assert_int_equal(log_append(txn, 11, ahead, size), 1);
    log_abort(txn);
    free(ahead);
    void *again = support_block(5, 3, &size);
    assert_int_equal(log_begin(log, &txn), 0);
    assert_int_equal(log_append(txn, 5, again, size), 1);
    log_abort(txn);
    free(again);
    assert_int_equal(log_next(log), 11);
    append(log, 1);
    assert_int_equal(log_next(log), 12);
    log_close(log);
}

static void test_an_aborted_block_was_never_there(void **state) {
    struct log *log = open_log(*state);
    struct log_txn *txn = NULL;
    size_t size = 0;
    void *block = support_block(1, 10, &size);
    assert_int_equal(log_begin(log, &txn), 0);
    assert_int_equal(log_append(txn, 1, block, size), 0);
    log_abort(txn);
    free(block);
    assert_int_equal(log_next(log), 1);
    append(log, 3);
    assert_int_equal(log_next(log), 4);
    log_close(log);
}

static void expect_block(struct log_reader *reader, uint64_t sequence, uint64_t first, size_t n) {
    struct block_head head;
    size_t size = 0;
    assert_int_equal(log_reader_block(reader, sequence, &head), 0);
    assert_int_equal(head.first, first);
    void *same = support_block(first, n, &size);
    assert_int_equal(head.size, size);
    assert_memory_equal(head.data, same, size);
    free(same);
}

static void test_a_block_is_written_where_it_goes_to_disk(void **state) {
    struct log *log = open_log(*state);
    struct log_txn *txn = NULL;
    struct log_reader *reader = NULL;
    size_t size = 0;
    void *room = NULL;
    append(log, 10);
    void *block = support_block(11, 3, &size);
    assert_int_equal(log_begin(log, &txn), 0);
    assert_int_equal(log_append_room(txn, 12, 3, size, &room), 1);
    assert_int_equal(log_append_room(txn, 11, 3, size, &room), 0);
    memcpy(room, block, size);
    assert_int_equal(log_put(txn, LOG_PRODUCERS, "k", 1, "v", 1), 0);
    assert_int_equal(log_commit(txn), 0);
    free(block);
    assert_int_equal(log_next(log), 14);
    append(log, 1);
    assert_int_equal(log_reader_new(log, &reader), 0);
    assert_int_equal(log_reader_begin(reader), 0);
    expect_block(reader, 12, 11, 3);
    expect_block(reader, 14, 14, 1);
    log_reader_end(reader);
    log_reader_free(reader);
    log_close(log);
}

static void test_a_sequence_finds_its_block(void **state) {
    struct log *log = open_log(*state);
    struct log_reader *reader = NULL;
    struct block_head head;
    assert_int_equal(log_reader_new(log, &reader), 0);
    assert_int_equal(log_reader_begin(reader), 0);
    assert_int_equal(log_reader_block(reader, 1, &head), 1);
    log_reader_end(reader);
    append(log, 10); // 1 to 10
    append(log, 1);  // 11
    append(log, 20); // 12 to 31
    assert_int_equal(log_reader_begin(reader), 0);
    expect_block(reader, 0, 1, 10);
    expect_block(reader, 1, 1, 10);
    expect_block(reader, 10, 1, 10);
    expect_block(reader, 11, 11, 1);
    expect_block(reader, 12, 12, 20);
    expect_block(reader, 31, 12, 20);
    assert_int_equal(log_reader_block(reader, 32, &head), 1);
    assert_int_equal(log_reader_block(reader, UINT64_MAX, &head), 1);
    log_reader_end(reader);
    assert_int_equal(trim(log, 12, 10), 2);
    assert_int_equal(log_reader_begin(reader), 0);
    expect_block(reader, 1, 12, 20); // the first that is still there
    assert_int_equal(log_reader_first(reader), 12);
    assert_int_equal(log_reader_next(reader), 32);
    log_reader_end(reader);
    log_reader_free(reader);
    log_close(log);
}

static void test_a_time_finds_its_sequence(void **state) {
    struct log *log = open_log(*state);
    struct log_reader *reader = NULL;
    for (size_t n = 1; n <= 30; n++) {
        append(log, n);
    }
    assert_int_equal(log_reader_new(log, &reader), 0);
    assert_int_equal(log_reader_begin(reader), 0);
    uint64_t next = log_next(log), found = 0;
    for (uint64_t sequence = 1; sequence < next; sequence++) {
        assert_int_equal(log_reader_find_time(reader, (int64_t)sequence * 1000, &found), 0);
        assert_int_equal(found, sequence);
        assert_int_equal(log_reader_find_time(reader, (int64_t)sequence * 1000 - 1, &found), 0);
        assert_int_equal(found, sequence);
    }
    assert_int_equal(log_reader_find_time(reader, INT64_MAX, &found), 0);
    assert_int_equal(found, next);
    assert_int_equal(log_reader_find_time(reader, INT64_MIN, &found), 0);
    assert_int_equal(found, 1);
    log_reader_free(reader);
    log_close(log);
}

static void test_trim_keeps_what_reaches_the_floor_and_the_last_block(void **state) {
    struct log *log = open_log(*state);
    append(log, 10); // 1 to 10
    append(log, 10); // 11 to 20
    append(log, 10); // 21 to 30
    assert_int_equal(trim(log, 10, 100), 0);
    assert_int_equal(trim(log, 11, 100), 1);
    assert_int_equal(log_first(log), 11);
    assert_int_equal(trim(log, 1000, 100), 1);
    assert_int_equal(log_first(log), 21);
    log_close(log);
    log = open_log(*state);
    assert_int_equal(log_first(log), 21);
    assert_int_equal(log_next(log), 31);
    append(log, 1);
    append(log, 1);
    assert_int_equal(trim(log, 1000, 1), 1); // at most one
    assert_int_equal(log_first(log), 31);
    log_close(log);
}

struct rows {
    unsigned n;
    char keys[8][8];
    unsigned stop_at;
};

static int collect(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct rows *rows = user;
    (void)value;
    (void)size;
    memcpy(rows->keys[rows->n], key, key_size);
    rows->keys[rows->n][key_size] = '\0';
    rows->n++;
    return rows->n == rows->stop_at ? 7 : 0;
}

static void test_the_small_tables_keep_their_rows(void **state) {
    struct log *log = open_log(*state);
    struct log_txn *txn = NULL;
    static const char *const keys[] = {"a", "b1", "b2", "b\xff", "c"};
    assert_int_equal(log_begin(log, &txn), 0);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(log_put(txn, LOG_PARKED, keys[i], strlen(keys[i]), "v", 1), 0);
    }
    assert_int_equal(log_put(txn, LOG_QUARANTINE, "b1", 2, "other", 5), 0);
    assert_int_equal(log_delete(txn, LOG_PARKED, "nothing", 7), 1);
    assert_int_equal(log_commit(txn), 0);
    log_close(log);

    log = open_log(*state);
    struct log_reader *reader = NULL;
    const void *value = NULL;
    size_t size = 0;
    assert_int_equal(log_reader_new(log, &reader), 0);
    assert_int_equal(log_reader_begin(reader), 0);
    assert_int_equal(log_reader_get(reader, LOG_QUARANTINE, "b1", 2, &value, &size), 0);
    assert_memory_equal(value, "other", 5);
    assert_int_equal(log_reader_get(reader, LOG_QUARANTINE, "b", 1, &value, &size), 1);
    struct rows rows = {.n = 0};
    assert_int_equal(log_reader_scan(reader, LOG_PARKED, "b", 1, NULL, 0, collect, &rows), 0);
    assert_int_equal(rows.n, 3);
    assert_string_equal(rows.keys[0], "b1");
    assert_string_equal(rows.keys[2], "b\xff");
    rows = (struct rows){.stop_at = 2};
    assert_int_equal(log_reader_scan(reader, LOG_PARKED, "", 0, "b2", 2, collect, &rows), 7);
    assert_string_equal(rows.keys[0], "b2");
    log_reader_free(reader);
    log_close(log);
}

static void test_a_second_writer_is_refused(void **state) {
    struct log *log = open_log(*state), *second = NULL;
    // LMDB must never see the same file twice in one process: the lock refuses before that.
    assert_int_equal(log_open(support_path(*state, "log"), MAP_BYTES, false, &second), -EBUSY);
    pid_t child = fork();
    if (child == 0) {
        _exit(log_open(support_path(*state, "log"), MAP_BYTES, false, &second) == -EBUSY ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    log_close(log);
    log = open_log(*state);
    log_close(log);
}

static void test_a_folder_without_its_data_is_not_filled_anew(void **state) {
    struct log *log = open_log(*state);
    append(log, 5);
    log_close(log);
    assert_int_equal(unlink(support_path(*state, "log/data.mdb")), 0);
    assert_int_equal(log_open(support_path(*state, "log"), MAP_BYTES, false, &log), -ENOENT);
}

static void test_an_unfinished_creation_is_begun_again(void **state) {
    struct store_options options = {
        .tables = (const char *const[]){"x"}, .n_tables = 1, .map_bytes = 1 << 20};
    struct store *store = NULL;
    assert_int_equal(store_open(support_path(*state, "log.new"), &options, &store), 0);
    store_close(store);
    struct log *log = open_log(*state);
    append(log, 1);
    log_close(log);
    assert_int_not_equal(access(support_path(*state, "log.new"), F_OK), 0);
}

static void test_a_flipped_bit_is_named_with_its_sequences(void **state) {
    struct log *log = open_log(*state);
    for (int i = 0; i < 5; i++) {
        append(log, 10);
    }
    uint8_t incarnation[INCARNATION_BYTES];
    memcpy(incarnation, log_incarnation(log), sizeof(incarnation));
    log_close(log);
    size_t size = 0, block_size = 0;
    const char *path = support_path(*state, "log/data.mdb");
    uint8_t *file = support_read(path, &size);
    uint8_t *block = support_block(21, 10, &block_size);
    // A small block lies in a leaf page, of which older copies may still be in the file.
    unsigned n_copies = 0;
    for (uint8_t *at = file; (at = memmem(at, size - (size_t)(at - file), block, block_size));) {
        at[block_size / 2] ^= 4;
        n_copies++;
    }
    assert_true(n_copies > 0);
    support_write(path, file, size);
    free(block);
    free(file);

    log = open_log(*state);
    struct log_reader *reader = NULL;
    struct block_head head;
    assert_int_equal(log_reader_new(log, &reader), 0);
    assert_int_equal(log_reader_begin(reader), 0);
    assert_int_equal(log_reader_block(reader, 20, &head), 0);
    assert_int_equal(log_reader_block(reader, 25, &head), -EBADMSG);
    assert_int_equal(head.first, 21);
    assert_int_equal(head.n_events, 10);
    assert_int_equal(log_reader_block(reader, 31, &head), 0);
    log_reader_free(reader);
    assert_memory_equal(incarnation, log_incarnation(log), sizeof(incarnation));
    log_close(log);
}

static void test_a_copy_is_another_log(void **state) {
    struct log *log = open_log(*state), *copy = NULL;
    uint8_t incarnation[INCARNATION_BYTES], second[INCARNATION_BYTES];
    append(log, 10);
    append(log, 10);
    memcpy(incarnation, log_incarnation(log), sizeof(incarnation));
    assert_int_equal(log_copy(log, support_path(*state, "copy")), 0);
    log_close(log);
    assert_int_equal(log_open(support_path(*state, "copy"), MAP_BYTES, false, &copy), 0);
    assert_int_equal(log_next(copy), 21);
    assert_memory_not_equal(incarnation, log_incarnation(copy), sizeof(incarnation));
    assert_memory_equal(incarnation, log_incarnation_before(copy), sizeof(incarnation));
    memcpy(second, log_incarnation(copy), sizeof(second));
    log_close(copy);
    assert_int_equal(log_open(support_path(*state, "copy"), MAP_BYTES, false, &copy), 0);
    assert_memory_equal(second, log_incarnation(copy), sizeof(second));
    log_close(copy);
}

// The start that renewed it was killed before the mark went.
static void test_a_copy_is_renewed_once(void **state) {
    struct log *log = open_log(*state), *copy = NULL;
    uint8_t first[INCARNATION_BYTES], second[INCARNATION_BYTES];
    size_t size = 0;
    append(log, 10);
    memcpy(first, log_incarnation(log), sizeof(first));
    assert_int_equal(log_copy(log, support_path(*state, "copy")), 0);
    log_close(log);
    uint8_t *mark = support_read(support_path(*state, "copy/copied"), &size);
    assert_int_equal(log_open(support_path(*state, "copy"), MAP_BYTES, false, &copy), 0);
    memcpy(second, log_incarnation(copy), sizeof(second));
    log_close(copy);
    support_write(support_path(*state, "copy/copied"), mark, size);
    assert_int_equal(log_open(support_path(*state, "copy"), MAP_BYTES, false, &copy), 0);
    assert_memory_equal(second, log_incarnation(copy), sizeof(second));
    assert_memory_equal(first, log_incarnation_before(copy), sizeof(first));
    log_close(copy);
    free(mark);
}

// Random appends, trims, aborts and reopenings against what must be there.
static void test_random_work_with_reopening(void **state) {
    struct log *log = open_log(*state);
    enum { BLOCKS_MAX = 2000 };
    static uint64_t firsts[BLOCKS_MAX];
    size_t n_blocks = 0, oldest = 0;
    uint64_t seed = 20260101, next = 1;
    for (int step = 0; step < 600; step++) {
        uint64_t choice = support_random(&seed) % 10;
        if (choice < 6) {
            size_t n = 1 + support_random(&seed) % 40;
            firsts[n_blocks++] = next;
            append(log, n);
            next += n;
        } else if (choice < 8 && n_blocks > oldest) {
            uint64_t floor = support_random(&seed) % (next + 5);
            unsigned n_max = (unsigned)(support_random(&seed) % 5), n = 0;
            while (n < n_max && oldest + 1 < n_blocks && firsts[oldest + 1] <= floor) {
                oldest++;
                n++;
            }
            assert_int_equal(trim(log, floor, n_max), n);
        } else if (choice == 8) {
            log_close(log);
            log = open_log(*state);
        }
        assert_int_equal(log_next(log), next);
        assert_int_equal(log_first(log), n_blocks > 0 ? firsts[oldest] : 1);
    }
    struct log_reader *reader = NULL;
    assert_int_equal(log_reader_new(log, &reader), 0);
    assert_int_equal(log_reader_begin(reader), 0);
    for (size_t i = oldest; i < n_blocks; i++) {
        uint64_t end = i + 1 < n_blocks ? firsts[i + 1] : next;
        expect_block(reader, end - 1, firsts[i], (size_t)(end - firsts[i]));
    }
    log_reader_free(reader);
    assert_true(log_bytes(log) > 0);
    log_close(log);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, support_setup, support_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_killed_readers_slot_is_free_after_a_start),
        TEST(test_append_refuses_gap),
        TEST(test_an_aborted_block_was_never_there),
        TEST(test_a_block_is_written_where_it_goes_to_disk),
        TEST(test_a_sequence_finds_its_block),
        TEST(test_a_time_finds_its_sequence),
        TEST(test_trim_keeps_what_reaches_the_floor_and_the_last_block),
        TEST(test_the_small_tables_keep_their_rows),
        TEST(test_a_second_writer_is_refused),
        TEST(test_a_folder_without_its_data_is_not_filled_anew),
        TEST(test_an_unfinished_creation_is_begun_again),
        TEST(test_a_flipped_bit_is_named_with_its_sequences),
        TEST(test_a_copy_is_another_log),
        TEST(test_a_copy_is_renewed_once),
        TEST(test_random_work_with_reopening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
