// SPDX-License-Identifier: Apache-2.0
// The rules of the UBL dialect. What is written is judged by the OASIS schemas where they are at
// hand (../shared/ubl-2.1 beside the source tree), else that judgement says SKIP.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <libxml/parser.h>
#include <libxml/xmlschemas.h>
#include <libxml/xmlschemastypes.h>

#include "connectors/dialect/ubl.h"

#define CAC "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
#define CBC "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"
#define ROOT(name)                                                                                 \
    "<" name " xmlns='urn:oasis:names:specification:ubl:schema:xsd:" name "-2' xmlns:a='" CAC      \
    "' xmlns:b='" CBC "'>"

static const struct ubl_party buyer = {"touchbus", "Buyer & Sons", NULL};
static const struct ubl_party seller = {"acme", "Acme \"Supply\" <BV>", "8712345000004"};

static char *write_order(const char *name, size_t *ret_size) {
    static const char json[] =
        "[{\"sku\":\"A-1\",\"quantity\":2,\"price\":\"19.90\"},"
        "{\"sku\":\"B<2\",\"quantity\":1.5,\"price\":\"0.10\",\"name\":\"x\"}]";
    char why[ORDER_WHY_BYTES];
    json_t *list = json_loads(json, 0, NULL);
    struct order_lines lines;
    assert_int_equal(order_lines_parse(list, &lines, why), 0);
    lines.lines[1].name = name;
    const struct order_line *chosen[] = {&lines.lines[0], &lines.lines[1]};
    struct ubl_order order = {.id = "o-17",
                              .time = "2026-03-01T10:00:00.5Z",
                              .currency = "EUR",
                              .quote_id = "q-1",
                              .buyer = buyer,
                              .seller = seller,
                              .lines = chosen,
                              .n_lines = 2};
    char *text = NULL;
    assert_int_equal(ubl_write_order(&order, &text, ret_size), 0);
    order_lines_clear(&lines);
    json_decref(list);
    return text;
}

static char *write_cancellation(size_t *ret_size) {
    struct ubl_cancellation cancellation = {.order_id = "o-17",
                                            .order_time = "2026-03-01T10:00:00Z",
                                            .time = "2026-03-02T11:00:00Z",
                                            .note = "cancelled",
                                            .buyer = buyer,
                                            .seller = seller};
    char *text = NULL;
    assert_int_equal(ubl_write_cancellation(&cancellation, &text, ret_size), 0);
    return text;
}

enum { SCHEMA_PATH_BYTES = 4096 };

// Skips the test where the schemas are not there: before it has anything to free.
static void find_schema(const char *schema, char path[static SCHEMA_PATH_BYTES]) {
    snprintf(path, SCHEMA_PATH_BYTES, "%s/UBL-%s-2.1.xsd", TOUCHBUS_UBL, schema);
    if (access(path, R_OK) != 0) {
        print_message("SKIP: %s is not there\n", path);
        skip();
    }
}

static void judge(const char *schema, const char *text, size_t size) {
    char path[SCHEMA_PATH_BYTES];
    find_schema(schema, path);
    xmlSchemaParserCtxt *parser = xmlSchemaNewParserCtxt(path);
    xmlSchema *rules = xmlSchemaParse(parser);
    assert_non_null(rules);
    xmlSchemaValidCtxt *judge = xmlSchemaNewValidCtxt(rules);
    xmlDoc *doc = xmlReadMemory(text, (int)size, NULL, NULL, XML_PARSE_NONET);
    assert_non_null(doc);
    assert_int_equal(xmlSchemaValidateDoc(judge, doc), 0);
    xmlFreeDoc(doc);
    xmlSchemaFreeValidCtxt(judge);
    xmlSchemaFree(rules);
    xmlSchemaFreeParserCtxt(parser);
}

static void test_order_is_valid_by_the_schema(void **state) {
    (void)state;
    char path[SCHEMA_PATH_BYTES];
    find_schema("Order", path);
    size_t size = 0;
    char *text = write_order("a\x01"
                             "b\xef\xbf\xbf & <c>",
                             &size);
    judge("Order", text, size);
    free(text);
}

static void test_cancellation_is_valid_by_the_schema(void **state) {
    (void)state;
    char path[SCHEMA_PATH_BYTES];
    find_schema("OrderCancellation", path);
    size_t size = 0;
    char *text = write_cancellation(&size);
    judge("OrderCancellation", text, size);
    free(text);
}

static void test_order_holds_exact_amounts_and_is_the_same_again(void **state) {
    (void)state;
    size_t size = 0;
    char *text = write_order("Lamp", &size), *again = write_order("Lamp", &size);
    assert_string_equal(text, again);
    assert_non_null(strstr(text, "<cbc:PayableAmount currencyID=\"EUR\">39.950</cbc:Pay"));
    assert_non_null(strstr(text, "<cbc:LineExtensionAmount currencyID=\"EUR\">39.80</cbc:L"));
    assert_non_null(strstr(text, "<cbc:IssueDate>2026-03-01</cbc:IssueDate>"));
    assert_non_null(strstr(text, "<cbc:ID>B&lt;2</cbc:ID>"));
    free(text);
    free(again);
}

