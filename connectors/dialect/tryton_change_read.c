// SPDX-License-Identifier: Apache-2.0
// What a row of each feed says to a customer: a sale the status of its order and when it will be
// there, an invoice what is to be paid, a product its price, a purchase what comes in.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "connectors/dialect/order_document.h"
#include "connectors/dialect/tryton_change_rows.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"

enum { VALUE_BYTES = 256, ABOUT_BYTES = 32 };

static bool is_id(const char *text) {
    return text != NULL && strlen(text) <= ORDER_ID_BYTES_MAX;
}

// ISO 4217.
static bool is_currency(const char *text) {
    return text != NULL && strlen(text) == 3;
}

static bool is_one_of(const char *text, const char *const *texts) {
    while (text != NULL && *texts != NULL && strcmp(*texts, text) != 0) {
        texts++;
    }
    return text != NULL && *texts != NULL;
}

// Decimals as Tryton writes them, where they are of the plain kind that events carry. NULL: not.
static const char *money(const json_t *row, const char *name) {
    const char *text = json_string_value(json_object_get(json_object_get(row, name), "decimal"));
    struct decimal ignored;
    return text != NULL && decimal_parse(text, &ignored) == 0 ? text : NULL;
}

// ---- sales

// How far goods are, the first the least; a shipment that is none of these is cancelled.
static const char *const stages[] = {"draft", "waiting", "assigned", "picked", "packed", "done"};
static const char *const stage_status[] = {"confirmed", "confirmed", "confirmed", "picked",
                                           "packed"};
enum { STAGES = sizeof(stages) / sizeof(stages[0]), STAGE_DONE = STAGES - 1 };

struct goods {
    size_t least; // stage; STAGES: no shipment
    size_t n_done, n_open;
    char eta[TRYTON_DAY_BYTES]; // the last of those that are open; "": none says when
    json_t *numbers;            // of the shipments that left
};

static void add_shipment(struct goods *goods, const json_t *shipment) {
    const char *state = tryton_text(shipment, "state");
    char day[TRYTON_DAY_BYTES];
    size_t stage = 0;
    while (stage < STAGES && (state == NULL || strcmp(stages[stage], state) != 0)) {
        stage++;
    }
    if (stage == STAGE_DONE) {
        goods->n_done++;
        json_array_append(goods->numbers, json_object_get(shipment, "number"));
    } else if (stage < STAGES) {
        goods->n_open++;
        goods->least = stage < goods->least ? stage : goods->least;
        tryton_day(shipment, "planned_date", day);
        if (strcmp(day, goods->eta) > 0) {
            snprintf(goods->eta, sizeof(goods->eta), "%s", day);
        }
    }
}

// NULL: nothing to be told now, the sale is written again.
static const char *status_of(const json_t *sale, const struct goods *goods) {
    static const char *const sent[] = {"sent", NULL}, *const held[] = {"exception", NULL};
    const char *state = tryton_text(sale, "state");
    const char *shipped = tryton_text(sale, "shipment_state");
    if (state == NULL || strcmp(state, "draft") == 0 || strcmp(state, "quotation") == 0) {
        return NULL; // the bus, or somebody, is still making it
    }
    if (strcmp(state, "cancelled") == 0) {
        return "cancelled";
    }
    if (strcmp(state, "done") == 0) {
        return "completed";
    }
    if (is_one_of(shipped, sent)) {
        return "shipped";
    }
    if (is_one_of(shipped, held)) {
        return "on_hold";
    }
    if (goods->n_done > 0) { // all gone, but the sale does not know whether that is all of it
        return goods->n_open > 0 ? "partly_shipped" : NULL;
    }
    return goods->n_open > 0 ? stage_status[goods->least] : "confirmed";
}

// A sale that was cancelled is not the order's end while there is another one of it: after a doubt
// the sink cancels what it made twice, and a person makes a sale anew.
static bool has_other(const struct tryton_row *row, const char *order_id) {
    bool has = row->more == NULL; // not known: rather say nothing
    for (size_t i = 0; !has && i < json_array_size(row->more); i++) {
        const char *other = tryton_text(json_array_get(row->more, i), "reference");
        has = other != NULL && strcmp(other, order_id) == 0;
    }
    return has;
}

