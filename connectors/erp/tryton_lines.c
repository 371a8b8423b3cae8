// SPDX-License-Identifier: Apache-2.0
// An order's lines as Tryton wants them. Its create runs none of the rules that fill a form in, so
// each line is filled in by the rule itself (on_change_product: unit, taxes, the price for this
// customer and quantity); the price is the order's, and where the ERP's is another the sale's
// comment says so.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/erp/tryton_job.h"

// ---- what the sale needs

json_t *currency_ask(struct job *job) {
    static const char *const fields[] = {"code", NULL};
    return job_search(json_pack("[[s, s, s]]", "code", "=", job->order->currency), fields);
}

enum job_step currency_take(struct job *job) {
    job->currency = job_integer(json_array_get(job->reply.result, 0), "id");
    if (job->currency == 0) {
        return job_end(job, KIT_REJECT, "currency: the ERP has no %.8s", job->order->currency);
    }
    return STEP_TERMS;
}

static json_t *company_of(const struct job *job) {
    return json_integer(tryton_company(job->orders->tryton));
}

json_t *terms_ask(struct job *job) {
    return json_pack("[{s:I, s:I, s:o}]", "party", job->party, "currency", job->currency, "company",
                     company_of(job));
}

enum job_step terms_take(struct job *job) {
    job->terms = json_incref(job->reply.result);
    return STEP_PRODUCTS;
}

json_t *products_ask(struct job *job) {
    static const char *const fields[] = {"code", "salable", NULL};
    json_t *codes = json_array();
    for (size_t i = 0; i < job->lines->n_lines; i++) {
        json_array_append_new(codes, json_string(job->lines->lines[i].sku));
    }
    return job_search(json_pack("[[s, s, o]]", "code", "in", codes), fields);
}

enum job_step products_take(struct job *job) {
    size_t i;
    json_t *product;
    json_decref(job->products);
    job->products = json_object();
    json_array_foreach(job->reply.result, i, product) {
        const char *code = json_string_value(json_object_get(product, "code"));
        if (code != NULL && json_is_true(json_object_get(product, "salable")) &&
            json_object_get(job->products, code) == NULL) {
            json_object_set(job->products, code, json_object_get(product, "id"));
        }
    }
    for (i = 0; i < job->lines->n_lines; i++) {
        if (json_object_get(job->products, job->lines->lines[i].sku) == NULL) {
            return job_end(job, KIT_REJECT, "products: the ERP sells no %.100s",
                           job->lines->lines[i].sku);
        }
    }
    json_decref(job->sale_lines);
    job->sale_lines = json_array();
    job->comment[0] = '\0';
    if (job->intent == INTENT_AMEND) { // an amended sale keeps its party and currency
        job->party = job_integer(job->sale, "party");
        job->currency = job_integer(job->sale, "currency");
    }
    return job->lines->n_lines > 0 ? STEP_LINE
                                   : job_end(job, KIT_REJECT, "line: the order has no lines");
}

// ---- a line

static const struct order_line *line_at(const struct job *job) {
    return &job->lines->lines[json_array_size(job->sale_lines)];
}

json_t *line_ask(struct job *job) {
    const struct order_line *line = line_at(job);
    return json_pack("[{s:s, s:O, s:f, s:o, s:{s:I, s:I}}]", "type", "line", "product",
                     json_object_get(job->products, line->sku), "quantity",
                     strtod(line->quantity, NULL), "company", company_of(job), "sale", "party",
                     job->party, "currency", job->currency);
}

// Of equal value, however many zeros end them.
static bool is_same_price(const char *a_text, const char *b_text) {
    struct decimal a, b;
    if (decimal_parse(a_text, &a) != 0 || decimal_parse(b_text, &b) != 0) {
        return false;
    }
    for (; a.places < b.places; a.places++) {
        a.units *= 10;
    }
    for (; b.places < a.places; b.places++) {
        b.units *= 10;
    }
    return a.units == b.units;
}

static void add_comment(struct job *job, const char *line) {
    size_t size = strlen(job->comment);
    snprintf(job->comment + size, sizeof(job->comment) - size, "%s%s", size > 0 ? "\n" : "", line);
}

