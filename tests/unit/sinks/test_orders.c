// SPDX-License-Identifier: Apache-2.0
// The rules of decimals, of the ERP's order document and of its reports.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connectors/dialect/order_document.h"

static const char placed[] =
    "{\"order_id\":\"o-17\",\"currency\":\"EUR\",\"quote_id\":\"q-3\",\"note\":\"gift\",\"lines\":["
    "{\"sku\":\"A-1\",\"quantity\":2,\"price\":\"19.90\",\"name\":\"Lamp\"},"
    "{\"sku\":\"B-2\",\"quantity\":1.5,\"price\":\"0.10\"}]}";
static const char shipped[] = "{\"order_id\":\"o-17\",\"status\":\"shipped\",\"revision\":3}";
static const char incarnation[] = "00112233445566778899aabbccddeeff";

static struct order_facts facts_at(uint64_t sequence) {
    return (struct order_facts){.sequence = sequence,
                                .incarnation = incarnation,
                                .time = "2026-03-01T10:00:00Z",
                                .customer = "c42",
                                .channel = "web"};
}

static struct order *parse(const char *json) {
    struct order *order = NULL;
    char why[ORDER_WHY_BYTES] = "";
    assert_int_equal(order_parse(json, strlen(json), &order, why), 0);
    return order;
}

static struct order_change *parse_change(const char *json) {
    struct order_change *change = NULL;
    char why[ORDER_WHY_BYTES] = "";
    assert_int_equal(order_change_parse(json, strlen(json), &change, why), 0);
    return change;
}

static json_t *document_placed(json_t *stored, const char *json, uint64_t sequence) {
    struct order *order = parse(json);
    struct order_facts facts = facts_at(sequence);
    json_t *document = NULL;
    assert_int_equal(order_document_placed(stored, order, &facts, &document), 0);
    order_free(order);
    return document;
}

static json_t *document_changed(json_t *stored, const char *json, uint64_t sequence) {
    struct order_change *change = parse_change(json);
    struct order_facts facts = facts_at(sequence);
    json_t *document = NULL;
    assert_int_equal(order_document_changed(stored, change, &facts, &document), 0);
    order_change_free(change);
    return document;
}

static const char *text_of(const json_t *document, const char *name) {
    const char *text = json_string_value(json_object_get(document, name));
    return text != NULL ? text : "";
}

static void test_decimals_keep_their_places(void **state) {
    (void)state;
    static const struct {
        const char *a, *b, *product, *sum;
    } rows[] = {
        {"19.90", "2", "39.80", "21.90"},
        {"0.10", "1.5", "0.150", "1.60"},
        {"-3", "0.05", "-0.15", "-2.95"},
        {"0", "7", "0", "7"},
        {"999999999999999999", "999999999999999999", "999999999999999998000000000000000001",
         "1999999999999999998"},
        {"0.000000001", "0.000000001", "0.000000000000000001", "0.000000002"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct decimal a, b, r;
        char text[DECIMAL_TEXT_BYTES];
        assert_int_equal(decimal_parse(rows[i].a, &a), 0);
        assert_int_equal(decimal_parse(rows[i].b, &b), 0);
        assert_int_equal(decimal_multiply(a, b, &r), 0);
        assert_string_equal(decimal_format(r, text), rows[i].product);
        assert_int_equal(decimal_add(a, b, &r), 0);
        assert_string_equal(decimal_format(r, text), rows[i].sum);
    }
}

static void test_decimal_refuses_what_is_none(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        "-",
                                        ".",
                                        "1.",
                                        ".5",
                                        "1,5",
                                        "1e3",
                                        "0x1",
                                        " 1",
                                        "1 ",
                                        "1.2.3",
                                        "NaN",
                                        "1234567890123456789",
                                        "0.1234567890"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct decimal ignored;
        assert_int_not_equal(decimal_parse(texts[i], &ignored), 0);
    }
}

static void test_decimal_from_double_is_the_shortest(void **state) {
    (void)state;
    struct decimal value;
    char text[DECIMAL_TEXT_BYTES];
    assert_int_equal(decimal_from_double(0.1, &value), 0);
    assert_string_equal(decimal_format(value, text), "0.1");
    assert_int_equal(decimal_from_double(3.0, &value), 0);
    assert_string_equal(decimal_format(value, text), "3");
    assert_int_not_equal(decimal_from_double(1e300, &value), 0);
    assert_int_not_equal(decimal_from_double(1e-300, &value), 0);
}

static void test_document_holds_the_order_exactly(void **state) {
    (void)state;
    json_t *document = document_placed(NULL, placed, 5);
    const json_t *line = json_array_get(json_object_get(document, "lines"), 1);
    assert_string_equal(text_of(document, "status"), "placed");
    assert_string_equal(text_of(document, "total"), "39.950");
    assert_string_equal(text_of(document, "sequence"), "5");
    assert_string_equal(text_of(document, "customer"), "c42");
    assert_string_equal(text_of(line, "amount"), "0.150");
    assert_string_equal(text_of(line, "quantity"), "1.5");
    assert_string_equal(text_of(json_object_get(document, "extra"), "note"), "gift");
    json_decref(document);
}

