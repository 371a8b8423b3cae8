// SPDX-License-Identifier: Apache-2.0
// A merged customer is what its leaves say together, whichever way they were merged.
#include "broker/profile/profile.h"

#include <stdio.h>
#include <string.h>

#include "leaves.h"

#define DAY_US (INT64_C(86400) * 1000000)

static struct profile read_profile(struct fixture *fixture, uint64_t leaf) {
    struct profile profile;
    assert_int_equal(profile_read(fixture->txn, fixture->arena, leaf, &profile), 0);
    return profile;
}

static void test_a_merged_leaf_reads_as_its_survivor(void **state) {
    struct fixture *fixture = *state;
    struct leaf *first = leaf_new(fixture, 1), *second = leaf_new(fixture, 2),
                *third = leaf_new(fixture, 3);
    leaf_merge(third, second);
    leaf_merge(first, second);
    leaf_put(first);
    leaf_put(second);
    leaf_put(third);
    for (uint64_t leaf = 1; leaf <= 3; leaf++) {
        struct profile profile = read_profile(fixture, leaf);
        assert_int_equal(profile.customer, 2);
        assert_int_equal(profile.n_leaves, 3);
        assert_int_equal(profile.leaves[0].number, 2); // the surviving one, then by number
        assert_int_equal(profile.leaves[1].number, 1);
        assert_int_equal(profile.leaves[2].number, 3);
    }
    struct profile none;
    assert_int_equal(profile_read(fixture->txn, fixture->arena, 77, &none), 1);
}

static void test_attributes_follow_rank_then_time_never_the_leaf(void **state) {
    struct fixture *fixture = *state;
    struct leaf *web = leaf_new(fixture, 11), *crm = leaf_new(fixture, 12);
    leaf_set(web, "name", "\"Ana\"", 10, 900, "e1", 5);
    leaf_set(crm, "name", "\"Ana Silva\"", 50, 100, "e2", 3);
    leaf_set(web, "city", "\"Bonn\"", 10, 900, "e3", 6);
    leaf_set(crm, "city", "\"Köln\"", 10, 901, "e4", 4);
    leaf_set(web, "age", "42", 50, 1, "e7", 9);
    leaf_set(crm, "age", "41", 10, 999, "e8", 10);
    leaf_set(web, "fax", "\"1\"", 10, 1, "e5", 7);
    leaf_set(crm, "fax", "null", 10, 2, "e6", 8);
    leaf_merge(crm, web);
    leaf_put(web);
    leaf_put(crm);
    struct profile profile = read_profile(fixture, 12);
    assert_string_equal(profile_text(&profile, "name"), "Ana Silva");
    assert_string_equal(profile_text(&profile, "city"), "Köln");
    assert_string_equal(profile_text(&profile, "age"), "42");
    assert_null(profile_text(&profile, "fax")); // deleted later
    assert_non_null(profile_attribute(&profile, "fax"));
    assert_null(profile_attribute(&profile, "none"));
    View__Attribute **all;
    size_t n;
    assert_int_equal(profile_attributes(&profile, &all, &n), 0);
    assert_int_equal(n, 4);
    assert_string_equal(all[0]->name, "age");
    assert_int_equal(all[0]->sequence, 9);
    assert_int_equal(all[1]->sequence, 4);
    assert_int_equal(all[3]->sequence, 3);
}

static void put_order(struct leaf *leaf, const char *id, uint64_t changed, const char *status,
                      uint64_t revision) {
    struct item *item = item_new(leaf, ITEM_ORDER, id, changed);
    item_set(item, "status", status, revision, (int64_t)changed);
    item_put(item);
}

