// SPDX-License-Identifier: Apache-2.0
// The rules of the warehouse that need no server: what a batch notes, what an error means, what a
// log may say.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connectors/crm/batch.h"
#include "connectors/crm/postgres.h"
#include "connectors/crm/statements.h"

static const bool none[8] = {false};

static void row(struct batch *batch, size_t event, int64_t number, const char *text) {
    batch_event(batch, event);
    assert_int_equal(batch->sql.run(&batch->sql, SQL_KEY, "isn", number, text), 0);
}

static void expect_array(const struct batch *batch, int value, const bool *skip, const char *text,
                         size_t n_rows) {
    char *array;
    size_t n;
    assert_int_equal(batch_array(batch, SQL_KEY, value, skip, &array, &n), 0);
    assert_int_equal(n, n_rows);
    if (text == NULL) {
        assert_null(array);
    } else {
        assert_string_equal(array, text);
    }
    free(array);
}

static void test_arrays_hold_any_text(void **state) {
    (void)state;
    struct batch batch;
    batch_init(&batch);
    row(&batch, 0, -9223372036854775807, "a\"b\\c");
    row(&batch, 1, 7, NULL);
    row(&batch, 2, 8, "NULL");
    row(&batch, 3, 9, "");
    row(&batch, 4, 10, "{,}\n\t");
    expect_array(&batch, 0, none, "{\"-9223372036854775807\",\"7\",\"8\",\"9\",\"10\"}", 5);
    expect_array(&batch, 1, none, "{\"a\\\"b\\\\c\",NULL,\"NULL\",\"\",\"{,}\n\t\"}", 5);
    expect_array(&batch, 2, none, "{NULL,NULL,NULL,NULL,NULL}", 5);
    batch_free(&batch);
}

static void test_an_event_that_is_here_already_writes_nothing(void **state) {
    (void)state;
    struct batch batch;
    const bool skip[] = {true, false, true};
    batch_init(&batch);
    for (size_t i = 0; i < 3; i++) {
        row(&batch, i, (int64_t)i, "x");
    }
    expect_array(&batch, 0, skip, "{\"1\"}", 1);
    const bool all[] = {true, true, true};
    expect_array(&batch, 0, all, NULL, 0);
    batch_free(&batch);
}

static void test_an_event_that_is_none_leaves_nothing(void **state) {
    (void)state;
    struct batch batch;
    batch_init(&batch);
    row(&batch, 0, 1, "kept");
    row(&batch, 1, 2, "undone");
    row(&batch, 1, 3, "undone");
    batch_undo(&batch);
    batch_undo(&batch);
    row(&batch, 2, 4, "kept too");
    expect_array(&batch, 0, none, "{\"1\",\"4\"}", 2);
    expect_array(&batch, 1, none, "{\"kept\",\"kept too\"}", 2);
    batch_free(&batch);
}

static void test_a_batch_grows_and_keeps_what_it_has(void **state) {
    (void)state;
    struct batch batch;
    batch_init(&batch);
    enum { N = 5000 };
    for (int round = 0; round < 2; round++) {
        batch_clear(&batch);
        for (int64_t i = 0; i < N; i++) {
            row(&batch, (size_t)(i % 8), i, "some text that makes it grow again and again");
        }
        assert_int_equal(batch.n_rows, N);
        assert_string_equal(batch_value(&batch, &batch.rows[N - 1], 0), "4999");
        assert_null(batch_value(&batch, &batch.rows[N - 1], 2));
    }
    batch_free(&batch);
}

static void test_json_loses_its_nul_and_nothing_else(void **state) {
    (void)state;
    static const char *const forms[][2] = {
        {"{\"a\":\"x\\u0000y\"}", "{\"a\":\"x\\ufffdy\"}"},
        {"\"\\\\u0000\"", "\"\\\\u0000\""}, // a backslash, then u0000
        {"\"\\\\\\u0000\\u0000\"", "\"\\\\\\ufffd\\ufffd\""},
        {"\"\\u00001\"", "\"\\ufffd1\""},
        {"\"\\", "\"\\"},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        char *clean = batch_without_nul(forms[i][0]);
        assert_string_equal(clean, forms[i][1]);
        free(clean);
    }
}

static void test_states_say_who_is_to_blame(void **state) {
    (void)state;
    static const struct {
        const char *state;
        enum postgres_class class;
    } rows[] = {
        {"08006", POSTGRES_AWAY},    {"57P01", POSTGRES_AWAY},    {"53100", POSTGRES_AWAY},
        {"53300", POSTGRES_AWAY},    {"40P01", POSTGRES_AGAIN},   {"40001", POSTGRES_AGAIN},
        {"22P02", POSTGRES_REFUSED}, {"23505", POSTGRES_REFUSED}, {"54000", POSTGRES_REFUSED},
        {"P0001", POSTGRES_REFUSED}, {"P0002", POSTGRES_AWAY},    {"57014", POSTGRES_AWAY},
        {"42P01", POSTGRES_AWAY},    {"42501", POSTGRES_AWAY},    {"28P01", POSTGRES_AWAY},
        {"XX000", POSTGRES_AWAY},    {"55P03", POSTGRES_AWAY},    {NULL, POSTGRES_AWAY},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(postgres_class_of(rows[i].state), rows[i].class);
    }
}

static void test_a_line_is_one_line(void **state) {
    (void)state;
    char why[POSTGRES_WHY_BYTES], wide[2000];
    postgres_line(" a\n\tb  \"c\"\r\n", why);
    assert_string_equal(why, "a b 'c'");
    memset(wide, 'x', sizeof(wide));
    wide[sizeof(wide) - 1] = '\0';
    postgres_line(wide, why);
    assert_true(strlen(why) < POSTGRES_WHY_BYTES);
}

static void test_a_password_is_not_taken_from_the_connection(void **state) {
    (void)state;
    static const char *const bad[] = {"postgresql://crm:hunter2@db/crm", "host=db password=hunter2",
                                      "postgresql://crm@db/crm?sslpassword=hunter2",
                                      "not a connection hunter2",
                                      "postgresql://crm@db:hunter2:1:2/crm?x=hunter2"};
    char error[POSTGRES_WHY_BYTES];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_true(postgres_check(bad[i], error, sizeof(error)) < 0);
        assert_null(strstr(error, "hunter2"));
    }
    assert_int_equal(
        postgres_check("postgresql://crm@db:5433/crm?sslmode=require", error, sizeof(error)), 0);
    assert_int_equal(postgres_check("host=/run/postgresql dbname=crm", error, sizeof(error)), 0);
}

static void test_every_statement_has_a_text(void **state) {
    (void)state;
    for (int i = 0; i < N_STATEMENTS; i++) {
        assert_non_null(statements[i].text);
        assert_in_range(statements[i].n_values, 1, BATCH_VALUES_MAX);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrays_hold_any_text),
        cmocka_unit_test(test_an_event_that_is_here_already_writes_nothing),
        cmocka_unit_test(test_an_event_that_is_none_leaves_nothing),
        cmocka_unit_test(test_a_batch_grows_and_keeps_what_it_has),
        cmocka_unit_test(test_json_loses_its_nul_and_nothing_else),
        cmocka_unit_test(test_states_say_who_is_to_blame),
        cmocka_unit_test(test_a_line_is_one_line),
        cmocka_unit_test(test_a_password_is_not_taken_from_the_connection),
        cmocka_unit_test(test_every_statement_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