static void test_document_is_the_same_bytes_for_the_same_events(void **state) {
    (void)state;
    char *texts[2];
    for (int i = 0; i < 2; i++) {
        size_t size = 0;
        json_t *document = document_placed(NULL, placed, 5);
        json_t *changed = document_changed(document, shipped, 9);
        texts[i] = order_document_text(changed, &size);
        assert_int_equal(size, strlen(texts[i]));
        json_decref(document);
        json_decref(changed);
    }
    assert_string_equal(texts[0], texts[1]);
    free(texts[0]);
    free(texts[1]);
}

static void test_document_reads_back(void **state) {
    (void)state;
    json_t *document = document_placed(NULL, placed, 5), *again = NULL;
    size_t size = 0;
    char *text = order_document_text(document, &size);
    assert_int_equal(order_document_read(text, size, &again), 0);
    assert_true(json_equal(document, again));
    assert_int_equal(order_document_read("{\"format\":\"other\"}", 18, &again), 1);
    free(text);
    json_decref(document);
    json_decref(again);
}

static void test_event_at_or_below_the_document_is_a_repeat(void **state) {
    (void)state;
    json_t *document = document_placed(NULL, placed, 5), *ignored = NULL;
    struct order *order = parse(placed);
    struct order_change *change = parse_change(shipped);
    struct order_facts facts = facts_at(5);
    assert_int_equal(order_document_placed(document, order, &facts, &ignored), ORDER_REPEAT);
    assert_int_equal(order_document_changed(document, change, &facts, &ignored), ORDER_REPEAT);
    facts.incarnation = "ffffffffffffffffffffffffffffffff";
    assert_int_equal(order_document_placed(document, order, &facts, &ignored), 0);
    assert_string_equal(text_of(ignored, "incarnation"), facts.incarnation);
    json_decref(ignored);
    json_decref(document);
    order_free(order);
    order_change_free(change);
}

static void test_of_two_placements_the_first_counts(void **state) {
    (void)state;
    json_t *document = document_placed(NULL, placed, 5), *ignored = NULL;
    struct order *order = parse(placed);
    struct order_facts facts = facts_at(6);
    assert_int_equal(order_document_placed(document, order, &facts, &ignored), ORDER_STALE);
    order_free(order);
    json_decref(document);
}

static void test_documents_that_differ_in_position_only_say_the_same(void **state) {
    (void)state;
    json_t *a = document_placed(NULL, placed, 5), *b = document_placed(NULL, placed, 7);
    json_t *c = document_changed(a, shipped, 9);
    assert_true(order_document_same(a, b));
    assert_false(order_document_same(a, c));
    json_decref(a);
    json_decref(b);
    json_decref(c);
}

static void test_change_updates_status_and_keeps_the_order(void **state) {
    (void)state;
    json_t *document = document_placed(NULL, placed, 5);
    json_t *changed = document_changed(document, shipped, 9);
    assert_string_equal(text_of(changed, "status"), "shipped");
    assert_int_equal(json_integer_value(json_object_get(changed, "revision")), 3);
    assert_string_equal(text_of(changed, "total"), "39.950");
    assert_true(json_is_true(json_object_get(changed, "complete")));
    assert_string_equal(text_of(document, "status"), "placed");
    json_decref(document);
    json_decref(changed);
}

static void test_change_of_a_lower_revision_is_stale(void **state) {
    (void)state;
    json_t *document = document_placed(NULL, placed, 5), *ignored = NULL;
    json_t *changed = document_changed(document, shipped, 9);
    struct order_change *old =
        parse_change("{\"order_id\":\"o-17\",\"status\":\"packed\",\"revision\":2}");
    struct order_facts facts = facts_at(10);
    assert_int_equal(order_document_changed(changed, old, &facts, &ignored), ORDER_STALE);
    order_change_free(old);
    json_decref(document);
    json_decref(changed);
}

static void test_change_before_its_order_is_a_document_of_its_own(void **state) {
    (void)state;
    json_t *change = document_changed(NULL, shipped, 9);
    assert_false(json_is_true(json_object_get(change, "complete")));
    json_t *document = document_placed(change, placed, 12);
    assert_string_equal(text_of(document, "status"), "shipped");
    assert_int_equal(json_integer_value(json_object_get(document, "revision")), 3);
    assert_true(json_is_true(json_object_get(document, "complete")));
    json_decref(change);
    json_decref(document);
}

