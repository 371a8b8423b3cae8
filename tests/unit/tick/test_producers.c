// SPDX-License-Identifier: Apache-2.0
// Producers' numbers: next, old, gap, fenced, ranges, epochs, and what a restart remembers.
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/tick/producers.h"

#define DAY_US (INT64_C(86400) * 1000000)

struct log_fixture {
    struct log *log;
    struct log_reader *reader;
    struct producers *producers;
};

static void open_all(struct fixture *fixture, struct log_fixture *ret) {
    const char *path = arena_printf(fixture->arena, "%s/log", fixture->dir);
    assert_int_equal(log_open(path, 64 << 20, false, &ret->log), 0);
    assert_int_equal(log_reader_new(ret->log, &ret->reader), 0);
    assert_int_equal(producers_load(ret->reader, &ret->producers), 0);
}

static void close_all(struct log_fixture *fixture) {
    producers_free(fixture->producers);
    log_reader_free(fixture->reader);
    log_close(fixture->log);
}

static void commit(struct log_fixture *fixture) {
    struct log_txn *txn;
    assert_int_equal(log_begin(fixture->log, &txn), 0);
    assert_int_equal(producers_write(fixture->producers, txn), 0);
    assert_int_equal(log_commit(txn), 0);
}

static void test_takes_numbers_in_order(void **state) {
    struct log_fixture f;
    open_all(*state, &f);
    struct producer *producer = producers_get(f.producers, "order", 1);
    assert_int_equal(producer_check(producer, 1, 1), NUMBER_NEXT);
    assert_int_equal(producer_check(producer, 1, 2), NUMBER_GAP);
    producer_take(f.producers, producer, 1, 10, 1);
    assert_int_equal(producer_check(producer, 1, 1), NUMBER_OLD);
    assert_int_equal(producer_check(producer, 1, 2), NUMBER_NEXT);
    assert_int_equal(producer_sequence(producer, 1), 10);
    assert_int_equal(producer_sequence(producer, 2), 0);
    close_all(&f);
}

static void test_a_lower_epoch_is_fenced_and_a_higher_one_starts_at_one(void **state) {
    struct log_fixture f;
    open_all(*state, &f);
    struct producer *producer = producers_get(f.producers, "epochs", 1);
    producer_take(f.producers, producer, 5, 10, 1);
    assert_int_equal(producer_check(producer, 4, 1), NUMBER_FENCED);
    assert_int_equal(producer_expected(producer, 5), 2);
    assert_int_equal(producer_expected(producer, 6), 1);
    assert_int_equal(producer_check(producer, 6, 2), NUMBER_GAP);
    producer_take(f.producers, producer, 6, 11, 1);
    assert_int_equal(producer_check(producer, 5, 2), NUMBER_FENCED);
    assert_int_equal(producer_sequence(producer, 1), 11);
    close_all(&f);
}

static void test_a_number_without_a_sequence_is_taken_all_the_same(void **state) {
    struct log_fixture f;
    open_all(*state, &f);
    struct producer *producer = producers_get(f.producers, "refused", 1);
    producer_take(f.producers, producer, 1, 0, 1);
    assert_int_equal(producer_expected(producer, 1), 2);
    assert_int_equal(producer_sequence(producer, 1), 0);
    close_all(&f);
}

static void test_ranges_follow_runs_and_forget_the_oldest(void **state) {
    struct log_fixture f;
    open_all(*state, &f);
    struct producer *producer = producers_get(f.producers, "ranges", 1);
    uint64_t sequence = 0;
    enum { TAKEN = 3 * PRODUCER_RANGES_MAX };
    uint64_t sequences[TAKEN + 1];
    for (uint64_t number = 1; number <= TAKEN; number++) {
        sequence += number % 2 == 0 ? 1 : 5; // runs of two
        sequences[number] = sequence;
        producer_take(f.producers, producer, 1, sequence, 1);
    }
    for (uint64_t number = 1; number <= TAKEN; number++) {
        bool kept = number > PRODUCER_RANGES_MAX;
        assert_int_equal(producer_sequence(producer, number), kept ? sequences[number] : 0);
    }
    close_all(&f);
}

static void test_a_restart_remembers(void **state) {
    struct log_fixture f;
    open_all(*state, &f);
    struct producer *producer = producers_get(f.producers, "restart", 1);
    for (uint64_t i = 1; i <= 20; i++) {
        producer_take(f.producers, producer, 3, 100 + 2 * i, 1);
    }
    commit(&f);
    close_all(&f);
    open_all(*state, &f);
    producer = producers_find(f.producers, "restart");
    assert_non_null(producer);
    assert_int_equal(producer_expected(producer, 3), 21);
    assert_int_equal(producer_check(producer, 2, 1), NUMBER_FENCED);
    assert_int_equal(producer_sequence(producer, 20), 140);
    close_all(&f);
}

static void test_what_was_not_committed_is_not_remembered(void **state) {
    struct log_fixture f;
    open_all(*state, &f);
    producer_take(f.producers, producers_get(f.producers, "lost", 1), 1, 1, 1);
    close_all(&f);
    open_all(*state, &f);
    assert_null(producers_find(f.producers, "lost"));
    close_all(&f);
}

static void test_a_full_table_gives_up_the_longest_idle_after_seven_days(void **state) {
    struct log_fixture f;
    open_all(*state, &f);
    char name[32];
    size_t n = 0;
    struct producer *producer;
    for (; n <= PRODUCERS_MAX; n++) {
        snprintf(name, sizeof(name), "full-%zu", n);
        producer = producers_get(f.producers, name, (int64_t)n);
        if (producer == NULL) {
            break;
        }
        producer_take(f.producers, producer, 1, n + 1, (int64_t)n);
    }
    assert_true(n >= PRODUCERS_MAX - 1 && n <= PRODUCERS_MAX); // others may be there already
    commit(&f);
    assert_null(producers_get(f.producers, "late", DAY_US));
    assert_non_null(producers_get(f.producers, "late", 8 * DAY_US));
    assert_null(producers_get(f.producers, "later", 8 * DAY_US)); // one a tick
    commit(&f);
    assert_non_null(producers_get(f.producers, "later", 8 * DAY_US));
    commit(&f);
    close_all(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_numbers_in_order),
        cmocka_unit_test(test_a_lower_epoch_is_fenced_and_a_higher_one_starts_at_one),
        cmocka_unit_test(test_a_number_without_a_sequence_is_taken_all_the_same),
        cmocka_unit_test(test_ranges_follow_runs_and_forget_the_oldest),
        cmocka_unit_test(test_a_restart_remembers),
        cmocka_unit_test(test_what_was_not_committed_is_not_remembered),
        cmocka_unit_test(test_a_full_table_gives_up_the_longest_idle_after_seven_days),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
