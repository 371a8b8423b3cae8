// SPDX-License-Identifier: Apache-2.0
// Tier and phase follow from what is known, are said when they change, and the most valuable keep
// theirs for a while.
#include "scene.h"

#include <stdio.h>
#include <string.h>

#include "broker/fold/timers.h"
#include "broker/fold/worth.h"
#include "broker/profile/profile.h"

static const char with_value[] =
    "standing:\n  mvc_value: \"1000.00\"\n  mvc_keep: 0.8\n  mvc_grace: 30d\n";

static uint64_t order(struct scene *scene, const char *key, const char *id, const char *price) {
    char data[256];
    snprintf(data, sizeof(data),
             "{\"order_id\":\"%s\",\"currency\":\"EUR\",\"lines\":[{\"sku\":\"s\",\"quantity\":1,"
             "\"price\":\"%s\"}]}",
             id, price);
    return scene_play(scene, key, "order.placed", data);
}

static void cancel(struct scene *scene, const char *key, const char *id) {
    char data[128];
    snprintf(data, sizeof(data), "{\"order_id\":\"%s\",\"status\":\"cancelled\",\"revision\":9}",
             id);
    scene_play(scene, key, "order.changed", data);
}

static void look(struct scene *scene, const char *key) {
    scene_play(scene, key, "page.viewed", "{\"url\":\"/\"}");
}

// The last one said of tier or phase, as "old new"; "" where none was said since scene_forget.
static const char *said(struct scene *scene, const char *what) {
    const char *text = "";
    for (size_t i = 0; i < scene->n_said; i++) {
        const Touchbus__Event *event = scene->said[i];
        if (strcmp(event->type, "standing.changed") == 0 &&
            strcmp(scene_text(scene, event, "what"), what) == 0) {
            text = arena_printf(scene->arena, "%s %s", scene_text(scene, event, "old"),
                                scene_text(scene, event, "new"));
        }
    }
    scene_forget(scene);
    return text;
}

static const char *tier(struct scene *scene, uint64_t customer) {
    return scene_record(scene, customer)->tier;
}

static void test_an_order_makes_a_client(void **state) {
    struct scene scene;
    scene_open(state, NULL, &scene);
    look(&scene, "user_id=u-1");
    assert_int_equal(scene.n_said, 0);
    uint64_t customer = order(&scene, "user_id=u-1", "o-1", "10");
    const Touchbus__Event *event = scene.said[0];
    assert_int_equal(event->customer, customer);
    assert_int_equal(event->cause, scene.sequence - 2);
    assert_string_equal(
        scene_json(&scene, &event->data),
        "{\"currency\":\"EUR\",\"new\":\"client\",\"old\":\"guest\",\"orders\":1,\"registered\":"
        "false,\"used\":{\"client_orders\":1,\"client_visit_days\":3,\"mvc_grace_s\":2592000,"
        "\"mvc_keep\":\"4000.00\",\"mvc_value\":\"5000.00\",\"retention_orders\":2},\"value\":"
        "\"10.00\",\"visit_days\":1,\"what\":\"tier\"}");
    assert_string_equal(said(&scene, "phase"), "acquisition enhancement");
    View__Customer *record = scene_record(&scene, customer);
    assert_string_equal(record->tier, "client");
    assert_string_equal(record->phase, "enhancement");
    assert_int_equal(record->value_micro, 10000000);
    scene_close(&scene);
}

static void test_the_same_order_twice_is_one(void **state) {
    struct scene scene;
    scene_open(state, NULL, &scene);
    order(&scene, "user_id=u-1", "o-1", "10");
    scene_forget(&scene);
    order(&scene, "user_id=u-1", "o-1", "10");
    assert_int_equal(scene.n_said, 0);
    order(&scene, "user_id=u-1", "o-2", "10");
    assert_int_equal(scene.n_said, 1);
    assert_string_equal(said(&scene, "phase"), "enhancement retention");
    scene_close(&scene);
}

static void test_three_visits_on_different_days_make_a_client(void **state) {
    struct scene scene;
    scene_open(state, NULL, &scene);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(scene.n_said, 0);
        look(&scene, "user_id=u-1");
        look(&scene, "user_id=u-1");
        scene_pass(&scene, SCENE_DAY);
    }
    assert_int_equal(scene.n_said, 1);
    assert_string_equal(said(&scene, "tier"), "guest client");
    look(&scene, "user_id=u-1");
    assert_int_equal(scene.n_said, 0);
    scene_close(&scene);
}

