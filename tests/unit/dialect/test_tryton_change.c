// SPDX-License-Identifier: Apache-2.0
// Rows as a real Tryton 6.0 answered them, and what customers are told of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connectors/dialect/tryton_change.h"

#define STAMP "\"_timestamp\":\"1795327787.257541\""
enum { TEXT_BYTES = 8192 };
static const int64_t stamp_us = INT64_C(1795327787257541);

static json_t *parse(const char *text) {
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    return json;
}

static json_t *reports_of(enum tryton_feed feed, const char *rows, const char *more) {
    struct tryton_changes_read read;
    json_t *json = parse(rows), *other = more == NULL ? NULL : parse(more);
    assert_int_equal(tryton_changes_read(feed, json, other, &read), 0);
    json_decref(json);
    json_decref(other);
    return read.reports;
}

// What the reports say: "order.changed shipped;..." or "without reference;".
static void assert_said(enum tryton_feed feed, const char *rows, const char *more,
                        const char *expected) {
    char said[TEXT_BYTES] = "";
    json_t *reports = reports_of(feed, rows, more);
    for (size_t i = 0; i < json_array_size(reports); i++) {
        const json_t *report = json_array_get(reports, i),
                     *event = json_object_get(report, "event");
        size_t size = strlen(said);
        snprintf(said + size, sizeof(said) - size, "%s %s;",
                 event == NULL ? "without" : json_string_value(json_object_get(event, "type")),
                 json_string_value(json_object_get(report, event == NULL ? "without" : "value")));
    }
    assert_string_equal(said, expected);
    json_decref(reports);
}

#define SALE(state, shipped, shipments)                                                            \
    "[{\"id\":17,\"reference\":\"o-1\",\"number\":\"S1\",\"state\":\"" state                       \
    "\",\"shipment_state\":\"" shipped "\"," STAMP ",\"shipments.\":[" shipments "]}]"
#define SHIPMENT(state) "{\"id\":1,\"number\":\"P1\",\"state\":\"" state "\"," STAMP "}"

static void test_status_follows_the_sale_and_its_shipments(void **ignored) {
    (void)ignored;
    static const struct {
        const char *rows, *said;
    } rows[] = {
        {SALE("draft", "none", ""), ""},
        {SALE("quotation", "none", ""), ""},
        {SALE("confirmed", "none", ""), "order.changed confirmed;"},
        {SALE("processing", "waiting", SHIPMENT("waiting")), "order.changed confirmed;"},
        {SALE("processing", "waiting", SHIPMENT("assigned")), "order.changed confirmed;"},
        {SALE("processing", "waiting", SHIPMENT("picked")), "order.changed picked;"},
        {SALE("processing", "waiting", SHIPMENT("packed")), "order.changed packed;"},
        {SALE("processing", "waiting", SHIPMENT("packed") "," SHIPMENT("waiting")),
         "order.changed confirmed;"},
        {SALE("processing", "waiting", SHIPMENT("done") "," SHIPMENT("waiting")),
         "order.changed partly_shipped;"},
        {SALE("processing", "waiting", SHIPMENT("cancelled")), "order.changed confirmed;"},
        {SALE("processing", "waiting", SHIPMENT("done")),
         ""}, // whether all: said by the next write
        {SALE("processing", "sent", SHIPMENT("done")), "order.changed shipped;"},
        {SALE("processing", "exception", SHIPMENT("cancelled")), "order.changed on_hold;"},
        {SALE("done", "sent", SHIPMENT("done")), "order.changed completed;"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_said(TRYTON_SALES, rows[i].rows, NULL, rows[i].said);
    }
}

static void test_cancelled_sale_ends_the_order_unless_there_is_another(void **ignored) {
    (void)ignored;
    assert_said(TRYTON_SALES, SALE("cancelled", "none", ""), "[]", "order.changed cancelled;");
    assert_said(TRYTON_SALES, SALE("cancelled", "none", ""), "[{\"id\":18,\"reference\":\"o-1\"}]",
                "");
    assert_said(TRYTON_SALES, SALE("cancelled", "none", ""), "[{\"id\":18,\"reference\":\"o-2\"}]",
                "order.changed cancelled;");
    assert_said(TRYTON_SALES, SALE("cancelled", "none", ""), NULL, ""); // not known
}

static void test_status_is_told_again_for_each_change_that_came_too_late(void **ignored) {
#define REFUSED(comment)                                                                           \
    "[{\"id\":17,\"reference\":\"o-1\",\"state\":\"processing\",\"comment\":\"" comment            \
    "\"," STAMP "}]"
#define TOO_LATE(number) "touchbus: revision " number " asked to cancel, which came too late"
    static const struct {
        const char *rows, *value, *refused;
    } rows[] = {{REFUSED("touchbus: DESK-1 ordered at 2.00"), "confirmed", NULL},
                {REFUSED(TOO_LATE("3")), "confirmed+1", TOO_LATE("3")},
                {REFUSED("mine\\n" TOO_LATE("3") "\\n" TOO_LATE("4") "\\nyours"), "confirmed+2",
                 TOO_LATE("4")}};
    (void)ignored;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *reports = reports_of(TRYTON_SALES, rows[i].rows, NULL);
        const json_t *report = json_array_get(reports, 0);
        const json_t *data = json_object_get(json_object_get(report, "event"), "data");
        const char *refused = json_string_value(json_object_get(data, "refused"));
        assert_string_equal(json_string_value(json_object_get(report, "value")), rows[i].value);
        assert_string_equal(json_string_value(json_object_get(data, "status")), "confirmed");
        assert_true(refused == NULL
                        ? rows[i].refused == NULL
                        : rows[i].refused != NULL && strcmp(refused, rows[i].refused) == 0);
        json_decref(reports);
    }
}

