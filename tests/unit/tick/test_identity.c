// SPDX-License-Identifier: Apache-2.0
// What makes several customers one and what keeps them apart: which keys merge, limits, vetoes,
// shared devices, contested keys. Each test plays events through decide and fold, follow-ups
// included, as the tick does.
#include "support.h"

#include <endian.h>
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

static void scene_open_with(void **state, const struct policy *policy, struct scene *ret) {
    *ret = (struct scene){.fixture = *state, .now_us = 20000 * DAY_US};
    char *error = NULL;
    view_abort(ret->fixture->txn); // each scene starts from nothing
    support_begin(ret->fixture, ret->fixture->view, &ret->fixture->txn);
    assert_int_equal(catalogue_load(NULL, &ret->catalogue, &error), 0);
    assert_int_equal(decide_new(&ret->configuration, policy, ret->catalogue,
                                keys_hash_secret(ret->fixture->keys), ret->fixture->keys,
                                &ret->decide),
                     0);
    assert_int_equal(fold_new(ret->fixture->txn, &ret->fold), 0);
}

static void scene_open(void **state, struct scene *ret) {
    scene_open_with(state, support_policy(), ret);
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
    assert_int_equal(decide_event(scene->decide, &place, event, NULL, scene->sequence + 1,
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

// ---- merge and split by request

static uint32_t ask(struct scene *scene, const char *type, const char *customers) {
    char data[128];
    snprintf(data, sizeof(data), "{\"customers\": [%s], \"reason\": \"said so\"}", customers);
    return play(scene, support_event(scene->fixture->arena, type, "1", data));
}

static const void *row_bytes(struct scene *scene, uint64_t leaf, size_t *ret_size) {
    uint64_t key = htobe64(leaf);
    const void *value;
    assert_int_equal(
        view_get(scene->fixture->txn, VIEW_CUSTOMERS, &key, sizeof(key), &value, ret_size), 0);
    return arena_copy(scene->fixture->arena, value, *ret_size);
}

static void test_a_and_b_merge_c_joins_b_is_split_off(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "user_id=a");
    see(&scene, "account=b");
    see(&scene, "loyalty=c");
    View__Customer before = *record(&scene, 2);
    assert_int_equal(ask(&scene, "merge.requested", "\"c1\", \"c2\""), 0);
    expect_change(&scene, 0, "merged", "requested");
    assert_int_equal(ask(&scene, "merge.requested", "\"c3\", \"c2\""), 0);
    assert_int_equal(survivor(&scene, 3), 1);
    assert_int_equal(record(&scene, 1)->n_leaves, 2);
    assert_int_equal(ask(&scene, "split.requested", "\"c2\""), 0);
    expect_change(&scene, 0, "split", "requested");
    const Touchbus__Event *split = scene.decision.findings.follow_ups[0];
    assert_int_equal(split->customer, 1);
    assert_int_equal(split->n_lanes, 2);
    assert_int_equal(split->lanes[0], 1);
    assert_int_equal(split->lanes[1], 2);
    assert_int_equal(survivor(&scene, 2), 2);
    assert_int_equal(survivor(&scene, 3), 1);
    assert_int_equal(record(&scene, 1)->n_leaves, 1);
    assert_int_equal(record(&scene, 1)->leaves[0], 3);
    // B is as before, but for what is never merged with it again.
    const View__Customer *after = record(&scene, 2);
    assert_int_equal(after->n_vetoes, 2);
    assert_int_equal(after->events, before.events);
    assert_int_equal(after->n_leaves + after->into, 0);
    assert_int_equal(after->person.len, before.person.len);
    assert_int_equal(after->key_lookups.len, before.key_lookups.len);
    assert_memory_equal(after->key_lookups.data, before.key_lookups.data, before.key_lookups.len);
    assert_int_equal(see(&scene, "account=b"), 2);
    assert_int_equal(scene.decision.findings.n_follow_ups, 0);
    // Neither a key nor a request makes them one again, whichever leaf is named.
    see(&scene, "user_id=a account=b");
    expect_change(&scene, 0, "refused", "veto");
    assert_int_equal(ask(&scene, "merge.requested", "\"c3\", \"c2\""), REASON_MERGE_REFUSED);
    assert_int_equal(survivor(&scene, 2), 2);
    scene_close(&scene);
}

static void test_a_split_takes_what_was_merged_into_the_leaf_along(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "email=a@klant.example");
    see(&scene, "email=b@klant.example");
    assert_int_equal(ask(&scene, "merge.requested", "\"c1\", \"c2\""), 0);
    see(&scene, "user_id=u-3");
    assert_int_equal(ask(&scene, "merge.requested", "\"c3\", \"c1\""), 0); // 1, with 2, into 3
    assert_int_equal(survivor(&scene, 2), 3);
    assert_int_equal(ask(&scene, "split.requested", "\"c3\""), 0); // it has one: that goes
    assert_int_equal(survivor(&scene, 2), 1);
    assert_int_equal(record(&scene, 3)->n_leaves, 0);
    assert_int_equal(record(&scene, 1)->n_leaves, 1);
    assert_int_equal(record(&scene, 3)->n_vetoes, 2);
    size_t size;
    const void *three = row_bytes(&scene, 3, &size);
    assert_int_equal(ask(&scene, "merge.requested", "\"c3\", \"c2\""), REASON_MERGE_REFUSED);
    size_t size_after;
    const void *after = row_bytes(&scene, 3, &size_after);
    assert_int_equal(size_after, size);
    assert_memory_equal(after, three, size);
    scene_close(&scene);
}

static void test_what_may_not_be_split_is_refused(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "user_id=a");
    see(&scene, "account=b");
    see(&scene, "loyalty=c");
    assert_int_equal(ask(&scene, "split.requested", "\"c1\""), REASON_SPLIT_REFUSED);
    assert_int_equal(ask(&scene, "split.requested", "\"c77\""), REASON_SPLIT_REFUSED);
    assert_int_equal(ask(&scene, "split.requested", "\"nobody\""), REASON_SPLIT_REFUSED);
    assert_int_equal(ask(&scene, "split.requested", ""), REASON_SPLIT_REFUSED);
    assert_int_equal(ask(&scene, "merge.requested", "\"c1\", \"c2\", \"c3\""), 0);
    assert_int_equal(n_changes(&scene), 2);
    assert_int_equal(ask(&scene, "split.requested", "\"c1\""), REASON_SPLIT_REFUSED);
    assert_non_null(strstr(scene.decision.findings.detail, "name the leaf"));
    assert_int_equal(ask(&scene, "split.requested", "\"c2\", \"c3\""), REASON_SPLIT_REFUSED);
    assert_int_equal(ask(&scene, "split.requested", "\"c3\""), 0);
    assert_int_equal(survivor(&scene, 3), 3);
    scene_close(&scene);
}

