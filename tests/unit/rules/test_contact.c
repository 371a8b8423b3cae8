// SPDX-License-Identifier: Apache-2.0
// The contact policy, a test a rule: who may be contacted when, by what, and what is told about it.
#include "contact_house.h"

#include <stdio.h>
#include <string.h>

#define DAYTIME "contact:\n  quiet_from: \"00:00\"\n  quiet_until: \"00:00\"\n"
#define ANA "user_id=ana"
#define APPROVED(identity, data) assert_string_equal(house_ask(&house, identity, data), "approved")
#define SUPPRESSED(identity, data, reason)                                                         \
    do {                                                                                           \
        assert_string_equal(house_ask(&house, identity, data), "suppressed");                      \
        assert_true(house_has_reason(&house, reason));                                             \
    } while (0)

// Asks about content k, by channels, with a purpose.
static const char *contact(struct house *house, const char *id, const char *content,
                           const char *purpose, const char *channels) {
    return arena_printf(house->fixture->arena,
                        "{\"contact_id\":\"%s\",\"content_id\":\"%s\",\"purpose\":\"%s\","
                        "\"channels\":[%s]}",
                        id, content, purpose, channels);
}
#define SERVICE(id, content, channels) contact(&house, id, content, "service", channels)
#define MARKETING(id, content, channels) contact(&house, id, content, "marketing", channels)

// Ana, with a phone number, an e-mail address and a postal one.
static void know_ana(struct house *house) {
    house_say(house, ANA, "customer.identified",
              "{\"traits\":{\"address\":\"Weg 1, Berlin\",\"name\":\"Ana\"}}");
    Touchbus__Event *event =
        support_event(house->fixture->arena, "page.viewed", "keys", "{\"url\":\"/\"}");
    support_identify(house->fixture->arena, event, "user_id", "ana");
    support_identify(house->fixture->arena, event, "email", "ana@klant.example");
    support_identify(house->fixture->arena, event, "phone", "+4930123456");
    house_publish(house, event);
}

static void open_house(void **state, const char *policy, struct house *house) {
    house_open(state, policy, house);
    know_ana(house);
}

static void consent(struct house *house, const char *identity, const char *address,
                    const char *state, int64_t time_us) {
    struct arena *arena = house->fixture->arena;
    const char *data =
        arena_printf(arena,
                     "{\"purpose\":\"marketing\",\"address\":\"%s\",\"state\":\"%s\","
                     "\"text_version\":\"1\"}",
                     address, state);
    char *id = arena_printf(arena, "consent-%llu", (unsigned long long)house->sequence);
    Touchbus__Event *event = support_event(arena, "consent.changed", id, data);
    const char *equals = strchr(identity, '=');
    support_identify(arena, event, arena_printf(arena, "%.*s", (int)(equals - identity), identity),
                     equals + 1);
    event->has_time = true;
    event->time_us = time_us;
    house_publish(house, event);
}

static void test_approved_names_the_first_channel_asked_for(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    APPROVED(ANA, SERVICE("k1", "c1", "\"email\",\"phone\""));
    assert_string_equal(json_string_value(json_object_get(house.verdict, "channel")), "email");
    assert_int_equal(json_integer_value(json_object_get(house.verdict, "sequence")),
                     house.sequence);
    assert_string_equal(json_string_value(json_object_get(house.decided, "verdict")), "approved");
    house_close(&house);
}

static void test_the_preferred_channel_goes_first(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    house_say(&house, ANA, "preference.set", "{\"channel\":\"phone\"}");
    APPROVED(ANA, SERVICE("k1", "c1", "\"email\",\"phone\""));
    assert_string_equal(json_string_value(json_object_get(house.verdict, "channel")), "phone");
    house_close(&house);
}

static void test_a_channel_needs_an_address(void **state) {
    struct house house;
    house_open(state, DAYTIME, &house);
    house_say(&house, ANA, "customer.identified", "{\"traits\":{\"name\":\"Ana\"}}");
    SUPPRESSED(ANA, SERVICE("k1", "c1", "\"email\",\"letter\",\"web\""), "no-channel");
    house_close(&house);
}

static void test_nobody_is_not_contacted(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    SUPPRESSED(NULL, SERVICE("k1", "c1", "\"email\""), "nobody");
    house_close(&house);
}