static void test_sale_without_reference_is_none_of_ours(void **ignored) {
    (void)ignored;
    assert_said(TRYTON_SALES, "[{\"id\":17,\"reference\":null,\"state\":\"confirmed\"," STAMP "}]",
                NULL, "without reference;");
    assert_said(TRYTON_SALES, "[{\"id\":17,\"reference\":\"\",\"state\":\"confirmed\"," STAMP "}]",
                NULL, "without reference;");
}

static void test_report_has_id_time_and_revision_of_the_latest_stamp(void **ignored) {
    (void)ignored;
    json_t *reports = reports_of(
        TRYTON_SALES,
        "[{\"id\":17,\"reference\":\"o-1\",\"number\":\"S1\",\"state\":\"processing\","
        "\"shipment_state\":\"waiting\",\"_timestamp\":\"1795327780.5\",\"shipments.\":[{\"id\":1,"
        "\"state\":\"packed\"," STAMP ",\"planned_date\":{\"__class__\":\"date\",\"year\":2026,"
        "\"month\":3,\"day\":9}}]}]",
        NULL);
    json_t *expected = parse(
        "[{\"key\":\"sale.sale-17-status\",\"value\":\"packed\",\"stamp\":1795327787257541,"
        "\"event\":{\"id\":\"sale.sale-17-status-1795327787257541\",\"type\":\"order.changed\","
        "\"time\":\"2026-11-22T06:09:47.257541Z\",\"data\":{\"order_id\":\"o-1\",\"status\":"
        "\"packed\",\"revision\":1795327787257541,\"sale\":\"S1\"}}},"
        "{\"key\":\"sale.sale-17-eta\",\"value\":\"2026-03-09T00:00:00Z\",\"stamp\":"
        "1795327787257541,\"event\":{\"id\":\"sale.sale-17-eta-1795327787257541\",\"type\":"
        "\"supply.changed\",\"time\":\"2026-11-22T06:09:47.257541Z\",\"data\":{\"order_id\":"
        "\"o-1\",\"eta\":\"2026-03-09T00:00:00Z\"}}}]");
    char *said = json_dumps(reports, JSON_SORT_KEYS),
         *wanted = json_dumps(expected, JSON_SORT_KEYS);
    assert_string_equal(said, wanted);
    free(said);
    free(wanted);
    json_decref(expected);
    json_decref(reports);
}

static void test_later_report_is_raised_above_the_one_before(void **ignored) {
    (void)ignored;
    json_t *reports = reports_of(TRYTON_SALES, SALE("confirmed", "none", ""), NULL);
    json_t *report = json_array_get(reports, 0);
    json_t *event = json_object_get(report, "event"), *data = json_object_get(event, "data");
    tryton_report_after(report, stamp_us - 1);
    assert_int_equal(json_integer_value(json_object_get(data, "revision")), stamp_us);
    tryton_report_after(report, stamp_us + 9);
    assert_int_equal(json_integer_value(json_object_get(data, "revision")), stamp_us + 10);
    assert_string_equal(json_string_value(json_object_get(event, "time")),
                        "2026-11-22T06:09:47.257551Z");
    assert_string_equal(json_string_value(json_object_get(event, "id")),
                        "sale.sale-17-status-1795327787257541");
    json_decref(reports);
}

