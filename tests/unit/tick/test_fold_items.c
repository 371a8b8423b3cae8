// SPDX-License-Identifier: Apache-2.0
// Items: members of a thing with an id, each the latest or highest of what was said of it.
#include "scene.h"

#include <stdio.h>
#include <string.h>

static void at(struct scene *scene, int64_t time_us, const char *type, const char *data) {
    Touchbus__Event *event = support_event(
        scene->arena, type, arena_printf(scene->arena, "e-%zu", (size_t)scene->sequence), data);
    event->time_us = time_us;
    event->has_time = true;
    scene_apply(scene, event);
}

static void expect(struct scene *scene, enum item_kind kind, const char *id, const char *name,
                   const char *expected) {
    const char *value = scene_member(scene, kind, id, name);
    assert_non_null(value);
    assert_string_equal(value, expected);
}

static void test_an_order_grows_from_its_events_in_any_order(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    scene_play(&scene, "order.changed",
               "{\"order_id\": \"o\", \"status\": \"packed\", \"revision\": 2}");
    scene_play(&scene, "order.placed",
               "{\"order_id\": \"o\", \"currency\": \"EUR\", \"quote_id\": \"q\", \"lines\": "
               "[{\"sku\": \"s\", \"quantity\": 2, \"price\": \"1.50\"}, {\"sku\": \"t\", "
               "\"quantity\": 0.5, \"price\": \"3\"}]}");
    scene_play(&scene, "order.changed",
               "{\"order_id\": \"o\", \"status\": \"early\", \"revision\": 1}");
    scene_play(&scene, "supply.changed", "{\"order_id\": \"o\", \"eta\": \"2026-01-02\"}");
    scene_play(&scene, "delivery.completed", "{\"order_id\": \"o\", \"outcome\": \"delivered\"}");
    scene_play(&scene, "return.requested", "{\"order_id\": \"o\", \"reason\": \"broken\"}");
    expect(&scene, ITEM_ORDER, "o", "status", "\"packed\"");
    expect(&scene, ITEM_ORDER, "o", "revision", "2");
    expect(&scene, ITEM_ORDER, "o", "currency", "\"EUR\"");
    expect(&scene, ITEM_ORDER, "o", "quote_id", "\"q\"");
    expect(&scene, ITEM_ORDER, "o", "eta", "\"2026-01-02\"");
    expect(&scene, ITEM_ORDER, "o", "delivery", "\"delivered\"");
    expect(&scene, ITEM_ORDER, "o", "return_reason", "\"broken\"");
    expect(&scene, ITEM_ORDER, "o", "total", "4500000");
    const View__Item *row = support_item(scene.txn, scene.arena, 1, ITEM_ORDER, "o");
    assert_int_equal(row->first_sequence, 1);
    assert_int_equal(row->changed_sequence, 6);
    scene_close(&scene);
}

static void test_an_order_counts_once_however_often_it_is_placed(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    scene_play(&scene, "order.changed",
               "{\"order_id\": \"o\", \"status\": \"x\", \"revision\": 2}");
    assert_int_equal(scene_customer(&scene, 1)->orders, 0);
    for (int i = 0; i < 3; i++) {
        scene_play(&scene, "order.placed", "{\"order_id\": \"o\"}");
    }
    scene_play(&scene, "order.placed", "{\"order_id\": \"other\"}");
    assert_int_equal(scene_customer(&scene, 1)->orders, 2);
    scene_close(&scene);
}

static void issue(struct scene *scene, int64_t time_us, int revision) {
    at(scene, time_us, "quote.issued",
       arena_printf(scene->arena,
                    "{\"quote_id\": \"q\", \"revision\": %d, \"lines\": [], "
                    "\"valid_until\": \"2026-01-0%d\", \"currency\": \"EUR\"}",
                    revision, revision));
}