static void test_marketing_needs_a_consent_and_service_does_not(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    SUPPRESSED(ANA, MARKETING("k1", "c1", "\"email\""), "consent-unknown");
    consent(&house, ANA, "Ana@Klant.example", "granted", house.now_us);
    SUPPRESSED(ANA, MARKETING("k2", "c1", "\"phone\""), "consent-unknown");
    APPROVED(ANA, MARKETING("k3", "c1", "\"phone\",\"email\""));
    house_close(&house);
}

static void test_a_refusal_names_what_decided_and_ties_go_to_it(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    consent(&house, ANA, "ana@klant.example", "withdrawn", house.now_us);
    uint64_t withdrawn = house.sequence;
    consent(&house, ANA, "ana@klant.example", "granted", house.now_us);
    SUPPRESSED(ANA, MARKETING("k1", "c1", "\"email\""), "consent-refused");
    assert_true(house_decided_by(&house, withdrawn));
    consent(&house, ANA, "ana@klant.example", "granted", house.now_us + 1);
    APPROVED(ANA, MARKETING("k2", "c1", "\"email\""));
    house_close(&house);
}

static void test_an_older_word_that_comes_late_changes_nothing(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    consent(&house, ANA, "ana@klant.example", "withdrawn", house.now_us - 1000);
    consent(&house, ANA, "ana@klant.example", "granted", house.now_us - 2000);
    SUPPRESSED(ANA, MARKETING("k1", "c1", "\"email\""), "consent-refused");
    house_close(&house);
}

static void test_a_consent_expires(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    house_say(&house, ANA, "consent.changed",
              "{\"purpose\":\"marketing\",\"address\":\"ana@klant.example\",\"state\":\"granted\","
              "\"text_version\":\"1\",\"expires\":\"2026-06-10T09:59:59Z\"}");
    SUPPRESSED(ANA, MARKETING("k1", "c1", "\"email\""), "consent-expired");
    house_close(&house);
}

static void test_an_objection_blocks_marketing_and_a_restriction_everything(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    consent(&house, ANA, "ana@klant.example", "granted", house.now_us);
    house_say(&house, ANA, "privacy.changed", "{\"kind\":\"objection\",\"state\":\"done\"}");
    uint64_t objected = house.sequence;
    SUPPRESSED(ANA, MARKETING("k1", "c1", "\"email\""), "objected");
    assert_true(house_decided_by(&house, objected));
    APPROVED(ANA, SERVICE("k2", "c2", "\"email\""));
    house_say(&house, ANA, "privacy.changed", "{\"kind\":\"restriction\",\"state\":\"done\"}");
    SUPPRESSED(ANA, contact(&house, "k3", "c3", "legal", "\"email\""), "restricted");
    house.now_us += 1000000;
    house_say(&house, ANA, "privacy.changed", "{\"kind\":\"restriction\",\"state\":\"lifted\"}");
    APPROVED(ANA, contact(&house, "k4", "c3", "legal", "\"email\""));
    house_close(&house);
}

static void test_the_same_content_comes_once_a_day_over_all_channels(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    APPROVED(ANA, contact(&house, "k1", "c1", "legal", "\"email\""));
    uint64_t winner = house.sequence;
    SUPPRESSED(ANA, contact(&house, "k2", "c1", "legal", "\"phone\""), "same-content");
    assert_true(house_decided_by(&house, winner));
    SUPPRESSED(ANA, contact(&house, "k3", "c1", "legal", "\"letter\""), "same-content");
    assert_true(house_decided_by(&house, winner));
    APPROVED(ANA, contact(&house, "k4", "c2", "legal", "\"phone\""));
    house.now_us += HOUSE_DAY_US;
    APPROVED(ANA, contact(&house, "k5", "c1", "legal", "\"phone\""));
    house_close(&house);
}