static void test_order_without_lines_is_refused(void **state) {
    (void)state;
    struct ubl_order order = {.id = "o", .time = "2026-03-01T10:00:00Z", .currency = "EUR"};
    char *text = NULL;
    size_t size;
    assert_int_not_equal(ubl_write_order(&order, &text, &size), 0);
    assert_null(text);
}

static const char response[] =
    ROOT("OrderResponse") "<b:ID>R-1</b:ID><b:IssueDate>2026-03-02</"
                          "b:IssueDate><b:IssueTime>09:00:00+01:00</b:IssueTime>"
                          "<b:OrderResponseCode>AP</b:OrderResponseCode>"
                          "<a:OrderReference><b:ID> o-17 </b:ID></a:OrderReference>"
                          "<a:SellerSupplierParty><a:Party><a:PartyIdentification><b:ID>acme</b:ID>"
                          "</a:PartyIdentification></a:Party></a:SellerSupplierParty>"
                          "<a:OrderLine><a:LineItem><b:ID>1</b:ID><b:Quantity "
                          "unitCode='C62'>2</b:Quantity>"
                          "<a:Delivery><a:PromisedDeliveryPeriod><b:EndDate>2026-03-09</b:EndDate>"
                          "</a:PromisedDeliveryPeriod></"
                          "a:Delivery><a:Item><a:SellersItemIdentification><b:ID>A-1</b:ID>"
                          "</a:SellersItemIdentification></a:Item></a:LineItem></a:OrderLine>"
                          "<a:OrderLine><a:LineItem><b:ID>2</b:ID><b:Quantity "
                          "unitCode='C62'>3</b:Quantity>"
                          "<a:Delivery><a:EstimatedDeliveryPeriod><b:EndDate>2026-03-11</b:EndDate>"
                          "<b:EndTime>12:00:00</b:EndTime></a:EstimatedDeliveryPeriod></"
                          "a:Delivery><a:Item/></a:LineItem>"
                          "</a:OrderLine></OrderResponse>";

static const json_t *data_of(const json_t *events, size_t index) {
    return json_object_get(json_array_get(events, index), "data");
}

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

static void test_response_is_one_event_an_order_with_its_last_date(void **state) {
    (void)state;
    char why[UBL_WHY_BYTES] = "";
    json_t *events = NULL;
    assert_int_equal(ubl_read_supply(response, strlen(response), &events, why), 0);
    assert_int_equal(json_array_size(events), 1);
    const json_t *data = data_of(events, 0);
    assert_string_equal(text_of(json_array_get(events, 0), "type"), "supply.changed");
    assert_string_equal(text_of(json_array_get(events, 0), "time"), "2026-03-02T08:00:00Z");
    assert_string_equal(text_of(data, "order_id"), "o-17");
    assert_string_equal(text_of(data, "state"), "accepted");
    assert_string_equal(text_of(data, "supplier"), "acme");
    assert_string_equal(text_of(data, "eta"), "2026-03-11T12:00:00Z");
    assert_int_equal(json_integer_value(json_object_get(data, "quantity")), 5);
    const json_t *line = json_array_get(json_object_get(data, "lines"), 0);
    assert_string_equal(text_of(line, "sku"), "A-1");
    assert_string_equal(text_of(line, "eta"), "2026-03-09T00:00:00Z");
    json_decref(events);
}

static void test_despatch_names_an_order_a_line(void **state) {
    (void)state;
    static const char despatch[] = ROOT(
        "DespatchAdvice") "<b:ID>D-1</b:ID><b:IssueDate>2026-03-02</b:IssueDate>"
                          "<a:DespatchSupplierParty><a:Party><a:PartyName><b:Name>Acme</b:Name></"
                          "a:PartyName>"
                          "</a:Party></a:DespatchSupplierParty>"
                          "<a:Shipment><b:ID>S</"
                          "b:ID><a:Delivery><a:EstimatedDeliveryPeriod><b:EndDate>2026-03-05Z"
                          "</b:EndDate></a:EstimatedDeliveryPeriod></a:Delivery></a:Shipment>"
                          "<a:DespatchLine><b:ID>1</b:ID><b:DeliveredQuantity>2</"
                          "b:DeliveredQuantity>"
                          "<a:OrderLineReference><b:LineID>1</"
                          "b:LineID><a:OrderReference><b:ID>o-1</b:ID>"
                          "</a:OrderReference></a:OrderLineReference><a:Item/></a:DespatchLine>"
                          "<a:DespatchLine><b:ID>2</b:ID><b:DeliveredQuantity>0.5</"
                          "b:DeliveredQuantity>"
                          "<a:OrderLineReference><b:LineID>1</"
                          "b:LineID><a:OrderReference><b:ID>o-2</b:ID>"
                          "</a:OrderReference></a:OrderLineReference><a:Item/></a:DespatchLine></"
                          "DespatchAdvice>";
    char why[UBL_WHY_BYTES] = "";
    json_t *events = NULL;
    assert_int_equal(ubl_read_supply(despatch, strlen(despatch), &events, why), 0);
    assert_int_equal(json_array_size(events), 2);
    assert_string_equal(text_of(data_of(events, 0), "order_id"), "o-1");
    assert_string_equal(text_of(data_of(events, 1), "order_id"), "o-2");
    assert_string_equal(text_of(data_of(events, 1), "state"), "despatched");
    assert_string_equal(text_of(data_of(events, 1), "supplier"), "Acme");
    assert_string_equal(text_of(data_of(events, 1), "eta"), "2026-03-05T00:00:00Z");
    assert_true(json_is_real(json_object_get(data_of(events, 1), "quantity")));
    assert_null(json_object_get(json_array_get(events, 0), "time"));
    json_decref(events);
}

