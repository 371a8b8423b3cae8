// SPDX-License-Identifier: Apache-2.0
// What makes several customers one and what keeps them apart: which keys merge, limits, vetoes,
// shared devices, contested keys. Each test plays events through decide and fold, follow-ups
// included, as the tick does.
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "broker/fold/fold.h"
#include "broker/profile/profile.h"
#include "broker/tick/decide.h"
#include "schemas/body.h"
#include "schemas/catalogue.h"
#include "schemas/envelope.h"
#include "schemas/reasons.h"

#define DAY_US (INT64_C(24) * 3600 * 1000000)

struct scene {
    struct fixture *fixture;
    struct configuration configuration;
    struct catalogue *catalogue;
    struct decide *decide;
    struct fold *fold;
    int64_t now_us;
    uint64_t sequence, customers_last;
    struct decision decision;
};

static void scene_open(void **state, struct scene *ret) {
    *ret = (struct scene){.fixture = *state, .now_us = 20000 * DAY_US};
    char *error = NULL;
    view_abort(ret->fixture->txn); // each scene starts from nothing
    support_begin(ret->fixture, ret->fixture->view, &ret->fixture->txn);
    assert_int_equal(catalogue_load(NULL, &ret->catalogue, &error), 0);
    assert_int_equal(decide_new(&ret->configuration, NULL, ret->catalogue,
                                keys_hash_secret(ret->fixture->keys), ret->fixture->keys,
                                &ret->decide),
                     0);
    assert_int_equal(fold_new(ret->fixture->txn, &ret->fold), 0);
}

static void scene_close(struct scene *scene) {
    fold_free(scene->fold);
    decide_free(scene->decide);
    catalogue_free(scene->catalogue);
}

static void append(struct scene *scene, Touchbus__Event *event) {
    struct decide_place place = {scene->fold, scene->fixture->txn, scene->fixture->arena,
                                 scene->now_us, scene->now_us};
    event->sequence = ++scene->sequence;
    event->received_us = scene->now_us;
    assert_int_equal(fold_apply(scene->fold, scene->fixture->txn, event), 0);
    assert_int_equal(decide_follow(scene->decide, &place, event, &scene->decision), 0);
}

// The reason code.
static uint32_t play(struct scene *scene, Touchbus__Event *event) {
    struct decide_place place = {scene->fold, scene->fixture->txn, scene->fixture->arena,
                                 scene->now_us, scene->now_us};
    assert_int_equal(decide_event(scene->decide, &place, event, scene->sequence + 1,
                                  &scene->customers_last, &scene->decision),
                     0);
    if (scene->decision.findings.code != 0) {
        return scene->decision.findings.code;
    }
    append(scene, event);
    for (size_t i = 0; i < scene->decision.findings.n_follow_ups; i++) {
        append(scene, scene->decision.findings.follow_ups[i]);
    }
    assert_int_equal(fold_flush(scene->fold, scene->fixture->txn), 0);
    return 0;
}

// An event with keys "user_id=u-1 email!=a@klant.example" (! verified).
static Touchbus__Event *keyed(struct scene *scene, const char *type, const char *keys,
                              const char *data) {
    struct arena *arena = scene->fixture->arena;
    Touchbus__Event *event = support_event(arena, type, "1", data);
    char *text = arena_strdup(arena, keys);
    char *rest = NULL;
    for (char *one = strtok_r(text, " ", &rest); one != NULL; one = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(one, '=');
        bool verified = equals[-1] == '!';
        *(verified ? equals - 1 : equals) = '\0';
        support_identify(arena, event, one, equals + 1);
        event->identities[event->n_identities - 1]->verified = verified;
    }
    return event;
}

// Plays a page view with these keys; its leaf.
static uint64_t see(struct scene *scene, const char *keys) {
    Touchbus__Event *event = keyed(scene, "page.viewed", keys, "{\"url\": \"/\"}");
    assert_int_equal(play(scene, event), 0);
    return event->customer;
}

static uint64_t survivor(struct scene *scene, uint64_t leaf) {
    uint64_t ret = 0;
    assert_int_equal(profile_survivor(scene->fixture->txn, scene->fixture->arena, leaf, &ret), 0);
    return ret;
}

static const View__Customer *record(struct scene *scene, uint64_t leaf) {
    return support_customer(scene->fixture->txn, scene->fixture->arena, leaf);
}

static size_t n_changes(const struct scene *scene) {
    return scene->decision.findings.n_follow_ups;
}

