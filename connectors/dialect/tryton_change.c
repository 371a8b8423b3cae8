// SPDX-License-Identifier: Apache-2.0
// The feeds of tryton_change.h as a table, the questions they make, and what is the same for the
// rows of each: stamps, days, reports.
//
// Dates of rows that belong to a row stand in the question, too: Tryton does not write a sale when
// its shipment is picked, nor a product when its list price changes, and product.list_price may
// not be asked by itself.
#include "connectors/dialect/tryton_change.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "connectors/dialect/tryton_change_rows.h"
#include "schemas/base/clock.h"

enum { PATHS_MAX = 4, FIELDS_MAX = 14, PATH_BYTES = 64, KEY_BYTES = 160, STAMP_DIGITS = 6 };

static const struct feed {
    const char *model;
    enum tryton_row_result (*read)(const struct tryton_row *row);
    struct {
        const char *dates;          // of the question: what stands before write_date
        const char *model;          // where it leads through a reference
        const char *first, *second; // where the stamp stands in the answer
    } paths[PATHS_MAX];
    const char *fields[FIELDS_MAX];
} feeds[] = {
    [TRYTON_SALES] = {"sale.sale",
                      tryton_read_sale,
                      {{"", NULL, NULL, NULL},
                       {"lines.moves.shipment.", "stock.shipment.out", "shipments.", NULL}},
                      {"reference", "number", "state", "shipment_state", "comment", "_timestamp",
                       "shipments.number", "shipments.state", "shipments.planned_date",
                       "shipments._timestamp"}},
    [TRYTON_INVOICES] = {"account.invoice",
                         tryton_read_invoice,
                         {{"", NULL, NULL, NULL}},
                         {"type", "number", "state", "total_amount", "amount_to_pay",
                          "currency.code", "sales.reference", "_timestamp"}},
    [TRYTON_PRODUCTS] = {"product.product",
                         tryton_read_product,
                         {{"", NULL, NULL, NULL},
                          {"template.", NULL, "template.", NULL},
                          {"template.list_prices.", NULL, "template.", "list_prices."}},
                         {"code", "list_price", "salable", "_timestamp", "template._timestamp",
                          "template.list_prices._timestamp", "template.list_prices.list_price",
                          "template.list_prices.company.currency.code"}},
    [TRYTON_PURCHASES] = {"purchase.purchase",
                          tryton_read_purchase,
                          {{"", NULL, NULL, NULL},
                           {"lines.", NULL, "lines.", NULL},
                           {"lines.moves.", NULL, "lines.", "moves."}},
                          {"number", "state", "_timestamp", "lines.product.code",
                           "lines._timestamp", "lines.moves._timestamp"}},
};

const char *tryton_feed_model(enum tryton_feed feed) {
    return feeds[feed].model;
}

// ---- questions

static json_t *datetime(int64_t time_us) {
    time_t seconds = (time_t)(time_us / CLOCK_US_PER_S);
    struct tm at;
    gmtime_r(&seconds, &at); // Tryton's dates are in UTC, whatever the zone of its machine
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "__class__", "datetime", "year",
                     at.tm_year + 1900, "month", at.tm_mon + 1, "day", at.tm_mday, "hour",
                     at.tm_hour, "minute", at.tm_min, "second", at.tm_sec, "microsecond",
                     (int)(time_us % CLOCK_US_PER_S));
}

static json_t *clause(const char *dates, const char *name, int64_t since_us, const char *model) {
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s%s", dates, name);
    json_t *json = json_pack("[s, s, o]", path, ">=", datetime(since_us));
    if (model != NULL) {
        json_array_append_new(json, json_string(model));
    }
    return json;
}

static json_t *list_of(const char *const *texts, size_t n_max) {
    json_t *list = json_array();
    for (size_t i = 0; i < n_max && texts[i] != NULL; i++) {
        json_array_append_new(list, json_string(texts[i]));
    }
    return list;
}

json_t *tryton_changes_question(enum tryton_feed feed, int64_t since_us, json_int_t after_id,
                                size_t limit) {
    json_t *any = json_pack("[s]", "OR");
    for (size_t i = 0; i < PATHS_MAX && feeds[feed].paths[i].dates != NULL; i++) {
        const char *dates = feeds[feed].paths[i].dates, *model = feeds[feed].paths[i].model;
        json_array_append_new(any, clause(dates, "write_date", since_us, model));
        json_array_append_new(any, clause(dates, "create_date", since_us, model));
    }
    return json_pack("[[[s, s, I], o], i, i, [[s, s]], o]", "id", ">", after_id, any, 0, (int)limit,
                     "id", "ASC", list_of(feeds[feed].fields, FIELDS_MAX));
}

