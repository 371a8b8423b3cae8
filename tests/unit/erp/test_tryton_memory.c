// SPDX-License-Identifier: Apache-2.0
// What was told of the ERP's changes is told once, and what was not acknowledged is told again,
// whenever the process ends.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "connectors/erp/tryton_memory.h"
#include "tests/unit/scratch.h"

static const int64_t start_us = INT64_C(1795327787257541);
static char folder[SCRATCH_PATH_BYTES];

static struct tryton_memory *reopen(struct tryton_memory *memory) {
    struct tryton_memory *opened = NULL;
    tryton_memory_close(memory);
    assert_int_equal(tryton_memory_open(folder, start_us, &opened), 0);
    return opened;
}

// after_us: behind the start.
static json_t *report(const char *key, const char *value, int64_t after_us) {
    int64_t stamp_us = start_us + after_us;
    json_t *json = json_pack("{s:s, s:s, s:I, s:{s:s, s:s, s:s, s:{s:s, s:I}}}", "key", key,
                             "value", value, "stamp", (json_int_t)stamp_us, "event", "id", key,
                             "type", "order.changed", "time", "2026-11-22T06:09:47Z", "data",
                             "status", value, "revision", (json_int_t)stamp_us);
    assert_non_null(json);
    return json;
}

// How many of the reports are news.
static size_t keep(struct tryton_memory *memory, json_t *reports) {
    json_t *news = NULL;
    assert_int_equal(tryton_memory_keep(memory, reports, &news), 0);
    size_t n = json_array_size(news);
    json_decref(news);
    json_decref(reports);
    return n;
}

static size_t pending(struct tryton_memory *memory) {
    json_t *list = NULL;
    assert_int_equal(tryton_memory_pending(memory, &list), 0);
    size_t n = json_array_size(list);
    json_decref(list);
    return n;
}

static void test_same_thing_said_twice_is_no_news(void **ignored) {
    struct tryton_memory *memory = reopen(NULL);
    (void)ignored;
    json_t *twice = json_pack("[o, o]", report("a", "shipped", 5), report("a", "shipped", 6));
    assert_int_equal(keep(memory, twice), 1);
    memory = reopen(memory);
    assert_int_equal(keep(memory, json_pack("[o]", report("a", "shipped", 7))), 0);
    assert_int_equal(keep(memory, json_pack("[o]", report("b", "shipped", 7))), 1);
    assert_int_equal(keep(memory, json_pack("[o]", report("a", "picked", 8))), 1);
    assert_int_equal(keep(memory, json_pack("[o]", report("a", "shipped", 9))), 1);
    tryton_memory_close(memory);
}

static void test_what_is_said_later_is_of_a_higher_revision(void **ignored) {
    struct tryton_memory *memory = reopen(NULL);
    json_t *list = NULL;
    (void)ignored;
    keep(memory, json_pack("[o]", report("late", "shipped", 100)));
    tryton_memory_acked(memory, TRYTON_SALES, start_us);
    keep(memory, json_pack("[o]", report("late", "completed", 90)));
    assert_int_equal(tryton_memory_pending(memory, &list), 0);
    const json_t *data = json_object_get(json_array_get(list, 0), "data");
    assert_int_equal(json_integer_value(json_object_get(data, "revision")), start_us + 101);
    json_decref(list);
    tryton_memory_close(memory);
}

static void
test_page_stays_until_it_is_acknowledged_and_only_then_the_cursor_moves(void **ignored) {
    struct tryton_memory *memory = reopen(NULL);
    (void)ignored;
    keep(memory, json_pack("[o]", report("c", "shipped", 5)));
    memory = reopen(memory);
    assert_int_equal(pending(memory), 1);
    assert_int_equal(tryton_memory_cursor(memory, TRYTON_SALES), start_us);
    assert_int_equal(tryton_memory_acked(memory, TRYTON_SALES, start_us + 7), 0);
    memory = reopen(memory);
    assert_int_equal(pending(memory), 0);
    assert_int_equal(tryton_memory_cursor(memory, TRYTON_SALES), start_us + 7);
    tryton_memory_close(memory);
}

static void test_feeds_begin_at_the_start_but_prices_at_the_beginning(void **ignored) {
    struct tryton_memory *memory = reopen(NULL);
    (void)ignored;
    assert_int_equal(tryton_memory_cursor(memory, TRYTON_INVOICES), start_us);
    assert_int_equal(tryton_memory_cursor(memory, TRYTON_PURCHASES), start_us);
    assert_int_equal(tryton_memory_cursor(memory, TRYTON_PRODUCTS), 0);
    tryton_memory_close(memory);
}

static void test_row_without_an_event_is_remembered_and_not_pending(void **ignored) {
    struct tryton_memory *memory = reopen(NULL);
    (void)ignored;
    json_t *without = json_pack("[{s:s, s:s, s:i, s:s}]", "key", "w", "value", "reference", "stamp",
                                5, "without", "reference");
    assert_int_equal(keep(memory, json_incref(without)), 1);
    assert_int_equal(keep(memory, without), 0);
    assert_int_equal(pending(memory), 0);
    tryton_memory_close(memory);
}

static int setup(void **ignored) {
    (void)ignored;
    scratch_make(folder);
    return 0;
}

static int teardown(void **ignored) {
    (void)ignored;
    scratch_remove(folder);
    return 0;
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_same_thing_said_twice_is_no_news),
        TEST(test_what_is_said_later_is_of_a_higher_revision),
        TEST(test_page_stays_until_it_is_acknowledged_and_only_then_the_cursor_moves),
        TEST(test_feeds_begin_at_the_start_but_prices_at_the_beginning),
        TEST(test_row_without_an_event_is_remembered_and_not_pending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
