// SPDX-License-Identifier: Apache-2.0
// The rules of routing: which queue, which agent, who waits, and that nobody is given twice.
#include "tests/unit/rules/stage.h"

#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/waiting.h"

#define SECOND_US INT64_C(1000000)
#define ROUTED "interaction.routed"

static const char policy[] = "routing:\n"
                             "  queues:\n"
                             "    - {name: finance, needs: [invoice], skills: [finance]}\n"
                             "    - {name: repairs, needs: [repair], skills: [repair, licence]}\n"
                             "    - {name: chats, channels: [chat]}\n"
                             "    - {name: general}\n"
                             "  bonus_guest: 0\n"
                             "  bonus_mvc: 15\n"
                             "  ring: 1m\n"
                             "  rings: 2\n";

static void agent(struct stage *stage, const char *actor, const char *state, const char *skills) {
    stage_say(stage, "agent.state", "", NULL,
              arena_printf(stage->arena, "{\"actor\": \"%s\", \"state\": \"%s\", \"skills\": [%s]}",
                           actor, state, skills));
    stage->now_us += SECOND_US;
}

// A call of this customer with further members of its data.
static Touchbus__Event *ring(struct stage *stage, const char *user, const char *id,
                             const char *rest) {
    stage_say(stage, "call.received", "phone", user,
              arena_printf(stage->arena, "{\"from\": \"x\", \"to\": \"1\", \"call_id\": \"%s\"%s}",
                           id, rest));
    return stage_caused(stage, ROUTED);
}

static void end(struct stage *stage, const char *user, const char *id) {
    stage_say(stage, "call.ended", "phone", user,
              arena_printf(stage->arena,
                           "{\"call_id\": \"%s\", \"duration_s\": 0, \"outcome\": \"abandoned\"}",
                           id));
}

#define EXPECT(stage, event, name, text) assert_string_equal(stage_data(stage, event, name), text)

// ---- the queue

static void test_the_queue_follows_from_what_is_needed(void **state) {
    struct stage stage;
    stage_open(&stage, state, policy);
    Touchbus__Event *event = ring(&stage, NULL, "c-1", ", \"need\": \"invoice\"");
    EXPECT(&stage, event, "queue", "\"finance\"");
    EXPECT(&stage, event, "skill", "\"finance\"");
    EXPECT(&stage, event, "actor", "");
    EXPECT(&stage, event, "call_id", "\"c-1\"");
    assert_string_equal(event->channel, "phone");
    EXPECT(&stage, ring(&stage, NULL, "c-2", ""), "queue", "\"general\"");
    // What was chosen last on any channel, then what is open.
    stage_say(&stage, "need.selected", "kiosk", "u-1", "{\"term\": \"invoice\"}");
    stage_say(&stage, "case.opened", "web", "u-1",
              "{\"case_id\": \"k-1\", \"kind\": \"repair\", \"severity\": 1}");
    EXPECT(&stage, ring(&stage, "u-1", "c-3", ""), "queue", "\"finance\"");
    stage_say(&stage, "case.opened", "web", "u-2",
              "{\"case_id\": \"k-2\", \"kind\": \"repair\", \"severity\": 1}");
    EXPECT(&stage, ring(&stage, "u-2", "c-4", ""), "queue", "\"repairs\"");
    stage_say(&stage, "case.resolved", "web", "u-2",
              "{\"case_id\": \"k-2\", \"outcome\": \"done\"}");
    EXPECT(&stage, ring(&stage, "u-2", "c-5", ""), "queue", "\"general\"");
    // What is said now counts before all that.
    EXPECT(&stage, ring(&stage, "u-1", "c-6", ", \"need\": \"repair\""), "queue", "\"repairs\"");
    stage_close(&stage);
}