static void test_a_request_merges_within_the_limits_only(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "user_id=a");
    see(&scene, "user_id=b");
    see(&scene, "partner_id=p");
    see(&scene, "account=c");
    assert_int_equal(ask(&scene, "merge.requested", "\"c1\", \"c2\""), REASON_MERGE_REFUSED);
    assert_non_null(strstr(scene.decision.findings.detail, "strong-conflict"));
    assert_int_equal(ask(&scene, "merge.requested", "\"c1\", \"c3\""), REASON_MERGE_REFUSED);
    assert_non_null(strstr(scene.decision.findings.detail, "partner"));
    assert_int_equal(ask(&scene, "merge.requested", "\"c1\", \"c99\""), REASON_MERGE_REFUSED);
    assert_int_equal(ask(&scene, "merge.requested", "\"c1\", \"c4\""), 0);
    assert_int_equal(ask(&scene, "merge.requested", "\"c4\", \"c1\""), 0); // is done already
    assert_int_equal(n_changes(&scene), 0);
    scene_close(&scene);
}

// ---- limits

static void test_a_customer_swallows_five_a_day_and_twenty_ever(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "user_id=u");
    char keys[64];
    unsigned merged = 0;
    for (unsigned i = 0; i < 60; i++) {
        if (i > 0 && i % 7 == 0) {
            scene.now_us += DAY_US;
        }
        snprintf(keys, sizeof(keys), "email=a%u@klant.example", i);
        uint64_t other = see(&scene, keys);
        snprintf(keys, sizeof(keys), "user_id=u email!=a%u@klant.example", i);
        assert_int_equal(see(&scene, keys), 1);
        if (survivor(&scene, other) == 1) {
            merged++;
            expect_change(&scene, 0, "merged", NULL);
        } else {
            expect_change(&scene, 0, "refused", merged < 19 ? "merges" : "leaves");
        }
        assert_true(merged <= 5 * (i / 7 + 1));
    }
    assert_int_equal(merged, 19); // twenty leaves in all
    scene_close(&scene);
}