static const char *change_text(const struct scene *scene, size_t index, const char *name) {
    const Touchbus__Event *event = scene->decision.findings.follow_ups[index];
    struct body_value value;
    assert_string_equal(event->type, "identity.changed");
    assert_true(body_find(event->data.data, event->data.len, name, &value));
    return arena_printf(scene->fixture->arena, "%.*s", (int)value.text_size, value.text);
}

static void expect_change(const struct scene *scene, size_t index, const char *kind,
                          const char *reason) {
    char detail[256];
    assert_true(index < n_changes(scene));
    const Touchbus__Event *event = scene->decision.findings.follow_ups[index];
    assert_string_equal(change_text(scene, index, "kind"), kind);
    if (reason != NULL) {
        assert_string_equal(change_text(scene, index, "reason"), reason);
    }
    assert_int_equal(catalogue_check(catalogue_find(scene->catalogue, event->type),
                                     event->data.data, event->data.len, detail, sizeof(detail)),
                     0);
}

// ---- merging

static void test_strong_keys_of_two_customers_make_them_one(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "user_id=u-1");
    see(&scene, "crm_id=k-1");
    Touchbus__Event *event =
        keyed(&scene, "page.viewed", "crm_id=k-1 user_id=u-1", "{\"url\": \"/\"}");
    assert_int_equal(play(&scene, event), 0);
    assert_int_equal(event->customer, 1); // of two strong keys the lower customer's
    assert_int_equal(event->survivor, 0);
    expect_change(&scene, 0, "merged", "strong key");
    const Touchbus__Event *merged = scene.decision.findings.follow_ups[0];
    assert_int_equal(merged->customer, 1);
    assert_int_equal(merged->cause, event->sequence);
    assert_int_equal(merged->n_lanes, 2);
    assert_int_equal(merged->lanes[0], 1);
    assert_int_equal(merged->lanes[1], 2);
    assert_int_equal(merged->stamp->merge_from, 2);
    assert_int_equal(merged->stamp->merge_into, 1);
    assert_int_equal(survivor(&scene, 2), 1);
    assert_int_equal(record(&scene, 1)->n_leaves, 1);
    assert_int_equal(record(&scene, 1)->leaves[0], 2);
    // The leaf stays the one whose key it is, the lane is the customer's.
    event = keyed(&scene, "page.viewed", "crm_id=k-1", "{\"url\": \"/\"}");
    assert_int_equal(play(&scene, event), 0);
    assert_int_equal(event->customer, 2);
    assert_int_equal(event->survivor, 1);
    assert_int_equal(event->n_lanes, 1);
    assert_int_equal(event->lanes[0], 1);
    assert_int_equal(n_changes(&scene), 0);
    scene_close(&scene);
}

static void test_the_strongest_key_names_the_customer(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "email=a@klant.example");
    see(&scene, "user_id=u-2");
    assert_int_equal(see(&scene, "user_id=u-2 email!=a@klant.example"), 2);
    expect_change(&scene, 0, "merged", "verified key");
    assert_int_equal(survivor(&scene, 1), 2); // although 1 came first
    scene_close(&scene);
}

static void test_an_unverified_medium_key_merges_nobody(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "email=a@klant.example");
    see(&scene, "user_id=u-2");
    assert_int_equal(see(&scene, "user_id=u-2 email=a@klant.example"), 2);
    expect_change(&scene, 0, "refused", "unverified");
    assert_int_equal(survivor(&scene, 1), 1);
    scene_close(&scene);
}

static void test_a_strong_kind_never_has_two_values(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "user_id=u-1 crm_id=k-1");
    see(&scene, "user_id=u-2");
    assert_int_equal(see(&scene, "user_id=u-2 crm_id=k-1"), 1);
    expect_change(&scene, 0, "refused", "strong-conflict");
    assert_int_equal(survivor(&scene, 2), 2);
    // Another realm is another kind.
    see(&scene, "user_id.shop=s-9");
    see(&scene, "user_id.shop=s-9 user_id=u-1");
    expect_change(&scene, 0, "merged", "strong key");
    assert_int_equal(survivor(&scene, 3), 1);
    scene_close(&scene);
}

