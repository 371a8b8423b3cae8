// SPDX-License-Identifier: Apache-2.0
// What a policy file may say, what is said where it may not, and what rules find in it.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/policy/holder.h"
#include "broker/policy/policy.h"
#include "broker/policy/policy_json.h"
#include "broker/policy/policy_rows.h"
#include "schemas/base/clock.h"
#include "schemas/base/money.h"
#include "tests/unit/schemas/cmocka_all.h"

static struct policy *parse(const char *text) {
    struct policy *policy = NULL;
    char *error = NULL;
    int r = policy_parse(text, strlen(text), "own.yaml", &policy, &error);
    if (r != 0) {
        fail_msg("%s", error);
    }
    return policy;
}

// The text is refused, and what is said begins with where and holds the rest.
static void assert_refused(const char *text, const char *where, const char *what) {
    struct policy *policy = NULL;
    char *error = NULL;
    assert_int_equal(policy_parse(text, strlen(text), "own.yaml", &policy, &error), -EINVAL);
    assert_null(policy);
    assert_non_null(error);
    if (strncmp(error, where, strlen(where)) != 0 || strstr(error, what) == NULL) {
        fail_msg("%s: expected %s ... %s", error, where, what);
    }
    free(error);
}

// ---- the built-in one

static void test_the_built_in_policy_has_the_numbers_of_the_specification(void **state) {
    (void)state;
    struct policy *policy = parse("");
    assert_int_equal(policy->contact.cap_day, 1);
    assert_int_equal(policy->contact.cap_week, 3);
    assert_int_equal(policy->contact.quiet_from_us, INT64_C(21) * 3600 * CLOCK_US_PER_S);
    assert_int_equal(policy->contact.quiet_until_us, INT64_C(8) * 3600 * CLOCK_US_PER_S);
    assert_int_equal(policy->standing.client_orders, 1);
    assert_int_equal(policy->standing.client_visit_days, 3);
    assert_int_equal(policy->identity.keys_max, 200);
    assert_int_equal(policy->identity.merges_max, 20);
    assert_int_equal(policy->identity.merges_a_day, 5);
    assert_int_equal(policy_channel(policy, "phone")->lapse_us, INT64_C(15) * 60 * CLOCK_US_PER_S);
    assert_int_equal(policy_channel(policy, "email")->lapse_us, 3600 * CLOCK_US_PER_S);
    assert_int_equal(policy_channel(policy, "letter")->lapse_us,
                     INT64_C(7) * 86400 * CLOCK_US_PER_S);
    assert_true(policy->standing.mvc_keep == 0.8);
    policy_free(policy);
}

static void test_the_built_in_policy_knows_every_channel_of_the_catalogue(void **state) {
    (void)state;
    static const char *const names[] = {
        "phone",      "callcentre", "ivr",   "email", "web",      "chat",
        "video",      "sms",        "kiosk", "fax",   "letter",   "shop",
        "salesvisit", "exhibition", "forum", "field", "delivery", "finance",
        "agentdesk",  "partner",    "erp",   "crm",   "scm"};
    struct policy *policy = parse("");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_non_null(policy_channel(policy, names[i]));
    }
    assert_int_equal(policy->n_channels, sizeof(names) / sizeof(names[0]));
    assert_null(policy_channel(policy, "telegraph"));
    policy_free(policy);
}

// ---- a file over it

static void test_a_section_keeps_what_the_file_does_not_name(void **state) {
    (void)state;
    struct policy *policy = parse("contact: {cap_day: 2}\n");
    assert_int_equal(policy->contact.cap_day, 2);
    assert_int_equal(policy->contact.cap_week, 3);
    assert_int_equal(policy->contact.n_skip, 2);
    policy_free(policy);
}