static void test_a_customer_is_found_by_the_address_alone(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    APPROVED(NULL,
             "{\"contact_id\":\"k1\",\"content_id\":\"c1\",\"purpose\":\"service\",\"channels\":"
             "[\"email\",\"phone\"],\"address\":\"+49 30 123456\"}");
    assert_string_equal(json_string_value(json_object_get(house.verdict, "channel")), "phone");
    assert_int_equal(house.last_customer, 1);
    SUPPRESSED(ANA, SERVICE("k2", "c1", "\"email\""), "same-content");
    SUPPRESSED(NULL,
               "{\"contact_id\":\"k3\",\"content_id\":\"c1\",\"purpose\":\"service\",\"channels\":"
               "[\"email\"],\"address\":\"nobody@klant.example\"}",
               "nobody");
    house_close(&house);
}

static void test_the_phone_s_region_says_where_the_customer_is(void **state) {
    struct house house;
    house_open(state, NULL, &house);
    house_say(&house, "phone=+81312345678", "page.viewed", "{\"url\":\"/\"}");
    house_set_time(&house, "2026-06-10T14:00:00Z"); // 16:00 in Berlin, 23:00 in Tokyo
    assert_string_equal(house_ask(&house, "phone=+81312345678", SERVICE("k1", "c1", "\"phone\"")),
                        "deferred");
    assert_string_equal(json_string_value(json_object_get(house.verdict, "until")),
                        "2026-06-10T23:00:00Z");
    house_say(&house, "phone=+81312345678", "customer.changed",
              "{\"fields\":{\"timezone\":\"Europe/Berlin\"}}");
    APPROVED("phone=+81312345678", SERVICE("k2", "c2", "\"phone\""));
    house_close(&house);
}

static void test_the_postal_region_says_where_the_customer_is(void **state) {
    struct house house;
    house_open(state, NULL, &house);
    house_say(&house, ANA, "customer.identified",
              "{\"traits\":{\"address\":{\"street\":\"1\",\"country\":\"jp\"}}}");
    house_set_time(&house, "2026-06-10T14:00:00Z");
    assert_string_equal(house_ask(&house, ANA, SERVICE("k1", "c1", "\"letter\"")), "deferred");
    house_close(&house);
}

static void test_the_day_is_the_customer_s(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    house_say(&house, ANA, "customer.changed", "{\"fields\":{\"timezone\":\"Pacific/Auckland\"}}");
    house_set_time(&house, "2026-06-10T11:30:00Z"); // 23:30 there, noon in Berlin
    APPROVED(ANA, contact(&house, "k1", "c1", "legal", "\"letter\""));
    SUPPRESSED(ANA, contact(&house, "k2", "c1", "legal", "\"email\""), "same-content");
    house_set_time(&house, "2026-06-10T12:30:00Z");
    APPROVED(ANA, contact(&house, "k3", "c1", "legal", "\"email\""));
    house_close(&house);
}

static void test_a_letter_occupies_the_day_it_arrives_too(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    APPROVED(ANA, SERVICE("k1", "c1", "\"letter\""));
    uint64_t letter = house.sequence;
    house.now_us += HOUSE_DAY_US;
    APPROVED(ANA, SERVICE("k2", "c1", "\"email\""));
    house.now_us += HOUSE_DAY_US;
    SUPPRESSED(ANA, SERVICE("k3", "c1", "\"email\""), "same-content");
    SUPPRESSED(ANA, SERVICE("k4", "c2", "\"email\""), "cap-day");
    assert_true(house_decided_by(&house, letter));
    house_close(&house);
}

static void test_caps_hold_a_day_and_a_week(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    static const char *const ids[] = {"k1", "k2", "k3"};
    char content[8];
    for (int day = 0; day < 3; day++) {
        snprintf(content, sizeof(content), "c%d", day);
        APPROVED(ANA, SERVICE(ids[day], content, "\"email\""));
        house_say(&house, ANA, "message.sent",
                  arena_printf(house.fixture->arena,
                               "{\"to\":\"ana@klant.example\",\"contact_id\":\"%s\"}", ids[day]));
        SUPPRESSED(ANA, SERVICE("again", "other", "\"phone\""), "cap-day");
        house.now_us += 2 * HOUSE_DAY_US;
        house_say(&house, ANA, "page.viewed", "{\"url\":\"/\"}");
    }
    SUPPRESSED(ANA, SERVICE("k4", "c4", "\"email\""), "cap-week");
    APPROVED(ANA, contact(&house, "k5", "c4", "transactional", "\"email\""));
    house.now_us += HOUSE_DAY_US;
    APPROVED(ANA, SERVICE("k6", "c5", "\"email\""));
    house_close(&house);
}

