// SPDX-License-Identifier: Apache-2.0
// The catalogue: which rows there are, how rows are read and refused, how bodies are judged.
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schemas/base/cleanup.h"
#include "schemas/body.h"
#include "schemas/catalogue.h"
#include "tests/unit/schemas/cmocka_all.h"

static struct catalogue *catalogue;

static int set_up(void **state) {
    (void)state;
    char *error = NULL;
    return catalogue_load(NULL, &catalogue, &error);
}

static int tear_down(void **state) {
    (void)state;
    catalogue = catalogue_free(catalogue);
    return 0;
}

// The list that the design gives, with its required fields: a row that changes shows here.
static const char *const listed[] = {
    "customer.identified traits",
    "customer.registered user_id",
    "customer.aliased previous_id user_id",
    "customer.changed fields",
    "customer.grouped group_id",
    "identity.changed kind from to reason",
    "standing.changed what old new",
    "consent.changed purpose address state text_version",
    "preference.set",
    "page.viewed url",
    "need.selected term",
    "product.viewed sku",
    "cart.changed cart_id lines",
    "checkout.abandoned cart_id",
    "greeting.shown variant",
    "content.shown content_id",
    "kiosk.session.ended device outcome",
    "call.received from to call_id",
    "call.answered call_id actor",
    "call.ended call_id duration_s outcome",
    "call.placed to purpose",
    "callback.requested number",
    "interaction.routed queue skill priority",
    "message.received from ref",
    "message.sent to",
    "message.outcome outcome",
    "chat.state conversation_id state",
    "chat.message conversation_id text",
    "visit.recorded kind place actor",
    "fieldservice.completed job_id asset outcome",
    "delivery.completed order_id outcome",
    "credit.changed application_id state",
    "payment.changed invoice_id state amount currency",
    "quote.issued quote_id revision lines valid_until currency",
    "quote.closed quote_id outcome",
    "promise.made promise_id text due",
    "answer.recorded question answer",
    "order.placed order_id lines currency",
    "order.changed order_id status revision",
    "supply.changed",
    "price.changed sku price currency valid_from",
    "partner.message partner_id subject",
    "return.requested order_id reason",
    "case.opened case_id kind severity",
    "case.resolved case_id outcome",
    "feedback.given score scale",
    "contact.requested contact_id content_id purpose channels",
    "contact.decided contact_id verdict reasons",
    "privacy.changed kind state",
    "agent.state actor state skills",
    "lead.changed lead_id state",
    "opportunity.changed opportunity_id state",
    "offer.answered offer_id answer",
    "merge.requested customers reason",
    "split.requested customers reason",
    "configuration.changed actor what",
    "admin.acted actor what",
    "events.lost actor what",
    "cost.recorded channel period amount",
};
enum { LISTED = sizeof(listed) / sizeof(listed[0]) };

static void test_every_listed_type_is_there_with_its_fields(void **state) {
    (void)state;
    size_t n;
    const struct catalogue_type *rows = catalogue_rows(catalogue, &n);
    assert_int_equal(LISTED, 59);
    assert_int_equal(n, LISTED);
    for (size_t i = 0; i < n; i++) {
        char text[256];
        size_t used = (size_t)snprintf(text, sizeof(text), "%s", rows[i].name);
        for (size_t k = 0; k < rows[i].n_fields; k++) {
            if (rows[i].fields[k].required) {
                used += (size_t)snprintf(text + used, sizeof(text) - used, " %s",
                                         rows[i].fields[k].name);
            }
        }
        assert_string_equal(text, listed[i]);
        assert_ptr_equal(catalogue_find(catalogue, rows[i].name), &rows[i]);
    }
    assert_null(catalogue_find(catalogue, "track.nothing"));
    assert_null(catalogue_find(catalogue, ""));
}