static void test_a_list_of_the_file_takes_the_place_of_the_whole_list(void **state) {
    (void)state;
    struct policy *policy = parse("channels: [{name: pigeon, cost: '0.000001'}]\n"
                                  "contact: {skip: []}\n"
                                  "offers:\n");
    assert_int_equal(policy->n_channels, 1);
    assert_string_equal(policy->channels[0].name, "pigeon");
    assert_int_equal(policy->channels[0].cost_micro, 1);
    assert_string_equal(policy->channels[0].needs, "");
    assert_int_equal(policy->contact.n_skip, 0);
    assert_int_equal(policy->n_offers, 0);
    policy_free(policy);
}

static void test_values_are_written_as_people_write_them(void **state) {
    (void)state;
    struct policy *policy =
        parse("organisation: {region: NL, zone: Europe/Amsterdam, currency: CHF}\n"
              "channels: [{name: phone, cost: 4.20, lapse: 90s, live: true, budget: '1000'}]\n"
              "contact: {quiet_from: '24:00', quiet_until: '00:00'}\n"
              "offers:\n"
              "  - {id: a, texts: Hello, from: '2026-12-01T00:00:00+01:00', priority: -3}\n"
              "segments:\n"
              "  - {name: s, all: [{field: needs.solar, at_least: 0.5}]}\n");
    assert_int_equal(policy->channels[0].cost_micro, 4200000);
    assert_int_equal(policy->channels[0].lapse_us, 90 * CLOCK_US_PER_S);
    assert_int_equal(policy->channels[0].budget_micro, 1000 * MONEY_UNIT);
    assert_true(policy->channels[0].live);
    assert_int_equal(policy->contact.quiet_from_us, 86400 * CLOCK_US_PER_S);
    assert_string_equal(policy->offers[0].texts[0].language, "");
    assert_int_equal(policy->offers[0].from_us, INT64_C(1796079600) * CLOCK_US_PER_S);
    assert_int_equal(policy->offers[0].priority, -3);
    assert_true(*policy->segments[0].all[0].at_least == 0.5);
    assert_null(policy->segments[0].all[0].below);
    policy_free(policy);
}

// ---- what is refused, with its line

