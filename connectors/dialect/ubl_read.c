// SPDX-License-Identifier: Apache-2.0
// Reads UBL 2.1 OrderResponse and DespatchAdvice into supply.changed, one an order. Looks only at
// the elements named in the tables below; whatever else a supplier sends is passed over. A document
// type declaration stops the parser before anything in it is read.
#include <errno.h>
#include <libxml/parser.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "connectors/dialect/ubl.h"
#include "connectors/dialect/ubl_node.h"
#include "schemas/base/cleanup.h"

#define NAMESPACE "urn:oasis:names:specification:ubl:schema:xsd:"

// Where the parts of a document stand. Lines name their order themselves or stand for the first
// order of the header.
static const struct kind {
    const char *root, *name_space;
    const char *supplier; // the party's role
    const char *line;     // a line's element
    const char *item;     // in it, what holds Item and the quantity; NULL: the line itself
    const char *quantity;
    const char *shipment; // what holds Delivery, in header and line; NULL: they do themselves
    const char *state;    // where the document has no code of its own
} kinds[] = {
    {"OrderResponse", NAMESPACE "OrderResponse-2", "SellerSupplierParty", "OrderLine", "LineItem",
     "Quantity", NULL, "answered"},
    {"DespatchAdvice", NAMESPACE "DespatchAdvice-2", "DespatchSupplierParty", "DespatchLine", NULL,
     "DeliveredQuantity", "Shipment", "despatched"},
};

// OrderResponseCode as Peppol (AP ...) and UN/CEFACT 1225 and 4343 (29 ...) write it.
static const struct response {
    const char *code, *state;
} responses[] = {
    {"AP", "accepted"}, {"29", "accepted"}, {"CA", "changed"},      {"4", "changed"},
    {"RE", "rejected"}, {"27", "rejected"}, {"AB", "acknowledged"},
};

struct reading {
    const struct kind *kind;
    const xmlNode *root;
    json_t *orders; // of data objects
    char document[UBL_TEXT_BYTES_MAX], supplier[UBL_TEXT_BYTES_MAX], code[UBL_TEXT_BYTES_MAX];
    char eta[UBL_TIME_BYTES]; // of the header, "" none
    char *why;
};

static int complain(const struct reading *reading, const char *text) {
    snprintf(reading->why, UBL_WHY_BYTES, "%s", text);
    return 1;
}

static const struct kind *find_kind(const xmlNode *root) {
    for (size_t i = 0; root != NULL && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (root->ns != NULL && strcmp((const char *)root->ns->href, kinds[i].name_space) == 0 &&
            strcmp((const char *)root->name, kinds[i].root) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

static const char *state_of(const struct reading *reading) {
    for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++) {
        if (strcmp(responses[i].code, reading->code) == 0) {
            return responses[i].state;
        }
    }
    return reading->kind->state;
}

static void set(json_t *object, const char *name, const char *value) {
    if (value[0] != '\0') {
        json_object_set_new(object, name, json_string(value));
    }
}

// The data object of an order, made where it is new. NULL: too many.
static json_t *order_of(struct reading *reading, const char *order_id) {
    size_t index;
    json_t *order;
    json_array_foreach(reading->orders, index, order) {
        if (strcmp(json_string_value(json_object_get(order, "order_id")), order_id) == 0) {
            return order;
        }
    }
    if (index >= UBL_ORDERS_MAX) {
        return NULL;
    }
    order = json_object();
    set(order, "order_id", order_id);
    set(order, "state", state_of(reading));
    set(order, "eta", reading->eta);
    set(order, "supplier", reading->supplier);
    set(order, "kind", reading->kind->root);
    set(order, "document", reading->document);
    json_object_set_new(order, "lines", json_array());
    return json_array_append_new(reading->orders, order) == 0 ? order : NULL;
}

static int read_header(struct reading *reading) {
    static const char *const ids[][4] = {
        {"PartyIdentification", "ID"}, {"EndpointID"}, {"PartyName", "Name"}};
    if (!ubl_text(ubl_child(reading->root, "ID"), reading->document)) {
        return complain(reading, "ID is missing");
    }
    ubl_text(ubl_child(reading->root, "OrderResponseCode"), reading->code);
    const xmlNode *party = ubl_child(ubl_child(reading->root, reading->kind->supplier), "Party");
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]) && reading->supplier[0] == '\0'; i++) {
        const xmlNode *node = ubl_child(party, ids[i][0]);
        ubl_text(ids[i][1] != NULL ? ubl_child(node, ids[i][1]) : node, reading->supplier);
    }
    if (ubl_eta(reading->root, reading->kind->shipment, reading->eta) != 0) {
        return complain(reading, "a delivery date cannot be read");
    }
    for (const xmlNode *node = ubl_child(reading->root, "OrderReference"); node != NULL;
         node = ubl_next(node)) {
        char id[UBL_TEXT_BYTES_MAX];
        if (!ubl_text(ubl_child(node, "ID"), id)) {
            return complain(reading, "OrderReference/ID is missing");
        }
        if (order_of(reading, id) == NULL) {
            return complain(reading, "too many orders");
        }
    }
    return 0;
}

