// SPDX-License-Identifier: Apache-2.0
// Orders as documents in the outbox: the file is the kit's, the format dialect/order_document.h;
// here is only which event does what.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/dialect/order_document.h"
#include "connectors/dialect/order_event.h"
#include "connectors/erp/folder.h"
#include "connectors/kit/exchange.h"
#include "schemas/base/cleanup.h"

static void count(const struct folder *folder, enum folder_counter counter, uint64_t n) {
    kit_count(folder->kit, folder->first_counter + counter, n);
}

// A document file of its order; what the ERP already took is not handed over again unless it says
// something new.
static int hand_over(const struct folder *folder, const char *name, const char *owner,
                     const json_t *stored, const json_t *document) {
    size_t size = 0;
    _cleanup_free_ char *text = order_document_text(document, &size);
    if (text == NULL) {
        return -ENOMEM;
    }
    int r = 0;
    if (stored == NULL || !order_document_same(stored, document)) {
        r = outbox_put(folder->outbox, name, text, size);
        count(folder, FOLDER_DOCUMENTS, 1);
    }
    return r < 0 ? r : outbox_remember(folder->outbox, name, owner, text, size);
}

static int recall(const struct folder *folder, const char *order_id, char name[static NAME_MAX],
                  json_t **ret_stored) {
    char part[OUTBOX_PART_BYTES];
    snprintf(name, NAME_MAX, "%s.json", outbox_escape(order_id, part));
    _cleanup_free_ void *bytes = NULL;
    size_t size = 0;
    int r = outbox_recall(folder->outbox, name, &bytes, &size);
    return r == 0 ? order_document_read(bytes, size, ret_stored) : r;
}

// 0; 1 and why: the event is refused; negative errno. A record that cannot be read is made anew.
static int place(const struct folder *folder, const struct order_event *event, char *why) {
    _cleanup_(cleanup_order) struct order *order = NULL;
    int r = order_parse(event->data, event->data_size, &order, why);
    char name[NAME_MAX];
    json_t *stored = NULL, *document = NULL;
    if (r == 0) {
        r = recall(folder, order->order_id, name, &stored);
        r = r < 0 ? r : order_document_placed(stored, order, &event->facts, &document);
        if (r == ORDER_REPEAT) {
            count(folder, FOLDER_REPEATS, 1);
        }
        r = r == 0  ? hand_over(folder, name, event->facts.customer, stored, document)
            : r < 0 ? r
                    : 0;
    }
    json_decref(stored);
    json_decref(document);
    return r;
}

static int change(const struct folder *folder, const struct order_event *event, char *why) {
    _cleanup_(cleanup_order_change) struct order_change *change = NULL;
    int r = order_change_parse(event->data, event->data_size, &change, why);
    char name[NAME_MAX];
    json_t *stored = NULL, *document = NULL;
    if (r == 0) {
        r = recall(folder, change->order_id, name, &stored);
        r = r < 0 ? r : order_document_changed(stored, change, &event->facts, &document);
        if (r > 0) {
            count(folder, r == ORDER_REPEAT ? FOLDER_REPEATS : FOLDER_STALE, 1);
        }
        r = r == 0  ? hand_over(folder, name, event->facts.customer, stored, document)
            : r < 0 ? r
                    : 0;
    }
    json_decref(stored);
    json_decref(document);
    return r;
}

static const struct {
    const char *type;
    int (*apply)(const struct folder *folder, const struct order_event *event, char *why);
    bool may_be_ours; // this connector publishes such events itself: the ERP knows those
} handlers[] = {{"order.placed", place, false}, {"order.changed", change, true}};

int folder_forget(const struct folder *folder, const touchbus_event *event) {
    const char *customer = touchbus_event_get(event, "customer");
    return exchange_erase(folder->outbox, folder->inbox, customer, order_document_id);
}

// What is here of the customer goes; the ERP is told to do likewise, by a document of its own.
static int erase(const struct folder *folder, const touchbus_event *event, char *why) {
    const char *customer = touchbus_event_get(event, "customer");
    struct order_event order_event;
    char name[NAME_MAX];
    size_t size = 0;
    int r = folder_forget(folder, event);
    r = r == 0 ? order_event_read(event, kit_incarnation(folder->kit), false, &order_event) : r;
    if (r != 0) {
        snprintf(why, ORDER_WHY_BYTES, "the event has no data");
        return r;
    }
    _cleanup_free_ char *text = order_erasure_text(&order_event.facts, &size);
    snprintf(name, sizeof(name), "%s.erasure.json", customer);
    r = text != NULL ? outbox_put(folder->outbox, name, text, size) : -ENOMEM;
    order_event_clear(&order_event);
    count(folder, FOLDER_ERASED, r == 0);
    return r;
}

static int apply(const struct folder *folder, const touchbus_event *event, char *why) {
    size_t i = 0;
    if (touchbus_event_erases(event)) {
        return erase(folder, event, why);
    }
    if (touchbus_event_redacted(event)) { // nothing to hand over, and nobody to name
        count(folder, FOLDER_REDACTED, 1);
        return 0;
    }
    while (i < sizeof(handlers) / sizeof(handlers[0]) &&
           strcmp(handlers[i].type, touchbus_event_get(event, "type")) != 0) {
        i++;
    }
    if (i == sizeof(handlers) / sizeof(handlers[0])) {
        return 0; // --type asked for more than there is to do
    }
    if (handlers[i].may_be_ours &&
        strcmp(touchbus_event_get(event, "source"), folder->source) == 0) {
        count(folder, FOLDER_OWN, 1);
        return 0;
    }
    struct order_event order_event;
    int r = order_event_read(event, kit_incarnation(folder->kit), true, &order_event);
    if (r != 0) {
        snprintf(why, ORDER_WHY_BYTES, "the event has no data");
        return r;
    }
    r = handlers[i].apply(folder, &order_event, why);
    order_event_clear(&order_event);
    return r;
}

void folder_deliver(const struct folder *folder, touchbus_event *const *events, size_t n_events,
                    struct kit_result *results) {
    int r = 0;
    for (size_t i = 0; i < n_events && r >= 0; i++) {
        char why[ORDER_WHY_BYTES] = "";
        r = apply(folder, events[i], why);
        kit_result(&results[i], r == 0 ? KIT_DELIVERED : KIT_REJECT, "%s", why);
    }
    r = r < 0 ? r : outbox_flush(folder->outbox);
    if (r < 0) { // the disk's trouble: whatever was said of single events
        outbox_forget(folder->outbox);
        for (size_t i = 0; i < n_events; i++) {
            kit_result(&results[i], KIT_AWAY, "outbox: %s", strerror(-r));
        }
    }
}