static void test_the_weakest_key_is_dropped_and_the_rest_tried_again(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "user_id=u-1");
    see(&scene, "crm_id=k-2");
    see(&scene, "user_id=u-3 email=c@klant.example");
    assert_int_equal(see(&scene, "user_id=u-1 crm_id=k-2 email!=c@klant.example"), 1);
    assert_int_equal(n_changes(&scene), 2);
    expect_change(&scene, 0, "merged", "strong key");
    expect_change(&scene, 1, "refused", "strong-conflict");
    assert_int_equal(survivor(&scene, 2), 1);
    assert_int_equal(survivor(&scene, 3), 3);
    scene_close(&scene);
}

static void test_a_new_user_with_a_known_address_is_somebody_else(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    assert_int_equal(see(&scene, "user_id=u-1 email!=family@klant.example"), 1);
    assert_int_equal(see(&scene, "user_id=u-2 email!=family@klant.example"), 2);
    expect_change(&scene, 0, "refused", "strong-conflict");
    scene_close(&scene);
}

static void test_merges_chain_and_the_leaves_stand_in_every_record_above(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "email=a@klant.example");
    see(&scene, "account=a-2");
    see(&scene, "account=a-2 email!=a@klant.example"); // 1 into 2
    see(&scene, "loyalty=l-3");
    see(&scene, "loyalty=l-3 account=a-2"); // 3 into 2: it came later
    assert_int_equal(survivor(&scene, 1), 2);
    assert_int_equal(survivor(&scene, 3), 2);
    assert_int_equal(record(&scene, 2)->n_leaves, 2);
    assert_int_equal(record(&scene, 2)->merges, 2);
    scene_close(&scene);
}

// ---- shared devices

static void test_an_anonymous_device_brings_its_past_along(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "anonymous_id=x");
    see(&scene, "user_id=u-2");
    assert_int_equal(see(&scene, "anonymous_id=x user_id=u-2"), 2);
    expect_change(&scene, 0, "merged", "same device");
    assert_int_equal(survivor(&scene, 1), 2);
    // New to everybody: the user is whose device it was.
    see(&scene, "anonymous_id=y");
    assert_int_equal(see(&scene, "anonymous_id=y user_id=u-3"), 3);
    assert_int_equal(n_changes(&scene), 0);
    scene_close(&scene);
}

static void test_a_bound_device_moves_to_who_uses_it(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "anonymous_id=x user_id=u-1");
    see(&scene, "user_id=u-2");
    assert_int_equal(see(&scene, "anonymous_id=x user_id=u-2"), 2);
    assert_int_equal(n_changes(&scene), 0);
    assert_int_equal(see(&scene, "anonymous_id=x"), 2);
    assert_int_equal(survivor(&scene, 1), 1);
    assert_int_equal(record(&scene, 1)->key_lookups.len, LOOKUP_KEY_BYTES);
    assert_int_equal(support_person(scene.fixture->txn, scene.fixture->arena, 1)->n_keys, 1);
    assert_int_equal(record(&scene, 2)->key_lookups.len, 2 * LOOKUP_KEY_BYTES);
    // Also to somebody who is new.
    assert_int_equal(see(&scene, "anonymous_id=x user_id=u-3"), 3);
    assert_int_equal(see(&scene, "anonymous_id=x"), 3);
    // And back.
    assert_int_equal(see(&scene, "anonymous_id=x user_id=u-1"), 1);
    assert_int_equal(see(&scene, "anonymous_id=x"), 1);
    scene_close(&scene);
}

static void test_devices_alone_merge_nobody(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "cookie=a");
    see(&scene, "cookie=b");
    assert_int_equal(see(&scene, "cookie=b cookie=a"), 1);
    assert_int_equal(n_changes(&scene), 0);
    assert_int_equal(survivor(&scene, 2), 2);
    scene_close(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strong_keys_of_two_customers_make_them_one),
        cmocka_unit_test(test_the_strongest_key_names_the_customer),
        cmocka_unit_test(test_an_unverified_medium_key_merges_nobody),
        cmocka_unit_test(test_a_strong_kind_never_has_two_values),
        cmocka_unit_test(test_the_weakest_key_is_dropped_and_the_rest_tried_again),
        cmocka_unit_test(test_a_new_user_with_a_known_address_is_somebody_else),
        cmocka_unit_test(test_merges_chain_and_the_leaves_stand_in_every_record_above),
        cmocka_unit_test(test_an_anonymous_device_brings_its_past_along),
        cmocka_unit_test(test_a_bound_device_moves_to_who_uses_it),
        cmocka_unit_test(test_devices_alone_merge_nobody),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
