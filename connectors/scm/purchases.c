// SPDX-License-Identifier: Apache-2.0
// Splits orders by supplier and writes the documents. The documents follow from the order and the
// supplier table alone; only an order whose record says something new is written.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/scm/purchases.h"
#include "schemas/base/cleanup.h"

// What an order may be called when it is off, in events and shops.
static const char *const cancelled[] = {"cancelled", "canceled"};

static bool is_cancelled(const char *status) {
    for (size_t i = 0; i < sizeof(cancelled) / sizeof(cancelled[0]); i++) {
        if (status != NULL && strcmp(status, cancelled[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void cleanup_json(json_t **json) {
    json_decref(*json);
}

static const char *text_of(const json_t *object, const char *name) {
    return json_string_value(json_object_get(object, name));
}

// ---- records

static int recall(struct purchases *purchases, const char *order_id, char name[static NAME_MAX],
                  json_t **ret) {
    char part[OUTBOX_PART_BYTES];
    snprintf(name, NAME_MAX, "%s.json", outbox_escape(order_id, part));
    _cleanup_free_ void *bytes = NULL;
    size_t size = 0;
    int r = outbox_recall(purchases->outbox, name, &bytes, &size);
    return r == 0 ? order_document_read(bytes, size, ret) : r;
}

static int remember(struct purchases *purchases, const char *name, const char *owner,
                    const json_t *document) {
    size_t size = 0;
    _cleanup_free_ char *text = order_document_text(document, &size);
    return text != NULL ? outbox_remember(purchases->outbox, name, owner, text, size) : -ENOMEM;
}

static int put(struct purchases *purchases, const char *order_id, const char *supplier_id,
               const char *kind, const char *text, size_t size) {
    char name[NAME_MAX], order[OUTBOX_PART_BYTES], supplier[OUTBOX_PART_BYTES];
    snprintf(name, sizeof(name), "%s.%s.%s.xml", outbox_escape(order_id, order),
             outbox_escape(supplier_id, supplier), kind);
    purchases->n_documents++;
    return outbox_put(purchases->outbox, name, text, size);
}

// ---- placing

// The suppliers of an order in the order of its lines, each once.
static size_t suppliers_of(struct purchases *purchases, const struct order *order,
                           const struct ubl_party **ret) {
    size_t n_suppliers = 0;
    for (size_t i = 0; i < order->lines.n_lines; i++) {
        const struct ubl_party *supplier =
            suppliers_find(purchases->suppliers, order->lines.lines[i].sku);
        size_t at = 0;
        while (at < n_suppliers && supplier != NULL && strcmp(ret[at]->id, supplier->id) != 0) {
            at++;
        }
        if (supplier == NULL) {
            purchases->n_lines_without_supplier++;
        } else if (at == n_suppliers) {
            ret[n_suppliers++] = supplier;
        }
    }
    return n_suppliers;
}

static int write_order(struct purchases *purchases, const struct order *order,
                       const struct order_event *event, const struct ubl_party *supplier) {
    const struct order_line *lines[ORDER_LINES_MAX];
    size_t n_lines = 0, size = 0;
    for (size_t i = 0; i < order->lines.n_lines; i++) {
        const struct ubl_party *of =
            suppliers_find(purchases->suppliers, order->lines.lines[i].sku);
        if (of != NULL && strcmp(of->id, supplier->id) == 0) {
            lines[n_lines++] = &order->lines.lines[i];
        }
    }
    struct ubl_order document = {.id = order->order_id,
                                 .time = event->facts.time,
                                 .currency = order->currency,
                                 .quote_id = order->quote_id,
                                 .buyer = *purchases->buyer,
                                 .seller = *supplier,
                                 .lines = lines,
                                 .n_lines = n_lines};
    _cleanup_free_ char *text = NULL;
    int r = ubl_write_order(&document, &text, &size);
    return r == 0 ? put(purchases, order->order_id, supplier->id, "order", text, size) : r;
}

static json_t *suppliers_json(const struct ubl_party *const *suppliers, size_t n_suppliers) {
    json_t *list = json_array();
    for (size_t i = 0; i < n_suppliers; i++) {
        json_array_append_new(list, json_pack("{s:s, s:s, s:s*}", "id", suppliers[i]->id, "name",
                                              suppliers[i]->name, "gln", suppliers[i]->gln));
    }
    return list;
}

int purchases_place(struct purchases *purchases, const struct order_event *event, char *why) {
    _cleanup_(cleanup_order) struct order *order = NULL;
    _cleanup_(cleanup_json) json_t *stored = NULL, *document = NULL;
    char name[NAME_MAX];
    int r = order_parse(event->data, event->data_size, &order, why);
    if (r != 0) {
        return r;
    }
    r = recall(purchases, order->order_id, name, &stored);
    r = r < 0 ? r : order_document_placed(stored, order, &event->facts, &document);
    if (r != 0) {
        return r < 0 ? r : 0; // a repeat
    }
    const struct ubl_party *suppliers[SUPPLIERS_MAX + 1];
    size_t n_suppliers = suppliers_of(purchases, order, suppliers);
    order_document_trim(document); // suppliers get no personal data: none is remembered
    json_object_set_new(document, "suppliers", suppliers_json(suppliers, n_suppliers));
    bool is_news = stored == NULL || !order_document_same(stored, document);
    for (size_t i = 0; i < n_suppliers && is_news && r == 0; i++) {
        r = write_order(purchases, order, event, suppliers[i]);
    }
    return r < 0 ? r : remember(purchases, name, event->facts.customer, document);
}

// ---- changing

static int write_cancellations(struct purchases *purchases, const json_t *document,
                               const struct order_event *event) {
    size_t index;
    const json_t *one;
    json_array_foreach(json_object_get(document, "suppliers"), index, one) {
        struct ubl_cancellation cancellation = {.order_id = text_of(document, "order_id"),
                                                .order_time = text_of(document, "placed"),
                                                .time = event->facts.time,
                                                .note = "The order is cancelled.",
                                                .buyer = *purchases->buyer,
                                                .seller = {.id = text_of(one, "id"),
                                                           .name = text_of(one, "name"),
                                                           .gln = text_of(one, "gln")}};
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int r = ubl_write_cancellation(&cancellation, &text, &size);
        r = r == 0 ? put(purchases, cancellation.order_id, cancellation.seller.id, "cancellation",
                         text, size)
                   : r;
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int purchases_change(struct purchases *purchases, const struct order_event *event, char *why) {
    _cleanup_(cleanup_order_change) struct order_change *change = NULL;
    _cleanup_(cleanup_json) json_t *stored = NULL, *document = NULL;
    char name[NAME_MAX];
    int r = order_change_parse(event->data, event->data_size, &change, why);
    if (r != 0) {
        return r;
    }
    r = recall(purchases, change->order_id, name, &stored);
    if (r != 0) {
        purchases->n_unknown_orders += r > 0;
        return r < 0 ? r : 0; // no supplier has heard of it
    }
    r = order_document_changed(stored, change, &event->facts, &document);
    if (r != 0) {
        return r < 0 ? r : 0; // a repeat, or stale
    }
    if (is_cancelled(change->status) && !is_cancelled(text_of(stored, "status"))) {
        r = write_cancellations(purchases, document, event);
    }
    return r < 0 ? r : remember(purchases, name, event->facts.customer, document);
}
