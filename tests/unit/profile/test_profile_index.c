// SPDX-License-Identifier: Apache-2.0
// Open items of a customer, by the index: the joined item decides, whatever one leaf says, and a
// list that is cut is said to be.
#include <stdio.h>
#include <string.h>

#include "broker/profile/profile.h"
#include "leaves.h"

#define NOW_US INT64_C(1767225600000000) // 2026-01-01T00:00:00Z
#define PAST "\"2025-06-01T00:00:00Z\""
#define AHEAD "\"2026-06-01T00:00:00Z\""

static struct profile read_profile(struct fixture *fixture, uint64_t leaf) {
    struct profile profile;
    assert_int_equal(profile_read(fixture->txn, fixture->arena, leaf, &profile), 0);
    return profile;
}

// Two leaves, merged.
static void two_leaves(struct fixture *fixture, struct leaf **first, struct leaf **second) {
    *first = leaf_new(fixture, 1);
    *second = leaf_new(fixture, 2);
    leaf_merge(*second, *first);
    leaf_put(*first);
    leaf_put(*second);
}

static void quote(struct leaf *leaf, const char *id, uint64_t changed, const char *state,
                  int64_t state_us, const char *until, uint64_t revision) {
    struct item *item = item_new(leaf, ITEM_QUOTE, id, changed);
    item_set(item, "state", state, 0, state_us);
    if (until != NULL) {
        item_set(item, "valid_until", until, revision, 1);
    }
    item_put(item);
}

static void one_case(struct leaf *leaf, const char *id, uint64_t changed, const char *state,
                     int64_t state_us) {
    struct item *item = item_new(leaf, ITEM_CASE, id, changed);
    item_set(item, "state", state, 0, state_us);
    item_put(item);
}

static void expect_open(const struct profile *profile, enum item_kind kind, const char *expected) {
    View__Item **items;
    size_t n, size = 0;
    char found[256] = "";
    assert_int_equal(profile_open(profile, kind, NOW_US, 10, &items, &n), 0);
    for (size_t i = 0; i < n; i++) {
        size += (size_t)snprintf(found + size, sizeof(found) - size, "%s ", items[i]->id);
    }
    assert_string_equal(found, expected);
}

static void test_open_ones_are_found_the_last_changed_first(void **state) {
    struct fixture *fixture = *state;
    struct leaf *leaf = leaf_new(fixture, 1);
    leaf_put(leaf);
    quote(leaf, "expired", 1, "\"open\"", 1, PAST, 1);
    quote(leaf, "closed", 2, "\"closed\"", 1, AHEAD, 1);
    quote(leaf, "first", 3, "\"open\"", 1, AHEAD, 1);
    quote(leaf, "ever", 4, "\"open\"", 1, NULL, 1);
    quote(leaf, "last", 5, "\"open\"", 1, "\"2026-02-01T00:00:00Z\"", 1);
    one_case(leaf, "old", 6, "\"open\"", 1);
    one_case(leaf, "done", 7, "\"resolved\"", 1);
    one_case(leaf, "new", 8, "\"open\"", 1);
    struct profile profile = read_profile(fixture, 1);
    expect_open(&profile, ITEM_QUOTE, "last ever first ");
    expect_open(&profile, ITEM_CASE, "new old ");
    View__Item **items;
    size_t n;
    assert_int_equal(profile_items(&profile, ITEM_CASE, 2, &items, &n), 0);
    assert_int_equal(n, 2);
    assert_string_equal(items[0]->id, "new");
    assert_string_equal(items[1]->id, "done");
}