// Whole numbers stay whole; a fraction is a real, as quantities in events are numbers.
static json_t *number(struct decimal value) {
    char text[DECIMAL_TEXT_BYTES];
    decimal_format(value, text);
    return value.places == 0 ? json_integer(strtoll(text, NULL, 10))
                             : json_real(strtod(text, NULL));
}

static int add_line(struct reading *reading, json_t *order, const xmlNode *line) {
    const xmlNode *item = reading->kind->item != NULL ? ubl_child(line, reading->kind->item) : line;
    char id[UBL_TEXT_BYTES_MAX], sku[UBL_TEXT_BYTES_MAX], quantity[UBL_TEXT_BYTES_MAX];
    char eta[UBL_TIME_BYTES];
    json_t *one = json_object();
    json_array_append_new(json_object_get(order, "lines"), one);
    ubl_text(ubl_child(item, "ID"), id);
    ubl_text(ubl_child(ubl_child(ubl_child(item, "Item"), "SellersItemIdentification"), "ID"), sku);
    set(one, "line", id);
    set(one, "sku", sku);
    if (ubl_text(ubl_child(item, reading->kind->quantity), quantity)) {
        struct decimal value;
        if (decimal_parse(quantity, &value) != 0) {
            return complain(reading, "a quantity is no number");
        }
        json_t *sum = json_object_get(order, "quantity");
        json_object_set_new(one, "quantity", number(value));
        json_object_set_new(order, "quantity",
                            json_is_integer(sum) && value.places == 0
                                ? json_integer(json_integer_value(sum) + (json_int_t)value.units)
                            : sum == NULL
                                ? number(value)
                                : json_real(json_number_value(sum) + strtod(quantity, NULL)));
    }
    if (ubl_eta(item, reading->kind->shipment, eta) != 0) {
        return complain(reading, "a delivery date cannot be read");
    }
    set(one, "eta", eta);
    const char *latest = json_string_value(json_object_get(order, "eta"));
    if (eta[0] != '\0' && (latest == NULL || strcmp(latest, eta) < 0)) {
        set(order, "eta", eta); // the order is there when its last line is
    }
    return 0;
}

static int read_lines(struct reading *reading) {
    const json_t *first = json_array_get(reading->orders, 0);
    size_t n_lines = 0;
    for (const xmlNode *line = ubl_child(reading->root, reading->kind->line); line != NULL;
         line = ubl_next(line)) {
        const xmlNode *reference = ubl_child(line, "OrderLineReference");
        char id[UBL_TEXT_BYTES_MAX];
        if (!ubl_text(ubl_child(ubl_child(reference, "OrderReference"), "ID"), id)) {
            const char *header = json_string_value(json_object_get(first, "order_id"));
            snprintf(id, sizeof(id), "%s", header != NULL ? header : "");
        }
        if (id[0] == '\0') {
            return complain(reading, "a line names no order, and the header neither");
        }
        json_t *order = ++n_lines <= UBL_LINES_MAX ? order_of(reading, id) : NULL;
        if (order == NULL) {
            return complain(reading, "too many lines or orders");
        }
        if (add_line(reading, order, line) != 0) {
            return 1;
        }
    }
    return json_array_size(reading->orders) > 0 ? 0 : complain(reading, "no OrderReference");
}

static json_t *events_of(const struct reading *reading) {
    char date[UBL_TEXT_BYTES_MAX], time[UBL_TEXT_BYTES_MAX], issued[UBL_TIME_BYTES];
    ubl_text(ubl_child(reading->root, "IssueDate"), date);
    ubl_text(ubl_child(reading->root, "IssueTime"), time);
    bool has_time = time[0] != '\0' && ubl_time(date, time, issued) == 0;
    json_t *events = json_array();
    size_t index;
    json_t *order;
    json_array_foreach(reading->orders, index, order) {
        json_t *event = json_object();
        set(event, "type", "supply.changed");
        set(event, "time", has_time ? issued : "");
        json_object_set(event, "data", order);
        json_array_append_new(events, event);
    }
    return events;
}

int ubl_read_supply(const void *bytes, size_t size, json_t **ret, char *why) {
    struct reading reading = {.why = why};
    _cleanup_(ubl_cleanup_doc) xmlDoc *doc = NULL;
    if (ubl_parse(bytes, size, &doc, why) != 0) {
        return 1;
    }
    reading.root = xmlDocGetRootElement(doc);
    reading.kind = find_kind(reading.root);
    if (reading.kind == NULL) {
        return complain(&reading, "neither an OrderResponse nor a DespatchAdvice of UBL 2");
    }
    reading.orders = json_array();
    int r = read_header(&reading);
    r = r == 0 ? read_lines(&reading) : r;
    if (r == 0) {
        *ret = events_of(&reading);
    }
    json_decref(reading.orders);
    return r;
}