static void test_what_is_wrong_is_said_with_its_line_and_path(void **state) {
    (void)state;
    static const struct {
        const char *text, *where, *what;
    } rows[] = {
        {"contact:\n  cap_dya: 2\n", "own.yaml:2:3: contact: ", "unknown name 'cap_dya'"},
        {"contcat: {}\n", "own.yaml:1:1: ", "expected one of organisation, identity"},
        {"contact: {cap_day: 1, cap_day: 2}\n", "own.yaml:1:23: contact.cap_day: ", "twice"},
        {"contact:\n  cap_day: two\n", "own.yaml:2:12: contact.cap_day: ", "a whole number"},
        {"contact: {cap_day: -1}\n", "own.yaml:1:20: contact.cap_day: ", "(0 to 1000)"},
        {"contact: {cap_day: 1.5}\n", "own.yaml:1:20: ", "a whole number"},
        {"contact: {cap_day: 1001}\n", "own.yaml:1:20: ", "out of range"},
        {"contact: {quiet_from: '25:00'}\n", "own.yaml:1:23: ", "a time of day"},
        {"contact: {quiet_from: '9:00'}\n", "own.yaml:1:23: ", "a time of day"},
        {"contact: {quiet_from: '00:00', quiet_until: '24:00'}\n",
         "own.yaml: contact.quiet_until: ", "leave none"},
        {"contact: [1]\n", "own.yaml:1:10: contact: ", "a map"},
        {"contact: {skip: legal}\n", "own.yaml:1:17: contact.skip: ", "a list"},
        {"contact: {skip: [[a]]}\n", "own.yaml:1:18: contact.skip[0]: ", "not a list"},
        {"standing: {inactive: soon}\n", "own.yaml:1:22: ", "a duration"},
        {"standing: {inactive: 0s}\n", "own.yaml:1:22: ", "out of range (1s to 3650d)"},
        {"standing: {mvc_value: 1,5}\n", "own.yaml:1:25: ", "unknown name '5'"},
        {"standing: {mvc_value: '1,5'}\n", "own.yaml:1:23: ", "an amount"},
        {"standing: {mvc_keep: nan}\n", "own.yaml:1:22: ", "a number"},
        {"organisation: {region: de}\n", "own.yaml:1:24: organisation.region: ", "a region"},
        {"organisation: {region: QQ}\n", "own.yaml:1:24: ", "a region"},
        {"organisation: {zone: Mars/Olympus}\n", "own.yaml:1:22: ", "a time zone"},
        {"organisation: {currency: EURO}\n", "own.yaml:1:26: ", "a currency"},
        {"identity: {kinds: [{kind: x, class: iron}]}\n", "own.yaml:1:37: identity.kinds[0].class",
         "strong, medium"},
        {"channels: [{cost: 1}]\n", "own.yaml:1:12: channels[0]: ", "'name' is missing"},
        {"channels: [{name: a}, {name: a}]\n",
         "own.yaml:1:23: channels[1]: ", "'a' is given twice"},
        {"channels: [{name: a, live: yes}]\n", "own.yaml:1:28: ", "true or false"},
        {"channels: [{name: a, contact: true}]\n", "own.yaml: channels[0]: ", "needs lapse"},
        {"channels: [{name: a, budget_stops: true}]\n", "own.yaml: channels[0]", "needs a budget"},
        {"greetings: [{variant: a, tiers: [king], texts: x}]\n",
         "own.yaml:1:34: greetings[0].tiers[0]: ", "guest, registered, client or mvc"},
        {"greetings: [{variant: a, texts: {zz zz: x}}]\n", "own.yaml:1:34: ", "a language"},
        {"greetings: [{variant: a, texts: {de: x, de: y}}]\n", "own.yaml:1:41: ", "twice"},
        {"offers: [{id: a, texts: x, segments: [nobodys]}]\n",
         "own.yaml: offers[0]: ", "no segment is called 'nobodys'"},
        {"offers: [{id: a, texts: x, channels: [pigeon]}]\n",
         "own.yaml: offers[0]: ", "no channel is called 'pigeon'"},
        {"offers: [{id: a, texts: x, phases: [full]}]\n", "own.yaml:1:37: ", "acquisition"},
        {"offers: [{id: a, texts: x, from: '2026-01-02T00:00:00Z', until: '2026-01-01T00:00:00Z'}]",
         "own.yaml: offers[0]: ", "until is not after from"},
        {"segments: [{name: a, all: [{field: tier}]}]\n",
         "own.yaml: segments[0]: ", "asks nothing"},
        {"segments: [{name: a, all: [{field: colour, is: x}]}]\n", "own.yaml:1:36: ", "a field"},
        {"routing: {queues: [{name: a, channels: [pigeon]}]}\n",
         "own.yaml: routing.queues[0]: ", "no channel"},
        {"a: [\n", "own.yaml:2:1: ", ""},
        {"--- {}\n--- {}\n", "own.yaml:2:5: ", "a second document"},
        {"contact: *nothing\n", "own.yaml:1:", "alias"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_refused(rows[i].text, rows[i].where, rows[i].what);
    }
}

static void test_a_file_is_bounded(void **state) {
    (void)state;
    size_t size = POLICY_BYTES_MAX + 1;
    char *text = malloc(size + 1);
    struct policy *policy = NULL;
    char *error = NULL;
    assert_non_null(text);
    memset(text, ' ', size);
    assert_int_equal(policy_parse(text, size, "own.yaml", &policy, &error), -EINVAL);
    assert_non_null(strstr(error, "larger than"));
    free(error);
    free(text);
}

// A list of lists of lists of aliases: small as a text, large when followed.
static void test_aliases_are_counted_each_time(void **state) {
    (void)state;
    char text[40000] = "offers:\n  - &o {id: a, texts: x, needs: &n [";
    size_t length = strlen(text);
    for (int i = 0; i < 900; i++) {
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%sx", i > 0 ? "," : "");
    }
    length += (size_t)snprintf(text + length, sizeof(text) - length, "]}\n");
    for (int i = 0; i < 300; i++) {
        length += (size_t)snprintf(text + length, sizeof(text) - length,
                                   "  - {id: b%d, texts: x, needs: *n}\n", i);
    }
    assert_refused(text, "own.yaml:", "more than 50000 values");
}

// ---- what rules ask

static void test_a_text_is_given_in_the_nearest_language(void **state) {
    (void)state;
    char en[] = "en", de[] = "de", at[] = "de-AT", any[] = "", a[] = "a", b[] = "b", c[] = "c",
         d[] = "d";
    struct policy_text texts[] = {{en, a}, {de, b}, {at, c}, {any, d}};
    assert_string_equal(policy_text(texts, 4, "de-AT"), "c");
    assert_string_equal(policy_text(texts, 4, "DE"), "b");
    assert_string_equal(policy_text(texts, 4, "de-CH"), "b");
    assert_string_equal(policy_text(texts, 4, "fr"), "d");
    assert_string_equal(policy_text(texts, 3, "fr"), "a");
    assert_string_equal(policy_text(texts, 4, ""), "d");
    assert_null(policy_text(texts, 0, "de"));
}

static void test_a_list_holds_globs_and_an_empty_one_everything(void **state) {
    (void)state;
    char shop[] = "shop-*", web[] = "web";
    char *list[] = {shop, web};
    assert_true(policy_holds(list, 2, "shop-7"));
    assert_true(policy_holds(list, 2, "web"));
    assert_false(policy_holds(list, 2, "kiosk"));
    assert_true(policy_holds(NULL, 0, "kiosk"));
}

static void test_a_policy_in_use_outlives_its_replacement(void **state) {
    (void)state;
    struct policy_holder *holder;
    assert_int_equal(policy_holder_new(parse("contact: {cap_day: 2}"), &holder), 0);
    const struct policy *old = policy_take(holder);
    assert_int_equal(policy_replace(holder, parse("contact: {cap_day: 5}")), 0);
    const struct policy *new = policy_take(holder);
    assert_int_equal(old->contact.cap_day, 2);
    assert_int_equal(new->contact.cap_day, 5);
    policy_release(holder, old);
    policy_release(holder, new);
    policy_holder_free(holder);
}

// ---- printed and compared

static void test_a_printed_policy_is_the_same_when_read_again(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "offers: [{id: 'a:b', texts: {de: \"x: y # z\\n- 'q' \\\" \u00e4 {n}\", any: 'no'}}]\n"
        "segments: [{name: '1', all: [{field: needs.a b, is: '', below: 0.1, at_least: -1e9}]}]\n"
        "standing: {mvc_keep: 0.333333333333, inactive: 90s}\n"
        "contact: {skip: [\"on\", \"1.5\", \"a/b\"], quiet_from: '00:30'}\n"
        "greetings: [{variant: 'true', texts: '  two  spaces '}]\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct policy *policy = parse(texts[i]);
        char *printed = policy_to_yaml(policy);
        assert_non_null(printed);
        struct policy *again = parse(printed);
        json_t *before = policy_to_json(policy);
        json_t *after = policy_to_json(again);
        if (!json_equal(before, after)) {
            fail_msg("%s", printed);
        }
        size_t n;
        json_t *changes = policy_changes(policy, again, &n);
        assert_int_equal(n, 0);
        json_decref(changes);
        json_decref(before);
        json_decref(after);
        free(printed);
        policy_free(policy);
        policy_free(again);
    }
}