#define INVOICE(type, number, state, total, sales)                                                 \
    "[{\"id\":3,\"type\":\"" type "\",\"number\":" number ",\"state\":\"" state                    \
    "\",\"total_amount\":{\"__class__\":\"Decimal\",\"decimal\":\"" total                          \
    "\"},\"amount_to_pay\":{\"__class__\":\"Decimal\",\"decimal\":\"0\"},\"currency.\":{\"id\":1," \
    "\"code\":\"EUR\"},\"sales.\":[" sales "]," STAMP "}]"
#define OF_SALE "{\"id\":1,\"reference\":null},{\"id\":2,\"reference\":\"o-1\"}"

static void test_invoice_is_told_when_the_customer_has_it(void **ignored) {
    (void)ignored;
    assert_said(TRYTON_INVOICES, INVOICE("out", "null", "draft", "39.80", OF_SALE), NULL, "");
    assert_said(TRYTON_INVOICES, INVOICE("out", "\"7\"", "validated", "39.80", OF_SALE), NULL, "");
    assert_said(TRYTON_INVOICES, INVOICE("in", "\"7\"", "posted", "39.80", OF_SALE), NULL, "");
    assert_said(TRYTON_INVOICES, INVOICE("out", "\"7\"", "posted", "39.80", OF_SALE), NULL,
                "payment.changed posted 39.80 EUR 0;");
    assert_said(TRYTON_INVOICES, INVOICE("out", "\"7\"", "paid", "-39.80", OF_SALE), NULL,
                "payment.changed paid -39.80 EUR 0;");
    assert_said(TRYTON_INVOICES, INVOICE("out", "\"7\"", "paid", "39.80", "{\"id\":1}"), NULL,
                "without reference;");
    assert_said(TRYTON_INVOICES, INVOICE("out", "\"7\"", "paid", "4E+2", OF_SALE), NULL,
                "without sense;");
}

#define PRODUCT(code, salable, price, prices)                                                      \
    "[{\"id\":4,\"code\":" code ",\"salable\":" salable ",\"list_price\":{\"decimal\":\"" price    \
    "\"}," STAMP ",\"template.\":{\"id\":9,\"list_prices.\":[" prices "]}}]"
#define PRICE(price, currency)                                                                     \
    "{\"id\":1,\"list_price\":{\"decimal\":\"" price                                               \
    "\"},\"company.\":{\"id\":1,\"currency.\":{\"id\":1,\"code\":\"" currency "\"}}}"

static void test_price_is_that_of_what_can_be_ordered(void **ignored) {
    (void)ignored;
    assert_said(TRYTON_PRODUCTS, PRODUCT("\"A\"", "true", "4.5", PRICE("4.5", "EUR")), NULL,
                "price.changed 4.5 EUR;");
    assert_said(TRYTON_PRODUCTS,
                PRODUCT("\"A\"", "true", "4.5", PRICE("9", "USD") "," PRICE("4.5", "EUR")), NULL,
                "price.changed 4.5 EUR;");
    assert_said(TRYTON_PRODUCTS, PRODUCT("\"A\"", "false", "4.5", PRICE("4.5", "EUR")), NULL, "");
    assert_said(TRYTON_PRODUCTS, PRODUCT("null", "true", "4.5", PRICE("4.5", "EUR")), NULL, "");
    assert_said(TRYTON_PRODUCTS, PRODUCT("\"A\"", "true", "4.5", ""), NULL, "without sense;");
}

#define DAY(day) "{\"__class__\":\"date\",\"year\":2026,\"month\":3,\"day\":" day "}"
#define LINE(quantity, day, moves)                                                                 \
    "{\"id\":1,\"quantity\":" quantity                                                             \
    ",\"delivery_date\":" DAY(day) ",\"product.\":{\"id\":4,\"code\":\"C\"},\"moves.\":[" moves    \
                                   "]}"
#define PURCHASE(state)                                                                            \
    "[{\"id\":1,\"number\":\"B1\",\"state\":\"" state "\"," STAMP ",\"lines.\":[{\"id\":5," STAMP  \
    ",\"product.\":{\"id\":4,\"code\":\"C\"}}]}]"