static void test_a_chat_waits_in_the_queue_of_its_channel(void **state) {
    struct stage stage;
    stage_open(&stage, state, policy);
    stage_say(&stage, "chat.state", "chat", "u-1",
              "{\"conversation_id\": \"v-1\", \"state\": \"waiting\"}");
    Touchbus__Event *event = stage_caused(&stage, ROUTED);
    EXPECT(&stage, event, "queue", "\"chats\"");
    EXPECT(&stage, event, "conversation_id", "\"v-1\"");
    stage_say(&stage, "chat.state", "chat", "u-1",
              "{\"conversation_id\": \"v-1\", \"state\": \"started\"}");
    assert_null(stage_caused(&stage, ROUTED)); // it waits already
    stage_close(&stage);
}

static void test_where_nobody_waits_nothing_is_routed(void **state) {
    struct stage stage;
    stage_open(&stage, state, policy);
    stage_say(&stage, "call.received", "ivr", "u-1",
              "{\"from\": \"x\", \"to\": \"1\", \"call_id\": \"c-1\"}");
    assert_null(stage_caused(&stage, ROUTED));
    stage_close(&stage);
}

// ---- the agent

static void test_the_agent_idle_longest_with_every_skill_gets_it(void **state) {
    struct stage stage;
    stage_open(&stage, state, policy);
    agent(&stage, "busy", "busy", "\"repair\", \"licence\"");
    agent(&stage, "half", "available", "\"repair\"");
    agent(&stage, "late", "available", "\"licence\", \"repair\"");
    agent(&stage, "last", "available", "\"licence\", \"repair\"");
    agent(&stage, "late", "wrapup", "\"licence\", \"repair\"");
    agent(&stage, "late", "available", "\"licence\", \"repair\"");
    Touchbus__Event *event = ring(&stage, "u-1", "c-1", ", \"need\": \"repair\"");
    EXPECT(&stage, event, "actor", "\"last\"");
    EXPECT(&stage, event, "skill", "\"repair,licence\"");
    assert_non_null(strstr(stage.verdict, "\"verdict\":\"routed\""));
    assert_non_null(strstr(stage.verdict, "\"actor\":\"last\""));
    stage_close(&stage);
}

static void test_the_language_is_a_skill(void **state) {
    struct stage stage;
    stage_open(&stage, state, policy);
    agent(&stage, "english", "available", "\"en\"");
    agent(&stage, "german", "available", "\"de\"");
    stage_say(&stage, "preference.set", "web", "u-1", "{\"language\": \"de-AT\"}");
    EXPECT(&stage, ring(&stage, "u-1", "c-1", ""), "actor", "\"german\"");
    EXPECT(&stage, ring(&stage, NULL, "c-2", ", \"language\": \"EN\""), "actor", "\"english\"");
    stage_close(&stage);
}

static void test_the_owner_goes_before_everybody_when_available(void **state) {
    struct stage stage;
    stage_open(&stage, state, policy);
    agent(&stage, "idle", "available", "\"finance\"");
    agent(&stage, "owner", "available", "");
    stage_say(&stage, "customer.changed", "crm", "u-1", "{\"fields\": {\"owner\": \"owner\"}}");
    EXPECT(&stage, ring(&stage, "u-1", "c-1", ", \"need\": \"invoice\""), "actor", "\"owner\"");
    EXPECT(&stage, ring(&stage, "u-1", "c-2", ", \"need\": \"invoice\""), "actor", "\"idle\"");
    stage_close(&stage);
}

static void test_two_interactions_never_get_one_agent(void **state) {
    struct stage stage;
    stage_open(&stage, state, policy);
    agent(&stage, "one", "available", "");
    EXPECT(&stage, ring(&stage, "u-1", "c-1", ""), "actor", "\"one\"");
    EXPECT(&stage, ring(&stage, "u-2", "c-2", ""), "actor", ""); // in the same tick
    stage.now_us += (ROUTING_HOLD_S - 1) * SECOND_US;
    EXPECT(&stage, ring(&stage, "u-3", "c-3", ""), "actor", "");
    stage.now_us += SECOND_US; // says nothing for so long: is taken to be free
    EXPECT(&stage, ring(&stage, "u-4", "c-4", ""), "actor", "\"one\"");
    stage_close(&stage);
}

// ---- waiting

