// SPDX-License-Identifier: Apache-2.0
// The table of verbs is whole: every row has what its place needs, and a name stands
// once.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/query/verbs.h"

static void test_every_row_has_what_its_place_needs(void **state) {
    (void)state;
    size_t n;
    const struct verb *rows = verbs_rows(&n);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        const struct verb *row = &rows[i];
        assert_non_null(row->arguments);
        bool runs_here =
            row->place == VERB_READ || row->place == VERB_SLICED || row->place == VERB_HELPER;
        assert_true(!runs_here || row->run != NULL);
        assert_int_equal(row->place == VERB_TICK, row->write != NULL);
        assert_int_equal(row->place == VERB_UPKEEP, row->on_upkeep != NULL);
        assert_true(row->place != VERB_CHILD || row->option != NULL);
        // A verb in slices or in a child has no step that puts an act in the log.
        assert_true(!row->acts || (row->place != VERB_SLICED && row->place != VERB_CHILD));
    }
}

static void test_a_name_stands_once_and_is_found(void **state) {
    (void)state;
    size_t n;
    const struct verb *rows = verbs_rows(&n);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(verbs_find(rows[i].name), &rows[i]);
    }
    assert_null(verbs_find("nothing"));
    assert_null(verbs_find(""));
}

static void test_an_argument_is_required_or_has_a_default(void **state) {
    (void)state;
    size_t n;
    const struct verb *rows = verbs_rows(&n);
    for (size_t i = 0; i < n; i++) {
        size_t n_arguments = 0;
        for (const struct verb_argument *row = rows[i].arguments; row->name != NULL; row++) {
            assert_false(row->required && row->default_text != NULL);
            n_arguments++;
        }
        assert_true(n_arguments < QUERY_ARGUMENTS_MAX);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_has_what_its_place_needs),
        cmocka_unit_test(test_a_name_stands_once_and_is_found),
        cmocka_unit_test(test_an_argument_is_required_or_has_a_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