static json_t *products_of(const json_t *rows) {
    json_t *products = json_array();
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        for (size_t j = 0; j < tryton_below_n(row, "lines."); j++) {
            const json_t *line = tryton_below(row, "lines.", j);
            json_t *id = json_object_get(tryton_below(line, "product.", 0), "id");
            if (json_is_integer(id)) {
                json_array_append(products, id);
            }
        }
    }
    return products;
}

static json_t *cancelled_of(const json_t *rows) {
    json_t *references = json_array();
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *state = tryton_text(row, "state");
        if (state != NULL && strcmp(state, "cancelled") == 0 &&
            tryton_text(row, "reference") != NULL) {
            json_array_append(references, json_object_get(row, "reference"));
        }
    }
    return references;
}

static const struct {
    const char *model, *name; // name = one of what collect finds
    const char *state;        // and of one of these states
    const char *states[5];
    json_t *(*collect)(const json_t *rows);
    const char *fields[5];
} more[TRYTON_FEEDS] = {
    [TRYTON_SALES] = {"sale.sale",
                      "reference",
                      "state",
                      {"draft", "quotation", "confirmed", "processing", "done"},
                      cancelled_of,
                      {"reference"}},
    [TRYTON_PURCHASES] = {"purchase.line",
                          "product",
                          "purchase.state",
                          {"confirmed", "processing"},
                          products_of,
                          {"product.code", "quantity", "delivery_date", "moves.state",
                           "moves.quantity"}},
};

json_t *tryton_changes_question_more(enum tryton_feed feed, const json_t *rows, size_t limit,
                                     const char **ret_model) {
    json_t *wanted = more[feed].collect == NULL ? NULL : more[feed].collect(rows);
    if (json_array_size(wanted) == 0) {
        json_decref(wanted);
        return NULL;
    }
    *ret_model = more[feed].model;
    return json_pack("[[[s, s, o], [s, s, o]], i, i, [[s, s]], o]", more[feed].name, "in", wanted,
                     more[feed].state, "in", list_of(more[feed].states, 5), 0, (int)limit, "id",
                     "ASC", list_of(more[feed].fields, 5));
}

// ---- rows

size_t tryton_below_n(const json_t *row, const char *name) {
    const json_t *below = json_object_get(row, name);
    return json_is_array(below) ? json_array_size(below) : json_is_object(below);
}

const json_t *tryton_below(const json_t *row, const char *name, size_t index) {
    const json_t *below = json_object_get(row, name);
    return json_is_array(below) ? json_array_get(below, index) : below;
}

const char *tryton_text(const json_t *row, const char *name) {
    const char *text = json_string_value(json_object_get(row, name));
    return text == NULL || text[0] == '\0' ? NULL : text;
}

static unsigned part(const json_t *day, const char *name, int most) {
    json_int_t value = json_integer_value(json_object_get(day, name));
    return value > 0 && value <= most ? (unsigned)value : 0;
}

const char *tryton_day(const json_t *row, const char *name, char ret[static TRYTON_DAY_BYTES]) {
    const json_t *day = json_object_get(row, name);
    unsigned year = part(day, "year", 9999), month = part(day, "month", 12),
             date = part(day, "day", 31);
    ret[0] = '\0';
    if (year > 0 && month > 0 && date > 0) {
        snprintf(ret, TRYTON_DAY_BYTES, "%04u-%02u-%02uT00:00:00Z", year % 10000, month % 100,
                 date % 100);
    }
    return ret;
}

int64_t tryton_stamp(const json_t *row) {
    const char *text = tryton_text(row, "_timestamp");
    char *end = NULL;
    int64_t seconds = text == NULL ? 0 : strtoll(text, &end, 10), micro = 0;
    if (seconds <= 0 || seconds > INT32_MAX * INT64_C(8) || (*end != '.' && *end != '\0')) {
        return 0;
    }
    for (size_t i = 1; i <= STAMP_DIGITS; i++) {
        bool is_digit = *end != '\0' && end[1] >= '0' && end[1] <= '9';
        micro = micro * 10 + (is_digit ? end[1] - '0' : 0);
        end += is_digit;
    }
    return seconds * CLOCK_US_PER_S + micro;
}