static void test_a_quote_keeps_its_highest_revision_and_its_latest_state(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    issue(&scene, 20, 2);
    issue(&scene, 10, 1);
    expect(&scene, ITEM_QUOTE, "q", "valid_until", "\"2026-01-02\"");
    expect(&scene, ITEM_QUOTE, "q", "channel", "\"web\"");
    at(&scene, 30, "quote.closed", "{\"quote_id\": \"q\", \"outcome\": \"accepted\"}");
    expect(&scene, ITEM_QUOTE, "q", "state", "\"closed\"");
    expect(&scene, ITEM_QUOTE, "q", "outcome", "\"accepted\"");
    issue(&scene, 40, 3);
    expect(&scene, ITEM_QUOTE, "q", "state", "\"open\"");
    expect(&scene, ITEM_QUOTE, "q", "outcome", "null");
    expect(&scene, ITEM_QUOTE, "q", "revision", "3");
    at(&scene, 35, "order.placed", "{\"order_id\": \"o\", \"quote_id\": \"q\"}"); // late
    expect(&scene, ITEM_QUOTE, "q", "state", "\"open\"");
    at(&scene, 45, "order.placed", "{\"order_id\": \"p\", \"quote_id\": \"q\"}");
    expect(&scene, ITEM_QUOTE, "q", "outcome", "\"ordered\"");
    scene_close(&scene);
}

static void test_of_equal_times_the_later_stage_stands(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    scene_play(&scene, "call.ended", "{\"call_id\": \"c\", \"duration_s\": 9, \"outcome\": \"x\"}");
    scene_play(&scene, "call.answered", "{\"call_id\": \"c\", \"actor\": \"kim\"}");
    scene_play(&scene, "call.received", "{\"call_id\": \"c\", \"from\": \"1\", \"to\": \"2\"}");
    expect(&scene, ITEM_CALL, "c", "state", "\"ended\"");
    expect(&scene, ITEM_CALL, "c", "actor", "\"kim\"");
    scene_close(&scene);
}

static void test_of_a_restriction_and_its_lift_at_one_time_the_restriction_stands(void **state) {
    static const char *const states[] = {"lifted", "done", "lifted"};
    struct scene scene;
    scene_open(state, &scene);
    for (size_t i = 0; i < 3; i++) {
        at(&scene, 50, "privacy.changed",
           arena_printf(scene.arena, "{\"kind\": \"restriction\", \"state\": \"%s\"}", states[i]));
    }
    expect(&scene, ITEM_PRIVACY, "restriction", "state", "\"done\"");
    at(&scene, 51, "privacy.changed", "{\"kind\": \"restriction\", \"state\": \"lifted\"}");
    expect(&scene, ITEM_PRIVACY, "restriction", "state", "\"lifted\"");
    scene_close(&scene);
}

static void test_of_a_grant_and_a_withdrawal_at_one_time_the_withdrawal_stands(void **state) {
    static const char *const states[] = {"granted", "withdrawn", "granted"};
    const char *id = "ana@klant.example\x1f\x1fmarketing";
    struct scene scene;
    scene_open(state, &scene);
    for (size_t i = 0; i < 3; i++) {
        at(&scene, 50, "consent.changed",
           arena_printf(scene.arena,
                        "{\"address\": \"ana@klant.example\", \"purpose\": \"marketing\", "
                        "\"state\": \"%s\", \"text_version\": \"v%zu\"%s}",
                        states[i], i, i == 0 ? ", \"expires\": \"2027-01-01\"" : ""));
    }
    expect(&scene, ITEM_CONSENT, id, "state", "\"withdrawn\"");
    expect(&scene, ITEM_CONSENT, id, "text_version", "\"v1\"");
    expect(&scene, ITEM_CONSENT, id, "expires", "null"); // the grant's is gone with it
    at(&scene, 51, "consent.changed",
       "{\"address\": \"ana@klant.example\", \"purpose\": \"marketing\", \"state\": \"granted\", "
       "\"text_version\": \"v9\"}");
    expect(&scene, ITEM_CONSENT, id, "state", "\"granted\"");
    scene_close(&scene);
}

