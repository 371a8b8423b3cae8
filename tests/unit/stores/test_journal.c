// SPDX-License-Identifier: Apache-2.0
// The journal: what was appended is read again, whole and in order; a torn end is cut off, anything
// else that is missing is refused; files that are used again hold nothing of before. And the log
// over it: what a kill leaves is taken in, what does not belong together is refused.
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/stores/journal.h"
#include "broker/stores/log.h"
#include "broker/stores/store.h"
#include "schemas/limits.h"

enum { MAP_BYTES = 1 << 28, VALUE_BYTES_MAX = 20000, PAGE = JOURNAL_PAGE_BYTES };

static const uint8_t id[JOURNAL_ID_BYTES] = "the journal's id";
static const uint8_t other_id[JOURNAL_ID_BYTES] = "another one's id";

// ---- syncs, seen: LMDB calls this one, too

static char synced_path[PATH_BYTES];
static unsigned n_synced;

__attribute__((visibility("default"))) int fdatasync(int descriptor) {
    char link[64], path[PATH_BYTES];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    n_synced += strcmp(path, synced_path) == 0;
    return (int)syscall(SYS_fdatasync, descriptor);
}

// ---- journals

static struct journal *open_journal(const char *dir, const uint8_t *whose, bool create) {
    struct journal *journal = NULL;
    assert_int_equal(journal_open(dir, whose, create, &journal), 0);
    return journal;
}

// Record `number`: values that follow from it.
static void append(struct journal *journal) {
    static uint8_t value[VALUE_BYTES_MAX];
    struct journal_record *record = NULL;
    uint64_t number = journal_number(journal) + 1, seed = number;
    assert_int_equal(journal_record_new(&record), 0);
    for (uint64_t i = 0; i <= number % 3; i++) {
        size_t size = support_random(&seed) % VALUE_BYTES_MAX;
        memset(value, (int)(number + i), size);
        struct journal_change change = {.kind = JOURNAL_PUT,
                                        .table = (unsigned)i,
                                        .key = &number,
                                        .key_size = sizeof(number),
                                        .value = value,
                                        .size = size};
        assert_int_equal(journal_record_add(record, &change), 0);
    }
    assert_int_equal(journal_append(journal, record), 0);
    journal_record_free(record);
}

struct seen {
    uint64_t number, n_done, n_changes;
};

static int see(void *user, const struct journal_change *change) {
    struct seen *seen = user;
    uint64_t number = 0;
    assert_int_equal(change->key_size, sizeof(number));
    memcpy(&number, change->key, sizeof(number));
    assert_int_equal(number, seen->number + 1);
    assert_int_equal(change->table, seen->n_changes);
    for (size_t i = 0; i < change->size; i++) {
        assert_int_equal(((const uint8_t *)change->value)[i], (uint8_t)(number + change->table));
    }
    seen->n_changes++;
    return 0;
}

static int see_done(void *user) {
    struct seen *seen = user;
    seen->number++;
    seen->n_done++;
    assert_int_equal(seen->n_changes, seen->number % 3 + 1);
    seen->n_changes = 0;
    return 0;
}

static int replay(struct journal *journal, uint64_t after, uint64_t *ret_last) {
    struct seen seen = {.number = after};
    int r = journal_replay(journal, after, see, see_done, &seen);
    *ret_last = seen.number;
    return r;
}

static void expect(const char *dir, uint64_t after, uint64_t last) {
    struct journal *journal = open_journal(dir, id, false);
    uint64_t found = 0;
    assert_int_equal(replay(journal, after, &found), 0);
    assert_int_equal(found, last);
    assert_int_equal(journal_number(journal), last);
    journal_close(journal);
}

static void test_records_are_read_again_from_the_point_on(void **state) {
    struct journal *journal = open_journal(*state, id, true);
    uint8_t point[JOURNAL_POINT_BYTES_MAX];
    size_t size = 0;
    assert_int_equal(journal_read_point(journal, point, &size), 1);
    for (int i = 0; i < 7; i++) {
        append(journal);
    }
    expect(*state, 0, 7);
    assert_int_equal(journal_write_point(journal, 3, "three", 5), 0);
    assert_true(journal_can_turn(journal));
    journal_turn(journal);
    for (int i = 0; i < 5; i++) {
        append(journal);
    }
    assert_false(journal_can_turn(journal)); // 4 to 7 are still needed
    expect(*state, 3, 12);
    expect(*state, 12, 12);
    journal_close(journal);
    journal = open_journal(*state, id, false);
    assert_int_equal(journal_read_point(journal, point, &size), 0);
    assert_int_equal(size, 5);
    assert_memory_equal(point, "three", 5);
    journal_close(journal);
}