static void test_a_free_agent_gets_the_one_with_the_highest_priority(void **state) {
    struct stage stage;
    stage_open(&stage, state, policy);
    ring(&stage, "u-1", "c-1", "");
    assert_non_null(strstr(stage.verdict, "\"verdict\":\"queued\""));
    stage.now_us += 600 * SECOND_US;
    stage_tier(&stage, stage_say(&stage, "page.viewed", "web", "u-2", "{\"url\": \"/\"}"), "mvc");
    ring(&stage, "u-2", "c-2", "");
    stage.now_us += SECOND_US;
    ring(&stage, "u-3", "c-3", "");
    ring(&stage, NULL, "c-4", ", \"need\": \"invoice\""); // needs a skill that the agent has not
    static const struct {
        const char *call, *priority;
        uint64_t customer;
    } turns[] = {{"\"c-2\"", "15.0", 2}, {"\"c-1\"", "10.0", 1}, {"\"c-3\"", "0.0", 3}};
    for (size_t i = 0; i < 3; i++) {
        agent(&stage, "one", "available", "");
        Touchbus__Event *event = stage_caused(&stage, ROUTED);
        EXPECT(&stage, event, "call_id", turns[i].call);
        EXPECT(&stage, event, "priority", turns[i].priority);
        EXPECT(&stage, event, "actor", "\"one\"");
        assert_int_equal(event->customer, turns[i].customer);
    }
    agent(&stage, "one", "available", "");
    assert_null(stage_caused(&stage, ROUTED));
    stage_close(&stage);
}

static void test_who_hangs_up_waits_no_more(void **state) {
    struct stage stage;
    stage_open(&stage, state, policy);
    ring(&stage, "u-1", "c-1", "");
    ring(&stage, NULL, "c-2", "");
    end(&stage, "u-1", "c-1");
    agent(&stage, "one", "available", "");
    EXPECT(&stage, stage_caused(&stage, ROUTED), "call_id", "\"c-2\""); // nobody's has its id, too
    end(&stage, NULL, "c-2");
    agent(&stage, "one", "available", "");
    assert_null(stage_caused(&stage, ROUTED));
    const void *value;
    size_t size;
    assert_int_equal(view_get(stage.fixture->txn, VIEW_WAITING, "n", 1, &value, &size), 0);
    assert_int_equal(((const uint8_t *)value)[7], 0);
    stage_close(&stage);
}

static void test_who_was_erased_is_routed_no_more(void **state) {
    struct stage stage;
    stage_open(&stage, state, policy);
    ring(&stage, "u-1", "c-1", "");
    ring(&stage, "u-2", "c-2", "");
    assert_int_equal(keys_destroy(stage.fixture->keys, 1, stage.now_us), 0);
    agent(&stage, "one", "available", "");
    EXPECT(&stage, stage_caused(&stage, ROUTED), "call_id", "\"c-2\"");
    agent(&stage, "two", "available", "");
    assert_null(stage_caused(&stage, ROUTED));
    stage_close(&stage);
}

static void test_skills_are_given_up_one_by_one_with_time(void **state) {
    struct stage stage;
    stage_open(&stage, state, policy);
    agent(&stage, "half", "available", "\"repair\"");
    ring(&stage, "u-1", "c-1", ", \"need\": \"repair\"");
    stage_due(&stage);
    assert_int_equal(stage.n_caused, 0); // not yet
    stage.now_us += 60 * SECOND_US;
    stage_due(&stage);
    Touchbus__Event *event = stage_caused(&stage, ROUTED);
    EXPECT(&stage, event, "actor", "\"half\"");
    EXPECT(&stage, event, "skill", "\"repair\"");
    stage.now_us += 3600 * SECOND_US;
    stage_due(&stage);
    assert_int_equal(stage.n_caused, 0); // it has its agent
    stage_close(&stage);
}

