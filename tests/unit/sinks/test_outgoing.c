// SPDX-License-Identifier: Apache-2.0
// The rules of the table outgoing: what a row becomes, which rows are refused and with which
// words, and what of the broker's answer stands in the row.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connectors/crm/outgoing_row.h"
#include "schemas/reasons.h"

static const char uuid[] = "6f1c2a34-0000-4000-8000-000000000017";

static struct outgoing_row row_of(const char *kind, const char *data) {
    return (struct outgoing_row){.event = uuid,
                                 .kind = kind,
                                 .customer = "42",
                                 .data = data,
                                 .actor = "ana.agent",
                                 .created = "2026-03-01T10:00:00.000001Z"};
}

// The event's data, the caller's to free; the event too.
static char *data_of(const struct outgoing_row *row, touchbus_event **ret) {
    char why[OUTGOING_WHY_BYTES] = "";
    assert_int_equal(outgoing_event(row, "/crm", ret, why), 0);
    return touchbus_event_data_json(*ret);
}

static void assert_data(const struct outgoing_row *row, const char *type, const char *expected) {
    touchbus_event *event = NULL;
    char *data = data_of(row, &event);
    json_t *is = json_loads(data, 0, NULL), *should = json_loads(expected, 0, NULL);
    assert_string_equal(touchbus_event_get(event, "type"), type);
    if (!json_equal(is, should)) {
        assert_string_equal(data, expected);
    }
    json_decref(is);
    json_decref(should);
    free(data);
    touchbus_event_free(event);
}

static void assert_refused(const struct outgoing_row *row, const char *expected) {
    touchbus_event *event = NULL;
    char why[OUTGOING_WHY_BYTES] = "";
    assert_int_equal(outgoing_event(row, "/crm", &event, why), 1);
    assert_null(event);
    assert_string_equal(why, expected);
}

static void test_a_row_is_its_event(void **state) {
    (void)state;
    struct outgoing_row row = row_of("customer.changed", "{\"fields\":{\"name\":\"Ana\"}}");
    touchbus_event *event = NULL;
    char *data = data_of(&row, &event);
    assert_string_equal(touchbus_event_get(event, "id"), uuid);
    assert_string_equal(touchbus_event_get(event, "source"), "/crm");
    assert_string_equal(touchbus_event_get(event, "actor"), "ana.agent");
    assert_string_equal(touchbus_event_get(event, "channel"), "crm");
    assert_string_equal(touchbus_event_get(event, "direction"), "in");
    assert_string_equal(touchbus_event_get(event, "time"), "2026-03-01T10:00:00.000001Z");
    free(data);
    touchbus_event_free(event);
    assert_data(&row, "customer.changed", "{\"fields\":{\"name\":\"Ana\"},\"customer\":\"c42\"}");
}

static void test_the_same_row_is_the_same_event(void **state) {
    (void)state;
    struct outgoing_row row =
        row_of("contact.requested",
               "{\"content_id\":\"spring\",\"purpose\":\"marketing\",\"channels\":[]}");
    touchbus_event *one = NULL, *two = NULL;
    free(data_of(&row, &one));
    free(data_of(&row, &two));
    char *first = touchbus_event_to_json(one), *second = touchbus_event_to_json(two);
    assert_string_equal(first, second);
    free(first);
    free(second);
    touchbus_event_free(one);
    touchbus_event_free(two);
}

static void test_a_flag_of_the_crm_is_an_attribute(void **state) {
    (void)state;
    struct outgoing_row row = row_of("mvc", "{\"mvc\":true}");
    assert_data(&row, "customer.changed", "{\"fields\":{\"mvc\":true},\"customer\":\"c42\"}");
    row.data = "{\"mvc\":\"yes\"}";
    assert_refused(&row, "data.mvc: expected true or false");
}

static void test_a_contact_has_an_id_that_repeats(void **state) {
    (void)state;
    struct outgoing_row row =
        row_of("contact.requested",
               "{\"content_id\":\"spring\",\"purpose\":\"marketing\",\"channels\":[\"email\"]}");
    assert_data(&row, "contact.requested",
                "{\"content_id\":\"spring\",\"purpose\":\"marketing\",\"channels\":[\"email\"],"
                "\"customer\":\"c42\",\"contact_id\":\"6f1c2a34-0000-4000-8000-000000000017\"}");
    row.data = "{\"content_id\":\"spring\",\"purpose\":\"marketing\",\"channels\":[],"
               "\"contact_id\":\"k-1\",\"address\":\"ana@klant.example\"}";
    row.customer = NULL;
    assert_data(&row, "contact.requested", row.data);
}