static void test_visits_of_merged_customers_add_up(void **state) {
    struct scene scene;
    scene_open(state, NULL, &scene);
    look(&scene, "user_id=u-1");
    scene_pass(&scene, SCENE_DAY);
    look(&scene, "crm_id=k-1");
    scene_pass(&scene, SCENE_DAY);
    look(&scene, "crm_id=k-1");
    Touchbus__Event *both =
        support_event(scene.arena, "customer.identified", "both", "{\"traits\":{}}");
    support_identify(scene.arena, both, "user_id", "u-1");
    support_identify(scene.arena, both, "crm_id", "k-1");
    scene_play_event(&scene, both);
    assert_int_equal(scene_said(&scene, "identity.changed"), 1);
    assert_string_equal(said(&scene, "tier"), "guest client");
    scene_close(&scene);
}

// ---- worth

static void merge_into_u_1(struct scene *scene, const char *kind, const char *value) {
    Touchbus__Event *both = support_event(
        scene->arena, "customer.identified",
        arena_printf(scene->arena, "both-%zu", (size_t)scene->sequence), "{\"traits\":{}}");
    support_identify(scene->arena, both, "user_id", "u-1");
    support_identify(scene->arena, both, kind, value);
    scene_play_event(scene, both);
}

// Orders of each leaf are added as they are counted, those of several leaves as the joined one: the
// same as all of them joined one by one.
static void test_a_merged_customer_is_worth_its_united_orders(void **state) {
    for (unsigned seed = 0; seed < 20; seed++) {
        struct scene scene;
        struct profile profile;
        View__Item **orders;
        size_t n;
        int64_t sum = 0, micro;
        uint64_t placed = 0, counted, of_all = 0;
        scene_open(state, NULL, &scene);
        for (unsigned i = 0; i < 40; i++) {
            // Numbers that look thrown.
            unsigned thrown = (((seed + 1) * 64 + i) * 2654435761U) >> 12;
            const char *keys[] = {"user_id=u-1", "crm_id=k-1", "account=a-1", "loyalty=l-1"};
            const char *id = arena_printf(scene.arena, "o-%u", thrown / 7 % 13);
            const char *price = arena_printf(scene.arena, "%u.50", 1 + thrown / 91 % 97);
            if (thrown / 17 % 6 == 0) {
                cancel(&scene, keys[thrown % 4], id);
            } else {
                of_all += order(&scene, keys[thrown % 4], id, price) != 0;
            }
            scene_pass(&scene, SCENE_SECOND);
            scene_forget(&scene);
        }
        merge_into_u_1(&scene, "crm_id", "k-1");
        merge_into_u_1(&scene, "account", "a-1");
        merge_into_u_1(&scene, "loyalty", "l-1");
        assert_int_equal(fold_flush(scene.fold, scene.fixture->txn), 0);
        assert_int_equal(profile_read(scene.fixture->txn, scene.arena, 1, &profile), 0);
        assert_int_equal(profile.n_leaves, 4);
        assert_int_equal(profile_items(&profile, ITEM_ORDER, 100, &orders, &n), 0);
        for (size_t i = 0; i < n; i++) {
            const char *currency;
            sum += worth_of_order(orders[i], scene.arena, &currency);
            placed += profile_member(orders[i], "placed") != NULL;
        }
        assert_int_equal(profile_value(&profile, "EUR", &micro, &counted), 0);
        assert_true(sum > 0 && of_all > placed);
        assert_int_equal(micro, sum);
        assert_int_equal(counted, placed);
        scene_close(&scene);
    }
}

static void test_a_split_says_what_each_side_is_again(void **state) {
    struct scene scene;
    scene_open(state, NULL, &scene);
    look(&scene, "user_id=u-1");
    uint64_t other = order(&scene, "crm_id=k-1", "o-1", "10");
    Touchbus__Event *both =
        support_event(scene.arena, "customer.identified", "both", "{\"traits\":{}}");
    support_identify(scene.arena, both, "user_id", "u-1");
    support_identify(scene.arena, both, "crm_id", "k-1");
    scene_forget(&scene);
    scene_play_event(&scene, both);
    uint64_t survivor = scene_last(&scene, "standing.changed")->customer;
    assert_string_equal(said(&scene, "tier"), "guest client");
    assert_int_not_equal(survivor, other);
    char data[96];
    snprintf(data, sizeof(data), "{\"customers\":[\"c%llu\"],\"reason\":\"two people\"}",
             (unsigned long long)other);
    scene_play(&scene, NULL, "split.requested", data);
    assert_int_equal(scene_last(&scene, "standing.changed")->customer, survivor);
    assert_string_equal(said(&scene, "tier"), "client guest");
    assert_string_equal(tier(&scene, survivor), "guest");
    assert_string_equal(tier(&scene, other), "client");
    scene_close(&scene);
}