static void test_no_more_skills_are_given_up_than_there_are_rings(void **state) {
    struct stage stage;
    stage_open(&stage, state, policy);
    agent(&stage, "none", "busy", "");
    ring(&stage, "u-1", "c-1", ", \"need\": \"repair\", \"language\": \"de\"");
    static const char *const skills[] = {"\"de,repair\"", "\"de\""};
    for (size_t i = 0; i < 2; i++) {
        stage.now_us += 60 * SECOND_US;
        stage_due(&stage);
        EXPECT(&stage, stage_caused(&stage, ROUTED), "skill", skills[i]);
    }
    stage.now_us += 3600 * SECOND_US;
    stage_due(&stage);
    assert_int_equal(stage.n_caused, 0);
    agent(&stage, "none", "available", ""); // still needs the language
    assert_null(stage_caused(&stage, ROUTED));
    agent(&stage, "german", "available", "\"de\"");
    EXPECT(&stage, stage_caused(&stage, ROUTED), "call_id", "\"c-1\"");
    stage_close(&stage);
}

// ---- callbacks

static void test_a_callback_is_routed_when_it_is_due(void **state) {
    struct stage stage;
    stage_open(&stage, state, policy);
    agent(&stage, "one", "available", "");
    stage_say(&stage, "callback.requested", "web", "u-1", "{\"number\": \"+4930123456\"}");
    EXPECT(&stage, stage_caused(&stage, ROUTED), "actor", "\"one\"");
    stage_say(&stage, "callback.requested", "web", "u-2",
              "{\"number\": \"+4930123457\", \"when\": \"2026-11-24T09:00:00Z\"}");
    assert_null(stage_caused(&stage, ROUTED));
    stage.now_us += 3 * INT64_C(86400) * SECOND_US;
    stage_due(&stage);
    Touchbus__Event *event = stage_caused(&stage, ROUTED);
    EXPECT(&stage, event, "actor", "\"one\"");
    assert_int_equal(event->customer, 2);
    stage_due(&stage);
    assert_int_equal(stage.n_caused, 0);
    stage_close(&stage);
}

static void test_a_callback_without_an_agent_waits(void **state) {
    struct stage stage;
    stage_open(&stage, state, policy);
    stage_say(&stage, "callback.requested", "web", "u-1",
              "{\"number\": \"+4930123457\", \"when\": \"2026-11-22T11:00:00Z\"}");
    stage.now_us += 7200 * SECOND_US;
    stage_due(&stage);
    EXPECT(&stage, stage_caused(&stage, ROUTED), "queue", "\"general\"");
    agent(&stage, "one", "available", "");
    assert_int_equal(stage_caused(&stage, ROUTED)->customer, 1);
    agent(&stage, "one", "available", "");
    assert_null(stage_caused(&stage, ROUTED));
    stage_close(&stage);
}

static void test_what_nobody_ended_is_forgotten_in_time(void **state) {
    struct stage stage;
    stage_open(&stage, state, policy);
    ring(&stage, "u-1", "c-1", "");
    stage.now_us += WAITING_LIFE_US;
    ring(&stage, "u-2", "c-2", "");
    agent(&stage, "one", "available", "");
    EXPECT(&stage, stage_caused(&stage, ROUTED), "call_id", "\"c-2\"");
    agent(&stage, "two", "available", "");
    assert_null(stage_caused(&stage, ROUTED));
    stage_close(&stage);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, support_setup, support_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        STAGED(test_the_queue_follows_from_what_is_needed),
        STAGED(test_a_chat_waits_in_the_queue_of_its_channel),
        STAGED(test_where_nobody_waits_nothing_is_routed),
        STAGED(test_the_agent_idle_longest_with_every_skill_gets_it),
        STAGED(test_the_language_is_a_skill),
        STAGED(test_the_owner_goes_before_everybody_when_available),
        STAGED(test_two_interactions_never_get_one_agent),
        STAGED(test_a_free_agent_gets_the_one_with_the_highest_priority),
        STAGED(test_who_hangs_up_waits_no_more),
        STAGED(test_who_was_erased_is_routed_no_more),
        STAGED(test_skills_are_given_up_one_by_one_with_time),
        STAGED(test_no_more_skills_are_given_up_than_there_are_rings),
        STAGED(test_a_callback_is_routed_when_it_is_due),
        STAGED(test_a_callback_without_an_agent_waits),
        STAGED(test_what_nobody_ended_is_forgotten_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
