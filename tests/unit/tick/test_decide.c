// SPDX-License-Identifier: Apache-2.0
// Whose an event is: create, attach, refuse to merge, look up by reference; and what is stamped.
#include "support.h"

#include <errno.h>
#include <string.h>

#include "broker/fold/fold.h"
#include "broker/tick/decide.h"
#include "broker/tick/whose.h"
#include "schemas/body.h"
#include "schemas/catalogue.h"
#include "schemas/reasons.h"

struct scene {
    struct fixture *fixture;
    struct configuration configuration;
    struct catalogue *catalogue;
    struct decide *decide;
    struct fold *fold;
    uint64_t sequence, customers_last;
    struct decision decision;
};

static char rank_crm[] = "/crm/*=90";
static char rank_web[] = "/web*=10";
static char *ranks[] = {rank_crm, rank_web};

static void scene_open(void **state, struct scene *ret) {
    *ret = (struct scene){.fixture = *state};
    ret->configuration.ranks = (struct option_list){ranks, 2};
    char *error = NULL;
    // Each scene starts from nothing.
    view_abort(ret->fixture->txn);
    support_begin(ret->fixture, ret->fixture->view, &ret->fixture->txn);
    const uint8_t *secret = keys_hash_secret(ret->fixture->keys);
    assert_int_equal(catalogue_load(NULL, &ret->catalogue, &error), 0);
    assert_int_equal(decide_new(&ret->configuration, support_policy(), ret->catalogue, secret,
                                ret->fixture->keys, &ret->decide),
                     0);
    assert_int_equal(fold_new(ret->fixture->txn, &ret->fold), 0);
}

static void scene_close(struct scene *scene) {
    fold_free(scene->fold);
    decide_free(scene->decide);
    catalogue_free(scene->catalogue);
}

// Decides and folds, as a tick does.
static void play(struct scene *scene, Touchbus__Event *event) {
    struct decide_place place = {scene->fold, scene->fixture->txn, scene->fixture->arena, 1000000,
                                 1000000};
    event->received_us = 1000000;
    assert_int_equal(decide_event(scene->decide, &place, event, NULL, scene->sequence + 1,
                                  &scene->customers_last, &scene->decision),
                     0);
    if (scene->decision.findings.code == 0) {
        event->sequence = ++scene->sequence;
        assert_int_equal(fold_apply(scene->fold, scene->fixture->txn, event), 0);
        assert_int_equal(fold_flush(scene->fold, scene->fixture->txn), 0);
    }
}

// A page view with up to two keys.
static Touchbus__Event *view_by(struct scene *scene, const char *kind, const char *value,
                                const char *kind2, const char *value2) {
    struct arena *arena = scene->fixture->arena;
    Touchbus__Event *event = support_event(arena, "page.viewed", "1", "{\"url\": \"/\"}");
    if (kind != NULL) {
        support_identify(arena, event, kind, value);
    }
    if (kind2 != NULL) {
        support_identify(arena, event, kind2, value2);
    }
    play(scene, event);
    return event;
}

static void test_unknown_keys_make_a_customer(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    Touchbus__Event *event = view_by(&scene, "user_id", "u-1", "email", "Ana@Klant.Example");
    assert_int_equal(event->customer, 1);
    assert_true(event->created);
    assert_int_equal(event->n_keys, 2);
    assert_string_equal(event->keys[1]->value, "ana@klant.example");
    assert_int_equal(event->n_lanes, 1);
    assert_int_equal(event->lanes[0], 1);
    assert_int_equal(view_by(&scene, "user_id", "u-2", NULL, NULL)->customer, 2);
    scene_close(&scene);
}

static void test_one_owner_attaches_the_new_keys(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    view_by(&scene, "user_id", "u-1", NULL, NULL);
    Touchbus__Event *event = view_by(&scene, "user_id", "u-1", "email", "ana@klant.example");
    assert_int_equal(event->customer, 1);
    assert_false(event->created);
    event = view_by(&scene, "email", "ANA@klant.example", NULL, NULL);
    assert_int_equal(event->customer, 1);
    scene_close(&scene);
}