static void test_a_channel_has_caps_of_its_own(void **state) {
    struct house house;
    open_house(state,
               "contact:\n  quiet_from: \"00:00\"\n  quiet_until: \"00:00\"\n  cap_day: 9\n"
               "  cap_week: 9\n",
               &house);
    APPROVED(ANA, SERVICE("k1", "c1", "\"phone\""));
    SUPPRESSED(ANA, SERVICE("k2", "c2", "\"phone\""), "channel-cap-day");
    APPROVED(ANA, SERVICE("k3", "c3", "\"phone\",\"email\""));
    house_close(&house);
}

static void test_an_open_complaint_blocks_marketing(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    consent(&house, ANA, "ana@klant.example", "granted", house.now_us);
    house_say(&house, ANA, "case.opened",
              "{\"case_id\":\"f1\",\"kind\":\"complaint\",\"severity\":1}");
    uint64_t opened = house.sequence;
    SUPPRESSED(ANA, MARKETING("k1", "c1", "\"email\""), "complaint");
    assert_true(house_decided_by(&house, opened));
    house.now_us += 1000000;
    house_say(&house, ANA, "case.resolved", "{\"case_id\":\"f1\",\"outcome\":\"settled\"}");
    APPROVED(ANA, MARKETING("k2", "c1", "\"email\""));
    house_close(&house);
}

static void test_quiet_hours_defer_until_they_end_where_the_customer_is(void **state) {
    struct house house;
    open_house(state, NULL, &house);
    house_set_time(&house, "2026-06-10T20:00:00Z"); // 22:00 in Berlin
    assert_string_equal(house_ask(&house, ANA, SERVICE("k1", "c1", "\"email\"")), "deferred");
    assert_true(house_has_reason(&house, "quiet-hours"));
    assert_string_equal(json_string_value(json_object_get(house.verdict, "until")),
                        "2026-06-11T06:00:00Z");
    APPROVED(ANA, contact(&house, "k2", "c2", "legal", "\"email\""));
    SUPPRESSED(ANA,
               "{\"contact_id\":\"k3\",\"content_id\":\"c3\",\"purpose\":\"service\",\"channels\":"
               "[\"email\"],\"not_after\":\"2026-06-11T05:00:00Z\"}",
               "expired");
    house_close(&house);
}

static void test_a_deferred_contact_is_decided_again_when_it_is_due(void **state) {
    struct house house;
    open_house(state, NULL, &house);
    house_set_time(&house, "2026-06-10T20:00:00Z");
    const char *question = SERVICE("k1", "c1", "\"email\"");
    assert_string_equal(house_ask(&house, ANA, question), "deferred");
    int64_t due_us = house.due_us;
    assert_string_equal(house_ask(&house, ANA, question), "deferred");
    assert_int_equal(house.due_us, due_us);
    house_set_time(&house, "2026-06-11T06:00:00Z");
    assert_int_equal(house.now_us, due_us);
    house_due(&house);
    assert_string_equal(json_string_value(json_object_get(house.decided, "verdict")), "approved");
    assert_int_equal(house.due_us, 0);
    uint64_t decided = house.sequence;
    SUPPRESSED(ANA, SERVICE("k2", "c1", "\"phone\""), "same-content");
    assert_true(house_decided_by(&house, decided));
    APPROVED(ANA, question); // the timer's answer stands
    assert_int_equal(json_integer_value(json_object_get(house.verdict, "sequence")), decided);
    house_close(&house);
}

static void test_a_deferred_contact_may_come_too_late(void **state) {
    struct house house;
    open_house(state, NULL, &house);
    house_set_time(&house, "2026-06-10T20:00:00Z");
    assert_string_equal(
        house_ask(&house, ANA,
                  "{\"contact_id\":\"k1\",\"content_id\":\"c1\",\"purpose\":\"service\","
                  "\"channels\":[\"email\"],\"not_after\":\"2026-06-11T07:00:00Z\"}"),
        "deferred");
    house_set_time(&house, "2026-06-11T08:00:00Z"); // the broker was down until then
    house_due(&house);
    assert_string_equal(json_string_value(json_object_get(house.decided, "verdict")), "suppressed");
    json_t *reasons = json_object_get(house.decided, "reasons");
    assert_string_equal(json_string_value(json_array_get(reasons, 0)), "expired");
    house_close(&house);
}

