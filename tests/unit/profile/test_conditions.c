// SPDX-License-Identifier: Apache-2.0
// Who is in a segment, where somebody stands, and what is said to them.
#include "broker/profile/conditions.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "leaves.h"

#define DAY_US (INT64_C(86400) * 1000000)
#define NOW_US (1000 * DAY_US)

static const char policy_yaml[] =
    "standing:\n"
    "  inactive: 10d\n"
    "  access_client: 7\n"
    "segments:\n"
    "  - name: bonn\n"
    "    all:\n"
    "      - {field: attributes.city, is: Bonn}\n"
    "  - name: everything\n"
    "    all:\n"
    "      - {field: tier, is: client}\n"
    "      - {field: orders, at_least: 2, below: 3}\n"
    "      - {field: value, is: \"150\"}\n"
    "      - {field: needs.loan, at_least: 4}\n"
    "      - {field: products.none, below: 1}\n"
    "      - {field: counters.web.page.viewed, at_least: 3}\n"
    "      - {field: \"counters.*.page.viewed\", is: \"4\"}\n"
    "      - {field: language, is: pt}\n"
    "      - {field: attributes.vip, is: \"true\"}\n"
    "      - {field: attributes.unknown, is_not: x}\n"
    "      - {field: registered, is: \"true\"}\n"
    "      - {field: mvc, is: \"false\"}\n"
    "      - {field: cases, is: \"1\"}\n"
    "      - {field: answers.size, is: \"38\"}\n"
    "      - {field: consents.marketing, is: withdrawn}\n"
    "      - {field: keys.email, at_least: 1}\n"
    "      - {field: inactive_days, is: \"1\"}\n"
    "      - {field: restricted, is: \"false\"}\n"
    "offers:\n"
    "  - {id: low, priority: 1, texts: {en: Low}}\n"
    "  - {id: high, priority: 9, texts: {en: High, pt: Alto}}\n"
    "  - {id: loan, priority: 5, needs: [loan], texts: {en: Loan}}\n"
    "  - {id: card, priority: 8, needs: [card], texts: {en: Card}}\n"
    "  - {id: guests, priority: 8, tiers: [guest], texts: {en: Guest}}\n"
    "  - {id: web, priority: 3, channels: [web], texts: {en: Web}}\n"
    "  - {id: bonn, priority: 2, segments: [bonn], texts: {en: Bonn}}\n"
    "  - {id: past, priority: 9, until: 1971-01-01T00:00:00Z, texts: {en: Past}}\n"
    "greetings:\n"
    "  - {variant: client, tiers: [client], texts: {en: \"Hello, {name}!\", pt: \"Ola {name}.\"}}\n"
    "  - {variant: other, texts: {en: \"Welcome.\"}}\n";

struct scene {
    struct policy *policy;
    struct catalogue *catalogue;
    struct profile profile;
    struct profile_standing standing;
    struct facts facts;
};

static void scene_read(struct scene *scene, struct fixture *fixture, uint64_t leaf,
                       int64_t now_us) {
    char *error = NULL;
    assert_int_equal(catalogue_load(NULL, &scene->catalogue, &error), 0);
    if (policy_parse(policy_yaml, strlen(policy_yaml), "test", &scene->policy, &error) != 0) {
        fail_msg("%s", error);
    }
    assert_int_equal(profile_read(fixture->txn, fixture->arena, leaf, &scene->profile), 0);
    assert_int_equal(profile_standing(&scene->profile, scene->policy, scene->catalogue, now_us,
                                      &scene->standing),
                     0);
    scene->facts = (struct facts){scene->policy, &scene->profile, &scene->standing, now_us};
}

static void scene_end(struct scene *scene) {
    policy_free(scene->policy);
    catalogue_free(scene->catalogue);
}

static uint32_t intern(struct fixture *fixture, const char *name) {
    static uint32_t last;
    uint32_t number = htobe32(++last);
    assert_int_equal(
        view_put(fixture->txn, VIEW_NAMES, &number, sizeof(number), name, strlen(name)), 0);
    return last;
}

static void count(struct leaf *leaf, const char *channel, const char *type, uint64_t number,
                  int64_t last_us) {
    struct arena *arena = leaf->fixture->arena;
    View__Customer *record = &leaf->record;
    size_t n = record->n_counter_number++;
    uint32_t *channels = arena_calloc(arena, n + 1, sizeof(*channels));
    uint32_t *types = arena_calloc(arena, n + 1, sizeof(*types));
    uint64_t *numbers = arena_calloc(arena, n + 1, sizeof(*numbers));
    int64_t *times = arena_calloc(arena, n + 1, sizeof(*times));
    for (size_t i = 0; i < n; i++) {
        channels[i] = record->counter_channel[i];
        types[i] = record->counter_type[i];
        numbers[i] = record->counter_number[i];
        times[i] = record->counter_last_us[i];
    }
    channels[n] = intern(leaf->fixture, channel);
    types[n] = intern(leaf->fixture, type);
    numbers[n] = number;
    times[n] = last_us;
    record->counter_channel = channels;
    record->counter_type = types;
    record->counter_number = numbers;
    record->counter_first_us = record->counter_last_us = times;
    record->n_counter_channel = record->n_counter_type = record->n_counter_first_us =
        record->n_counter_last_us = n + 1;
}