static bool stamps(struct scene *scene, const Touchbus__Event *event, size_t index,
                   const char *kind, const char *value, bool verified) {
    uint8_t lookup[LOOKUP_BYTES];
    const uint8_t *at = event->key_lookups.data + index * LOOKUP_KEY_BYTES;
    assert_true(lookup_key(keys_hash_secret(scene->fixture->keys), kind, value, lookup));
    return event->key_lookups.len >= (index + 1) * LOOKUP_KEY_BYTES &&
           memcmp(at, lookup, LOOKUP_BYTES) == 0 &&
           (at[LOOKUP_BYTES] & LOOKUP_VERIFIED) == verified &&
           (at[LOOKUP_BYTES] & LOOKUP_CLASS) != 0;
}

static void test_lookups_are_stamped_where_a_key_is_new_or_newly_verified(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    Touchbus__Event *event = view_by(&scene, "user_id", "u-1", "email", "Ana@Klant.Example");
    assert_int_equal(event->key_lookups.len, 2 * LOOKUP_KEY_BYTES);
    assert_true(stamps(&scene, event, 0, "user_id", "u-1", false));
    assert_true(stamps(&scene, event, 1, "email", "ana@klant.example", false));
    event = view_by(&scene, "user_id", "u-1", "email", "ana@klant.example");
    assert_int_equal(event->key_lookups.len, 0);
    for (int i = 0; i < 2; i++) {
        event = support_event(scene.fixture->arena, "page.viewed", "1", "{\"url\": \"/\"}");
        support_identify(scene.fixture->arena, event, "user_id", "u-1");
        support_identify(scene.fixture->arena, event, "email", "ana@klant.example");
        event->identities[1]->verified = true;
        play(&scene, event);
        assert_int_equal(event->key_lookups.len, i == 0 ? LOOKUP_KEY_BYTES : 0);
        assert_true(i > 0 || stamps(&scene, event, 0, "email", "ana@klant.example", true));
    }
    // Another customer's key is not stamped.
    view_by(&scene, "user_id", "u-2", NULL, NULL);
    event = view_by(&scene, "user_id", "u-2", "email", "ana@klant.example");
    assert_int_equal(event->customer, 2);
    assert_int_equal(event->key_lookups.len, 0);
    scene_close(&scene);
}

static void test_several_owners_are_not_merged(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    view_by(&scene, "email", "ana@klant.example", NULL, NULL); // 1
    view_by(&scene, "user_id", "u-2", NULL, NULL);             // 2
    struct arena *arena = scene.fixture->arena;
    Touchbus__Event *event = support_event(arena, "page.viewed", "1", "{\"url\": \"/\"}");
    support_identify(arena, event, "email", "ana@klant.example");
    support_identify(arena, event, "user_id", "u-2");
    support_identify(arena, event, "cookie", "new");
    play(&scene, event);
    assert_int_equal(event->customer, 2); // the strong key's owner
    assert_int_equal(event->n_keys, 2); // the foreign e-mail stays where it is, the cookie attaches
    assert_int_equal(scene.decision.findings.n_follow_ups, 1);
    const Touchbus__Event *refused = scene.decision.findings.follow_ups[0];
    assert_string_equal(refused->type, "identity.changed");
    assert_int_equal(refused->cause, event->sequence);
    assert_int_equal(refused->customer, 2);
    assert_int_equal(refused->n_lanes, 2);
    assert_int_equal(refused->lanes[0], 2);
    assert_int_equal(refused->lanes[1], 1);
    struct body_value value;
    assert_true(body_find(refused->data.data, refused->data.len, "kind", &value));
    assert_memory_equal(value.text, "refused", value.text_size);
    char detail[256];
    assert_int_equal(catalogue_check(catalogue_find(scene.catalogue, "identity.changed"),
                                     refused->data.data, refused->data.len, detail, sizeof(detail)),
                     0);
    // From here on the address alone says nothing: it is two customers'.
    assert_int_equal(view_by(&scene, "email", "ana@klant.example", NULL, NULL)->customer, 0);
    assert_int_equal(view_by(&scene, "cookie", "new", NULL, NULL)->customer, 2);
    scene_close(&scene);
}

static void test_a_tie_goes_to_the_lowest_customer(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    view_by(&scene, "email", "a@klant.example", NULL, NULL);
    view_by(&scene, "phone", "+31612345678", NULL, NULL);
    Touchbus__Event *event = view_by(&scene, "phone", "+31612345678", "email", "a@klant.example");
    assert_int_equal(event->customer, 1);
    scene_close(&scene);
}

