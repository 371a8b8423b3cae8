// SPDX-License-Identifier: Apache-2.0
// What changed in Tryton, as questions to ask of it and events to make of the answers. A feed is a
// model with the fields to read, and the dates by which a change of it (or of what belongs to it)
// is seen. Its rows, read in one call and so in one transaction, become reports: what a customer
// is to be told. Pure: JSON in, JSON out.
//
// A report is {key, value, stamp, event: {id, type, time, data}}. The key names what it is about
// ("sale.sale-17-status"), the value what is said ("shipped"): a report whose key said the same
// value before is no news, for Tryton writes a row several times for one thing that happens. The
// event's id is the key and the row's stamp, so that a repeat is the same event. In place of an
// event it may have "without": "reference" (a sale that is no order of the bus) or "sense" (not as
// Tryton writes it).
//
// A stamp is the latest _timestamp of the row and what belongs to it, in microseconds.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tryton_feed { TRYTON_SALES, TRYTON_INVOICES, TRYTON_PRODUCTS, TRYTON_PURCHASES, TRYTON_FEEDS };

// Texts live as long as the program.
const char *tryton_feed_model(enum tryton_feed feed); // "sale.sale"

// ---- questions: parameters of search_read without the context, new references

// Rows changed at since_us or later whose id is above after_id, by id, at most limit.
json_t *tryton_changes_question(enum tryton_feed feed, int64_t since_us, json_int_t after_id,
                                size_t limit);
// What has to be known besides, of another model: what is still to come of the products in these
// rows of purchases; whether an order whose sale was cancelled has another one. NULL: nothing.
json_t *tryton_changes_question_more(enum tryton_feed feed, const json_t *rows, size_t limit,
                                     const char **ret_model);

// ---- answers

struct tryton_changes_read {
    json_t *reports;    // list; owned by whoever has it
    int64_t latest_us;  // the latest stamp; 0: no rows
    json_int_t last_id; // the highest
    size_t n_rows;      // in the answer
    bool is_cut;        // memory was short: only within
    size_t n_nameless;  // rows without id or stamp: left out
};
// rows is search_read's result, more that of the second one (NULL: none was asked, or it has no
// whole answer). 0; -EBADMSG where rows is no list; -ENOMEM.
int tryton_changes_read(enum tryton_feed feed, const json_t *rows, const json_t *more,
                        struct tryton_changes_read *ret);
// What is said later stays last: raises the event's time, and its revision, above a stamp that its
// key was reported with before, for a long transaction's stamp is its start.
void tryton_report_after(json_t *report, int64_t stamp_us);
void tryton_changes_read_clear(struct tryton_changes_read *read);
