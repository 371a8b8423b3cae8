// SPDX-License-Identifier: Apache-2.0
// touchbus-erp: orders to the ERP as one JSON document each in an outbox folder, and what the ERP
// reports in an inbox folder back as events. The files are the kit's outbox and inbox, the formats
// dialect/order_document.h; here is only which event does what.
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/dialect/order_document.h"
#include "connectors/dialect/order_event.h"
#include "connectors/kit/exchange.h"
#include "connectors/kit/inbox.h"
#include "connectors/kit/kit.h"
#include "connectors/kit/outbox.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"

struct erp_conf {
    char *inbox, *outbox;
    int64_t keep_us;
};

struct erp {
    struct kit *kit;
    const struct erp_conf *conf;
    int64_t tend_us;
    struct outbox *outbox;
    struct inbox *inbox;
    struct inbox_options inbox_options;
    char inbox_path[PATH_MAX];
    char source[NAME_MAX]; // of what this connector publishes itself
};

enum erp_counter { ERP_DOCUMENTS, ERP_REPEATS, ERP_STALE, ERP_OWN, ERP_ERASED, ERP_REDACTED };
static const char *const counters[] = {"documents", "repeats",  "stale", "own_reports",
                                       "erased",    "redacted", NULL};

static void erp_close(void *state) {
    struct erp *erp = state;
    inbox_close(erp->inbox);
    outbox_close(erp->outbox);
    free(erp);
}