static void test_nobodys_values_are_no_keys(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    Touchbus__Event *event = view_by(&scene, "user_id", "undefined", "email", "none");
    assert_int_equal(event->customer, 0);
    assert_int_equal(event->n_keys, 0);
    assert_true(event->lanes[0] >> 63);
    scene_close(&scene);
}

static void test_shared_keys_neither_make_nor_attach(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    assert_int_equal(view_by(&scene, "kiosk", "k-7", NULL, NULL)->customer, 0);
    assert_int_equal(view_by(&scene, "kiosk", "k-7", "user_id", "u-1")->n_keys, 1);
    assert_int_equal(view_by(&scene, "kiosk", "k-7", NULL, NULL)->customer, 0);
    scene_close(&scene);
}

static void test_partners_are_customers_of_their_own(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    assert_int_equal(view_by(&scene, "partner_id", "p-1", "gln", "871")->customer, 1);
    Touchbus__Event *event = view_by(&scene, "partner_id", "p-1", "email", "a@klant.example");
    assert_int_equal(event->customer, 2); // the person
    assert_int_equal(event->n_keys, 1);
    assert_int_equal(view_by(&scene, "gln", "871", NULL, NULL)->customer, 1);
    scene_close(&scene);
}

static void test_references_find_the_customer_and_never_make_one(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    struct arena *arena = scene.fixture->arena;
    const char *changed = "{\"order_id\": \"o-1\", \"status\": \"shipped\", \"revision\": 1}";
    Touchbus__Event *event = support_event(arena, "order.changed", "1", changed);
    play(&scene, event);
    assert_int_equal(event->customer, 0);
    event = support_event(arena, "order.placed", "2",
                          "{\"order_id\": \"o-1\", \"lines\": [{\"sku\": \"s\", \"quantity\": 1, "
                          "\"price\": \"1.00\"}], \"currency\": \"EUR\"}");
    support_identify(arena, event, "user_id", "u-1");
    play(&scene, event);
    assert_int_equal(event->customer, 1);
    assert_int_equal(event->n_references, 1);
    assert_string_equal(event->references[0]->kind, "order");
    uint8_t lookup[LOOKUP_BYTES];
    assert_true(lookup_reference(keys_hash_secret(scene.fixture->keys), "order", "o-1", lookup));
    assert_int_equal(event->reference_lookups.len, LOOKUP_BYTES);
    assert_memory_equal(event->reference_lookups.data, lookup, LOOKUP_BYTES);
    event = support_event(arena, "order.changed", "3", changed);
    play(&scene, event);
    assert_int_equal(event->customer, 1);
    assert_false(event->created);
    assert_int_equal(event->n_keys, 0);
    assert_int_equal(event->reference_lookups.len, 0); // known
    scene_close(&scene);
}

static void test_the_first_to_name_a_reference_keeps_it(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    struct arena *arena = scene.fixture->arena;
    const char *data = "{\"case_id\": \"c-1\", \"kind\": \"complaint\", \"severity\": \"low\"}";
    for (int i = 0; i < 2; i++) {
        Touchbus__Event *event = support_event(arena, "case.opened", "1", data);
        support_identify(arena, event, "user_id", i == 0 ? "u-1" : "u-2");
        play(&scene, event);
        assert_int_equal(scene.decision.findings.code, 0);
    }
    Touchbus__Event *event = support_event(arena, "x.unknown", "2", NULL);
    event->case_id = arena_strdup(arena, "c-1");
    play(&scene, event);
    assert_int_equal(event->customer, 1);
    scene_close(&scene);
}

static void test_a_broken_schema_is_quarantined_and_gives_no_customer_number(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    struct arena *arena = scene.fixture->arena;
    Touchbus__Event *event = support_event(arena, "order.placed", "1", "{\"order_id\": \"o-1\"}");
    support_identify(arena, event, "user_id", "u-1");
    play(&scene, event);
    assert_int_equal(scene.decision.findings.code, REASON_QUARANTINED);
    assert_non_null(strstr(scene.decision.findings.detail, "lines"));
    assert_int_equal(scene.customers_last, 0);
    scene_close(&scene);
}