static void test_who_is_merged_by_the_question_is_one_already(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    Touchbus__Event *event =
        support_event(house.fixture->arena, "page.viewed", "crm", "{\"url\":\"/\"}");
    support_identify(house.fixture->arena, event, "crm_id", "17");
    support_identify(house.fixture->arena, event, "email", "a17@klant.example");
    house_publish(&house, event);
    assert_int_equal(event->customer, 2);
    APPROVED("crm_id=17", SERVICE("k1", "c1", "\"email\""));
    event = support_event(house.fixture->arena, "contact.requested", "both",
                          SERVICE("k2", "c1", "\"phone\""));
    support_identify(house.fixture->arena, event, "user_id", "ana");
    support_identify(house.fixture->arena, event, "crm_id", "17");
    house_publish(&house, event);
    assert_string_equal(json_string_value(json_object_get(house.verdict, "verdict")), "suppressed");
    assert_true(house_has_reason(&house, "same-content"));
    house_close(&house);
}

static void test_a_spent_budget_stops_all_but_service(void **state) {
    struct house house;
    open_house(state,
               DAYTIME "channels:\n  - {name: email, contact: true, lapse: 1h, needs: email, "
                       "budget: \"100.00\", budget_stops: true}\n",
               &house);
    consent(&house, ANA, "ana@klant.example", "granted", house.now_us);
    house_say(&house, NULL, "cost.recorded",
              "{\"channel\":\"email\",\"period\":\"2026-06\",\"amount\":\"99.99\",\"currency\":"
              "\"EUR\"}");
    APPROVED(ANA, MARKETING("k1", "c1", "\"email\""));
    house.now_us += HOUSE_DAY_US;
    house_say(&house, NULL, "cost.recorded",
              "{\"channel\":\"email\",\"period\":\"2026-06\",\"amount\":\"0.01\",\"currency\":"
              "\"EUR\"}");
    SUPPRESSED(ANA, MARKETING("k2", "c2", "\"email\""), "budget");
    APPROVED(ANA, SERVICE("k3", "c3", "\"email\""));
    house_close(&house);
}

static void test_too_late_is_suppressed(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    SUPPRESSED(ANA,
               "{\"contact_id\":\"k1\",\"content_id\":\"c1\",\"purpose\":\"legal\",\"channels\":"
               "[\"email\"],\"not_after\":\"2026-06-10T09:00:00Z\"}",
               "expired");
    house_close(&house);
}

static void test_the_same_contact_gets_the_same_answer(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    APPROVED(ANA, SERVICE("k1", "c1", "\"email\""));
    json_int_t first = json_integer_value(json_object_get(house.verdict, "sequence"));
    uint64_t before = house.sequence;
    APPROVED(ANA, SERVICE("k1", "c1", "\"email\""));
    assert_int_equal(json_integer_value(json_object_get(house.verdict, "sequence")), first);
    assert_int_equal(house.sequence, before + 1); // asked, not decided again
    SUPPRESSED(ANA, SERVICE("k2", "c1", "\"email\""), "same-content");
    house.now_us += HOUSE_DAY_US;
    SUPPRESSED(ANA, SERVICE("k2", "c1", "\"email\""), "same-content");
    house_close(&house);
}

static void test_a_lapsed_place_is_free_and_its_contact_decided_again(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    APPROVED(ANA, SERVICE("k1", "c1", "\"phone\""));
    json_int_t first = json_integer_value(json_object_get(house.verdict, "sequence"));
    house.now_us += HOUSE_HOUR_US / 4 + 1;
    APPROVED(ANA, SERVICE("k1", "c1", "\"phone\""));
    assert_true(json_integer_value(json_object_get(house.verdict, "sequence")) > first);
    house.now_us += HOUSE_HOUR_US / 4 + 1;
    APPROVED(ANA, SERVICE("k2", "c1", "\"email\""));
    house_close(&house);
}