static int64_t latest(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t stamp_of(const struct feed *feed, const json_t *row) {
    int64_t stamp_us = tryton_stamp(row);
    for (size_t i = 1; i < PATHS_MAX && feed->paths[i].first != NULL; i++) {
        const char *first = feed->paths[i].first, *second = feed->paths[i].second;
        for (size_t j = 0; j < tryton_below_n(row, first); j++) {
            const json_t *at = tryton_below(row, first, j);
            stamp_us = latest(stamp_us, tryton_stamp(at));
            for (size_t k = 0; second != NULL && k < tryton_below_n(at, second); k++) {
                stamp_us = latest(stamp_us, tryton_stamp(tryton_below(at, second, k)));
            }
        }
    }
    return stamp_us;
}

static void add(const struct tryton_row *row, const char *key, const char *value, json_t *rest) {
    json_t *report = json_pack("{s:s, s:s, s:I}", "key", key, "value", value, "stamp",
                               (json_int_t)row->stamp_us);
    if (report == NULL || rest == NULL || json_object_update(report, rest) != 0 ||
        json_array_append(row->ret->reports, report) != 0) {
        row->ret->is_cut = true;
    }
    json_decref(rest);
    json_decref(report);
}

void tryton_report(const struct tryton_row *row, const char *about, const char *type,
                   const char *value, json_t *data) {
    char key[KEY_BYTES], id[KEY_BYTES + 32], time[CLOCK_TEXT_BYTES];
    snprintf(key, sizeof(key), "%s-%" JSON_INTEGER_FORMAT "-%s", row->model, row->id, about);
    snprintf(id, sizeof(id), "%s-%" PRId64, key, row->stamp_us);
    add(row, key, value,
        json_pack("{s:{s:s, s:s, s:s, s:o}}", "event", "id", id, "type", type, "time",
                  clock_format_rfc3339(row->stamp_us, time), "data", data));
}

// Said once a row, and again when what is missing came and went.
static void report_without(const struct tryton_row *row, enum tryton_row_result result) {
    static const char *const without[] = {[TRYTON_ROW_READ] = "",
                                          [TRYTON_ROW_UNREFERENCED] = "reference",
                                          [TRYTON_ROW_GARBLED] = "sense"};
    char key[KEY_BYTES];
    snprintf(key, sizeof(key), "%s-%" JSON_INTEGER_FORMAT "-without", row->model, row->id);
    if (result != TRYTON_ROW_READ) {
        add(row, key, without[result], json_pack("{s:s}", "without", without[result]));
    }
}

void tryton_report_after(json_t *report, int64_t stamp_us) {
    char time[CLOCK_TEXT_BYTES];
    json_t *event = json_object_get(report, "event"), *data = json_object_get(event, "data");
    if (event == NULL || json_integer_value(json_object_get(report, "stamp")) > stamp_us) {
        return;
    }
    json_object_set_new(report, "stamp", json_integer(stamp_us + 1));
    json_object_set_new(event, "time", json_string(clock_format_rfc3339(stamp_us + 1, time)));
    if (json_object_get(data, "revision") != NULL) {
        json_object_set_new(data, "revision", json_integer(stamp_us + 1));
    }
}

// ---- answers

static void read_row(const struct feed *feed, struct tryton_row *row) {
    struct tryton_changes_read *ret = row->ret;
    const json_t *id = json_object_get(row->json, "id");
    row->id = json_integer_value(id);
    row->stamp_us = stamp_of(feed, row->json);
    if (row->id <= 0 || row->stamp_us == 0) {
        ret->n_nameless++;
        return;
    }
    ret->last_id = row->id > ret->last_id ? row->id : ret->last_id;
    ret->latest_us = latest(ret->latest_us, row->stamp_us);
    report_without(row, feed->read(row));
}

int tryton_changes_read(enum tryton_feed feed, const json_t *rows, const json_t *more_rows,
                        struct tryton_changes_read *ret) {
    if (!json_is_array(rows)) {
        return -EBADMSG;
    }
    *ret = (struct tryton_changes_read){.reports = json_array(), .n_rows = json_array_size(rows)};
    if (ret->reports == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < ret->n_rows; i++) {
        struct tryton_row row = {.model = feeds[feed].model,
                                 .json = json_array_get(rows, i),
                                 .more = more_rows,
                                 .ret = ret};
        read_row(&feeds[feed], &row);
    }
    if (ret->is_cut) {
        tryton_changes_read_clear(ret);
        return -ENOMEM;
    }
    return 0;
}

void tryton_changes_read_clear(struct tryton_changes_read *read) {
    json_decref(read->reports);
    *read = (struct tryton_changes_read){0};
}