static void test_unknown_types_are_accepted_whatever_their_data(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    struct arena *arena = scene.fixture->arena;
    Touchbus__Event *event = support_event(arena, "acme.thing", "1", "[1, 2]");
    support_identify(arena, event, "user_id", "u-1");
    play(&scene, event);
    assert_int_equal(scene.decision.findings.code, 0);
    assert_int_equal(event->customer, 1);
    scene_close(&scene);
}

static void test_rank_and_direction_are_stamped(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    struct arena *arena = scene.fixture->arena;
    Touchbus__Event *event = support_event(arena, "page.viewed", "1", "{\"url\": \"/\"}");
    event->source = arena_strdup(arena, "/crm/main");
    play(&scene, event);
    assert_int_equal(event->rank, 90);
    assert_int_equal(event->direction, TOUCHBUS__DIRECTION__INBOUND);
    event = support_event(arena, "chat.message", "2",
                          "{\"conversation_id\": \"1\", \"text\": \"hello\"}");
    event->source = arena_strdup(arena, "/elsewhere");
    play(&scene, event);
    assert_int_equal(event->rank, 0);
    assert_int_equal(event->direction, TOUCHBUS__DIRECTION__DIRECTION_UNSET);
    scene_close(&scene);
}

static void test_a_malformed_rank_is_refused(void **state) {
    (void)state;
    static char bad[][16] = {"/web", "=3", "/web=", "/web=x", "/web=3x", "/web=1001", "/web=-1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *values[] = {bad[i]};
        struct configuration configuration = {.ranks = {values, 1}};
        struct decide *decide = NULL;
        assert_int_equal(decide_new(&configuration, NULL, NULL, NULL, NULL, &decide), -EINVAL);
    }
}

static void test_events_of_nobody_share_a_lane_by_subject(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    struct arena *arena = scene.fixture->arena;
    uint64_t lanes[3];
    const char *const subjects[] = {"a", "a", "b"};
    for (size_t i = 0; i < 3; i++) {
        Touchbus__Event *event = support_event(arena, "acme.thing", "1", NULL);
        event->subject = arena_strdup(arena, subjects[i]);
        play(&scene, event);
        lanes[i] = event->lanes[0];
    }
    assert_true(lanes[0] == lanes[1] && lanes[0] != lanes[2]);
    scene_close(&scene);
}

// ---- erased persons. Keys stay destroyed from scene to scene: these come last.

enum { ERASED_US = 5000000 };

static void erase(struct scene *scene, uint64_t customer) {
    assert_int_equal(keys_ensure(scene->fixture->keys, customer), 0);
    assert_int_equal(keys_destroy(scene->fixture->keys, customer, ERASED_US), 0);
    Touchbus__Event *event = support_event(scene->fixture->arena, "privacy.changed", "e", NULL);
    event->customer = customer;
    event->erases = true;
    event->sequence = ++scene->sequence;
    assert_int_equal(fold_apply(scene->fold, scene->fixture->txn, event), 0);
}

static void assert_redacted(const struct scene *scene, const Touchbus__Event *event) {
    assert_int_equal(scene->decision.findings.code, 0);
    assert_true(event->redacted);
    assert_int_equal(event->customer, 0);
    assert_true(event->lanes[0] >> 63);
    assert_int_equal(event->n_identities + event->n_keys + event->n_references, 0);
    assert_int_equal(event->data.len + event->key_lookups.len + event->reference_lookups.len, 0);
    assert_string_equal(event->subject, "");
}

static void test_an_erased_person_s_key_redacts_whatever_the_schema(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    struct arena *arena = scene.fixture->arena;
    uint64_t customer = view_by(&scene, "user_id", "u-1", "email", "ana@klant.example")->customer;
    erase(&scene, customer);
    uint64_t last = scene.customers_last;
    Touchbus__Event *event = view_by(&scene, "email", "Ana@Klant.Example", "cookie", "never-seen");
    assert_redacted(&scene, event);
    assert_string_equal(event->type, "page.viewed");
    event = support_event(arena, "order.placed", "2", "{\"order_id\": \"o-1\"}"); // no lines
    event->subject = arena_strdup(arena, "ana");
    support_identify(arena, event, "user_id", "u-1");
    play(&scene, event);
    assert_redacted(&scene, event);
    assert_int_equal(scene.customers_last, last);
    scene_close(&scene);
}