static void put_item(struct leaf *leaf, enum item_kind kind, const char *id, const char *member,
                     const char *value) {
    struct item *item = item_new(leaf, kind, id, 5);
    item_set(item, member, value, 0, 5);
    item_put(item);
}

// As the fold counts it: in the leaf's record, too, which is written behind it.
static void put_order(struct leaf *leaf, const char *id, const char *total) {
    struct arena *arena = leaf->fixture->arena;
    View__Customer *record = &leaf->record;
    if (record->n_worth == 0) {
        View__Worth *worth = arena_alloc(arena, sizeof(*worth));
        view__worth__init(worth);
        worth->currency = arena_strdup(arena, "EUR");
        record->worth = arena_copy(arena, &worth, sizeof(worth));
        record->n_worth = 1;
    }
    record->worth[0]->micro += strtoll(total, NULL, 10);
    record->orders++;
    struct item *item = item_new(leaf, ITEM_ORDER, id, 5);
    item_set(item, "placed", "5", 0, 5);
    item_set(item, "status", "\"placed\"", 0, 5);
    item_set(item, "currency", "\"EUR\"", 0, 5);
    item_set(item, "total", total, 0, 5);
    item_put(item);
}

// A client of two leaves with something of everything.
static void put_client(struct fixture *fixture, uint64_t number) {
    struct leaf *leaf = leaf_new(fixture, number), *other = leaf_new(fixture, number + 1);
    leaf->record.tier = arena_strdup(fixture->arena, "client");
    leaf->record.phase = arena_strdup(fixture->arena, "enhancement");
    other->record.registered = true;
    leaf_set(leaf, "name", "\"Ana\"", 1, 1, "e", 1);
    leaf_set(leaf, "vip", "true", 1, 1, "e", 1);
    leaf_set(other, "preference.language", "\"pt\"", 1, 1, "e", 1);
    leaf_interest(leaf, INTEREST_NEED, "loan", 1000, 3);
    leaf_interest(other, INTEREST_NEED, "loan", 1000, 2);
    count(leaf, "web", "page.viewed", 3, NOW_US - 20 * DAY_US);
    count(other, "kiosk", "page.viewed", 1, NOW_US - DAY_US - 5);
    count(other, "email", "message.sent", 1, NOW_US); // from us: not a sign of life
    View__Key *key = arena_alloc(fixture->arena, sizeof(*key));
    view__key__init(key);
    key->kind = arena_strdup(fixture->arena, "email");
    key->value = arena_strdup(fixture->arena, "a@klant.example");
    other->person.keys = arena_copy(fixture->arena, &key, sizeof(key));
    other->person.n_keys = 1;
    leaf_merge(other, leaf);
    put_order(leaf, "o-1", "100000000");
    put_order(other, "o-1", "100000000"); // the same one
    put_order(other, "o-2", "50000000");
    leaf_put(leaf);
    leaf_put(other);
    put_item(leaf, ITEM_CASE, "c-1", "state", "\"open\"");
    put_item(other, ITEM_CASE, "c-2", "state", "\"resolved\"");
    put_item(other, ITEM_ANSWER, "size", "answer", "38");
    put_item(leaf, ITEM_CONSENT,
             "a\x1f"
             "email\x1fmarketing",
             "state", "\"withdrawn\"");
    put_item(other, ITEM_CONSENT,
             "b\x1f"
             "email\x1fmarketing",
             "state", "\"granted\"");
}

static void test_every_field_is_read(void **state) {
    struct fixture *fixture = *state;
    struct scene scene;
    put_client(fixture, 101);
    scene_read(&scene, fixture, 102, NOW_US);
    const struct policy_segment *segment = conditions_find(scene.policy, "everything");
    assert_non_null(segment);
    for (unsigned i = 0; i < segment->n_all; i++) {
        if (conditions_hold(&scene.facts, &segment->all[i], 1) != 1) {
            fail_msg("%s does not hold", segment->all[i].field);
        }
    }
    assert_int_equal(conditions_segment(&scene.facts, "everything"), 1);
    assert_int_equal(conditions_segment(&scene.facts, "bonn"), 0);
    assert_int_equal(conditions_segment(&scene.facts, "no such"), 0);
    scene_end(&scene);
}