static int path_of(const struct kit *kit, const char *given, const char *name,
                   char ret[static PATH_MAX]) {
    int size = given != NULL ? snprintf(ret, PATH_MAX, "%s", given)
                             : snprintf(ret, PATH_MAX, "%s/%s", kit_folder(kit), name);
    return size < 0 || size >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int erp_open(struct kit *kit, const void *conf, void **ret_state) {
    const struct erp_conf *erp_conf = conf;
    char outbox[PATH_MAX], sent[PATH_MAX];
    struct erp *erp = calloc(1, sizeof(*erp));
    if (erp == NULL) {
        return -ENOMEM;
    }
    erp->kit = kit;
    erp->conf = erp_conf;
    erp->inbox_options = (struct inbox_options){.folder = erp->inbox_path,
                                                .file_bytes_max = ORDER_JSON_BYTES_MAX,
                                                .read = order_reports_read,
                                                .channel = "erp"};
    snprintf(erp->source, sizeof(erp->source), "/%s", kit_name(kit));
    int r = path_of(kit, erp_conf->outbox, "outbox", outbox);
    r = r < 0 ? r : path_of(kit, NULL, "sent", sent);
    r = r < 0 ? r : path_of(kit, erp_conf->inbox, "inbox", erp->inbox_path);
    r = r < 0 ? r : outbox_open(outbox, sent, &erp->outbox);
    r = r < 0 ? r : inbox_open(kit, &erp->inbox_options, &erp->inbox);
    if (r < 0) {
        erp_close(erp);
        return r;
    }
    *ret_state = erp;
    return 0;
}

// ---- orders out

// A document file of its order; what the ERP already took is not handed over again unless it says
// something new.
static int hand_over(struct erp *erp, const char *name, const char *owner, const json_t *stored,
                     const json_t *document) {
    size_t size = 0;
    _cleanup_free_ char *text = order_document_text(document, &size);
    if (text == NULL) {
        return -ENOMEM;
    }
    int r = 0;
    if (stored == NULL || !order_document_same(stored, document)) {
        r = outbox_put(erp->outbox, name, text, size);
        kit_count(erp->kit, ERP_DOCUMENTS, 1);
    }
    return r < 0 ? r : outbox_remember(erp->outbox, name, owner, text, size);
}

static int recall(struct erp *erp, const char *order_id, char name[static NAME_MAX],
                  json_t **ret_stored) {
    char part[OUTBOX_PART_BYTES];
    snprintf(name, NAME_MAX, "%s.json", outbox_escape(order_id, part));
    _cleanup_free_ void *bytes = NULL;
    size_t size = 0;
    int r = outbox_recall(erp->outbox, name, &bytes, &size);
    return r == 0 ? order_document_read(bytes, size, ret_stored) : r;
}

// 0; 1 and why: the event is refused; negative errno. A record that cannot be read is made anew.
static int place(struct erp *erp, const struct order_event *event, char *why) {
    _cleanup_(cleanup_order) struct order *order = NULL;
    int r = order_parse(event->data, event->data_size, &order, why);
    char name[NAME_MAX];
    json_t *stored = NULL, *document = NULL;
    if (r == 0) {
        r = recall(erp, order->order_id, name, &stored);
        r = r < 0 ? r : order_document_placed(stored, order, &event->facts, &document);
        if (r == ORDER_REPEAT) {
            kit_count(erp->kit, ERP_REPEATS, 1);
        }
        r = r == 0 ? hand_over(erp, name, event->facts.customer, stored, document) : r < 0 ? r : 0;
    }
    json_decref(stored);
    json_decref(document);
    return r;
}

static int change(struct erp *erp, const struct order_event *event, char *why) {
    _cleanup_(cleanup_order_change) struct order_change *change = NULL;
    int r = order_change_parse(event->data, event->data_size, &change, why);
    char name[NAME_MAX];
    json_t *stored = NULL, *document = NULL;
    if (r == 0) {
        r = recall(erp, change->order_id, name, &stored);
        r = r < 0 ? r : order_document_changed(stored, change, &event->facts, &document);
        if (r > 0) {
            kit_count(erp->kit, r == ORDER_REPEAT ? ERP_REPEATS : ERP_STALE, 1);
        }
        r = r == 0 ? hand_over(erp, name, event->facts.customer, stored, document) : r < 0 ? r : 0;
    }
    json_decref(stored);
    json_decref(document);
    return r;
}

static const struct {
    const char *type;
    int (*apply)(struct erp *erp, const struct order_event *event, char *why);
    bool may_be_ours; // this connector publishes such events itself: the ERP knows those
} handlers[] = {{"order.placed", place, false}, {"order.changed", change, true}};

// What is here of the customer goes; the ERP is told to do likewise, by a document of its own.
static int erase(struct erp *erp, const touchbus_event *event, char *why) {
    const char *customer = touchbus_event_get(event, "customer");
    struct order_event order_event;
    char name[NAME_MAX];
    size_t size = 0;
    int r = exchange_erase(erp->outbox, erp->inbox, customer, order_document_id);
    r = r == 0 ? order_event_read(event, kit_incarnation(erp->kit), false, &order_event) : r;
    if (r != 0) {
        snprintf(why, ORDER_WHY_BYTES, "the event has no data");
        return r;
    }
    _cleanup_free_ char *text = order_erasure_text(&order_event.facts, &size);
    snprintf(name, sizeof(name), "%s.erasure.json", customer);
    r = text != NULL ? outbox_put(erp->outbox, name, text, size) : -ENOMEM;
    order_event_clear(&order_event);
    kit_count(erp->kit, ERP_ERASED, r == 0);
    return r;
}

static int apply(struct erp *erp, const touchbus_event *event, char *why) {
    size_t i = 0;
    if (touchbus_event_erases(event)) {
        return erase(erp, event, why);
    }
    if (touchbus_event_redacted(event)) { // nothing to hand over, and nobody to name
        kit_count(erp->kit, ERP_REDACTED, 1);
        return 0;
    }
    while (i < sizeof(handlers) / sizeof(handlers[0]) &&
           strcmp(handlers[i].type, touchbus_event_get(event, "type")) != 0) {
        i++;
    }
    if (i == sizeof(handlers) / sizeof(handlers[0])) {
        return 0; // --type asked for more than there is to do
    }
    if (handlers[i].may_be_ours && strcmp(touchbus_event_get(event, "source"), erp->source) == 0) {
        kit_count(erp->kit, ERP_OWN, 1);
        return 0;
    }
    struct order_event order_event;
    int r = order_event_read(event, kit_incarnation(erp->kit), true, &order_event);
    if (r != 0) {
        snprintf(why, ORDER_WHY_BYTES, "the event has no data");
        return r;
    }
    r = handlers[i].apply(erp, &order_event, why);
    order_event_clear(&order_event);
    return r;
}

static void erp_deliver(void *state, touchbus_event *const *events, size_t n_events,
                        struct kit_result *results) {
    struct erp *erp = state;
    int r = 0;
    for (size_t i = 0; i < n_events && r >= 0; i++) {
        char why[ORDER_WHY_BYTES] = "";
        r = apply(erp, events[i], why);
        kit_result(&results[i], r == 0 ? KIT_DELIVERED : KIT_REJECT, "%s", why);
    }
    r = r < 0 ? r : outbox_flush(erp->outbox);
    if (r < 0) { // the disk's trouble: whatever was said of single events
        outbox_forget(erp->outbox);
        for (size_t i = 0; i < n_events; i++) {
            kit_result(&results[i], KIT_AWAY, "outbox: %s", strerror(-r));
        }
    }
}

// ---- reports in

static int erp_collect(void *state) {
    struct erp *erp = state;
    exchange_tend(erp->outbox, erp->inbox, erp->conf->keep_us, &erp->tend_us);
    return inbox_collect(erp->inbox);
}

static void erp_settled(void *state, void *item, const struct kit_ack *ack) {
    struct erp *erp = state;
    inbox_settled(erp->inbox, item, ack);
}

// ---- the descriptor

static const char *const types[] = {"order.placed", "order.changed", "privacy.changed", NULL};

static const struct option_row options[] = {
    {.name = "outbox",
     .type = OPTION_STRING,
     .offset = offsetof(struct erp_conf, outbox),
     .argument = "DIR",
     .help = "Where order documents are put for the ERP. By default outbox in the connector's "
             "folder of --state."},
    {.name = "inbox",
     .type = OPTION_STRING,
     .offset = offsetof(struct erp_conf, inbox),
     .argument = "DIR",
     .help = "Where the ERP renames its reports into; done and failed stand beside it. By default "
             "inbox in the connector's folder of --state."},
    {.name = "keep",
     .type = OPTION_DURATION,
     .offset = offsetof(struct erp_conf, keep_us),
     .default_text = "400d",
     .min = INT64_C(86400) * CLOCK_US_PER_S,
     .max = INT64_C(36500) * 86400 * CLOCK_US_PER_S,
     .argument = "TIME",
     .help =
         "How long what was handed over is remembered after its last change, and reports are kept "
         "in done. An order that comes again later than that is taken for a new one."},
};

static const struct kit_connector connector = {
    .name = "erp",
    .summary = "Hands orders to an ERP as JSON documents and takes its reports back.",
    .description =
        "order.placed writes OUTBOX/<order id>.json, order.changed rewrites it with the new status "
        "and revision; a repeat changes nothing. A file in INBOX reports order.changed and "
        "price.changed, one JSON object or a list of them, and moves to done when the broker has "
        "all of it, or to failed with the reason beside it. When a customer is erased, what is "
        "kept here of them goes, and OUTBOX/<customer>.erasure.json says so.",
    .after = "FILES\n"
             "  STATE/erp/outbox   order documents; the ERP may take them away\n"
             "  STATE/erp/inbox    reports; write aside (.NAME or NAME.tmp), then rename\n"
             "  STATE/erp/done     reports that are with the broker\n"
             "  STATE/erp/failed   reports that are not, each with NAME.reason\n"
             "  STATE/erp/sent     what was handed over last, an order a file: not for others\n",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .conf_size = sizeof(struct erp_conf),
    .types = types,
    .counters = counters,
    .open = erp_open,
    .collect = erp_collect,
    .settled = erp_settled,
    .deliver = erp_deliver,
    .close = erp_close,
};

KIT_MAIN(connector)