static Touchbus__Event *order_changed(struct scene *scene, const char *order) {
    struct arena *arena = scene->fixture->arena;
    char *data = arena_printf(
        arena, "{\"order_id\": \"%s\", \"status\": \"shipped\", \"revision\": 1}", order);
    return support_event(arena, "order.changed", "1", data);
}

static void test_an_erased_person_s_reference_redacts(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    struct arena *arena = scene.fixture->arena;
    Touchbus__Event *event = order_changed(&scene, "o-7");
    support_identify(arena, event, "user_id", "u-1");
    play(&scene, event);
    uint64_t customer = event->customer;
    assert_true(customer > 0);
    erase(&scene, customer);
    event = order_changed(&scene, "o-7");
    play(&scene, event);
    assert_redacted(&scene, event);
    event = order_changed(&scene, "o-7"); // with a key that nobody has had
    support_identify(arena, event, "phone", "+31612345678");
    play(&scene, event);
    assert_redacted(&scene, event);
    event = order_changed(&scene, "o-8");
    play(&scene, event);
    assert_false(event->redacted);
    scene_close(&scene);
}

static void test_an_event_of_somebody_living_loses_what_names_the_erased(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    uint64_t ana = view_by(&scene, "email", "ana@klant.example", NULL, NULL)->customer;
    uint64_t bob = view_by(&scene, "user_id", "u-2", NULL, NULL)->customer;
    erase(&scene, ana);
    struct arena *arena = scene.fixture->arena;
    Touchbus__Event *event = support_event(arena, "page.viewed", "1", "{\"url\": \"/\"}");
    event->subject = arena_strdup(arena, "email:ANA@klant.example");
    support_identify(arena, event, "email", "ANA@klant.example");
    support_identify(arena, event, "user_id", "u-2");
    play(&scene, event);
    assert_int_equal(event->customer, bob);
    assert_false(event->redacted);
    assert_int_equal(event->n_identities, 1);
    assert_string_equal(event->identities[0]->kind, "user_id");
    assert_string_equal(event->subject, "");
    assert_int_equal(event->n_keys, 1);
    assert_int_equal(scene.decision.findings.n_follow_ups, 0); // no merge to refuse
    static const char *const subjects[] = {"ana@klant.example", "mailto:Ana@Klant.Example"};
    for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) { // written otherwise
        event = support_event(arena, "page.viewed", "1", "{\"url\": \"/\"}");
        event->subject = arena_strdup(arena, subjects[i]);
        support_identify(arena, event, "email", "ANA@klant.example");
        support_identify(arena, event, "user_id", "u-2");
        play(&scene, event);
        assert_string_equal(event->subject, "");
    }
    scene_close(&scene);
}

static Touchbus__Event *registered(struct scene *scene, int64_t time_us) {
    struct arena *arena = scene->fixture->arena;
    Touchbus__Event *event =
        support_event(arena, "customer.registered", "1", "{\"user_id\": \"u-1\"}");
    support_identify(arena, event, "user_id", "u-1");
    support_identify(arena, event, "email", "ana@klant.example");
    event->has_time = time_us != 0;
    event->time_us = time_us;
    play(scene, event);
    return event;
}

static void test_who_registers_after_the_erasure_is_a_new_customer(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    uint64_t ana = view_by(&scene, "user_id", "u-1", "email", "ana@klant.example")->customer;
    erase(&scene, ana);
    assert_redacted(&scene, registered(&scene, 0)); // when, nobody knows
    assert_redacted(&scene, registered(&scene, ERASED_US));
    Touchbus__Event *event = registered(&scene, ERASED_US + 1);
    assert_false(event->redacted);
    assert_true(event->created && event->customer > ana);
    assert_int_equal(event->key_lookups.len, 2 * LOOKUP_KEY_BYTES);
    uint64_t anew = event->customer;
    assert_int_equal(view_by(&scene, "email", "ana@klant.example", NULL, NULL)->customer, anew);
    scene_close(&scene);
}

// Asked before it is decided: whose_event has no fold, and must come to the same.
static void assert_same_verdict(struct scene *scene, Touchbus__Event *event) {
    struct whose whose = {
        .keys = scene->fixture->keys, .txn = scene->fixture->txn, .arena = scene->fixture->arena};
    uint64_t owner = 0;
    bool erased = false;
    assert_int_equal(whose_event(&whose, scene->catalogue, event, &owner, &erased), 0);
    play(scene, event);
    assert_int_equal(owner, event->created ? 0 : event->customer);
    assert_int_equal(owner == 0 && erased, event->redacted);
}