static void test_who_registers_is_registered(void **state) {
    struct scene scene;
    scene_open(state, NULL, &scene);
    scene_play(&scene, "user_id=u-1", "customer.registered", "{\"user_id\":\"u-1\"}");
    assert_string_equal(said(&scene, "tier"), "guest registered");
    order(&scene, "user_id=u-1", "o-1", "10");
    assert_string_equal(said(&scene, "tier"), "registered client");
    scene_close(&scene);
}

static void test_the_crm_says_who_is_most_valuable(void **state) {
    struct scene scene;
    scene_open(state, "standing:\n  mvc_value: \"0\"\n", &scene);
    scene_play(&scene, "user_id=u-1", "customer.changed", "{\"fields\":{\"mvc\":true}}");
    assert_string_equal(said(&scene, "tier"), "guest mvc");
    scene_play(&scene, "user_id=u-1", "customer.changed", "{\"fields\":{\"name\":\"Ana\"}}");
    order(&scene, "user_id=u-1", "o-1", "10");
    assert_string_equal(said(&scene, "tier"), "");
    scene_pass(&scene, SCENE_SECOND);
    scene_play(&scene, "user_id=u-1", "customer.changed", "{\"fields\":{\"mvc\":false}}");
    assert_string_equal(said(&scene, "tier"), "mvc client"); // there is no worth to keep it
    scene_close(&scene);
}

// ---- worth

static void test_worth_is_what_orders_come_to(void **state) {
    struct scene scene;
    scene_open(state, with_value, &scene);
    uint64_t customer = order(&scene, "user_id=u-1", "o-1", "999.99");
    assert_string_equal(said(&scene, "tier"), "guest client");
    scene_play(&scene, "user_id=u-1", "order.placed",
               "{\"order_id\":\"o-2\",\"currency\":\"USD\",\"lines\":[{\"sku\":\"s\",\"quantity\":"
               "1,\"price\":\"5000\"}]}");
    assert_string_equal(said(&scene, "tier"), ""); // another currency
    order(&scene, "user_id=u-1", "o-3", "0.01");
    assert_string_equal(said(&scene, "tier"), "client mvc");
    assert_int_equal(scene_record(&scene, customer)->value_micro, 1000000000);
    assert_int_equal(scene_n_due(&scene), 0);
    scene_close(&scene);
}

static void test_below_what_keeps_it_for_long_enough_it_is_lost_once(void **state) {
    struct scene scene;
    scene_open(state, with_value, &scene);
    uint64_t customer = order(&scene, "user_id=u-1", "o-1", "700");
    order(&scene, "user_id=u-1", "o-2", "150");
    order(&scene, "user_id=u-1", "o-3", "150");
    assert_string_equal(said(&scene, "tier"), "client mvc");
    cancel(&scene, "user_id=u-1", "o-2"); // 850: it keeps the tier
    assert_string_equal(said(&scene, "tier"), "");
    assert_int_equal(scene_n_due(&scene), 0);
    cancel(&scene, "user_id=u-1", "o-3"); // 700: it does not
    const Touchbus__Event *warned = scene_last(&scene, "standing.changed");
    assert_string_equal(scene_text(&scene, warned, "until"), "2023-12-14T22:13:20Z");
    assert_string_equal(said(&scene, "tier"), "mvc mvc");
    assert_int_equal(scene_n_due(&scene), 1);
    scene_pass(&scene, 30 * SCENE_DAY - 1);
    assert_string_equal(tier(&scene, customer), "mvc");
    scene_pass(&scene, 1);
    assert_int_equal(scene.n_said, 1);
    assert_string_equal(said(&scene, "tier"), "mvc client");
    assert_string_equal(tier(&scene, customer), "client");
    scene_pass(&scene, 100 * SCENE_DAY);
    assert_int_equal(scene.n_said, 0);
    assert_int_equal(scene_n_due(&scene), 0);
    scene_close(&scene);
}