static void test_it_goes_on_behind_the_last(void **state) {
    struct journal *journal = open_journal(*state, id, true);
    uint64_t last = 0, number = 0;
    for (int life = 0; life < 20; life++) {
        for (int i = 0; i < 5; i++) {
            append(journal);
        }
        if (life % 3 == 2 && journal_can_turn(journal)) {
            number = journal_number(journal) - 2;
            journal_turn(journal);
            append(journal);
            assert_int_equal(journal_write_point(journal, number, "p", 1), 0);
        }
        uint64_t expected = journal_number(journal);
        journal_close(journal);
        journal = open_journal(*state, id, false);
        uint8_t point[JOURNAL_POINT_BYTES_MAX];
        size_t size = 0;
        assert_int_equal(journal_read_point(journal, point, &size), number == 0);
        assert_int_equal(replay(journal, number, &last), 0);
        assert_int_equal(last, expected);
    }
    journal_close(journal);
}

static void test_the_newer_point_counts_and_the_older_where_it_is_torn(void **state) {
    struct journal *journal = open_journal(*state, id, true);
    uint8_t point[JOURNAL_POINT_BYTES_MAX];
    size_t size = 0;
    assert_int_equal(journal_write_point(journal, 0, "one", 3), 0); // in journal-1
    assert_int_equal(journal_write_point(journal, 0, "two", 3), 0); // in journal-0
    journal_close(journal);
    journal = open_journal(*state, id, false);
    assert_int_equal(journal_read_point(journal, point, &size), 0);
    assert_memory_equal(point, "two", 3);
    journal_close(journal);
    size_t file_size = 0;
    uint8_t *file = support_read(support_path(*state, "journal-0"), &file_size);
    uint8_t *at = memmem(file, PAGE, "two", 3);
    assert_non_null(at);
    *at ^= 1;
    support_write(support_path(*state, "journal-0"), file, file_size);
    free(file);
    journal = open_journal(*state, id, false);
    assert_int_equal(journal_read_point(journal, point, &size), 0);
    assert_memory_equal(point, "one", 3);
    journal_close(journal);
}

// Where record `number` begins in journal-0.
static size_t place_of(const uint8_t *file, size_t size, uint64_t number) {
    for (size_t at = PAGE; at + PAGE <= size; at += PAGE) {
        if (memcmp(file + at + 8, id, sizeof(id)) == 0 &&
            memcmp(file + at + 8 + sizeof(id), &number, sizeof(number)) == 0) {
            return at;
        }
    }
    fail();
    return 0;
}

// Any bit of the last record, or its sectors: it was never there. Of one before: refused.
static void test_a_torn_end_is_cut_off_and_a_hole_refused(void **state) {
    struct journal *journal = open_journal(*state, id, true);
    size_t size = 0;
    uint64_t seed = 7, last = 0;
    for (int i = 0; i < 9; i++) {
        append(journal);
    }
    journal_close(journal);
    const char *path = support_path(*state, "journal-0");
    uint8_t *file = support_read(path, &size);
    for (int round = 0; round < 60; round++) {
        uint64_t number = round % 2 == 0 ? 9 : 1 + support_random(&seed) % 8;
        size_t at = place_of(file, size, number);
        size_t byte = at + support_random(&seed) % 60; // the head, or the first change
        uint8_t flipped = (uint8_t)(1U << (support_random(&seed) % 8));
        file[byte] ^= flipped;
        support_write(path, file, size);
        journal = open_journal(*state, id, false);
        assert_int_equal(replay(journal, 0, &last), number == 9 ? 0 : -EBADMSG);
        assert_int_equal(last, number == 9 ? 8 : 0);
        journal_close(journal);
        file[byte] ^= flipped;
    }
    support_write(path, file, size);
    expect(*state, 0, 9);
    free(file);
}