static void test_what_is_not_known_is_in_no_segment(void **state) {
    struct fixture *fixture = *state;
    struct scene scene;
    leaf_put(leaf_new(fixture, 111));
    scene_read(&scene, fixture, 111, NOW_US);
    const struct policy_segment *segment = conditions_find(scene.policy, "everything");
    static const char *const holds[] = {"products.none", "attributes.unknown", "mvc", "restricted"};
    for (unsigned i = 0; i < segment->n_all; i++) {
        bool expected = false;
        for (size_t k = 0; k < sizeof(holds) / sizeof(holds[0]); k++) {
            expected |= strcmp(holds[k], segment->all[i].field) == 0;
        }
        if (conditions_hold(&scene.facts, &segment->all[i], 1) != expected) {
            fail_msg("%s", segment->all[i].field);
        }
    }
    scene_end(&scene);
}

static void test_who_ordered_and_fell_silent_is_to_be_won_back(void **state) {
    struct fixture *fixture = *state;
    struct scene scene;
    put_client(fixture, 121);
    scene_read(&scene, fixture, 121, NOW_US);
    assert_string_equal(scene.standing.phase, "enhancement");
    assert_int_equal(scene.standing.access, 7);
    assert_int_equal(scene.standing.orders, 2); // o-1 stands in both leaves
    scene_end(&scene);
    scene_read(&scene, fixture, 121, NOW_US + 10 * DAY_US);
    assert_string_equal(scene.standing.phase, "retention");
    scene_end(&scene);
    leaf_put(leaf_new(fixture, 125));
    scene_read(&scene, fixture, 125, NOW_US);
    assert_string_equal(scene.standing.phase, "acquisition"); // nobody was won yet
    assert_string_equal(scene.standing.tier, "guest");
    scene_end(&scene);
}

static void assert_offers(const struct scene *scene, const char *channel, const char *expected) {
    struct profile_offer *offers;
    size_t n;
    assert_int_equal(profile_offers(&scene->facts, channel, 10, &offers, &n), 0);
    const char *names = "";
    for (size_t i = 0; i < n; i++) {
        names = arena_printf(scene->profile.arena, "%s %s", names, offers[i].offer->id);
    }
    assert_string_equal(names, expected);
}

static void test_offers_are_those_that_fit_best_first(void **state) {
    struct fixture *fixture = *state;
    struct scene scene;
    put_client(fixture, 131);
    scene_read(&scene, fixture, 131, NOW_US);
    struct profile_offer *offers;
    size_t n;
    assert_offers(&scene, NULL, " high loan web low");
    assert_offers(&scene, "phone", " high loan low");
    assert_int_equal(profile_offers(&scene.facts, NULL, 1, &offers, &n), 0);
    assert_int_equal(n, 1);
    assert_string_equal(offers[0].text, "Alto");
    scene_end(&scene);
}

static void test_an_offer_that_was_seen_or_answered_is_not_made_again(void **state) {
    struct fixture *fixture = *state;
    struct scene scene;
    put_client(fixture, 141);
    struct leaf leaf = {.fixture = fixture, .number = 142};
    put_item(&leaf, ITEM_CONTENT, "high", "shown", "true");
    put_item(&leaf, ITEM_OFFER, "loan", "answer", "\"declined\"");
    scene_read(&scene, fixture, 141, NOW_US);
    assert_offers(&scene, NULL, " web low");
    scene_end(&scene);
}

static void assert_greeting(const struct scene *scene, bool is_named, const char *variant,
                            const char *text) {
    const char *own_variant, *own_text;
    assert_int_equal(profile_greeting(&scene->facts, is_named, &own_variant, &own_text), 0);
    assert_string_equal(own_variant, variant);
    assert_string_equal(own_text, text);
}

static void test_a_greeting_speaks_the_language_and_knows_the_name(void **state) {
    struct fixture *fixture = *state;
    struct scene scene;
    put_client(fixture, 151);
    scene_read(&scene, fixture, 151, NOW_US);
    assert_greeting(&scene, true, "client", "Ola Ana.");
    assert_greeting(&scene, false, "client", "Ola.");
    scene_end(&scene);
    struct leaf *leaf = leaf_new(fixture, 155);
    leaf->record.tier = arena_strdup(fixture->arena, "client");
    leaf_put(leaf);
    scene_read(&scene, fixture, 155, NOW_US);
    assert_greeting(&scene, true, "client", "Hello!");
    scene_end(&scene);
    leaf_put(leaf_new(fixture, 156));
    scene_read(&scene, fixture, 156, NOW_US);
    assert_greeting(&scene, true, "other", "Welcome.");
    scene_end(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_is_read),
        cmocka_unit_test(test_what_is_not_known_is_in_no_segment),
        cmocka_unit_test(test_who_ordered_and_fell_silent_is_to_be_won_back),
        cmocka_unit_test(test_offers_are_those_that_fit_best_first),
        cmocka_unit_test(test_an_offer_that_was_seen_or_answered_is_not_made_again),
        cmocka_unit_test(test_a_greeting_speaks_the_language_and_knows_the_name),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