static void test_a_fall_that_is_made_good_costs_nothing(void **state) {
    struct scene scene;
    scene_open(state, with_value, &scene);
    uint64_t customer = order(&scene, "user_id=u-1", "o-1", "700");
    order(&scene, "user_id=u-1", "o-2", "300");
    cancel(&scene, "user_id=u-1", "o-2");
    scene_pass(&scene, 20 * SCENE_DAY);
    look(&scene, "user_id=u-1");
    cancel(&scene, "user_id=u-1", "o-2"); // said again: the time goes on
    scene_pass(&scene, 9 * SCENE_DAY);
    scene_forget(&scene);
    order(&scene, "user_id=u-1", "o-3", "100");
    assert_string_equal(said(&scene, "tier"), "mvc mvc");
    assert_int_equal(scene_n_due(&scene), 0);
    scene_pass(&scene, 100 * SCENE_DAY);
    assert_string_equal(tier(&scene, customer), "mvc");
    scene_close(&scene);
}

static void test_a_day_before_does_not_count_for_the_next_fall(void **state) {
    struct scene scene;
    scene_open(state, with_value, &scene);
    uint64_t customer = order(&scene, "user_id=u-1", "o-1", "1000");
    cancel(&scene, "user_id=u-1", "o-1");
    scene_pass(&scene, 29 * SCENE_DAY);
    order(&scene, "user_id=u-1", "o-2", "900");
    cancel(&scene, "user_id=u-1", "o-2");
    scene_pass(&scene, 29 * SCENE_DAY);
    assert_string_equal(tier(&scene, customer), "mvc");
    scene_pass(&scene, SCENE_DAY);
    assert_string_equal(tier(&scene, customer), "client");
    scene_close(&scene);
}

static void test_an_order_that_two_leaves_know_counts_once(void **state) {
    struct scene scene;
    scene_open(state, with_value, &scene);
    order(&scene, "user_id=u-1", "o-1", "600");
    order(&scene, "crm_id=k-1", "o-1", "600");
    scene_forget(&scene);
    Touchbus__Event *both =
        support_event(scene.arena, "customer.identified", "both", "{\"traits\":{}}");
    support_identify(scene.arena, both, "user_id", "u-1");
    support_identify(scene.arena, both, "crm_id", "k-1");
    uint64_t customer = scene_play_event(&scene, both);
    assert_int_equal(scene_said(&scene, "identity.changed"), 1);
    assert_string_equal(said(&scene, "tier"), "");
    order(&scene, "user_id=u-1", "o-2", "399.99");
    assert_string_equal(said(&scene, "phase"), "enhancement retention");
    order(&scene, "crm_id=k-1", "o-3", "0.01");
    assert_string_equal(said(&scene, "tier"), "client mvc");
    cancel(&scene, "crm_id=k-1", "o-2"); // in the other leaf
    assert_string_equal(said(&scene, "tier"), "mvc mvc");
    assert_true(customer != 0);
    scene_close(&scene);
}

static void test_an_erased_customer_is_not_demoted(void **state) {
    struct scene scene;
    scene_open(state, with_value, &scene);
    uint64_t customer = order(&scene, "user_id=u-1", "o-1", "1000");
    cancel(&scene, "user_id=u-1", "o-1");
    assert_int_equal(scene_n_due(&scene), 1);
    scene_erase(&scene, customer);
    assert_int_equal(scene_n_due(&scene), 0);
    scene_close(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_order_makes_a_client),
        cmocka_unit_test(test_the_same_order_twice_is_one),
        cmocka_unit_test(test_three_visits_on_different_days_make_a_client),
        cmocka_unit_test(test_visits_of_merged_customers_add_up),
        cmocka_unit_test(test_a_merged_customer_is_worth_its_united_orders),
        cmocka_unit_test(test_a_split_says_what_each_side_is_again),
        cmocka_unit_test(test_who_registers_is_registered),
        cmocka_unit_test(test_the_crm_says_who_is_most_valuable),
        cmocka_unit_test(test_worth_is_what_orders_come_to),
        cmocka_unit_test(test_below_what_keeps_it_for_long_enough_it_is_lost_once),
        cmocka_unit_test(test_a_fall_that_is_made_good_costs_nothing),
        cmocka_unit_test(test_a_day_before_does_not_count_for_the_next_fall),
        cmocka_unit_test(test_an_order_that_two_leaves_know_counts_once),
        cmocka_unit_test(test_an_erased_customer_is_not_demoted),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