static void test_a_key_says_who_it_is(void **state) {
    (void)state;
    struct outgoing_row row =
        row_of("consent.changed", "{\"purpose\":\"marketing\",\"address\":\"ana@klant.example\","
                                  "\"state\":\"withdrawn\",\"text_version\":\"v3\"}");
    row.customer = NULL;
    assert_refused(&row, "who? expected customer, or a key");
    row.key_kind = "email";
    assert_refused(&row, "key_kind and key_value: expected both or none");
    row.key_value = "ana@klant.example";
    touchbus_event *event = NULL;
    free(data_of(&row, &event));
    const char *kind = NULL, *value = NULL;
    bool verified = true;
    assert_true(touchbus_event_identity(event, 0, &kind, &value, &verified));
    assert_string_equal(kind, "email");
    assert_string_equal(value, "ana@klant.example");
    assert_false(verified); // a field of the CRM merges nobody
    assert_false(touchbus_event_identity(event, 1, &kind, &value, &verified));
    touchbus_event_free(event);
}

static void test_wishes_name_their_customers(void **state) {
    (void)state;
    const char data[] = "{\"customers\":[\"c42\",\"c43\"],\"reason\":\"same passport\"}";
    struct outgoing_row row = row_of("merge.requested", data);
    assert_refused(&row, "customer, key: this kind names its customers in data.customers");
    row.customer = NULL;
    assert_data(&row, "merge.requested", data);
    row.kind = "split.requested";
    row.data = "{\"customers\":[],\"reason\":\"x\"}";
    assert_refused(&row, "data.customers: expected a list of 1 to 16 customers, such as \"c42\"");
}