static void test_another_journals_records_are_not_read(void **state) {
    struct journal *journal = open_journal(*state, other_id, true);
    uint8_t point[JOURNAL_POINT_BYTES_MAX];
    size_t size = 0;
    for (int i = 0; i < 3; i++) {
        append(journal);
    }
    assert_int_equal(journal_write_point(journal, 1, "p", 1), 0);
    journal_close(journal);
    expect(*state, 0, 0);
    journal = open_journal(*state, id, false);
    assert_int_equal(journal_read_point(journal, point, &size), 1);
    journal_close(journal);
}

static bool holds(const char *path, const void *bytes, size_t n) {
    size_t size = 0;
    uint8_t *file = support_read(path, &size);
    bool found = memmem(file, size, bytes, n) != NULL;
    free(file);
    return found;
}

static void append_text(struct journal *journal, const char *text, size_t padding) {
    static uint8_t value[VALUE_BYTES_MAX];
    struct journal_record *record = NULL;
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++) { // bytes, not a text: no terminator
        value[i] = (uint8_t)text[i];
    }
    struct journal_change change = {
        .kind = JOURNAL_PUT, .key = "k", .key_size = 1, .value = value, .size = size + padding};
    assert_int_equal(journal_record_new(&record), 0);
    assert_int_equal(journal_record_add(record, &change), 0);
    assert_int_equal(journal_append(journal, record), 0);
    journal_record_free(record);
    memset(value, 0, sizeof(value));
}

static void test_what_nobody_needs_is_overwritten(void **state) {
    struct journal *journal = open_journal(*state, id, true);
    const char *first = support_path(*state, "journal-0");
    append_text(journal, "nobody's business", 0);
    append_text(journal, "nor this", 10000);
    assert_int_equal(journal_wipe(journal, false), 0); // the other one
    journal_turn(journal);
    assert_int_equal(journal_wipe(journal, false), 0); // still needed
    assert_true(holds(first, "nobody's business", 17));
    assert_int_equal(journal_write_point(journal, 2, "p", 1), 0);
    assert_int_equal(journal_wipe(journal, false), 0);
    assert_false(holds(first, "nobody's business", 17));
    assert_false(holds(first, "nor this", 8));
    assert_false(journal_has_remains(journal));
    // A busy file keeps what its next use overwrites, and nothing behind that.
    append_text(journal, "three", 0);
    assert_int_equal(journal_write_point(journal, 3, "p", 1), 0);
    journal_turn(journal);
    append_text(journal, "four", 0);
    append_text(journal, "five", 0);
    assert_int_equal(journal_write_point(journal, 5, "p", 1), 0);
    journal_turn(journal);
    append_text(journal, "six", 0);
    journal_turn(journal);
    append_text(journal, "seven", 0);
    assert_int_equal(journal_write_point(journal, 7, "p", 1), 0);
    journal_turn(journal);
    assert_int_equal(journal_wipe(journal, true), 0);
    assert_true(holds(first, "seven", 5));
    assert_false(holds(first, "five", 4));
    assert_true(journal_has_remains(journal));
    journal_close(journal);
    assert_int_equal(journal_remove(*state), 0);
    assert_int_not_equal(access(first, F_OK), 0);
}

static void test_a_record_knows_its_keys(void **state) {
    (void)state;
    struct journal_record *record = NULL;
    assert_int_equal(journal_record_new(&record), 0);
    assert_true(journal_record_is_empty(record));
    for (unsigned i = 0; i < 1000; i++) {
        struct journal_change change = {.kind = i % 2 == 0 ? JOURNAL_PUT : JOURNAL_DELETE,
                                        .table = i % 5,
                                        .key = &i,
                                        .key_size = sizeof(i)};
        assert_int_equal(journal_record_add(record, &change), 0);
    }
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(journal_record_find(record, i % 5, &i, sizeof(i)),
                         i % 2 == 0 ? JOURNAL_PUT : JOURNAL_DELETE);
        assert_int_equal(journal_record_find(record, (i + 1) % 5, &i, sizeof(i)), 0);
    }
    struct journal_change large = {
        .kind = JOURNAL_PUT, .key = "k", .key_size = 1, .size = 1U << 31};
    assert_int_equal(journal_record_add(record, &large), -E2BIG);
    journal_record_clear(record);
    assert_true(journal_record_is_empty(record));
    assert_int_equal(journal_record_find(record, 0, "", 0), 0);
    journal_record_free(record);
}