static void test_another_leaf_s_later_word_closes_and_opens(void **state) {
    struct fixture *fixture = *state;
    struct leaf *first, *second;
    two_leaves(fixture, &first, &second);
    quote(first, "closed-there", 1, "\"open\"", 1, AHEAD, 1);
    quote(second, "closed-there", 2, "\"closed\"", 2, AHEAD, 1);
    quote(first, "open-there", 3, "\"closed\"", 1, AHEAD, 1);
    quote(second, "open-there", 4, "\"open\"", 2, AHEAD, 1);
    // Its time is known to one leaf, that it is open to the other.
    quote(first, "split-word", 5, "\"closed\"", 1, AHEAD, 2);
    quote(second, "split-word", 6, "\"open\"", 2, PAST, 1);
    // And here it has expired, by the later revision.
    quote(first, "shortened", 7, "\"closed\"", 1, PAST, 2);
    quote(second, "shortened", 8, "\"open\"", 2, AHEAD, 1);
    quote(first, "alone", 9, "\"closed\"", 1, AHEAD, 1);
    one_case(first, "resolved-there", 10, "\"open\"", 1);
    one_case(second, "resolved-there", 11, "\"resolved\"", 2);
    one_case(first, "reopened-there", 12, "\"resolved\"", 1);
    one_case(second, "reopened-there", 13, "\"open\"", 2);
    struct profile profile = read_profile(fixture, 1);
    expect_open(&profile, ITEM_QUOTE, "split-word open-there ");
    expect_open(&profile, ITEM_CASE, "reopened-there ");
    // What each leaf knew of itself is what a split gives back.
    struct profile alone = profile_leaf_alone(&profile, 0);
    expect_open(&alone, ITEM_QUOTE, "closed-there ");
    expect_open(&alone, ITEM_CASE, "resolved-there ");
    alone = profile_leaf_alone(&profile, 1);
    expect_open(&alone, ITEM_QUOTE, "shortened open-there ");
    expect_open(&alone, ITEM_CASE, "reopened-there ");
}

static void test_a_cut_list_says_so(void **state) {
    struct fixture *fixture = *state;
    struct leaf *leaf = leaf_new(fixture, 1);
    View__Item **items;
    size_t n;
    leaf_put(leaf);
    for (unsigned i = 0; i < 5; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%u", i);
        quote(leaf, id, i + 1, "\"open\"", 1, AHEAD, 1);
        one_case(leaf, id, i + 1, "\"open\"", 1);
    }
    struct profile profile = read_profile(fixture, 1);
    assert_int_equal(profile_open(&profile, ITEM_QUOTE, NOW_US, 5, &items, &n), 0);
    assert_int_equal(n, 5);
    assert_int_equal(profile_open(&profile, ITEM_QUOTE, NOW_US, 4, &items, &n), 1);
    assert_int_equal(profile_open(&profile, ITEM_CASE, NOW_US, 5, &items, &n), 0);
    assert_int_equal(profile_open(&profile, ITEM_CASE, NOW_US, 2, &items, &n), 1);
    assert_int_equal(n, 2); // the last changed ones
    assert_string_equal(items[0]->id, "4");
    assert_string_equal(items[1]->id, "3");
}

static void test_a_cut_list_of_a_merged_customer_says_so(void **state) {
    struct fixture *fixture = *state;
    struct leaf *first, *second;
    View__Item **items;
    size_t n;
    two_leaves(fixture, &first, &second);
    for (unsigned i = 0; i <= INDEX_ROWS_MAX; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%u", i);
        // All closed by the other leaf.
        quote(first, id, i + 1, "\"open\"", 1, AHEAD, 1);
        quote(second, id, i + 1, "\"closed\"", 2, AHEAD, 1);
        struct profile profile = read_profile(fixture, 1);
        if (i + 2 >= INDEX_ROWS_MAX) {
            assert_int_equal(profile_open(&profile, ITEM_QUOTE, NOW_US, 5, &items, &n),
                             i == INDEX_ROWS_MAX);
            assert_int_equal(n, 0);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_open_ones_are_found_the_last_changed_first,
                                        support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_another_leaf_s_later_word_closes_and_opens,
                                        support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_a_cut_list_says_so, support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_a_cut_list_of_a_merged_customer_says_so, support_setup,
                                        support_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