static void test_ids_refer_to_what_they_name(void **state) {
    (void)state;
    static const char *const kinds[][2] = {
        {"order_id", "order"},     {"quote_id", "quote"},
        {"case_id", "case"},       {"call_id", "call"},
        {"contact_id", "contact"}, {"cart_id", "cart"},
        {"invoice_id", "invoice"}, {"conversation_id", "conversation"},
        {"customer", "customer"},  {"customers", "customer"},
    };
    enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };
    size_t n;
    size_t n_found[N_KINDS] = {0};
    const struct catalogue_type *rows = catalogue_rows(catalogue, &n);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < rows[i].n_fields; k++) {
            const struct catalogue_field *field = &rows[i].fields[k];
            const char *expected = NULL;
            for (size_t j = 0; j < N_KINDS; j++) {
                if (strcmp(field->name, kinds[j][0]) == 0) {
                    expected = kinds[j][1];
                    n_found[j]++;
                }
            }
            if (strcmp(rows[i].name, "contact.requested") == 0 &&
                strcmp(field->name, "address") == 0) {
                expected = "address"; // a consent's tells what was consented to, not whose it is
            }
            assert_int_equal(expected == NULL, field->reference == NULL);
            if (expected != NULL) {
                assert_string_equal(field->reference, expected);
            }
        }
    }
    for (size_t j = 0; j < N_KINDS; j++) {
        assert_true(n_found[j] > 0);
    }
}

static void test_rows_carry_need_direction_and_channel(void **state) {
    (void)state;
    const struct catalogue_type *type = catalogue_find(catalogue, "supply.changed");
    assert_int_equal(type->need, NEED_CRM | NEED_ERP | NEED_SCM);
    assert_int_equal(type->directions, DIRECTION_MAY_DECIDED);
    assert_string_equal(type->channels[0], "scm");
    assert_null(type->channels[1]);
    assert_string_equal(type->one_of[0], "order_id|sku");
    type = catalogue_find(catalogue, "chat.message");
    assert_int_equal(type->directions, DIRECTION_MAY_INBOUND | DIRECTION_MAY_OUTBOUND);
    assert_true(type->fields[1].personal);
    type = catalogue_find(catalogue, "greeting.shown");
    assert_int_equal(type->need, 0);
}

static void judge(const char *type, const char *text, const char *expected) {
    char detail[256] = "";
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    void *bytes = NULL;
    size_t size;
    assert_non_null(json);
    assert_int_equal(body_from_json(json, &bytes, &size), 0);
    int r = catalogue_check(catalogue_find(catalogue, type), bytes, size, detail, sizeof(detail));
    assert_string_equal(detail, expected);
    assert_int_equal(r, expected[0] != '\0');
    struct body_members members;
    detail[0] = '\0';
    body_members_read(bytes, size, &members);
    r = catalogue_check_members(catalogue_find(catalogue, type), &members, detail, sizeof(detail));
    assert_string_equal(detail, expected);
    assert_int_equal(r, expected[0] != '\0');
    free(bytes);
    json_decref(json);
}

static void test_bodies_are_judged_by_their_row(void **state) {
    (void)state;
    judge("order.placed",
          "{\"order_id\":\"o\",\"currency\":\"EUR\",\"extra\":[1],"
          "\"lines\":[{\"sku\":\"a\",\"quantity\":1.5,\"price\":\"-1.20\",\"name\":\"A\"}]}",
          "");
    judge("order.placed", "{\"order_id\":\"o\",\"lines\":[]}", "order.placed: currency is missing");
    judge("order.placed", "{\"order_id\":\"o\",\"lines\":[],\"currency\":null}",
          "order.placed: currency is missing");
    judge("order.placed", "{\"order_id\":7,\"lines\":[],\"currency\":\"EUR\"}",
          "order.placed: order_id is not text");
    judge("order.placed", "[]", "order.placed: data is not a map");
    judge("supply.changed", "{\"eta\":\"2026-01-01T00:00:00Z\"}",
          "supply.changed: one of order_id|sku is needed");
    judge("supply.changed", "{\"sku\":\"x\"}", "");
    judge("supply.changed", "{\"sku\":\"x\",\"eta\":\"tomorrow\"}",
          "supply.changed: eta is not an RFC 3339 time");
    judge("privacy.changed", "{\"kind\":\"erasure\",\"state\":\"asked\"}", "");
    judge("privacy.changed", "{\"kind\":\"eras\",\"state\":\"asked\"}",
          "privacy.changed: kind is none of the values it may have");
    judge("quote.closed", "{\"quote_id\":\"q\",\"outcome\":true}",
          "quote.closed: outcome is not text");
    judge("order.changed", "{\"order_id\":\"q\",\"status\":\"x\",\"revision\":1.0}",
          "order.changed: revision is not a whole number");
}