static void test_whose_an_event_is_follows_the_same_rules(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    struct arena *arena = scene.fixture->arena;
    view_by(&scene, "partner_id", "p-1", NULL, NULL);
    Touchbus__Event *event = order_changed(&scene, "o-7");
    support_identify(arena, event, "user_id", "u-2");
    play(&scene, event);
    uint64_t ana = view_by(&scene, "user_id", "u-1", NULL, NULL)->customer;
    for (int is_erased = 0; is_erased < 2; is_erased++) {
        static const char *const persons[] = {"u-1", "u-2", "u-new", NULL};
        for (size_t i = 0; persons[i] != NULL; i++) {
            event = order_changed(&scene, "o-7"); // the order of u-2, a partner beside
            support_identify(arena, event, "partner_id", "p-1");
            support_identify(
                arena, event, "user_id",
                arena_printf(arena, "%s%s", persons[i], i == 2 && is_erased ? "er" : ""));
            assert_same_verdict(&scene, event);
        }
        assert_same_verdict(&scene, order_changed(&scene, "o-7"));
        if (!is_erased) {
            erase(&scene, ana);
        }
    }
    scene_close(&scene);
}

static void test_a_number_whose_key_is_destroyed_is_given_to_nobody(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    uint64_t next = view_by(&scene, "user_id", "u-1", NULL, NULL)->customer + 1;
    assert_int_equal(keys_ensure(scene.fixture->keys, next), 0);
    keys_destroy(scene.fixture->keys, next, ERASED_US); // of a later log than this one
    assert_true(view_by(&scene, "user_id", "u-2", NULL, NULL)->customer > next);
    scene_close(&scene);
}

static void test_what_is_put_aside_says_whose_it_is(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    struct arena *arena = scene.fixture->arena;
    uint64_t customer = view_by(&scene, "user_id", "u-1", NULL, NULL)->customer;
    Touchbus__Event *event = support_event(arena, "order.placed", "1", "{\"order_id\": \"o-1\"}");
    support_identify(arena, event, "user_id", "u-1");
    play(&scene, event);
    assert_int_equal(scene.decision.findings.code, REASON_QUARANTINED);
    assert_int_equal(scene.decision.owner, customer);
    assert_int_equal(event->n_references + event->n_keys + event->customer, 0); // as published
    scene_close(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_keys_make_a_customer),
        cmocka_unit_test(test_one_owner_attaches_the_new_keys),
        cmocka_unit_test(test_lookups_are_stamped_where_a_key_is_new_or_newly_verified),
        cmocka_unit_test(test_several_owners_are_not_merged),
        cmocka_unit_test(test_a_tie_goes_to_the_lowest_customer),
        cmocka_unit_test(test_nobodys_values_are_no_keys),
        cmocka_unit_test(test_shared_keys_neither_make_nor_attach),
        cmocka_unit_test(test_partners_are_customers_of_their_own),
        cmocka_unit_test(test_references_find_the_customer_and_never_make_one),
        cmocka_unit_test(test_the_first_to_name_a_reference_keeps_it),
        cmocka_unit_test(test_a_broken_schema_is_quarantined_and_gives_no_customer_number),
        cmocka_unit_test(test_unknown_types_are_accepted_whatever_their_data),
        cmocka_unit_test(test_rank_and_direction_are_stamped),
        cmocka_unit_test(test_a_malformed_rank_is_refused),
        cmocka_unit_test(test_events_of_nobody_share_a_lane_by_subject),
        cmocka_unit_test(test_what_is_put_aside_says_whose_it_is),
        cmocka_unit_test(test_an_erased_person_s_key_redacts_whatever_the_schema),
        cmocka_unit_test(test_an_erased_person_s_reference_redacts),
        cmocka_unit_test(test_an_event_of_somebody_living_loses_what_names_the_erased),
        cmocka_unit_test(test_who_registers_after_the_erasure_is_a_new_customer),
        cmocka_unit_test(test_whose_an_event_is_follows_the_same_rules),
        cmocka_unit_test(test_a_number_whose_key_is_destroyed_is_given_to_nobody),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
