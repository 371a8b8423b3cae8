// SPDX-License-Identifier: Apache-2.0
// Events as a program sees them: attributes by name, identities, data, and what is sent of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/client/event.h"
#include "schemas/limits.h"

static touchbus_event *event_new(void) {
    touchbus_event *event = touchbus_event_new("order.placed", "/shop", "o-1");
    assert_non_null(event);
    return event;
}

static void test_attributes_are_set_and_read_by_name(void **state) {
    (void)state;
    touchbus_event *event = event_new();
    const char *const rows[][2] = {
        {"subject", "user_id:u-1"},
        {"time", "2026-03-01T10:00:00.500Z"},
        {"channel", "web"},
        {"direction", "in"},
        {"actor", "agent-7"},
        {"case", "c-9"},
        {"cause", "42"},
        {"cost", "1.20 EUR"},
        {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        {"campaign", "spring"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_null(touchbus_event_get(event, rows[i][0]));
        assert_int_equal(touchbus_event_set(event, rows[i][0], rows[i][1]), 0);
        assert_string_equal(touchbus_event_get(event, rows[i][0]), rows[i][1]);
    }
    assert_int_equal(touchbus_event_set(event, "campaign", "summer"), 0);
    assert_string_equal(touchbus_event_get(event, "campaign"), "summer");
    assert_string_equal(touchbus_event_get(event, "type"), "order.placed");
    assert_null(touchbus_event_get(event, "sequence"));
    assert_null(touchbus_event_get(event, "customer"));
    touchbus_event_free(event);
}

static void test_what_is_not_acceptable_is_refused_and_changes_nothing(void **state) {
    (void)state;
    touchbus_event *event = event_new();
    char long_text[EXTENSION_TEXT_BYTES_MAX + 2];
    memset(long_text, 'x', sizeof(long_text));
    long_text[sizeof(long_text) - 1] = '\0';
    const struct {
        const char *name, *value;
        int r;
    } rows[] = {
        {"sequence", "1", -EINVAL},
        {"customer", "c1", -EINVAL},
        {"data", "{}", -EINVAL},
        {"keys", "email=a", -EINVAL},
        {"channel", "Web shop", -EINVAL},
        {"Upper", "x", -EINVAL},
        {"", "x", -EINVAL},
        {"direction", "up", -EINVAL},
        {"time", "yesterday", -EINVAL},
        {"cause", "-1", -EINVAL},
        {"subject", "", -EINVAL},
        {"subject", "a\tb", -EINVAL},
        {"subject", "\xff", -EINVAL},
        {"subject", long_text, -E2BIG},
        {"campaign", long_text, -E2BIG},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_int_equal(touchbus_event_set(event, rows[i].name, rows[i].value), rows[i].r);
    }
    assert_int_equal(touchbus_event_add_identity(event, "email", "", false), -EINVAL);
    assert_int_equal(touchbus_event_add_identity(event, "E-mail", "a@b", false), -EINVAL);
    assert_int_equal(touchbus_event_set_time(event, INT64_MAX), -EINVAL);
    assert_int_equal(touchbus_event_set_data_json(event, "[1]", 3), -EBADMSG);
    assert_int_equal(touchbus_event_set_data_json(event, "{\"a\":1,\"a\":2}", 13), -EBADMSG);
    assert_int_equal(touchbus_event_set_data(event, "\xdd\xff\xff\xff\xff", 5), -EBADMSG);
    assert_null(touchbus_event_get(event, "subject"));
    assert_null(touchbus_event_new("", NULL, NULL));
    touchbus_event_free(event);
}

static void test_identities_and_data_come_back(void **state) {
    (void)state;
    touchbus_event *event = event_new();
    assert_int_equal(touchbus_event_add_identity(event, "email", "ana@klant.example", true), 0);
    assert_int_equal(touchbus_event_add_identity(event, "user_id", "u-1", false), 0);
    const char *data = "{\"order_id\":\"o-1\",\"n\":3}";
    assert_int_equal(touchbus_event_set_data_json(event, data, strlen(data)), 0);
    void *bytes;
    size_t size;
    assert_int_equal(touchbus_event_serialize(event, &bytes, &size), 0);
    touchbus_event_free(event);
    assert_int_equal(touchbus_event_parse(bytes, size, &event), 0);
    free(bytes);
    const char *kind, *value;
    bool verified;
    assert_true(touchbus_event_identity(event, 0, &kind, &value, &verified));
    assert_string_equal(value, "ana@klant.example");
    assert_true(verified);
    assert_true(touchbus_event_identity(event, 1, &kind, &value, &verified));
    assert_string_equal(kind, "user_id");
    assert_false(touchbus_event_identity(event, 2, &kind, &value, &verified));
    char *text = touchbus_event_data_json(event);
    assert_string_equal(text, data);
    free(text);
    touchbus_event_free(event);
}

static void test_an_event_without_id_and_source_is_stored_as_well(void **state) {
    (void)state;
    touchbus_event *event = touchbus_event_new("page.viewed", NULL, NULL);
    void *bytes;
    size_t size;
    assert_int_equal(touchbus_event_serialize(event, &bytes, &size), 0);
    touchbus_event_free(event);
    assert_int_equal(touchbus_event_parse(bytes, size, &event), 0);
    assert_string_equal(touchbus_event_get(event, "type"), "page.viewed");
    assert_null(touchbus_event_get(event, "id"));
    free(bytes);
    touchbus_event_free(event);
}

static void test_limits_on_lists_hold(void **state) {
    (void)state;
    touchbus_event *event = event_new();
    char name[16];
    for (int i = 0; i < EVENT_IDENTITIES_MAX; i++) {
        assert_int_equal(touchbus_event_add_identity(event, "k", "v", false), 0);
    }
    assert_int_equal(touchbus_event_add_identity(event, "k", "v", false), -E2BIG);
    for (int i = 0; i < EVENT_EXTENSIONS_MAX; i++) {
        snprintf(name, sizeof(name), "x%d", i);
        assert_int_equal(touchbus_event_set(event, name, "v"), 0);
    }
    assert_int_equal(touchbus_event_set(event, "onemore", "v"), -E2BIG);
    assert_int_equal(touchbus_event_set(event, "x3", "w"), 0);
    touchbus_event_free(event);
}

static void test_parse_refuses_what_is_no_event(void **state) {
    (void)state;
    touchbus_event *event;
    assert_int_equal(touchbus_event_parse("\xff\xff\xff", 3, &event), -EBADMSG);
    assert_int_equal(touchbus_event_parse("\x0a\x7f", 2, &event), -EBADMSG);
    assert_int_equal(touchbus_event_parse("\x0a\x01\xff", 3, &event), -EBADMSG); // not UTF-8
    // An event has rules of its own, which it is held to when it is complete.
    assert_int_equal(touchbus_event_parse("\x0a\x01i\x12\x01s\x1a\x01\n", 9, &event), -EBADMSG);
    assert_int_equal(touchbus_event_parse("\x12\x01s\x1a\x01\n", 6, &event), 0);
    touchbus_event_free(event);
}

// The bytes as the broker would read them.
static Touchbus__Event *to_publish(const touchbus_event *event) {
    uint8_t *bytes;
    size_t size;
    assert_int_equal(event_pack_to_publish(event, "made-up", "/own", &bytes, &size), 0);
    Touchbus__Event *message = touchbus__event__unpack(NULL, size, bytes);
    assert_non_null(message);
    free(bytes);
    return message;
}

static void test_a_publisher_fills_in_id_and_source(void **state) {
    (void)state;
    touchbus_event *event = touchbus_event_new("page.viewed", NULL, NULL);
    Touchbus__Event *message = to_publish(event);
    assert_string_equal(message->id, "made-up");
    assert_string_equal(message->source, "/own");
    touchbus__event__free_unpacked(message, NULL);
    assert_int_equal(touchbus_event_set(event, "id", "mine"), 0);
    message = to_publish(event);
    assert_string_equal(message->id, "mine");
    touchbus__event__free_unpacked(message, NULL);
    assert_null(touchbus_event_get(event, "source")); // the event itself is left alone
    touchbus_event_free(event);
}

static void test_a_delivered_event_says_what_it_scored(void **state) {
    (void)state;
    Touchbus__Event stamped;
    Touchbus__Stamp stamp;
    Touchbus__Score score, *scores[] = {&score};
    char id[] = "i", source[] = "/s", type[] = "call.ended", channel[] = "phone", tier[] = "guest";
    touchbus__event__init(&stamped);
    touchbus__stamp__init(&stamp);
    touchbus__score__init(&score);
    stamped.id = id;
    stamped.source = source;
    stamped.type = type;
    score.hour = 1;
    score.channel = channel;
    score.tier = tier;
    score.contacts = 2;
    score.cost_micro = 4500000;
    uint8_t bytes[192];
    touchbus_event *event;
    assert_int_equal(event_from_bytes(bytes, touchbus__event__pack(&stamped, bytes), &event), 0);
    assert_null(touchbus_event_get(event, "scores"));
    touchbus_event_free(event);
    stamped.stamp = &stamp;
    stamp.scores = scores;
    stamp.n_scores = 1;
    assert_int_equal(event_from_bytes(bytes, touchbus__event__pack(&stamped, bytes), &event), 0);
    const char *text = touchbus_event_get(event, "scores");
    assert_string_equal(text, "[{\"hour\":\"1970-01-01T01:00:00Z\",\"channel\":\"phone\",\"tier\":"
                              "\"guest\",\"contacts\":2,\"cost\":\"4.50\"}]");
    assert_ptr_equal(touchbus_event_get(event, "scores"), text);
    assert_int_equal(touchbus_event_set(event, "scores", "[]"), -EINVAL);
    touchbus_event_free(event);
}

static void test_publishing_a_delivered_event_drops_the_stamps(void **state) {
    (void)state;
    Touchbus__Event stamped;
    touchbus__event__init(&stamped);
    char id[] = "i", source[] = "/s", type[] = "order.placed";
    uint64_t lanes[] = {7, 8};
    stamped.id = id;
    stamped.source = source;
    stamped.type = type;
    stamped.sequence = 12;
    stamped.received_us = 1000000;
    stamped.customer = 7;
    stamped.n_lanes = 2;
    stamped.lanes = lanes;
    stamped.created = stamped.erases = stamped.redacted = true;
    uint8_t lookups[17] = {1};
    stamped.key_lookups = (ProtobufCBinaryData){.len = 17, .data = lookups};
    stamped.reference_lookups = (ProtobufCBinaryData){.len = 16, .data = lookups};
    uint8_t bytes[192];
    touchbus_event *event;
    assert_int_equal(event_from_bytes(bytes, touchbus__event__pack(&stamped, bytes), &event), 0);
    assert_int_equal(touchbus_event_sequence(event), 12);
    assert_int_equal(touchbus_event_lane(event), 7);
    assert_int_equal(touchbus_event_customer(event), 7);
    assert_int_equal(touchbus_event_received(event), 1000000);
    assert_string_equal(touchbus_event_get(event, "customer"), "c7");
    assert_string_equal(touchbus_event_get(event, "sequence"), "12");
    assert_string_equal(touchbus_event_get(event, "received"), "1970-01-01T00:00:01Z");
    assert_true(touchbus_event_erases(event));
    assert_true(touchbus_event_redacted(event));
    Touchbus__Event *message = to_publish(event);
    assert_int_equal(message->sequence, 0);
    assert_int_equal(message->key_lookups.len + message->reference_lookups.len, 0);
    assert_false(message->erases || message->redacted);
    assert_int_equal(message->received_us, 0);
    assert_int_equal(message->customer, 0);
    assert_int_equal(message->n_lanes, 0);
    assert_false(message->created);
    assert_string_equal(message->id, "i");
    touchbus__event__free_unpacked(message, NULL);
    touchbus_event_free(event);
}

static void test_an_event_without_a_type_is_not_published(void **state) {
    (void)state;
    touchbus_event *event = touchbus_event_new(NULL, "/s", "i");
    uint8_t *bytes;
    size_t size;
    assert_int_equal(event_pack_to_publish(event, "x", "/x", &bytes, &size), -EINVAL);
    touchbus_event_free(event);
}

static void test_an_event_may_be_changed_for_ever(void **state) {
    (void)state;
    touchbus_event *event = event_new();
    char id[32];
    for (int i = 0; i < 300000; i++) {
        snprintf(id, sizeof(id), "id-%d", i);
        assert_int_equal(touchbus_event_set(event, "id", id), 0);
    }
    assert_string_equal(touchbus_event_get(event, "id"), "id-299999");
    assert_string_equal(touchbus_event_get(event, "type"), "order.placed");
    touchbus_event_free(event);
}

static void test_cloudevents_json_both_ways(void **state) {
    (void)state;
    const char *json = "{\"specversion\":\"1.0\",\"id\":\"o-1\",\"source\":\"/shop\","
                       "\"type\":\"org.touchbus.order.placed.v1\",\"channel\":\"web\","
                       "\"keys\":\"email!=ana%40klant.example\",\"data\":{\"order_id\":\"o-1\"}}";
    touchbus_event *event;
    const char *why = NULL;
    assert_int_equal(touchbus_event_from_json(json, strlen(json), &event, &why), 0);
    assert_string_equal(touchbus_event_get(event, "type"), "order.placed");
    const char *kind, *value;
    bool verified;
    assert_true(touchbus_event_identity(event, 0, &kind, &value, &verified));
    assert_string_equal(value, "ana@klant.example");
    assert_true(verified);
    char *again = touchbus_event_to_json(event);
    assert_non_null(strstr(again, "org.touchbus.order.placed.v1"));
    assert_null(strchr(again, '\n'));
    free(again);
    touchbus_event_free(event);
    assert_int_equal(touchbus_event_from_json("[]", 2, &event, &why), -EBADMSG);
    assert_non_null(why);
    assert_int_equal(touchbus_event_from_json("{}", 2, &event, &why), -EBADMSG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attributes_are_set_and_read_by_name),
        cmocka_unit_test(test_what_is_not_acceptable_is_refused_and_changes_nothing),
        cmocka_unit_test(test_identities_and_data_come_back),
        cmocka_unit_test(test_an_event_without_id_and_source_is_stored_as_well),
        cmocka_unit_test(test_limits_on_lists_hold),
        cmocka_unit_test(test_parse_refuses_what_is_no_event),
        cmocka_unit_test(test_a_publisher_fills_in_id_and_source),
        cmocka_unit_test(test_a_delivered_event_says_what_it_scored),
        cmocka_unit_test(test_publishing_a_delivered_event_drops_the_stamps),
        cmocka_unit_test(test_an_event_without_a_type_is_not_published),
        cmocka_unit_test(test_an_event_may_be_changed_for_ever),
        cmocka_unit_test(test_cloudevents_json_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