static const char *shared(struct scene *scene, enum item_kind kind, const char *id,
                          const char *name) {
    const View__Item *item = support_shared(scene->txn, scene->arena, kind, id);
    return item == NULL ? NULL : support_member(item, scene->arena, name);
}

static void test_what_is_nobodys_changes_by_events_of_nobody_alone(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    const char *data = "{\"actor\": \"kim\", \"state\": \"available\", \"skills\": [\"nl\"]}";
    scene_play(&scene, "agent.state", data);
    assert_int_equal(scene_count_rows(&scene, VIEW_SHARED), 0);
    scene_apply_nobodys(&scene, support_event(scene.arena, "agent.state", "1", data));
    assert_string_equal(shared(&scene, ITEM_AGENT, "kim", "state"), "\"available\"");
    assert_string_equal(shared(&scene, ITEM_AGENT, "kim", "skills"), "[\"nl\"]");
    assert_string_equal(shared(&scene, ITEM_AGENT, "kim", "since"), "1000000");
    scene_apply_nobodys(&scene, support_event(scene.arena, "case.opened", "2",
                                              "{\"case_id\": \"k\", \"kind\": \"x\"}"));
    assert_int_equal(scene_count_rows(&scene, VIEW_SHARED), 1);
    assert_int_equal(scene_count_rows(&scene, VIEW_ITEMS), 0);
    scene_close(&scene);
}

// An erased person's event is redacted after its data was read: a rebuild finds none of it.
static void test_members_of_data_that_is_gone_change_nothing(void **state) {
    struct scene scene;
    struct body_members members;
    const char *data = "{\"actor\": \"kim\", \"state\": \"available\", \"skills\": [\"nl\"]}";
    scene_open(state, &scene);
    Touchbus__Event *event = support_event(scene.arena, "agent.state", "1", data);
    body_members_read(event->data.data, event->data.len, &members);
    event->sequence = 1;
    event->received_us = 1000000;
    event->data = (ProtobufCBinaryData){0};
    assert_int_equal(fold_apply_read(scene.fold, scene.txn, event, &members), 0);
    assert_int_equal(scene_count_rows(&scene, VIEW_SHARED), 0);
    scene_close(&scene);
}

static void test_an_event_that_wins_nothing_writes_nothing(void **state) {
    struct scene scene;
    scene_open(state, &scene);
    at(&scene, 10, "lead.changed", "{\"lead_id\": \"l\", \"state\": \"new\"}");
    at(&scene, 30, "lead.changed", "{\"lead_id\": \"l\", \"state\": \"won\"}");
    at(&scene, 20, "lead.changed", "{\"lead_id\": \"l\", \"state\": \"late\"}");
    const View__Item *row = support_item(scene.txn, scene.arena, 1, ITEM_LEAD, "l");
    assert_int_equal(row->changed_sequence, 2);
    assert_int_equal(row->first_us, 10);
    assert_int_equal(row->changed_us, 30);
    scene_close(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_order_grows_from_its_events_in_any_order),
        cmocka_unit_test(test_an_order_counts_once_however_often_it_is_placed),
        cmocka_unit_test(test_a_quote_keeps_its_highest_revision_and_its_latest_state),
        cmocka_unit_test(test_of_equal_times_the_later_stage_stands),
        cmocka_unit_test(test_of_a_restriction_and_its_lift_at_one_time_the_restriction_stands),
        cmocka_unit_test(test_of_a_grant_and_a_withdrawal_at_one_time_the_withdrawal_stands),
        cmocka_unit_test(test_what_is_nobodys_changes_by_events_of_nobody_alone),
        cmocka_unit_test(test_members_of_data_that_is_gone_change_nothing),
        cmocka_unit_test(test_an_event_that_wins_nothing_writes_nothing),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