static void test_a_bad_row_is_told_why(void **state) {
    (void)state;
    static const struct {
        const char *kind, *customer, *data, *why;
    } rows[] = {
        {"order.placed", "42", "{}",
         "kind: expected customer.changed, mvc, consent.changed, contact.requested, "
         "merge.requested or split.requested"},
        {"customer.changed", "42", NULL, "data: over 256 KiB"},
        {"customer.changed", "42", "[]", "data: expected a JSON object"},
        {"customer.changed", "42", "{\"fields\":", "data: expected a JSON object"},
        {"customer.changed", "42", "{\"name\":\"Ana\"}",
         "data.fields: expected a map with at least one field"},
        {"customer.changed", "c42", "{\"fields\":{\"a\":1}}",
         "customer: expected the number of one, 42 for c42"},
        {"customer.changed", "-1", "{\"fields\":{\"a\":1}}",
         "customer: expected the number of one, 42 for c42"},
        {"customer.changed", "1234567890123456789", "{\"fields\":{\"a\":1}}",
         "customer: expected the number of one, 42 for c42"},
        {"customer.changed", "42", "{\"fields\":{\"a\":1},\"customer\":\"c7\"}",
         "data.customer: it belongs into the column customer"},
        {"consent.changed", "42", "{\"purpose\":\"marketing\"}",
         "data.address: expected a text of at most 256 bytes"},
        {"contact.requested", "42",
         "{\"content_id\":\"s\",\"purpose\":\"p\",\"channels\":\"email\"}",
         "data.channels: expected a list of at most 32 names, empty for any"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct outgoing_row row = row_of(rows[i].kind, rows[i].data);
        row.customer = rows[i].customer;
        assert_refused(&row, rows[i].why);
    }
    struct outgoing_row row = row_of("customer.changed", "{\"fields\":{\"a\":1}}");
    row.created = "infinity";
    assert_refused(&row, "created: no time that an event may have");
    row.created = "2026-03-01T10:00:00Z";
    row.actor = "a\nb";
    assert_refused(&row, "actor: too long, or with control characters");
}

static void test_who_is_named(void **state) {
    (void)state;
    struct kit_identity names[OUTGOING_NAMES_MAX];
    struct outgoing_row row = row_of("consent.changed", "");
    row.key_kind = "user_id";
    row.key_value = "u-1";
    json_t *data = json_pack("{s:s}", "address", "ana@klant.example");
    assert_int_equal(outgoing_names(&row, data, names), 2);
    assert_string_equal(names[0].kind, "user_id");
    assert_string_equal(names[1].kind, "email");
    json_object_set_new(data, "address", json_string("+31201234567"));
    row.key_kind = NULL;
    assert_int_equal(outgoing_names(&row, data, names), 2);
    assert_string_equal(names[0].kind, "phone");
    assert_string_equal(names[1].kind, "fax");
    json_decref(data);
    assert_int_equal(outgoing_names(&row, NULL, names), 0);
}

static void assert_answer(const struct kit_ack *ack, const char *expected) {
    json_t *is = outgoing_answer(ack), *should = json_loads(expected, 0, NULL);
    char *text = json_dumps(is, JSON_COMPACT | JSON_SORT_KEYS);
    if (!json_equal(is, should)) {
        assert_string_equal(text, expected);
    }
    free(text);
    json_decref(is);
    json_decref(should);
}

static void test_the_verdict_stands_in_the_row(void **state) {
    (void)state;
    struct kit_ack ack = {
        .code = REASON_OK,
        .reason = "ok",
        .detail = "",
        .sequence = 17,
        .customer = 42,
        .verdict = "{\"contact_id\":\"k\",\"content_id\":\"s\",\"verdict\":\"suppressed\","
                   "\"channel\":\"\",\"until\":null,\"reasons\":[\"cap-day\",\"same-content\"],"
                   "\"decided_by\":[3],\"sequence\":18}"};
    assert_answer(&ack, "{\"attached\":42,\"channel\":null,\"decided\":18,\"outcome\":\"accepted\","
                        "\"reason\":\"cap-day, same-content\",\"sequence\":17,\"until\":null,"
                        "\"verdict\":\"suppressed\"}");
    ack.verdict =
        "{\"verdict\":\"approved\",\"channel\":\"email\",\"until\":\"2026-03-01T11:00:00Z\","
        "\"reasons\":[],\"sequence\":18}";
    assert_answer(&ack,
                  "{\"attached\":42,\"channel\":\"email\",\"decided\":18,\"outcome\":\"accepted\","
                  "\"reason\":null,\"sequence\":17,\"until\":\"2026-03-01T11:00:00Z\","
                  "\"verdict\":\"approved\"}");
    ack.verdict = NULL; // a repeat: what was decided is known otherwise
    ack.code = REASON_DUPLICATE;
    assert_answer(&ack,
                  "{\"attached\":42,\"outcome\":\"accepted\",\"reason\":null,\"sequence\":17}");
}

static void test_what_is_nobodys_says_so(void **state) {
    (void)state;
    struct kit_ack ack = {.code = REASON_OK, .reason = "ok", .detail = "", .sequence = 17};
    assert_answer(&ack, "{\"attached\":null,\"outcome\":\"accepted\",\"sequence\":17,"
                        "\"reason\":\"nobody: it leads to no customer\"}");
}

static void test_a_refusal_says_why(void **state) {
    (void)state;
    struct kit_ack ack = {.code = REASON_MERGE_REFUSED,
                          .reason = "merge-refused",
                          .detail = "they may not be one: veto"};
    assert_answer(&ack, "{\"attached\":null,\"outcome\":\"refused\","
                        "\"reason\":\"merge-refused: they may not be one: veto\","
                        "\"sequence\":null}");
    ack = (struct kit_ack){.code = REASON_FORBIDDEN, .reason = "forbidden", .detail = ""};
    assert_answer(&ack, "{\"attached\":null,\"outcome\":\"refused\","
                        "\"reason\":\"forbidden: the role of this key does not allow it\","
                        "\"sequence\":null}");
    ack = (struct kit_ack){
        .code = REASON_QUARANTINED, .reason = "quarantined", .detail = "expires: expected a time"};
    assert_answer(&ack, "{\"attached\":null,\"outcome\":\"quarantined\","
                        "\"reason\":\"quarantined: expires: expected a time\",\"sequence\":null}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_row_is_its_event),
        cmocka_unit_test(test_the_same_row_is_the_same_event),
        cmocka_unit_test(test_a_flag_of_the_crm_is_an_attribute),
        cmocka_unit_test(test_a_contact_has_an_id_that_repeats),
        cmocka_unit_test(test_a_key_says_who_it_is),
        cmocka_unit_test(test_wishes_name_their_customers),
        cmocka_unit_test(test_a_bad_row_is_told_why),
        cmocka_unit_test(test_who_is_named),
        cmocka_unit_test(test_the_verdict_stands_in_the_row),
        cmocka_unit_test(test_what_is_nobodys_says_so),
        cmocka_unit_test(test_a_refusal_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