static void test_reader_refuses_and_says_why(void **state) {
    (void)state;
    static const struct {
        const char *xml, *why;
    } rows[] = {
        {"", "not well-formed XML, line 1"},
        {"<a", "not well-formed XML, line 1"},
        {"<a/>", "neither an OrderResponse nor a DespatchAdvice of UBL 2"},
        {"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
         "a document type declaration is not accepted"},
        {"<!DOCTYPE a [<!ENTITY l 'lol'><!ENTITY m '&l;&l;&l;&l;&l;&l;&l;&l;&l;&l;'>"
         "<!ENTITY n '&m;&m;&m;&m;&m;&m;&m;&m;&m;&m;'>]><a b='&n;'>&n;</a>",
         "a document type declaration is not accepted"},
        {"<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/x.dtd'><a/>",
         "a document type declaration is not accepted"},
        {ROOT("OrderResponse") "</OrderResponse>", "ID is missing"},
        {ROOT("OrderResponse") "<b:ID>1</b:ID></OrderResponse>", "no OrderReference"},
        {ROOT("OrderResponse") "<b:ID>1</b:ID><a:OrderLine/></OrderResponse>",
         "a line names no order, and the header neither"},
        {ROOT("OrderResponse") "<b:ID>1</b:ID><a:OrderReference><b:ID>o</b:ID></a:OrderReference>"
                               "<a:Delivery><b:ActualDeliveryDate>soon</b:ActualDeliveryDate>"
                               "</a:Delivery></OrderResponse>",
         "a delivery date cannot be read"},
        {ROOT("OrderResponse") "<b:ID>1</b:ID><a:OrderReference><b:ID>o</b:ID></a:OrderReference>"
                               "<a:OrderLine><a:LineItem><b:Quantity>many</b:Quantity>"
                               "</a:LineItem></a:OrderLine></OrderResponse>",
         "a quantity is no number"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char why[UBL_WHY_BYTES] = "";
        json_t *events = NULL;
        assert_int_equal(ubl_read_supply(rows[i].xml, strlen(rows[i].xml), &events, why), 1);
        assert_null(events);
        assert_string_equal(why, rows[i].why);
    }
}

static void test_reader_refuses_what_is_too_large(void **state) {
    (void)state;
    char *bytes = calloc(1, UBL_BYTES_MAX + 1);
    char why[UBL_WHY_BYTES] = "";
    json_t *events = NULL;
    assert_int_equal(ubl_read_supply(bytes, UBL_BYTES_MAX + 1, &events, why), 1);
    assert_string_equal(why, "over 4194304 bytes");
    free(bytes);
}

static void test_reader_bounds_orders_and_depth(void **state) {
    (void)state;
    enum { N_REFERENCES = UBL_ORDERS_MAX + 1, DEPTH = 100000, BYTES = 1 << 20 };
    char *xml = malloc(BYTES);
    int size = snprintf(xml, BYTES, "%s", ROOT("OrderResponse") "<b:ID>1</b:ID>");
    for (int i = 0; i < N_REFERENCES; i++) {
        size += snprintf(xml + size, (size_t)(BYTES - size),
                         "<a:OrderReference><b:ID>o-%d</b:ID></a:OrderReference>", i);
    }
    size += snprintf(xml + size, (size_t)(BYTES - size), "</OrderResponse>");
    char why[UBL_WHY_BYTES] = "";
    json_t *events = NULL;
    assert_int_equal(ubl_read_supply(xml, (size_t)size, &events, why), 1);
    assert_string_equal(why, "too many orders");
    for (size_t i = 0; i < (size_t)DEPTH * 3; i++) {
        xml[i] = "<a>"[i % 3];
    }
    assert_int_equal(ubl_read_supply(xml, (size_t)DEPTH * 3, &events, why), 1);
    free(xml);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_is_valid_by_the_schema),
        cmocka_unit_test(test_cancellation_is_valid_by_the_schema),
        cmocka_unit_test(test_order_holds_exact_amounts_and_is_the_same_again),
        cmocka_unit_test(test_order_without_lines_is_refused),
        cmocka_unit_test(test_response_is_one_event_an_order_with_its_last_date),
        cmocka_unit_test(test_despatch_names_an_order_a_line),
        cmocka_unit_test(test_reader_refuses_and_says_why),
        cmocka_unit_test(test_reader_refuses_what_is_too_large),
        cmocka_unit_test(test_reader_bounds_orders_and_depth),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    xmlSchemaCleanupTypes();
    xmlCleanupParser();
    return r;
}