static void test_parse_refuses_and_names_the_field(void **state) {
    (void)state;
    static const struct {
        const char *json, *why;
    } rows[] = {
        {"[]", "data is no JSON object"},
        {"{\"order_id\":\"o\",\"lines\":[]}", "order_id or currency is missing"},
        {"{\"order_id\":7,\"currency\":\"EUR\",\"lines\":[]}", "order_id or currency is missing"},
        {"{\"order_id\":\"o\",\"currency\":\"EUR\"}", "lines is no list, or too long"},
        {"{\"order_id\":\"o\",\"currency\":\"EUR\",\"lines\":[{\"quantity\":1}]}",
         "lines[0]: sku is missing"},
        {"{\"order_id\":\"o\",\"currency\":\"EUR\",\"lines\":[{\"sku\":\"s\",\"quantity\":1,"
         "\"price\":9.5}]}",
         "lines[0]: price is no decimal string"},
        {"{\"order_id\":\"o\",\"currency\":\"EUR\",\"lines\":[{\"sku\":\"s\",\"quantity\":null,"
         "\"price\":\"1\"}]}",
         "lines[0]: quantity is no number"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct order *order = NULL;
        char why[ORDER_WHY_BYTES] = "";
        assert_int_equal(order_parse(rows[i].json, strlen(rows[i].json), &order, why), 1);
        assert_string_equal(why, rows[i].why);
        assert_null(order);
    }
}

static int read_reports(const char *json, json_t **ret, char *why) {
    return order_reports_read(json, strlen(json), ret, why);
}

static void test_reports_are_one_object_or_a_list(void **state) {
    (void)state;
    static const char one[] = "\xef\xbb\xbf{\"type\":\"order.changed\",\"order_id\":\"o-17\","
                              "\"status\":\"shipped\",\"revision\":3,\"carrier\":\"x\"}";
    static const char two[] =
        "[{\"type\":\"price.changed\",\"time\":\"2026-03-01T10:00:00Z\",\"sku\":\"A-1\","
        "\"price\":\"18.00\",\"currency\":\"EUR\",\"valid_from\":\"2026-04-01T00:00:00Z\"},"
        "{\"type\":\"order.changed\",\"order_id\":\"o\",\"status\":\"s\",\"revision\":1}]";
    char why[ORDER_WHY_BYTES] = "";
    json_t *events = NULL;
    assert_int_equal(read_reports(one, &events, why), 0);
    assert_int_equal(json_array_size(events), 1);
    const json_t *event = json_array_get(events, 0), *data = json_object_get(event, "data");
    assert_string_equal(text_of(event, "type"), "order.changed");
    assert_string_equal(text_of(data, "carrier"), "x");
    assert_null(json_object_get(data, "type"));
    json_decref(events);
    assert_int_equal(read_reports(two, &events, why), 0);
    assert_int_equal(json_array_size(events), 2);
    assert_string_equal(text_of(json_array_get(events, 0), "time"), "2026-03-01T10:00:00Z");
    json_decref(events);
}

static void test_reports_are_refused_whole(void **state) {
    (void)state;
    static const struct {
        const char *json, *why;
    } rows[] = {
        {"[", "no JSON from line 1 column 1 on"},
        {"[]", "0 reports, expected 1 to 10000"},
        {"{\"type\":\"order.placed\"}", "report 0: type is not order.changed or price.changed"},
        {"[{\"type\":\"order.changed\",\"order_id\":\"o\",\"status\":\"s\",\"revision\":1},"
         "{\"type\":\"order.changed\",\"order_id\":\"o\",\"status\":\"s\",\"revision\":\"1\"}]",
         "report 1: revision must be a whole number"},
        {"{\"type\":\"price.changed\",\"sku\":\"A\",\"price\":18.0,\"currency\":\"EUR\","
         "\"valid_from\":\"2026-04-01T00:00:00Z\"}",
         "report 0: price must be a decimal string"},
        {"{\"type\":\"price.changed\",\"sku\":\"A\",\"price\":\"18.0\",\"currency\":\"EUR\","
         "\"valid_from\":\"1 April\"}",
         "report 0: valid_from must be a time (RFC 3339)"},
        {"{\"type\":\"order.changed\",\"type\":\"order.changed\"}",
         "no JSON from line 1 column 30 on"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char why[ORDER_WHY_BYTES] = "";
        json_t *events = NULL;
        assert_int_equal(read_reports(rows[i].json, &events, why), 1);
        assert_null(events);
        assert_string_equal(why, rows[i].why);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimals_keep_their_places),
        cmocka_unit_test(test_decimal_refuses_what_is_none),
        cmocka_unit_test(test_decimal_from_double_is_the_shortest),
        cmocka_unit_test(test_document_holds_the_order_exactly),
        cmocka_unit_test(test_document_is_the_same_bytes_for_the_same_events),
        cmocka_unit_test(test_document_reads_back),
        cmocka_unit_test(test_event_at_or_below_the_document_is_a_repeat),
        cmocka_unit_test(test_of_two_placements_the_first_counts),
        cmocka_unit_test(test_documents_that_differ_in_position_only_say_the_same),
        cmocka_unit_test(test_change_updates_status_and_keeps_the_order),
        cmocka_unit_test(test_change_of_a_lower_revision_is_stale),
        cmocka_unit_test(test_change_before_its_order_is_a_document_of_its_own),
        cmocka_unit_test(test_parse_refuses_and_names_the_field),
        cmocka_unit_test(test_reports_are_one_object_or_a_list),
        cmocka_unit_test(test_reports_are_refused_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