static void compare_price(struct job *job, const struct order_line *line, const char *price) {
    char text[JOB_NAME_BYTES + ORDER_ID_BYTES_MAX];
    if (price != NULL && is_same_price(price, line->price)) {
        return;
    }
    snprintf(text, sizeof(text), "touchbus: %s ordered at %s, the price here is %s", line->sku,
             line->price, price != NULL ? price : "not set");
    add_comment(job, text);
    job_count(job, TRYTON_PRICES_DIFFER, 1);
}

// Rules answer with what they changed: {"taxes": {"add": [[0, {"id": 1}]]}}. A list of the ids.
static json_t *taxes_of(const json_t *proposed) {
    size_t i;
    json_t *added, *ids = json_array();
    json_array_foreach(json_object_get(json_object_get(proposed, "taxes"), "add"), i, added) {
        json_array_append(ids, json_object_get(json_array_get(added, 1), "id"));
    }
    return ids;
}

enum job_step line_take(struct job *job) {
    const struct order_line *line = line_at(job);
    const json_t *proposed = job->reply.result;
    json_t *unit = json_object_get(proposed, "unit");
    if (!json_is_integer(unit)) {
        return job_end(job, KIT_REJECT, "line: the ERP has no unit for %.100s", line->sku);
    }
    compare_price(job, line, tryton_decimal_text(json_object_get(proposed, "unit_price")));
    json_t *one = json_pack("{s:s, s:i, s:O, s:f, s:O, s:o}", "type", "line", "sequence",
                            (int)json_array_size(job->sale_lines) + 1, "product",
                            json_object_get(job->products, line->sku), "quantity",
                            strtod(line->quantity, NULL), "unit", unit, "unit_price",
                            tryton_decimal(line->price));
    json_object_set_new(one, "taxes", json_pack("[[s, o]]", "add", taxes_of(proposed)));
    json_array_append_new(job->sale_lines, one);
    if (json_array_size(job->sale_lines) < job->lines->n_lines) {
        return STEP_LINE;
    }
    return job->intent == INTENT_AMEND ? STEP_LINES_OLD : STEP_SALE_MAKE;
}

// ---- the sale

static const char *const term_members[] = {"invoice_party",    "invoice_address", "shipment_party",
                                           "shipment_address", "payment_term",    "invoice_method",
                                           "shipment_method"};

json_t *sale_make_ask(struct job *job) {
    json_t *sale = json_pack("{s:s, s:I, s:I, s:o, s:[[s, O]]}", "reference", job->order_id,
                             "party", job->party, "currency", job->currency, "company",
                             company_of(job), "lines", "create", job->sale_lines);
    for (size_t i = 0; i < sizeof(term_members) / sizeof(term_members[0]); i++) {
        json_t *member = json_object_get(job->terms, term_members[i]);
        if (member != NULL && !json_is_null(member)) {
            json_object_set(sale, term_members[i], member);
        }
    }
    if (job->comment[0] != '\0') {
        json_object_set_new(sale, "comment", json_string(job->comment));
    }
    return json_pack("[[o]]", sale);
}

// ---- amending it

json_t *lines_old_ask(struct job *job) {
    static const char *const fields[] = {"id", NULL};
    return job_search(json_pack("[[s, s, I]]", "sale", "=", job_integer(job->sale, "id")), fields);
}

enum job_step lines_old_take(struct job *job) {
    size_t i;
    json_t *line;
    json_decref(job->old_lines);
    job->old_lines = json_array();
    json_array_foreach(job->reply.result, i, line) {
        json_array_append(job->old_lines, json_object_get(line, "id"));
    }
    return STEP_SALE_AMEND;
}

void amended_line(const struct job *job, char text[static JOB_NAME_BYTES]) {
    snprintf(text, JOB_NAME_BYTES, "touchbus: lines of revision %" JSON_INTEGER_FORMAT " (ordered)",
             (json_int_t)job->change->revision);
}

// Lines and the comment that they are there in one transaction.
json_t *sale_amend_ask(struct job *job) {
    char line[JOB_NAME_BYTES];
    const char *before = json_string_value(json_object_get(job->sale, "comment"));
    amended_line(job, line);
    add_comment(job, line);
    json_t *comment = before != NULL && before[0] != '\0'
                          ? json_sprintf("%s\n%s", before, job->comment)
                          : json_string(job->comment);
    return json_pack("[[I], {s:[[s, O], [s, O]], s:o}]", job_integer(job->sale, "id"), "lines",
                     "delete", job->old_lines, "create", job->sale_lines, "comment", comment);
}