static void test_items_unite_by_id_member_by_member(void **state) {
    struct fixture *fixture = *state;
    struct leaf *one = leaf_new(fixture, 21), *other = leaf_new(fixture, 22);
    leaf_merge(other, one);
    leaf_put(one);
    leaf_put(other);
    put_order(one, "o-1", 30, "\"placed\"", 1);
    struct item *later = item_new(other, ITEM_ORDER, "o-1", 20);
    item_set(later, "status", "\"shipped\"", 2, 1);
    item_set(later, "eta", "\"2026-12-01\"", 0, 1);
    item_put(later);
    put_order(other, "o-2", 25, "\"placed\"", 0);
    struct profile profile = read_profile(fixture, 21);
    View__Item **items;
    size_t n;
    assert_int_equal(profile_items(&profile, ITEM_ORDER, 10, &items, &n), 0);
    assert_int_equal(n, 2);
    assert_string_equal(items[0]->id, "o-1"); // changed last
    assert_string_equal(profile_member_text(&profile, items[0], "status"), "shipped");
    assert_string_equal(profile_member_text(&profile, items[0], "eta"), "2026-12-01");
    assert_null(profile_member(items[0], "total"));
    assert_int_equal(items[0]->first_sequence, 20);
    assert_int_equal(items[0]->changed_sequence, 30);
    assert_string_equal(items[1]->id, "o-2");
    View__Item *item;
    assert_int_equal(profile_item(&profile, ITEM_ORDER, "o-1", &item), 0);
    assert_string_equal(profile_member_text(&profile, item, "status"), "shipped");
    assert_int_equal(profile_item(&profile, ITEM_ORDER, "o-9", &item), 0);
    assert_null(item);
    assert_int_equal(profile_items(&profile, ITEM_QUOTE, 10, &items, &n), 0);
    assert_int_equal(n, 0);
}

static void test_the_last_changed_are_whole_where_max_cuts(void **state) {
    struct fixture *fixture = *state;
    struct leaf *one = leaf_new(fixture, 31), *other = leaf_new(fixture, 32);
    leaf_merge(other, one);
    leaf_put(one);
    leaf_put(other);
    char id[16];
    for (unsigned i = 1; i <= 20; i++) {
        snprintf(id, sizeof(id), "o-%u", i);
        put_order(one, id, i, "\"placed\"", 1);
    }
    put_order(other, "o-1", 40, "\"late\"", 0); // of the first leaf's it is the oldest
    struct profile profile = read_profile(fixture, 31);
    View__Item **items;
    size_t n;
    assert_int_equal(profile_items(&profile, ITEM_ORDER, 3, &items, &n), 0);
    assert_int_equal(n, 3);
    assert_string_equal(items[0]->id, "o-1");
    assert_string_equal(profile_member_text(&profile, items[0], "status"), "placed");
    assert_string_equal(items[1]->id, "o-20");
    assert_string_equal(items[2]->id, "o-19");
}

static void test_pages_give_every_item_once(void **state) {
    struct fixture *fixture = *state;
    struct leaf *one = leaf_new(fixture, 41), *other = leaf_new(fixture, 42);
    leaf_merge(other, one);
    leaf_put(one);
    leaf_put(other);
    char id[16];
    for (unsigned i = 0; i < 2 * PROFILE_PAGE_ITEMS; i++) {
        snprintf(id, sizeof(id), "o-%u", i);
        put_order(one, id, i + 1, "\"placed\"", 0);
        put_order(other, id, i + 1, "\"placed\"", 0);
    }
    put_order(other, "mine", 99, "\"placed\"", 0);
    struct profile profile = read_profile(fixture, 42);
    struct profile_page page = {.leaf = 0};
    View__Item **items;
    size_t n, n_all = 0, n_turns = 0;
    int r = 1;
    while (r == 1) {
        r = profile_items_page(&profile, ITEM_ORDER, &page, PROFILE_PAGE_ITEMS, &items, &n);
        n_all += n;
        assert_true(++n_turns < 10);
    }
    assert_int_equal(r, 0);
    assert_int_equal(n_all, 2 * PROFILE_PAGE_ITEMS + 1);
}

