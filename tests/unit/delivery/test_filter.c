// SPDX-License-Identifier: Apache-2.0
// Filters on a block's names, and lanes read from an open half.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/delivery/feed.h"
#include "broker/delivery/filter.h"
#include "touchbus.pb-c.h"

static const char *const types[] = {"order.placed", "order.changed", "page.viewed"};
static const char *const channels[] = {"web", "kiosk", ""};

static void *make_block(struct block_head *ret) {
    static const uint8_t run[BLOCK_RUN_BYTES] = {0};
    struct block_record records[9];
    memset(records, 0, sizeof records);
    for (size_t i = 0; i < 9; i++) {
        records[i].type = types[i / 3];
        records[i].channel = channels[i % 3];
        records[i].customer = records[i].lane = i;
        records[i].open = "o";
        records[i].open_size = 1;
        records[i].sealed = "";
    }
    void *bytes;
    size_t size;
    assert_int_equal(block_build(1, run, records, 9, &bytes, &size), 0);
    assert_int_equal(block_open(bytes, size, true, ret), 0);
    return bytes;
}

// Which of the nine events pass, as bits.
static unsigned passing(char *const *globs, size_t n_globs, char *const *names, size_t n_names,
                        uint64_t customer) {
    struct block_head block;
    struct filter filter;
    struct filter_names verdicts = {0};
    void *bytes = make_block(&block);
    unsigned bits = 0;
    assert_int_equal(filter_copy(globs, n_globs, names, n_names, customer, &filter), 0);
    assert_int_equal(filter_judge(&filter, &block, &verdicts), 0);
    for (uint32_t i = 0; i < 9; i++) {
        struct block_entry entry;
        assert_int_equal(block_entry_get(&block, i, &entry), 0);
        bits |= filter_passes(&filter, &verdicts, &entry) ? 1u << i : 0;
    }
    filter_clear(&filter);
    filter_names_clear(&verdicts);
    free(bytes);
    return bits;
}

static char *list(const char *text) {
    return (char *)(uintptr_t)text;
}

static void test_types_channels_and_customer_all_must_fit(void **state) {
    (void)state;
    char *orders[] = {list("order.*")}, *two[] = {list("*.viewed"), list("order.placed")};
    char *web[] = {list("web")}, *shops[] = {list("kiosk"), list("shop")};
    assert_int_equal(passing(NULL, 0, NULL, 0, 0), 0777);
    assert_int_equal(passing(orders, 1, NULL, 0, 0), 0077);
    assert_int_equal(passing(two, 2, NULL, 0, 0), 0707);
    assert_int_equal(passing(NULL, 0, web, 1, 0), 0111);
    assert_int_equal(passing(orders, 1, shops, 2, 0), 0022);
    assert_int_equal(passing(orders, 1, NULL, 0, 4), 0020);
    assert_int_equal(passing(orders, 1, web, 1, 4), 0);
}

static void test_filters_are_equal_in_any_order(void **state) {
    (void)state;
    char *one[] = {list("a"), list("b")}, *other[] = {list("b"), list("a")}, *less[] = {list("a")};
    struct filter a, b, c, d;
    filter_copy(one, 2, NULL, 0, 0, &a);
    filter_copy(other, 2, NULL, 0, 0, &b);
    filter_copy(less, 1, NULL, 0, 0, &c);
    filter_copy(one, 2, NULL, 0, 7, &d);
    assert_true(filter_equal(&a, &b));
    assert_false(filter_equal(&a, &c));
    assert_false(filter_equal(&c, &a));
    assert_false(filter_equal(&a, &d));
    filter_clear(&a);
    filter_clear(&b);
    filter_clear(&c);
    filter_clear(&d);
    assert_true(filter_is_empty(&a));
}

static void test_lanes_are_read_from_the_open_half(void **state) {
    (void)state;
    uint64_t lanes[] = {7, UINT64_MAX, 9, 7}, ret[EVENT_LANES_MAX];
    Touchbus__Event event;
    touchbus__event__init(&event);
    event.id = list("some-id");
    event.time_us = -5;
    event.lanes = lanes;
    event.n_lanes = 4;
    event.created = true;
    uint8_t bytes[256];
    size_t size = touchbus__event__pack(&event, bytes);
    struct block_entry entry = {.lane = 9, .open = bytes, .open_size = size};
    assert_int_equal(feed_lanes(&entry, ret), 1); // one lane unless the entry says otherwise
    entry.flags = ENTRY_MANY_LANES;
    assert_int_equal(feed_lanes(&entry, ret), 3); // its own first, each once
    assert_true(ret[0] == 9 && ret[1] == 7 && ret[2] == UINT64_MAX);
    for (entry.open_size = 0; entry.open_size < size; entry.open_size++)
        assert_in_range(feed_lanes(&entry, ret), 1, 3); // cut anywhere: no more than is there
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types_channels_and_customer_all_must_fit),
        cmocka_unit_test(test_filters_are_equal_in_any_order),
        cmocka_unit_test(test_lanes_are_read_from_the_open_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
