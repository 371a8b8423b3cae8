// SPDX-License-Identifier: Apache-2.0
// Orders as the events carry them and as the ERP takes them: one JSON document an order, and the
// reports that the ERP gives back. Pure: texts in, texts out. Money stays a decimal string from end
// to end.
//
// The document (README.md of connectors/erp shows one) is written the same for the same events, so
// that a repeat overwrites itself. It carries the sequence and incarnation of the last event that
// it holds: an event at or below it is a repeat.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connectors/dialect/decimal.h"

enum {
    ORDER_LINES_MAX = 1000,
    ORDER_ID_BYTES_MAX = 256,
    ORDER_WHY_BYTES = 128,          // what is wrong with an order: names and indexes, no values
    ORDER_REPORTS_MAX = 10000,      // in one file of the ERP
    ORDER_JSON_BYTES_MAX = 8 << 20, // one document or file
};

struct order_line {
    const char *sku;
    const char *name; // NULL: none
    char quantity[DECIMAL_TEXT_BYTES], price[DECIMAL_TEXT_BYTES], amount[DECIMAL_TEXT_BYTES];
    struct decimal amount_exact; // for sums over some of the lines
};

struct order_lines {
    struct order_line *lines;
    size_t n_lines;
    char total[DECIMAL_TEXT_BYTES];
};

// The lines {sku, quantity, price, [name]} of a body, borrowed from json where they are texts. 0;
// 1 and why (ORDER_WHY_BYTES). The caller clears *ret.
int order_lines_parse(const json_t *json, struct order_lines *ret, char *why);
void order_lines_clear(struct order_lines *lines);

// The data of order.placed.
struct order {
    json_t *data; // owns the texts
    const char *order_id, *currency;
    const char *quote_id; // NULL: none
    struct order_lines lines;
};
// 0 and *ret; 1 and why where it is no order; -ENOMEM.
int order_parse(const char *json, size_t size, struct order **ret, char *why);
struct order *order_free(struct order *order); // takes NULL; returns NULL
void cleanup_order(struct order **order);

// The data of order.changed.
struct order_change {
    json_t *data;
    const char *order_id, *status;
    int64_t revision;
    bool has_lines; // the change brings the order's lines anew
    struct order_lines lines;
};
int order_change_parse(const char *json, size_t size, struct order_change **ret, char *why);
struct order_change *order_change_free(struct order_change *change);
void cleanup_order_change(struct order_change **change);

// What the envelope says about the event that a document is made from. Borrowed.
struct order_facts {
    uint64_t sequence;
    const char *incarnation; // hex
    const char *time;        // RFC 3339
    const char *customer;    // "c42"; NULL: nobody
    const char *channel;     // NULL: none
    json_t *keys;            // list of {kind, value}; NULL: none
};

// A document with the order in it; stored is the one there was, NULL: none. 0 and *ret, a new
// reference; ORDER_REPEAT: stored has it already; ORDER_STALE: it is placed already, and of two
// placements the first counts, as in the customer view.
enum { ORDER_REPEAT = 1, ORDER_STALE = 2 };
int order_document_placed(const json_t *stored, const struct order *order,
                          const struct order_facts *facts, json_t **ret);
// The stored document with the change in it; with none, a document of the change alone, complete =
// false. ORDER_STALE: the change is of a revision below the stored one.
int order_document_changed(const json_t *stored, const struct order_change *change,
                           const struct order_facts *facts, json_t **ret);
// Whether the two say the same of the order, wherever in a log they come from.
bool order_document_same(const json_t *a, const json_t *b);
// As it stands in the file, with its newline; malloc'ed. NULL where memory is short.
char *order_document_text(const json_t *document, size_t *ret_size);
// What tells the ERP that a customer was erased: a document of its own, without personal data.
char *order_erasure_text(const struct order_facts *facts, size_t *ret_size);
// The order's id in a document's bytes, malloc'ed; NULL where it is none of ours.
char *order_document_id(const void *bytes, size_t size);
// The document without what only the ERP needs: keys and the event's further members.
void order_document_trim(json_t *document);
// A document from its file. 0; 1 where it is none of ours.
int order_document_read(const void *bytes, size_t size, json_t **ret);

// The ERP's reports: one JSON object or a list of them, each {type: order.changed | price.changed,
// [time], ...}. 0 and *ret, a list of {type, [time], data}; 1 and why, with the index of the first
// bad one. All or nothing.
int order_reports_read(const void *bytes, size_t size, json_t **ret, char *why);