static void assert_changes(const char *before, const char *after, const char *expected) {
    struct policy *old = parse(before);
    struct policy *new = parse(after);
    size_t n;
    json_t *changes = policy_changes(old, new, &n);
    json_t *wanted = json_loads(expected, 0, NULL);
    char *got = json_dumps(changes, JSON_COMPACT);
    assert_non_null(wanted);
    if (!json_equal(changes, wanted) || n != json_array_size(changes)) {
        fail_msg("%s", got);
    }
    free(got);
    json_decref(changes);
    json_decref(wanted);
    policy_free(old);
    policy_free(new);
}

static void test_what_changed_is_named_by_its_path(void **state) {
    (void)state;
    assert_changes("", "contact: {cap_day: 1}", "[]");
    assert_changes("", "contact: {cap_day: 2, quiet_from: '22:00'}",
                   "[{\"section\":\"contact\",\"path\":\"contact.cap_day\",\"old\":\"1\","
                   "\"new\":\"2\"},{\"section\":\"contact\",\"path\":\"contact.quiet_from\","
                   "\"old\":\"21:00\",\"new\":\"22:00\"}]");
    assert_changes("channels: [{name: a, cost: '1'}, {name: b}]\noffers: []",
                   "channels: [{name: b, cost: '2.5'}, {name: a, cost: '1'}]\noffers: []",
                   "[{\"section\":\"channels\",\"path\":\"channels[b].cost\",\"old\":\"0.00\","
                   "\"new\":\"2.50\"},{\"section\":\"channels\",\"path\":\"channels\","
                   "\"old\":\"[\\\"a\\\",\\\"b\\\"]\","
                   "\"new\":\"[\\\"b\\\",\\\"a\\\"]\"}]");
    assert_changes("greetings: [{variant: a, texts: x}]", "greetings: []",
                   "[{\"section\":\"greetings\",\"path\":\"greetings[a]\",\"old\":"
                   "\"{\\\"variant\\\":\\\"a\\\",\\\"tiers\\\":[],"
                   "\\\"texts\\\":{\\\"any\\\":\\\"x\\\"}}\",\"new\":null}]");
}

