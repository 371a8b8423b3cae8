// SPDX-License-Identifier: Apache-2.0
// The data of an order event: what parses becomes a document that reads back the same and a UBL
// Order that is well-formed; the rest is refused with a reason.
#include <libxml/parser.h>
#include <string.h>

#include "connectors/dialect/ubl.h"
#include "schemas/base/cleanup.h"
#include "tests/fuzz/fuzz.h"

static const struct order_facts facts = {.sequence = 7,
                                         .incarnation = "00112233445566778899aabbccddeeff",
                                         .time = "2026-03-01T10:00:00Z",
                                         .customer = "c1"};

static json_t *document_of(const struct order *order) {
    json_t *document = NULL, *again = NULL;
    size_t size = 0;
    REQUIRE(order_document_placed(NULL, order, &facts, &document) == 0);
    _cleanup_free_ char *text = order_document_text(document, &size);
    REQUIRE(text != NULL && order_document_read(text, size, &again) == 0);
    REQUIRE(order_document_same(document, again));
    json_decref(again);
    return document;
}

static void write_ubl(const struct order *order) {
    const struct order_line *lines[ORDER_LINES_MAX];
    for (size_t i = 0; i < order->lines.n_lines; i++) {
        lines[i] = &order->lines.lines[i];
    }
    struct ubl_order document = {.id = order->order_id,
                                 .time = facts.time,
                                 .currency = order->currency,
                                 .quote_id = order->quote_id,
                                 .buyer = {"us", "Us", NULL},
                                 .seller = {"acme", "Acme", NULL},
                                 .lines = lines,
                                 .n_lines = order->lines.n_lines};
    _cleanup_free_ char *text = NULL;
    size_t size = 0;
    if (ubl_write_order(&document, &text, &size) == 0) {
        xmlDoc *read = xmlReadMemory(text, (int)size, NULL, NULL, XML_PARSE_NONET);
        REQUIRE(read != NULL);
        xmlFreeDoc(read);
    } else {
        REQUIRE(order->lines.n_lines == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_(cleanup_order) struct order *order = NULL;
    _cleanup_(cleanup_order_change) struct order_change *change = NULL;
    char why[ORDER_WHY_BYTES] = "";
    json_t *stored = NULL, *changed = NULL;
    if (order_parse((const char *)data, size, &order, why) == 0) {
        stored = document_of(order);
        write_ubl(order);
    } else {
        REQUIRE(why[0] != '\0' && order == NULL);
    }
    if (order_change_parse((const char *)data, size, &change, why) == 0) {
        struct order_facts later = facts;
        later.sequence++;
        int r = order_document_changed(stored, change, &later, &changed);
        REQUIRE(r == 0 || r == ORDER_STALE);
    }
    json_decref(stored);
    json_decref(changed);
    return 0;
}