static void test_lines_are_maps_of_their_own_kind(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "{}",
        "[[1,2]]",
        "[1]",
        "[{}]",
        "[{\"sku\":\"a\",\"quantity\":1}]",
        "[{\"sku\":1,\"quantity\":1,\"price\":\"1\"}]",
        "[{\"sku\":\"a\",\"quantity\":\"1\",\"price\":\"1\"}]",
        "[{\"sku\":\"a\",\"quantity\":1,\"price\":1}]",
        "[{\"sku\":\"a\",\"quantity\":1,\"price\":\"1\",\"name\":7}]",
        "[{\"sku\":\"a\",\"quantity\":1,\"price\":\"1\"},null]",
    };
    static const char *const right[] = {
        "[]", "[{\"sku\":\"a\",\"quantity\":1,\"price\":\"1\",\"name\":null,\"more\":[{}]}]"};
    char text[256];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), "{\"cart_id\":\"c\",\"lines\":%s}", wrong[i]);
        judge("cart.changed", text,
              "cart.changed: lines is not a list of {sku: text, quantity: number, price: decimal "
              "as text}");
    }
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        snprintf(text, sizeof(text), "{\"cart_id\":\"c\",\"lines\":%s}", right[i]);
        judge("cart.changed", text, "");
    }
}

static void test_money_is_a_decimal_text(void **state) {
    (void)state;
    static const char *const wrong[] = {"1.9",       "\"\"",    "\"-\"",      "\"1.\"",
                                        "\".5\"",    "\"1e5\"", "\"1,50\"",   "\"+1\"",
                                        "\"1.2.3\"", "\" 1\"",  "\"1.2 EUR\""};
    static const char *const right[] = {"\"0\"", "\"19.90\"", "\"-0.05\"", "\"123456789.123456\""};
    char text[256];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), "{\"channel\":\"web\",\"period\":\"x\",\"amount\":%s}",
                 wrong[i]);
        judge("cost.recorded", text,
              "cost.recorded: amount is not a decimal as text, such as \"19.90\"");
    }
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        snprintf(text, sizeof(text), "{\"channel\":\"web\",\"period\":\"x\",\"amount\":%s}",
                 right[i]);
        judge("cost.recorded", text, "");
    }
}

static void test_a_detail_never_shows_a_value(void **state) {
    (void)state;
    static const char canary[] = "canary-4711";
    char text[256];
    char detail[256] = "";
    size_t n;
    const struct catalogue_type *rows = catalogue_rows(catalogue, &n);
    for (size_t i = 0; i < n; i++) {
        size_t used = 0;
        for (size_t k = 0; k < rows[i].n_fields; k++) {
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%c\"%s\":\"%s\"",
                                     k == 0 ? '{' : ',', rows[i].fields[k].name, canary);
        }
        json_t *json = json_loads(strncat(text, "}", 2), 0, NULL);
        assert_non_null(json);
        void *bytes = NULL;
        size_t size;
        assert_int_equal(body_from_json(json, &bytes, &size), 0);
        catalogue_check(&rows[i], bytes, size, detail, sizeof(detail));
        assert_null(strstr(detail, canary));
        free(bytes);
        json_decref(json);
    }
}