static void test_what_was_carried_out_does_not_lapse(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    APPROVED(ANA, SERVICE("k1", "c1", "\"phone\""));
    house_say(&house, ANA, "call.placed",
              "{\"to\":\"+4930123456\",\"purpose\":\"service\",\"contact_id\":\"k1\"}");
    house_say(&house, ANA, "call.ended",
              "{\"call_id\":\"1\",\"duration_s\":1,\"outcome\":\"failed\",\"contact_id\":\"k1\"}");
    house.now_us += 2 * HOUSE_HOUR_US;
    SUPPRESSED(ANA, SERVICE("k2", "c1", "\"email\""), "same-content");
    house_close(&house);
}

static void test_who_the_message_went_to_does_not_matter(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    APPROVED(ANA, SERVICE("k1", "c1", "\"email\""));
    house_say(&house, "email=other@klant.example", "message.sent",
              "{\"to\":\"other@klant.example\",\"contact_id\":\"k1\"}");
    assert_int_equal(house.last_customer, 2);
    house.now_us += 2 * HOUSE_HOUR_US;
    SUPPRESSED(ANA, SERVICE("k2", "c1", "\"phone\""), "same-content");
    APPROVED("email=other@klant.example", SERVICE("k3", "c1", "\"email\""));
    house_close(&house);
}

static void test_places_are_bounded_and_the_oldest_gives_way(void **state) {
    struct house house;
    char id[16];
    open_house(state, DAYTIME, &house);
    for (int i = 0; i < 70; i++) {
        snprintf(id, sizeof(id), "k%d", i);
        APPROVED(ANA, contact(&house, id, id, "legal", "\"email\""));
    }
    assert_int_equal(support_customer(house.fixture->txn, house.fixture->arena, 1)->n_places, 64);
    SUPPRESSED(ANA, contact(&house, "again", "k69", "legal", "\"email\""), "same-content");
    house.now_us += 9 * HOUSE_DAY_US; // past the window of all of them
    APPROVED(ANA, contact(&house, "later", "k69", "legal", "\"email\""));
    assert_int_equal(support_customer(house.fixture->txn, house.fixture->arena, 1)->n_places, 1);
    house_close(&house);
}

static void test_a_failure_before_it_is_carried_out_frees_the_place(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    APPROVED(ANA, SERVICE("k1", "c1", "\"email\""));
    house_say(&house, NULL, "message.outcome", "{\"outcome\":\"failed\",\"contact_id\":\"k1\"}");
    APPROVED(ANA, SERVICE("k2", "c1", "\"phone\""));
    house_close(&house);
}

static void test_what_was_sent_without_asking_counts_where_it_says_what(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    Touchbus__Event *event = support_event(house.fixture->arena, "message.sent", "m1",
                                           "{\"to\":\"ana@klant.example\",\"in_reply_to\":\"m0\"}");
    event->channel = arena_strdup(house.fixture->arena, "email");
    support_identify(house.fixture->arena, event, "user_id", "ana");
    house_publish(&house, event);
    event = support_event(house.fixture->arena, "message.sent", "m2",
                          "{\"to\":\"ana@klant.example\",\"content_id\":\"c1\"}");
    event->channel = arena_strdup(house.fixture->arena, "email");
    support_identify(house.fixture->arena, event, "user_id", "ana");
    house_publish(&house, event);
    uint64_t sent = house.sequence;
    SUPPRESSED(ANA, SERVICE("k1", "c1", "\"phone\""), "same-content");
    assert_true(house_decided_by(&house, sent));
    house_close(&house);
}

// ---- merged customers

static void know_ben(struct house *house) {
    house_say(house, "user_id=ben", "page.viewed", "{\"url\":\"/\"}");
    Touchbus__Event *event =
        support_event(house->fixture->arena, "page.viewed", "ben", "{\"url\":\"/\"}");
    support_identify(house->fixture->arena, event, "user_id", "ben");
    support_identify(house->fixture->arena, event, "email", "ben@klant.example");
    house_publish(house, event);
}

static void test_a_merge_unites_places(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    know_ben(&house);
    APPROVED("user_id=ben", SERVICE("k1", "c1", "\"email\""));
    uint64_t taken = house.sequence;
    house_merge(&house, 2, 1);
    SUPPRESSED(ANA, SERVICE("k2", "c1", "\"phone\""), "same-content");
    assert_true(house_decided_by(&house, taken));
    house_close(&house);
}