static void test_supply_is_what_all_purchases_still_bring(void **ignored) {
    (void)ignored;
    static const char both[] = "[" LINE("50.0", "9", "") "," LINE("7", "5", "") "]";
    assert_said(TRYTON_PURCHASES, PURCHASE("draft"), both, "");
    assert_said(TRYTON_PURCHASES, PURCHASE("processing"), both,
                "supply.changed 57 2026-03-05T00:00:00Z;");
    assert_said(TRYTON_PURCHASES, PURCHASE("done"), "[]", "supply.changed 0 ;");
    assert_said(TRYTON_PURCHASES, PURCHASE("processing"),
                "[" LINE("50.0", "9",
                         "{\"id\":1,\"state\":\"done\",\"quantity\":20},{\"id\":2,"
                         "\"state\":\"draft\",\"quantity\":30}") "]",
                "supply.changed 30 2026-03-09T00:00:00Z;");
    assert_said(TRYTON_PURCHASES, PURCHASE("processing"), NULL, ""); // not known
}

static void test_question_names_each_date_and_goes_on_behind_an_id(void **ignored) {
    (void)ignored;
    json_t *question = tryton_changes_question(TRYTON_SALES, stamp_us, 41, 100);
    char *text = json_dumps(question, JSON_COMPACT);
    assert_non_null(text);
    assert_non_null(strstr(text, "[[[\"id\",\">\",41],[\"OR\",[\"write_date\",\">=\",{"));
    assert_non_null(strstr(text, "\"year\":2026,\"month\":11,\"day\":22,\"hour\":6,\"minute\":9,"
                                 "\"second\":47,\"microsecond\":257541}"));
    assert_non_null(strstr(text, "[\"lines.moves.shipment.create_date\",\">=\",{"));
    assert_non_null(strstr(text, "},\"stock.shipment.out\"]]],0,100,[[\"id\",\"ASC\"]]"));
    free(text);
    json_decref(question);
}

static void test_second_question_is_asked_only_where_it_matters(void **ignored) {
    const char *model = NULL;
    json_t *rows = parse(SALE("confirmed", "none", ""));
    (void)ignored;
    assert_null(tryton_changes_question_more(TRYTON_SALES, rows, 10, &model));
    assert_null(tryton_changes_question_more(TRYTON_PRODUCTS, rows, 10, &model));
    json_decref(rows);
    rows = parse(SALE("cancelled", "none", ""));
    json_t *question = tryton_changes_question_more(TRYTON_SALES, rows, 10, &model);
    assert_non_null(question);
    assert_string_equal(model, "sale.sale");
    json_decref(question);
    json_decref(rows);
    rows = parse(PURCHASE("processing"));
    question = tryton_changes_question_more(TRYTON_PURCHASES, rows, 10, &model);
    assert_non_null(question);
    assert_string_equal(model, "purchase.line");
    json_decref(question);
    json_decref(rows);
}

static void test_row_without_id_or_stamp_is_left_out(void **ignored) {
    static const struct {
        const char *text;
    } rows[] = {{"[null]"},
                {"[{}]"},
                {"[{\"id\":1}]"},
                {"[{\"id\":\"1\"," STAMP "}]"},
                {"[{\"id\":1,\"_timestamp\":\"x\"}]"},
                {"[{\"id\":1,\"_timestamp\":\"99999999999999999999.1\"}]"},
                {"[{\"id\":1,\"_timestamp\":\"-1.5\"}]"}};
    (void)ignored;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tryton_changes_read read;
        json_t *json = parse(rows[i].text);
        assert_int_equal(tryton_changes_read(TRYTON_SALES, json, NULL, &read), 0);
        assert_int_equal(read.n_nameless, 1);
        assert_int_equal(json_array_size(read.reports), 0);
        tryton_changes_read_clear(&read);
        json_decref(json);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_follows_the_sale_and_its_shipments),
        cmocka_unit_test(test_cancelled_sale_ends_the_order_unless_there_is_another),
        cmocka_unit_test(test_status_is_told_again_for_each_change_that_came_too_late),
        cmocka_unit_test(test_sale_without_reference_is_none_of_ours),
        cmocka_unit_test(test_report_has_id_time_and_revision_of_the_latest_stamp),
        cmocka_unit_test(test_later_report_is_raised_above_the_one_before),
        cmocka_unit_test(test_invoice_is_told_when_the_customer_has_it),
        cmocka_unit_test(test_price_is_that_of_what_can_be_ordered),
        cmocka_unit_test(test_supply_is_what_all_purchases_still_bring),
        cmocka_unit_test(test_question_names_each_date_and_goes_on_behind_an_id),
        cmocka_unit_test(test_second_question_is_asked_only_where_it_matters),
        cmocka_unit_test(test_row_without_id_or_stamp_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