// What the sink writes into a sale whose change came too late: a line of its comment each. How many
// there are, and the last.
static size_t read_refusals(const struct tryton_row *row, const char **ret, size_t *ret_size) {
    static const char begin[] = "touchbus: revision ", end[] = ", which came too late";
    size_t n = 0;
    for (const char *line = tryton_text(row->json, "comment"); line != NULL;) {
        const char *next = strchr(line, '\n');
        size_t size = next != NULL ? (size_t)(next - line) : strlen(line);
        if (size >= strlen(begin) + strlen(end) && strncmp(line, begin, strlen(begin)) == 0 &&
            strncmp(line + size - strlen(end), end, strlen(end)) == 0) {
            n++;
            *ret = line;
            *ret_size = size;
        }
        line = next != NULL ? next + 1 : NULL;
    }
    return n;
}

static void report_sale(const struct tryton_row *row, const char *order_id, const char *status,
                        const struct goods *goods) {
    json_t *data = json_pack("{s:s, s:s, s:I}", "order_id", order_id, "status", status, "revision",
                             (json_int_t)row->stamp_us);
    const char *number = tryton_text(row->json, "number");
    if (number != NULL) {
        json_object_set_new(data, "sale", json_string(number));
    }
    if (json_array_size(goods->numbers) > 0) {
        json_object_set(data, "shipments", goods->numbers);
    }
    const char *refusal;
    size_t size, n_refusals = read_refusals(row, &refusal, &size);
    char value[VALUE_BYTES];
    snprintf(value, sizeof(value), "%s", status);
    if (n_refusals > 0) { // the status once more: somebody thinks that it is another one
        json_object_set_new(data, "refused", json_stringn(refusal, size));
        snprintf(value, sizeof(value), "%s+%zu", status, n_refusals);
    }
    tryton_report(row, "status", "order.changed", value, data);
    if (goods->eta[0] != '\0' && strcmp(status, "cancelled") != 0) {
        tryton_report(row, "eta", "supply.changed", goods->eta,
                      json_pack("{s:s, s:s}", "order_id", order_id, "eta", goods->eta));
    }
}

enum tryton_row_result tryton_read_sale(const struct tryton_row *row) {
    const char *order_id = tryton_text(row->json, "reference");
    if (order_id == NULL) {
        return TRYTON_ROW_UNREFERENCED;
    }
    if (!is_id(order_id)) {
        return TRYTON_ROW_GARBLED;
    }
    struct goods goods = {.least = STAGES, .numbers = json_array()};
    for (size_t i = 0; i < tryton_below_n(row->json, "shipments."); i++) {
        add_shipment(&goods, tryton_below(row->json, "shipments.", i));
    }
    const char *status = status_of(row->json, &goods);
    bool is_over = status != NULL && strcmp(status, "cancelled") == 0;
    if (status != NULL && !(is_over && GUARD(tryton_other_sale) && has_other(row, order_id))) {
        report_sale(row, order_id, status, &goods);
    }
    json_decref(goods.numbers);
    return TRYTON_ROW_READ;
}

// ---- invoices

// The first sale with a reference; all sales of an invoice are of one party.
static const char *order_of(const json_t *invoice) {
    const char *order_id = NULL;
    for (size_t i = 0; order_id == NULL && i < tryton_below_n(invoice, "sales."); i++) {
        order_id = tryton_text(tryton_below(invoice, "sales.", i), "reference");
    }
    return order_id;
}

enum tryton_row_result tryton_read_invoice(const struct tryton_row *row) {
    static const char *const told[] = {"posted", "paid", "cancelled", NULL};
    static const char *const out[] = {"out", NULL};
    const char *number = tryton_text(row->json, "number"), *state = tryton_text(row->json, "state");
    if (!is_one_of(tryton_text(row->json, "type"), out) || !is_one_of(state, told) ||
        number == NULL) {
        return TRYTON_ROW_READ; // a supplier's, or one that the customer has not got
    }
    const char *order_id = order_of(row->json), *amount = money(row->json, "total_amount");
    const char *due = money(row->json, "amount_to_pay");
    const char *currency = tryton_text(tryton_below(row->json, "currency.", 0), "code");
    if (order_id == NULL) {
        return TRYTON_ROW_UNREFERENCED;
    }
    if (!is_id(order_id) || !is_id(number) || amount == NULL || !is_currency(currency)) {
        return TRYTON_ROW_GARBLED;
    }
    char value[VALUE_BYTES];
    snprintf(value, sizeof(value), "%s %s %s %s", state, amount, currency, due != NULL ? due : "");
    json_t *data = json_pack("{s:s, s:s, s:s, s:s, s:s}", "invoice_id", number, "state", state,
                             "amount", amount, "currency", currency, "order_id", order_id);
    if (due != NULL) {
        json_object_set_new(data, "due", json_string(due));
    }
    tryton_report(row, "state", "payment.changed", value, data);
    return TRYTON_ROW_READ;
}