static void test_after_a_split_places_count_for_both(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    know_ben(&house);
    house_merge(&house, 2, 1);
    APPROVED("user_id=ben", SERVICE("k1", "c1", "\"email\""));
    house_split(&house, 2);
    SUPPRESSED(ANA, SERVICE("k2", "c1", "\"phone\""), "same-content");
    SUPPRESSED("user_id=ben", SERVICE("k3", "c1", "\"email\""), "same-content");
    // What becomes of it holds for both as well.
    house_say(&house, "user_id=ben", "message.outcome",
              "{\"outcome\":\"failed\",\"contact_id\":\"k1\"}");
    APPROVED(ANA, SERVICE("k4", "c1", "\"phone\""));
    APPROVED("user_id=ben", SERVICE("k5", "c1", "\"email\""));
    house_close(&house);
}

static void test_a_withdrawal_is_found_among_any_number_of_consents(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    consent(&house, ANA, "ana@klant.example", "withdrawn", house.now_us - 1000);
    uint64_t withdrawn = house.sequence;
    for (unsigned i = 0; i <= 2 * CONSENTS_JUDGED_MAX; i++) {
        char data[160];
        snprintf(data, sizeof(data),
                 "{\"address\":\"ana@klant.example\",\"channel\":\"phone\",\"purpose\":\"p-%u\","
                 "\"state\":\"granted\",\"text_version\":\"1\"}",
                 i);
        house_say(&house, ANA, "consent.changed", data);
    }
    SUPPRESSED(ANA, MARKETING("k1", "c1", "\"email\""), "consent-refused");
    assert_true(house_decided_by(&house, withdrawn));
    house_close(&house);
}

static void test_more_consents_than_are_looked_at_approve_nothing(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    consent(&house, ANA, "ana@klant.example", "granted", house.now_us);
    for (unsigned i = 0; i < CONSENTS_JUDGED_MAX; i++) {
        char address[32];
        snprintf(address, sizeof(address), "ana%u@klant.example", i);
        if (i + 1 == CONSENTS_JUDGED_MAX) {
            APPROVED(ANA, MARKETING("k1", "c1", "\"email\""));
        }
        consent(&house, ANA, address, "granted", house.now_us);
    }
    SUPPRESSED(ANA, MARKETING("k2", "c2", "\"email\""), "too-many");
    SUPPRESSED(ANA, MARKETING("k3", "c3", "\"phone\",\"email\""), "too-many");
    house.now_us += 2 * HOUSE_DAY_US;
    APPROVED(ANA, SERVICE("k4", "c4", "\"email\"")); // they were not about it
    house_close(&house);
}

static void test_more_open_cases_than_are_looked_at_block_marketing(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    consent(&house, ANA, "ana@klant.example", "granted", house.now_us);
    for (unsigned i = 0; i <= CASES_OPEN_MAX; i++) {
        char data[128];
        snprintf(data, sizeof(data), "{\"case_id\":\"f%u\",\"kind\":\"%s\",\"severity\":1}", i,
                 i == 0 ? "complaint" : "question");
        house_say(&house, ANA, "case.opened", data);
    }
    SUPPRESSED(ANA, MARKETING("k1", "c1", "\"email\""), "too-many");
    house.now_us += 1000000;
    house_say(&house, ANA, "case.resolved", "{\"case_id\":\"f7\",\"outcome\":\"settled\"}");
    SUPPRESSED(ANA, MARKETING("k2", "c1", "\"email\""), "complaint");
    APPROVED(ANA, SERVICE("k3", "c1", "\"email\""));
    house_close(&house);
}

static void test_after_a_merge_a_refusal_beats_a_grant_that_names_no_address(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    know_ben(&house);
    consent(&house, "user_id=ben", "ana@klant.example", "withdrawn", house.now_us);
    consent(&house, ANA, "", "granted", house.now_us + 1000);
    house_merge(&house, 2, 1);
    SUPPRESSED(
        ANA,
        "{\"contact_id\":\"k1\",\"content_id\":\"c1\",\"purpose\":\"marketing\",\"channels\":"
        "[\"email\"],\"address\":\"ana@klant.example\"}",
        "consent-refused");
    consent(&house, ANA, "ana@klant.example", "granted", house.now_us + 2000);
    APPROVED(ANA,
             "{\"contact_id\":\"k2\",\"content_id\":\"c1\",\"purpose\":\"marketing\",\"channels\":"
             "[\"email\"],\"address\":\"ana@klant.example\"}");
    house_close(&house);
}