static void test_merge_and_split_again_and_again_comes_to_an_end(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "user_id=u");
    char text[64];
    unsigned merged = 0;
    for (unsigned i = 0; i < 30; i++) {
        scene.now_us += DAY_US;
        snprintf(text, sizeof(text), "email=a%u@klant.example", i);
        uint64_t other = see(&scene, text);
        snprintf(text, sizeof(text), "\"c1\", \"c%u\"", (unsigned)other);
        if (ask(&scene, "merge.requested", text) == 0) {
            merged++;
            snprintf(text, sizeof(text), "\"c%u\"", (unsigned)other);
            assert_int_equal(ask(&scene, "split.requested", text), 0);
        } else {
            assert_non_null(strstr(scene.decision.findings.detail, "merges"));
        }
    }
    assert_int_equal(merged, 20);
    scene_close(&scene);
}

static void test_a_customer_gets_so_many_keys_of_a_kind(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    char keys[64];
    for (unsigned i = 0; i < 8; i++) {
        snprintf(keys, sizeof(keys), "user_id=u email=a%u@klant.example", i);
        see(&scene, keys);
        if (i == 5) {
            expect_change(&scene, 0, "refused", "limit");
        } else {
            assert_int_equal(n_changes(&scene), 0); // said once a day
        }
    }
    assert_int_equal(record(&scene, 1)->key_lookups.len, 6 * LOOKUP_KEY_BYTES);
    assert_int_equal(see(&scene, "email=a4@klant.example"), 1);
    assert_int_equal(see(&scene, "email=a5@klant.example"), 2);
    scene.now_us += 366 * DAY_US;
    see(&scene, "user_id=u email=a9@klant.example");
    assert_int_equal(record(&scene, 1)->key_lookups.len, 7 * LOOKUP_KEY_BYTES);
    for (unsigned i = 0; i < 25; i++) {
        snprintf(keys, sizeof(keys), "user_id=u cookie=k%u", i);
        see(&scene, keys);
    }
    assert_int_equal(record(&scene, 1)->key_lookups.len, 27 * LOOKUP_KEY_BYTES);
    see(&scene, "user_id=v user_id=w"); // one of a strong kind
    expect_change(&scene, 0, "refused", "strong-conflict");
    assert_int_equal(see(&scene, "user_id=w"), 4);
    scene_close(&scene);
}

static struct policy *policy_of(const char *text) {
    struct policy *policy = NULL;
    char *error = NULL;
    assert_int_equal(policy_parse(text, strlen(text), "test", &policy, &error), 0);
    return policy;
}