// ---- products

enum tryton_row_result tryton_read_product(const struct tryton_row *row) {
    const char *sku = tryton_text(row->json, "code"), *price = money(row->json, "list_price");
    if (sku == NULL || !json_is_true(json_object_get(row->json, "salable"))) {
        return TRYTON_ROW_READ; // nobody can order it
    }
    const json_t *template = tryton_below(row->json, "template.", 0);
    const char *currency = NULL;
    for (size_t i = 0; currency == NULL && i < tryton_below_n(template, "list_prices."); i++) {
        const json_t *one = tryton_below(template, "list_prices.", i);
        const json_t *company = tryton_below(one, "company.", 0);
        const char *same = money(one, "list_price");
        if (price != NULL && same != NULL && strcmp(same, price) == 0) {
            currency = tryton_text(tryton_below(company, "currency.", 0), "code");
        }
    }
    if (!is_id(sku) || price == NULL || !is_currency(currency)) {
        return TRYTON_ROW_GARBLED;
    }
    char value[VALUE_BYTES], from[CLOCK_TEXT_BYTES];
    snprintf(value, sizeof(value), "%s %s", price, currency);
    tryton_report(row, "price", "price.changed", value,
                  json_pack("{s:s, s:s, s:s, s:s}", "sku", sku, "price", price, "currency",
                            currency, "valid_from", clock_format_rfc3339(row->stamp_us, from)));
    return TRYTON_ROW_READ;
}

// ---- purchases

struct coming {
    double quantity;
    char eta[TRYTON_DAY_BYTES]; // the first
};

// What a line still brings: what was ordered but for what has arrived.
static double open_of(const json_t *line) {
    double open = json_number_value(json_object_get(line, "quantity"));
    for (size_t i = 0; i < tryton_below_n(line, "moves."); i++) {
        const json_t *move = tryton_below(line, "moves.", i);
        const char *state = tryton_text(move, "state");
        if (state != NULL && strcmp(state, "done") == 0) {
            open -= json_number_value(json_object_get(move, "quantity"));
        }
    }
    return open > 0 ? open : 0;
}

static struct coming coming_of(const json_t *lines, json_int_t product) {
    struct coming coming = {0};
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        const json_t *id = json_object_get(tryton_below(line, "product.", 0), "id");
        double open = json_integer_value(id) == product ? open_of(line) : 0;
        char day[TRYTON_DAY_BYTES];
        tryton_day(line, "delivery_date", day);
        coming.quantity += open;
        if (open > 0 && day[0] != '\0' && (coming.eta[0] == '\0' || strcmp(day, coming.eta) < 0)) {
            snprintf(coming.eta, sizeof(coming.eta), "%s", day);
        }
    }
    return coming;
}

// A report is about the product, whichever purchase it is that changed.
static void report_supply(const struct tryton_row *row, json_int_t product, const char *sku) {
    struct coming coming = coming_of(row->more, product);
    if (!isfinite(coming.quantity)) {
        return;
    }
    char value[VALUE_BYTES];
    snprintf(value, sizeof(value), "%.6g %s", coming.quantity, coming.eta);
    json_t *data = json_pack("{s:s, s:f}", "sku", sku, "quantity", coming.quantity);
    if (coming.eta[0] != '\0') {
        json_object_set_new(data, "eta", json_string(coming.eta));
    }
    struct tryton_row about = *row;
    about.model = "purchase.product";
    about.id = product;
    tryton_report(&about, "supply", "supply.changed", value, data);
}

enum tryton_row_result tryton_read_purchase(const struct tryton_row *row) {
    static const char *const told[] = {"confirmed", "processing", "done", "cancelled", NULL};
    if (!is_one_of(tryton_text(row->json, "state"), told)) {
        return TRYTON_ROW_READ; // still being made: nothing was ordered
    }
    if (row->more == NULL) {
        return TRYTON_ROW_READ; // not asked, or more than one answer holds: nothing is known
    }
    for (size_t i = 0; i < tryton_below_n(row->json, "lines."); i++) {
        const json_t *product = tryton_below(tryton_below(row->json, "lines.", i), "product.", 0);
        json_int_t id = json_integer_value(json_object_get(product, "id"));
        const char *sku = tryton_text(product, "code");
        if (id > 0 && is_id(sku)) {
            report_supply(row, id, sku);
        }
    }
    return TRYTON_ROW_READ;
}