static void test_whose_key_a_lift_is_said_with_is_one_after_a_merge(void **state) {
    struct house house;
    open_house(state, DAYTIME, &house);
    know_ben(&house);
    house_say(&house, "user_id=ben", "privacy.changed",
              "{\"kind\":\"restriction\",\"state\":\"done\"}");
    uint64_t restricted = house.sequence;
    house_say(&house, ANA, "privacy.changed", "{\"kind\":\"restriction\",\"state\":\"lifted\"}");
    house_merge(&house, 2, 1);
    SUPPRESSED(ANA, contact(&house, "k1", "c1", "legal", "\"email\""), "restricted");
    assert_true(house_decided_by(&house, restricted));
    house.now_us += 1000000;
    house_say(&house, ANA, "privacy.changed", "{\"kind\":\"restriction\",\"state\":\"lifted\"}");
    APPROVED(ANA, contact(&house, "k2", "c1", "legal", "\"email\""));
    house.now_us += 1000000;
    house_say(&house, "user_id=ben", "privacy.changed",
              "{\"kind\":\"restriction\",\"state\":\"done\"}");
    SUPPRESSED(ANA, contact(&house, "k3", "c2", "legal", "\"email\""), "restricted");
    house_close(&house);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, support_setup, support_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_approved_names_the_first_channel_asked_for),
        TEST(test_the_preferred_channel_goes_first),
        TEST(test_a_channel_needs_an_address),
        TEST(test_nobody_is_not_contacted),
        TEST(test_marketing_needs_a_consent_and_service_does_not),
        TEST(test_a_refusal_names_what_decided_and_ties_go_to_it),
        TEST(test_an_older_word_that_comes_late_changes_nothing),
        TEST(test_a_consent_expires),
        TEST(test_an_objection_blocks_marketing_and_a_restriction_everything),
        TEST(test_the_same_content_comes_once_a_day_over_all_channels),
        TEST(test_a_customer_is_found_by_the_address_alone),
        TEST(test_the_phone_s_region_says_where_the_customer_is),
        TEST(test_the_postal_region_says_where_the_customer_is),
        TEST(test_the_day_is_the_customer_s),
        TEST(test_a_letter_occupies_the_day_it_arrives_too),
        TEST(test_caps_hold_a_day_and_a_week),
        TEST(test_a_channel_has_caps_of_its_own),
        TEST(test_an_open_complaint_blocks_marketing),
        TEST(test_quiet_hours_defer_until_they_end_where_the_customer_is),
        TEST(test_a_deferred_contact_is_decided_again_when_it_is_due),
        TEST(test_a_deferred_contact_may_come_too_late),
        TEST(test_who_is_merged_by_the_question_is_one_already),
        TEST(test_a_spent_budget_stops_all_but_service),
        TEST(test_too_late_is_suppressed),
        TEST(test_the_same_contact_gets_the_same_answer),
        TEST(test_a_lapsed_place_is_free_and_its_contact_decided_again),
        TEST(test_what_was_carried_out_does_not_lapse),
        TEST(test_who_the_message_went_to_does_not_matter),
        TEST(test_places_are_bounded_and_the_oldest_gives_way),
        TEST(test_a_failure_before_it_is_carried_out_frees_the_place),
        TEST(test_what_was_sent_without_asking_counts_where_it_says_what),
        TEST(test_a_merge_unites_places),
        TEST(test_after_a_split_places_count_for_both),
        TEST(test_a_withdrawal_is_found_among_any_number_of_consents),
        TEST(test_more_consents_than_are_looked_at_approve_nothing),
        TEST(test_more_open_cases_than_are_looked_at_block_marketing),
        TEST(test_after_a_merge_a_refusal_beats_a_grant_that_names_no_address),
        TEST(test_whose_key_a_lift_is_said_with_is_one_after_a_merge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
