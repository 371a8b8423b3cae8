// SPDX-License-Identifier: Apache-2.0
// UBL 2.1 documents of the supply chain: Order and OrderCancellation are written, OrderResponse and
// DespatchAdvice are read. Pure: bytes in, bytes out; no files, no network, no entities. The same
// order gives the same bytes. http://docs.oasis-open.org/ubl/os-UBL-2.1/
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "connectors/dialect/order_document.h"

enum {
    UBL_BYTES_MAX = 4 << 20, // a document that is read
    UBL_ORDERS_MAX = 100,    // orders that one document speaks of
    UBL_LINES_MAX = 5000,    // lines of a document that is read
    UBL_TEXT_BYTES_MAX = 256,
    UBL_WHY_BYTES = ORDER_WHY_BYTES,
};

struct ubl_party {
    const char *id, *name;
    const char *gln; // global location number, NULL: none
};

// What an Order says; all borrowed.
struct ubl_order {
    const char *id;       // ours and the supplier's reference
    const char *time;     // RFC 3339 in UTC, of issue
    const char *currency; // ISO 4217
    const char *quote_id; // NULL: none
    struct ubl_party buyer, seller;
    const struct order_line *const *lines; // at least one
    size_t n_lines;
};
// 0 and the document, malloc'ed, ending in a newline; -EINVAL where it has no lines or no time;
// -ENOMEM. Characters that XML cannot hold become spaces.
int ubl_write_order(const struct ubl_order *order, char **ret, size_t *ret_size);

struct ubl_cancellation {
    const char *order_id;
    const char *order_time; // of the order's issue; NULL: not known
    const char *time;       // of the cancellation
    const char *note;
    struct ubl_party buyer, seller;
};
int ubl_write_cancellation(const struct ubl_cancellation *cancellation, char **ret,
                           size_t *ret_size);

// An OrderResponse or DespatchAdvice as events: 0 and *ret, a list of {type: supply.changed,
// [time], data: {order_id, state, [eta], [quantity], supplier, kind, document, lines}}, one an
// order; 1 and why (UBL_WHY_BYTES: element names, no values) where it is neither, or is malformed,
// too large, or has a document type declaration (so no entities, however nested).
int ubl_read_supply(const void *bytes, size_t size, json_t **ret, char *why);