static void test_a_long_list_of_changes_is_counted_and_cut(void **state) {
    (void)state;
    char text[20000] = "offers:\n";
    size_t length = strlen(text);
    for (int i = 0; i < POLICY_CHANGES_MAX + 10; i++) {
        length += (size_t)snprintf(text + length, sizeof(text) - length,
                                   "  - {id: o%d, texts: '%0250d'}\n", i, i);
    }
    struct policy *old = parse("offers: []");
    struct policy *new = parse(text);
    size_t n;
    json_t *changes = policy_changes(old, new, &n);
    assert_int_equal(n, POLICY_CHANGES_MAX + 10);
    assert_int_equal(json_array_size(changes), POLICY_CHANGES_MAX);
    const char *cut = json_string_value(json_object_get(json_array_get(changes, 0), "new"));
    assert_int_equal(strlen(cut), POLICY_CHANGE_TEXT_BYTES_MAX);
    json_decref(changes);
    policy_free(old);
    policy_free(new);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_built_in_policy_has_the_numbers_of_the_specification),
        cmocka_unit_test(test_the_built_in_policy_knows_every_channel_of_the_catalogue),
        cmocka_unit_test(test_a_section_keeps_what_the_file_does_not_name),
        cmocka_unit_test(test_a_list_of_the_file_takes_the_place_of_the_whole_list),
        cmocka_unit_test(test_values_are_written_as_people_write_them),
        cmocka_unit_test(test_what_is_wrong_is_said_with_its_line_and_path),
        cmocka_unit_test(test_a_file_is_bounded),
        cmocka_unit_test(test_aliases_are_counted_each_time),
        cmocka_unit_test(test_a_text_is_given_in_the_nearest_language),
        cmocka_unit_test(test_a_list_holds_globs_and_an_empty_one_everything),
        cmocka_unit_test(test_a_policy_in_use_outlives_its_replacement),
        cmocka_unit_test(test_a_printed_policy_is_the_same_when_read_again),
        cmocka_unit_test(test_what_changed_is_named_by_its_path),
        cmocka_unit_test(test_a_long_list_of_changes_is_counted_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
