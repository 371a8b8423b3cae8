// SPDX-License-Identifier: Apache-2.0
// The table of lanes against a plain array: puts, removals and look-ups in any order.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "schemas/base/lane_table.h"

enum { KEYS = 300, STEPS = 200000 };

static void test_agrees_with_a_plain_array(void **state) {
    (void)state;
    struct lane_table table = {0};
    uint64_t keys[KEYS], random = 88172645463325252u;
    void *values[KEYS] = {0};
    size_t n_used = 0;
    for (int i = 0; i < KEYS; i++) // dense numbers, and some far apart
        keys[i] = i % 3 ? (uint64_t)i : (uint64_t)i << 48 | UINT64_C(1) << 40;
    for (int step = 0; step < STEPS; step++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        size_t i = (size_t)(random >> 20) % KEYS;
        assert_ptr_equal(lane_table_get(&table, keys[i]), values[i]);
        if (values[i]) {
            assert_ptr_equal(lane_table_remove(&table, keys[i]), values[i]);
            values[i] = NULL;
            n_used--;
        } else {
            assert_int_equal(lane_table_reserve(&table), 0);
            lane_table_put(&table, keys[i], &values[i]);
            values[i] = &values[i];
            n_used++;
        }
        assert_int_equal(table.n_used, n_used);
    }
    for (int i = 0; i < KEYS; i++)
        assert_ptr_equal(lane_table_get(&table, keys[i]), values[i]);
    assert_null(lane_table_remove(&table, 1u << 30));
    lane_table_clear(&table);
    assert_null(lane_table_get(&table, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_agrees_with_a_plain_array)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