// ---- the log over it

static struct log *open_log(const char *dir) {
    struct log *log = NULL;
    assert_int_equal(log_open(support_path(dir, "log"), MAP_BYTES, false, &log), 0);
    return log;
}

static int log_block(struct log *log, size_t n) {
    struct log_txn *txn = NULL;
    size_t size = 0;
    void *block = support_block(log_next(log), n, &size);
    int r = log_begin(log, &txn);
    r = r == 0 ? log_append(txn, log_next(log), block, size) : r;
    r = r == 0 ? log_put(txn, LOG_PARKED, "last", 4, &n, sizeof(n)) : r;
    r = r == 0 ? log_commit(txn) : r;
    free(block);
    return r;
}

// A process that logs some blocks and ends as if killed.
static void log_and_die(const char *dir, int n_blocks, int64_t interval_us) {
    pid_t child = fork();
    if (child == 0) {
        struct log *log = NULL;
        int r = log_open(support_path(dir, "log"), MAP_BYTES, false, &log);
        if (r == 0 && interval_us != 0) {
            log_set_point_interval(log, interval_us);
        }
        for (int i = 0; r == 0 && i < n_blocks; i++) {
            r = log_block(log, 3);
            usleep(interval_us != 0 ? 2000 : 0);
        }
        _exit(r == 0 ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void expect_log(struct log *log, uint64_t next) {
    struct log_reader *reader = NULL;
    assert_int_equal(log_next(log), next);
    assert_int_equal(log_reader_new(log, &reader), 0);
    assert_int_equal(log_reader_begin(reader), 0);
    struct block_head head = {.n_events = 1};
    for (uint64_t at = 1; at < next; at += head.n_events) {
        assert_int_equal(log_reader_block(reader, at, &head), 0);
    }
    log_reader_free(reader);
}

static void test_a_killed_logs_journal_is_taken_in(void **state) {
    uint64_t next = 1;
    for (int life = 0; life < 6; life++) {
        log_and_die(*state, 20, life % 2 == 0 ? 0 : 5000);
        next += 60;
        assert_int_equal(access(support_path(*state, "log/journal-0"), F_OK), 0);
        if (life % 3 == 2) {
            struct log *log = open_log(*state);
            expect_log(log, next);
            log_close(log); // leaves no journal
            assert_int_not_equal(access(support_path(*state, "log/journal-0"), F_OK), 0);
            assert_int_not_equal(access(support_path(*state, "log/journal-1"), F_OK), 0);
        }
    }
}

// What a power cut leaves of a file that is not synced at commits: here all of it behind the point.
static void test_pages_behind_the_point_are_not_needed(void **state) {
    log_and_die(*state, 1, 0);
    struct stat before;
    assert_int_equal(stat(support_path(*state, "log/data.mdb"), &before), 0);
    size_t size = 0;
    uint8_t *point = support_read(support_path(*state, "log/data.mdb"), &size);
    log_and_die(*state, 50, 0);
    // Only the heads of the meta pages are of later: what they lead to is not there.
    size_t now_size = 0;
    uint8_t *now = support_read(support_path(*state, "log/data.mdb"), &now_size);
    uint8_t *cut = calloc(1, now_size);
    static const size_t metas = 2 * (size_t)PAGE;
    memcpy(cut, now, metas);
    memcpy(cut + metas, point + metas, size - metas);
    support_write(support_path(*state, "log/data.mdb"), cut, now_size);
    free(cut);
    free(now);
    free(point);
    struct log *log = open_log(*state);
    expect_log(log, 1 + 51 * 3);
    log_close(log);
}

static int open_error(const char *dir) {
    struct log *log = NULL;
    int r = log_open(support_path(dir, "log"), MAP_BYTES, false, &log);
    log_close(r == 0 ? log : NULL);
    return r;
}

static void test_what_does_not_belong_together_is_refused(void **state) {
    struct log *log = open_log(*state);
    assert_int_equal(log_block(log, 3), 0);
    log_close(log);
    size_t size = 0, older_size = 0;
    uint8_t *clean = support_read(support_path(*state, "log/data.mdb"), &size);
    log_and_die(*state, 3, 0);
    uint8_t *older = support_read(support_path(*state, "log/data.mdb"), &older_size);
    assert_int_equal(rename(support_path(*state, "log/journal-1"), support_path(*state, "1")), 0);
    assert_int_equal(open_error(*state), -ENOLINK);
    assert_int_equal(rename(support_path(*state, "1"), support_path(*state, "log/journal-1")), 0);
    // A file without a mark is whole by itself; what lies beside it is another one's.
    support_write(support_path(*state, "log/data.mdb"), clean, size);
    log = open_log(*state);
    expect_log(log, 4);
    log_close(log);
    log_and_die(*state, 3, 0); // the journal is another one now
    support_write(support_path(*state, "log/data.mdb"), older, older_size);
    assert_int_equal(open_error(*state), -EUCLEAN);
    free(older);
    free(clean);
}

static void
test_a_reader_without_a_writer_does_not_see_a_file_that_needs_its_journal(void **state) {
    struct log *log = NULL;
    log_and_die(*state, 3, 0);
    assert_int_equal(log_open(support_path(*state, "log"), MAP_BYTES, true, &log), -EAGAIN);
    log_close(open_log(*state));
    assert_int_equal(log_open(support_path(*state, "log"), MAP_BYTES, true, &log), 0);
    log_close(log);
}

static void test_a_commit_syncs_nothing_but_its_record_and_a_start_what_it_finds(void **state) {
    struct log *log = open_log(*state);
    log_close(log);
    snprintf(synced_path, sizeof(synced_path), "%s/log/data.mdb", (const char *)*state);
    n_synced = 0;
    log = open_log(*state);
    assert_true(n_synced >= 2); // before anything is trusted; for the first point
    n_synced = 0;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(log_block(log, 3), 0);
    }
    assert_int_equal(n_synced, 0);
    log_close(log);
    assert_true(n_synced >= 1);
}

static void test_a_key_is_there_or_not_as_the_transaction_has_it(void **state) {
    struct log *log = open_log(*state);
    struct log_txn *txn = NULL;
    assert_int_equal(log_begin(log, &txn), 0);
    assert_int_equal(log_delete(txn, LOG_PARKED, "a", 1), 1);
    assert_int_equal(log_put(txn, LOG_PARKED, "a", 1, "1", 1), 0);
    assert_int_equal(log_delete(txn, LOG_PARKED, "a", 1), 0);
    assert_int_equal(log_delete(txn, LOG_PARKED, "a", 1), 1);
    assert_int_equal(log_put(txn, LOG_PARKED, "b", 1, "2", 1), 0);
    assert_int_equal(log_put(txn, LOG_PARKED, "", 0, "2", 1), -EINVAL);
    assert_int_equal(log_commit(txn), 0);
    assert_int_equal(log_begin(log, &txn), 0);
    assert_int_equal(log_delete(txn, LOG_PARKED, "a", 1), 1);
    assert_int_equal(log_delete(txn, LOG_PARKED, "b", 1), 0);
    log_abort(txn);
    assert_int_equal(log_begin(log, &txn), 0);
    assert_int_equal(log_delete(txn, LOG_PARKED, "b", 1), 0); // the other one was aborted
    assert_int_equal(log_commit(txn), 0);
    log_close(log);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, support_setup, support_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_records_are_read_again_from_the_point_on),
        TEST(test_it_goes_on_behind_the_last),
        TEST(test_the_newer_point_counts_and_the_older_where_it_is_torn),
        TEST(test_a_torn_end_is_cut_off_and_a_hole_refused),
        TEST(test_another_journals_records_are_not_read),
        TEST(test_what_nobody_needs_is_overwritten),
        TEST(test_a_record_knows_its_keys),
        TEST(test_a_killed_logs_journal_is_taken_in),
        TEST(test_pages_behind_the_point_are_not_needed),
        TEST(test_what_does_not_belong_together_is_refused),
        TEST(test_a_reader_without_a_writer_does_not_see_a_file_that_needs_its_journal),
        TEST(test_a_commit_syncs_nothing_but_its_record_and_a_start_what_it_finds),
        TEST(test_a_key_is_there_or_not_as_the_transaction_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