static void test_only_some_sources_merge(void **state) {
    struct scene scene;
    struct policy *policy = policy_of("identity:\n  merge_sources: [\"/crm/*\"]\n");
    scene_open_with(state, policy, &scene);
    see(&scene, "email=a@klant.example");
    see(&scene, "user_id=u-2");
    see(&scene, "user_id=u-2 email!=a@klant.example");
    expect_change(&scene, 0, "refused", "source");
    assert_int_equal(survivor(&scene, 1), 1);
    Touchbus__Event *event =
        keyed(&scene, "page.viewed", "user_id=u-2 email!=a@klant.example", "{\"url\": \"/\"}");
    event->source = arena_strdup(scene.fixture->arena, "/crm/main");
    assert_int_equal(play(&scene, event), 0);
    expect_change(&scene, 0, "merged", NULL);
    assert_int_equal(survivor(&scene, 1), 2);
    scene_close(&scene);
    policy_free(policy);
}

static void test_a_merged_customer_has_so_many_keys(void **state) {
    struct scene scene;
    struct policy *policy = policy_of("identity:\n  keys_max: 4\n");
    scene_open_with(state, policy, &scene);
    see(&scene, "account=a email=a@klant.example cookie=a");
    see(&scene, "user_id=b phone=+31612345678");
    see(&scene, "user_id=b account=a");
    expect_change(&scene, 0, "refused", "keys");
    see(&scene, "loyalty=c");
    see(&scene, "loyalty=c account=a");
    expect_change(&scene, 0, "merged", NULL);
    see(&scene, "account=a cookie=b"); // nor does it get one more
    expect_change(&scene, 0, "refused", "limit");
    assert_int_equal(record(&scene, 1)->key_lookups.len, 3 * LOOKUP_KEY_BYTES);
    scene_close(&scene);
    policy_free(policy);
}

// ---- contested keys

static void test_a_bad_address_of_many_makes_them_not_one(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    enum { CUSTOMERS = 100 };
    char keys[64];
    unsigned shared_at = 0;
    for (unsigned i = 1; i <= CUSTOMERS; i++) {
        snprintf(keys, sizeof(keys), "user_id=u-%u email!=bad@klant.example", i);
        assert_int_equal(see(&scene, keys), i);
        assert_int_equal(survivor(&scene, i), i);
        if (n_changes(&scene) > 1 && shared_at == 0) {
            expect_change(&scene, 1, "shared", "contested");
            shared_at = i;
        }
    }
    assert_int_equal(shared_at, 11); // it has met more than ten
    assert_int_equal(n_changes(&scene), 0);
    Touchbus__Event *event =
        keyed(&scene, "page.viewed", "email=bad@klant.example", "{\"url\": \"/\"}");
    assert_int_equal(play(&scene, event), 0);
    assert_int_equal(event->customer, 0);
    assert_int_equal(record(&scene, 1)->key_lookups.len, LOOKUP_KEY_BYTES);
    assert_int_equal(support_person(scene.fixture->txn, scene.fixture->arena, 1)->n_keys, 1);
    scene_close(&scene);
}

// What spares the look-up is not kept with the view: a fold that begins with it learns it again.
static void test_a_contest_outlives_the_fold(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "user_id=a phone=+31612345678");
    see(&scene, "user_id=b phone=+31612345678");
    assert_int_equal(fold_flush(scene.fold, scene.fixture->txn), 0);
    fold_free(scene.fold);
    assert_int_equal(fold_new(scene.fixture->txn, &scene.fold), 0);
    Touchbus__Event *event = keyed(&scene, "call.received", "phone=+31612345678",
                                   "{\"from\": \"x\", \"to\": \"y\", \"call_id\": \"k-1\"}");
    assert_int_equal(play(&scene, event), 0);
    assert_int_equal(event->customer, 0);
    scene_close(&scene);
}