static void test_interests_add_up_and_fade(void **state) {
    struct fixture *fixture = *state;
    struct leaf *one = leaf_new(fixture, 51), *other = leaf_new(fixture, 52);
    leaf_merge(other, one);
    leaf_interest(one, INTEREST_NEED, "loan", 100, 4);
    leaf_interest(other, INTEREST_NEED, "loan", 90, 4);
    leaf_interest(other, INTEREST_NEED, "card", 100, 5);
    leaf_put(one);
    leaf_put(other);
    struct profile profile = read_profile(fixture, 51);
    struct profile_interest *interests;
    size_t n;
    assert_int_equal(profile_interests(&profile, 100 * DAY_US, 10 * DAY_US, &interests, &n), 0);
    assert_int_equal(n, 2);
    assert_string_equal(interests[0].term, "loan");
    assert_int_equal(interests[0].number, 8);
    assert_int_equal(interests[0].last_day, 100);
    assert_true(interests[0].weight == 6.0 && interests[1].weight == 5.0);
    // Ten days later all of it is worth half.
    assert_int_equal(profile_interests(&profile, 110 * DAY_US, 10 * DAY_US, &interests, &n), 0);
    assert_true(interests[0].weight == 3.0);
}

// The sequence is the time, too.
static void put_restriction(struct leaf *leaf, const char *state, uint64_t sequence) {
    struct item *item = item_new(leaf, ITEM_PRIVACY, "restriction", sequence);
    item_set(item, "state", state, 0, (int64_t)sequence);
    item->row.members[0]->sequence = sequence;
    item_put(item);
}

static uint64_t in_force(const struct profile *profile, const char *kind) {
    uint64_t sequence;
    assert_int_equal(profile_privacy(profile, kind, &sequence), 0);
    return sequence;
}

static void test_a_restriction_is_the_customers_until_any_leaf_lifts_it(void **state) {
    struct fixture *fixture = *state;
    struct leaf *one = leaf_new(fixture, 71), *other = leaf_new(fixture, 72);
    leaf_merge(other, one);
    leaf_put(one);
    leaf_put(other);
    struct profile profile = read_profile(fixture, 71);
    assert_int_equal(in_force(&profile, "restriction"), 0);
    put_restriction(one, "\"lifted\"", 5); // before it
    put_restriction(other, "\"active\"", 7);
    assert_int_equal(in_force(&profile, "restriction"), 7);
    assert_int_equal(in_force(&profile, "objection"), 0);
    put_restriction(one, "\"lifted\"", 9);
    assert_int_equal(in_force(&profile, "restriction"), 0);
    put_restriction(other, "\"active\"", 11);
    assert_int_equal(in_force(&profile, "restriction"), 11);
}

static void test_a_destroyed_key_leaves_nothing_to_read(void **state) {
    struct fixture *fixture = *state;
    struct leaf *leaf = leaf_new(fixture, 61);
    leaf_set(leaf, "name", "\"Ana\"", 1, 1, "e", 1);
    leaf_put(leaf);
    put_order(leaf, "o-1", 1, "\"placed\"", 0);
    assert_int_equal(keys_destroy(fixture->keys, 61, 1), 0);
    assert_int_equal(view_commit(fixture->txn), 0);
    support_begin(fixture, fixture->view, &fixture->txn); // reads the keys anew
    struct profile profile = read_profile(fixture, 61);
    assert_null(profile_attribute(&profile, "name"));
    View__Item **items;
    size_t n;
    assert_int_equal(profile_items(&profile, ITEM_ORDER, 3, &items, &n), 0);
    assert_int_equal(n, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_merged_leaf_reads_as_its_survivor),
        cmocka_unit_test(test_attributes_follow_rank_then_time_never_the_leaf),
        cmocka_unit_test(test_items_unite_by_id_member_by_member),
        cmocka_unit_test(test_the_last_changed_are_whole_where_max_cuts),
        cmocka_unit_test(test_pages_give_every_item_once),
        cmocka_unit_test(test_interests_add_up_and_fade),
        cmocka_unit_test(test_a_restriction_is_the_customers_until_any_leaf_lifts_it),
        cmocka_unit_test(test_a_destroyed_key_leaves_nothing_to_read),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