static void test_an_operator_adds_rows(void **state) {
    (void)state;
    char path[] = "/tmp/touchbus-catalogue-XXXXXX";
    static const char text[] = "type loyalty.joined # a comment\n direction in\n channel shop\n"
                               " need crm\n field card text required personal\n";
    int file = mkstemp(path);
    assert_int_equal(write(file, text, sizeof(text) - 1), sizeof(text) - 1);
    close(file);
    struct catalogue *own = NULL;
    char *error = NULL;
    assert_int_equal(catalogue_load(path, &own, &error), 0);
    unlink(path);
    size_t n;
    catalogue_rows(own, &n);
    assert_int_equal(n, LISTED + 1);
    assert_true(catalogue_find(own, "loyalty.joined")->fields[0].personal);
    catalogue_free(own);
    assert_int_equal(catalogue_load("/nonexistent/rows", &own, &error), -EINVAL);
    assert_string_equal(error, "/nonexistent/rows: No such file or directory");
    free(error);
}

static void test_wrong_rows_are_named_with_their_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"direction in\n", "x:1: expected 'type NAME' first"},
        {"type a\n\nfield b strange\n", "x:3: expected 'field NAME TYPE ...' with a known type"},
        {"type a\nfield b\n", "x:2: expected 'field NAME TYPE ...' with a known type"},
        {"type a\nfield b text mandatory\n", "x:2: unknown word 'mandatory' behind field b"},
        {"type a\nfield b integer values=1|2\n", "x:2: unknown word 'values=1|2' behind field b"},
        {"type a\nfield b text values=1||2\n", "x:2: too many values, or an empty one"},
        {"type a\nfield b text\nfield b text\n",
         "x:3: field 'b' is there twice, or its name is too long"},
        {"type a\ndirection sideways\n", "x:2: unknown word 'sideways'"},
        {"type a\nneed bank\n", "x:2: unknown word 'bank'"},
        {"type a\ncolour red\n", "x:2: unknown word 'colour'"},
        {"type a\none_of b|c\n", "x:2: one_of names 'b', which is no field above"},
        {"type a\nfield b text\n", "x:3: type a has no direction"},
        {"type a\ndirection in\ntype a\n", "x:3: type a is there already"},
        {"type\n", "x:1: expected 'type NAME'"},
        {"type a b\n", "x:1: expected 'type NAME'"},
        {"type \xff\n", "x: too large, or not UTF-8 text"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct catalogue *own = NULL;
        char *error = NULL;
        assert_int_equal(catalogue_parse(rows[i].text, strlen(rows[i].text), "x", &own, &error),
                         -EINVAL);
        assert_string_equal(error, rows[i].error);
        assert_null(own);
        free(error);
    }
}

static void test_a_type_may_not_be_defined_twice(void **state) {
    (void)state;
    char path[] = "/tmp/touchbus-catalogue-XXXXXX";
    static const char text[] = "type order.placed\n direction in\n";
    int file = mkstemp(path);
    assert_int_equal(write(file, text, sizeof(text) - 1), sizeof(text) - 1);
    close(file);
    struct catalogue *own = NULL;
    char *error = NULL;
    assert_int_equal(catalogue_load(path, &own, &error), -EINVAL);
    unlink(path);
    assert_non_null(strstr(error, ":1: type order.placed is there already"));
    free(error);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_listed_type_is_there_with_its_fields),
        cmocka_unit_test(test_ids_refer_to_what_they_name),
        cmocka_unit_test(test_rows_carry_need_direction_and_channel),
        cmocka_unit_test(test_bodies_are_judged_by_their_row),
        cmocka_unit_test(test_lines_are_maps_of_their_own_kind),
        cmocka_unit_test(test_money_is_a_decimal_text),
        cmocka_unit_test(test_a_detail_never_shows_a_value),
        cmocka_unit_test(test_an_operator_adds_rows),
        cmocka_unit_test(test_wrong_rows_are_named_with_their_line),
        cmocka_unit_test(test_a_type_may_not_be_defined_twice),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