static void test_a_number_of_several_customers_is_nobody_s_for_a_month(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "user_id=a phone=+31612345678");
    see(&scene, "user_id=b phone=+31612345678");
    see(&scene, "user_id=a"); // who was there last
    Touchbus__Event *event = keyed(&scene, "call.received", "phone=+31612345678",
                                   "{\"from\": \"x\", \"to\": \"y\", \"call_id\": \"k-1\"}");
    assert_int_equal(play(&scene, event), 0);
    assert_int_equal(event->customer, 0);
    assert_int_equal(event->n_keys, 0);
    struct body_value list, one;
    size_t position = 0;
    const ProtobufCBinaryData *verdict = &scene.decision.findings.verdict;
    assert_true(body_find(verdict->data, verdict->len, "candidates", &list));
    assert_int_equal(list.count, 2);
    assert_true(body_next(&list, &position, NULL, &one));
    assert_memory_equal(one.text, "c1", 2);
    assert_true(body_next(&list, &position, NULL, &one));
    assert_memory_equal(one.text, "c2", 2);
    // With a key of somebody's own it is that person's.
    assert_int_equal(see(&scene, "phone=+31612345678 user_id=b"), 2);
    scene.now_us += 40 * DAY_US;
    assert_int_equal(see(&scene, "phone=+31612345678"), 1);
    scene_close(&scene);
}

// ---- aliases and numbers

static void test_an_alias_links_two_names_of_one_person(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    const char *alias = "{\"previous_id\": \"x\", \"user_id\": \"u-1\"}";
    see(&scene, "anonymous_id=x email=a@klant.example"); // bound: without an alias it would move
    see(&scene, "user_id=u-1");
    assert_int_equal(play(&scene, keyed(&scene, "customer.aliased", "", alias)), 0);
    expect_change(&scene, 0, "merged", "alias");
    assert_int_equal(survivor(&scene, 1), 2);
    // Two users stay two.
    see(&scene, "user_id=u-9");
    alias = "{\"previous_id\": \"u-9\", \"user_id\": \"u-1\"}";
    assert_int_equal(play(&scene, keyed(&scene, "customer.aliased", "", alias)), 0);
    expect_change(&scene, 0, "refused", "strong-conflict");
    assert_int_equal(survivor(&scene, 3), 3);
    scene_close(&scene);
}

static void test_a_customer_is_referred_to_by_number(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    see(&scene, "user_id=a");
    Touchbus__Event *event = support_event(scene.fixture->arena, "customer.changed", "1",
                                           "{\"customer\": \"c1\", \"fields\": {}}");
    assert_int_equal(play(&scene, event), 0);
    assert_int_equal(event->customer, 1);
    assert_int_equal(event->reference_lookups.len, 0);
    event = support_event(scene.fixture->arena, "customer.changed", "1",
                          "{\"customer\": \"c2\", \"fields\": {}}");
    assert_int_equal(play(&scene, event), 0);
    assert_int_equal(event->customer, 0);
    assert_null(record(&scene, 2));
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
        cmocka_unit_test(test_a_and_b_merge_c_joins_b_is_split_off),
        cmocka_unit_test(test_a_split_takes_what_was_merged_into_the_leaf_along),
        cmocka_unit_test(test_what_may_not_be_split_is_refused),
        cmocka_unit_test(test_a_request_merges_within_the_limits_only),
        cmocka_unit_test(test_a_customer_swallows_five_a_day_and_twenty_ever),
        cmocka_unit_test(test_merge_and_split_again_and_again_comes_to_an_end),
        cmocka_unit_test(test_a_customer_gets_so_many_keys_of_a_kind),
        cmocka_unit_test(test_only_some_sources_merge),
        cmocka_unit_test(test_a_merged_customer_has_so_many_keys),
        cmocka_unit_test(test_a_bad_address_of_many_makes_them_not_one),
        cmocka_unit_test(test_a_contest_outlives_the_fold),
        cmocka_unit_test(test_a_number_of_several_customers_is_nobody_s_for_a_month),
        cmocka_unit_test(test_an_alias_links_two_names_of_one_person),
        cmocka_unit_test(test_a_customer_is_referred_to_by_number),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
