// SPDX-License-Identifier: Apache-2.0
// touchbus-scm: orders to suppliers as UBL 2.1 documents in an outbox folder, and their
// OrderResponse and DespatchAdvice in an inbox folder back as supply.changed. What goes into which
// document is purchases.c, the format dialect/ubl.h, the folders are the kit's.
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/dialect/order_event.h"
#include "connectors/dialect/ubl.h"
#include "connectors/kit/exchange.h"
#include "connectors/kit/inbox.h"
#include "connectors/kit/kit.h"
#include "connectors/kit/outbox.h"
#include "connectors/scm/purchases.h"
#include "connectors/scm/suppliers.h"
#include "schemas/base/clock.h"

struct scm_conf {
    char *inbox, *outbox, *buyer, *default_supplier;
    struct option_list suppliers;
    int64_t keep_us;
};

struct scm {
    struct kit *kit;
    const struct scm_conf *conf;
    int64_t tend_us;
    struct outbox *outbox;
    struct inbox *inbox;
    struct inbox_options inbox_options;
    char inbox_path[PATH_MAX];
    struct suppliers *suppliers;
    struct ubl_party buyer;
    char *buyer_text;
};

enum scm_counter {
    SCM_DOCUMENTS,
    SCM_LINES_WITHOUT_SUPPLIER,
    SCM_UNKNOWN_ORDERS,
    SCM_ERASED,
    SCM_REDACTED
};
static const char *const counters[] = {
    "documents", "lines_without_supplier", "unknown_orders", "erased", "redacted", NULL};

static void scm_close(void *state) {
    struct scm *scm = state;
    inbox_close(scm->inbox);
    outbox_close(scm->outbox);
    suppliers_free(scm->suppliers);
    free(scm->buyer_text);
    free(scm);
}

// ---- configuration

static int load_table(const struct scm_conf *conf, struct suppliers **ret_suppliers,
                      struct ubl_party *ret_buyer, char **ret_text, char *error,
                      size_t error_size) {
    int r =
        suppliers_parse(&conf->suppliers, conf->default_supplier, ret_suppliers, error, error_size);
    if (r < 0) {
        return r;
    }
    r = suppliers_parse_party(conf->buyer, ret_buyer, ret_text);
    if (r < 0) {
        snprintf(error, error_size, "buyer '%s': expected ID, NAME[, GLN]", conf->buyer);
        *ret_suppliers = suppliers_free(*ret_suppliers);
    }
    return r;
}

static int scm_check(const void *conf, char *error, size_t error_size) {
    struct suppliers *suppliers = NULL;
    struct ubl_party buyer;
    char *text = NULL;
    int r = load_table(conf, &suppliers, &buyer, &text, error, error_size);
    suppliers_free(suppliers);
    free(text);
    return r;
}

static void scm_reload(void *state, const void *conf) {
    struct scm *scm = state;
    struct suppliers *suppliers = NULL;
    struct ubl_party buyer;
    char *text = NULL, error[256];
    if (load_table(conf, &suppliers, &buyer, &text, error, sizeof(error)) == 0) {
        suppliers_free(scm->suppliers);
        free(scm->buyer_text);
        scm->suppliers = suppliers;
        scm->buyer = buyer;
        scm->buyer_text = text;
    }
}

static int path_of(const struct kit *kit, const char *given, const char *name,
                   char ret[static PATH_MAX]) {
    int size = given != NULL ? snprintf(ret, PATH_MAX, "%s", given)
                             : snprintf(ret, PATH_MAX, "%s/%s", kit_folder(kit), name);
    return size < 0 || size >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int scm_open(struct kit *kit, const void *conf, void **ret_state) {
    const struct scm_conf *scm_conf = conf;
    char outbox[PATH_MAX], sent[PATH_MAX], error[256];
    struct scm *scm = calloc(1, sizeof(*scm));
    if (scm == NULL) {
        return -ENOMEM;
    }
    scm->kit = kit;
    scm->conf = scm_conf;
    scm->inbox_options = (struct inbox_options){.folder = scm->inbox_path,
                                                .file_bytes_max = UBL_BYTES_MAX,
                                                .read = ubl_read_supply,
                                                .channel = "scm"};
    int r =
        load_table(scm_conf, &scm->suppliers, &scm->buyer, &scm->buyer_text, error, sizeof(error));
    r = r < 0 ? r : path_of(kit, scm_conf->outbox, "outbox", outbox);
    r = r < 0 ? r : path_of(kit, NULL, "sent", sent);
    r = r < 0 ? r : path_of(kit, scm_conf->inbox, "inbox", scm->inbox_path);
    r = r < 0 ? r : outbox_open(outbox, sent, &scm->outbox);
    r = r < 0 ? r : inbox_open(kit, &scm->inbox_options, &scm->inbox);
    if (r < 0) {
        scm_close(scm);
        return r;
    }
    *ret_state = scm;
    return 0;
}

// ---- orders out

static const struct {
    const char *type;
    int (*apply)(struct purchases *purchases, const struct order_event *event, char *why);
} handlers[] = {{"order.placed", purchases_place}, {"order.changed", purchases_change}};

static int apply(struct scm *scm, struct purchases *purchases, const touchbus_event *event,
                 char *why) {
    if (touchbus_event_erases(event)) { // suppliers know orders, no persons: they are not told
        int r = exchange_erase(scm->outbox, scm->inbox, touchbus_event_get(event, "customer"),
                               order_document_id);
        kit_count(scm->kit, SCM_ERASED, r == 0);
        return r;
    }
    if (touchbus_event_redacted(event)) {
        kit_count(scm->kit, SCM_REDACTED, 1);
        return 0;
    }
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        if (strcmp(handlers[i].type, touchbus_event_get(event, "type")) != 0) {
            continue;
        }
        struct order_event order_event;
        int r = order_event_read(event, kit_incarnation(scm->kit), false, &order_event);
        if (r != 0) {
            snprintf(why, ORDER_WHY_BYTES, "the event has no data");
            return r;
        }
        r = handlers[i].apply(purchases, &order_event, why);
        order_event_clear(&order_event);
        return r;
    }
    return 0; // --type asked for more than there is to do
}

static void scm_deliver(void *state, touchbus_event *const *events, size_t n_events,
                        struct kit_result *results) {
    struct scm *scm = state;
    struct purchases purchases = {
        .outbox = scm->outbox, .suppliers = scm->suppliers, .buyer = &scm->buyer};
    int r = 0;
    for (size_t i = 0; i < n_events && r >= 0; i++) {
        char why[ORDER_WHY_BYTES] = "";
        r = apply(scm, &purchases, events[i], why);
        kit_result(&results[i], r == 0 ? KIT_DELIVERED : KIT_REJECT, "%s", why);
    }
    r = r < 0 ? r : outbox_flush(scm->outbox);
    if (r < 0) { // the disk's trouble: whatever was said of single events
        outbox_forget(scm->outbox);
        for (size_t i = 0; i < n_events; i++) {
            kit_result(&results[i], KIT_AWAY, "outbox: %s", strerror(-r));
        }
    }
    kit_count(scm->kit, SCM_DOCUMENTS, purchases.n_documents);
    kit_count(scm->kit, SCM_LINES_WITHOUT_SUPPLIER, purchases.n_lines_without_supplier);
    kit_count(scm->kit, SCM_UNKNOWN_ORDERS, purchases.n_unknown_orders);
}

// ---- answers in

static int scm_collect(void *state) {
    struct scm *scm = state;
    exchange_tend(scm->outbox, scm->inbox, scm->conf->keep_us, &scm->tend_us);
    return inbox_collect(scm->inbox);
}

static void scm_settled(void *state, void *item, const struct kit_ack *ack) {
    struct scm *scm = state;
    inbox_settled(scm->inbox, item, ack);
}

// ---- the descriptor

static const char *const types[] = {"order.placed", "order.changed", "privacy.changed", NULL};

static const struct option_row options[] = {
    {.name = "supplier",
     .type = OPTION_LIST,
     .offset = offsetof(struct scm_conf, suppliers),
     .argument = "SKU-GLOB, ID, NAME[, GLN]",
     .help = "Who delivers the SKUs that fit the pattern; the first row that fits counts.",
     .reloadable = true},
    {.name = "default-supplier",
     .type = OPTION_STRING,
     .offset = offsetof(struct scm_conf, default_supplier),
     .default_text = "main-supplier, Main Supplier",
     .argument = "ID, NAME[, GLN]",
     .help = "Who delivers the SKUs that fit no row; empty: nobody, such lines are counted and "
             "left out.",
     .reloadable = true},
    {.name = "buyer",
     .type = OPTION_STRING,
     .offset = offsetof(struct scm_conf, buyer),
     .default_text = "buyer, The Buyer",
     .argument = "ID, NAME[, GLN]",
     .help = "Who orders: us, as the documents name us.",
     .reloadable = true},
    {.name = "outbox",
     .type = OPTION_STRING,
     .offset = offsetof(struct scm_conf, outbox),
     .argument = "DIR",
     .help = "Where documents for suppliers are put. By default outbox in the connector's folder "
             "of --state."},
    {.name = "inbox",
     .type = OPTION_STRING,
     .offset = offsetof(struct scm_conf, inbox),
     .argument = "DIR",
     .help = "Where the suppliers' documents are renamed into; done and failed stand beside it. By "
             "default inbox in the connector's folder of --state."},
    {.name = "keep",
     .type = OPTION_DURATION,
     .offset = offsetof(struct scm_conf, keep_us),
     .default_text = "400d",
     .min = INT64_C(86400) * CLOCK_US_PER_S,
     .max = INT64_C(36500) * 86400 * CLOCK_US_PER_S,
     .argument = "TIME",
     .help = "How long what was ordered is remembered after its last change, and reports are kept "
             "in done. An order that comes again later than that is taken for a new one."},
};

static const struct kit_connector connector = {
    .name = "scm",
    .summary = "Orders from suppliers as UBL 2.1 documents and takes their answers back.",
    .description =
        "order.placed writes one UBL Order a supplier, OUTBOX/<order id>.<supplier>.order.xml; an "
        "order.changed to cancelled adds <order id>.<supplier>.cancellation.xml, a UBL "
        "OrderCancellation. A repeat changes nothing. A UBL OrderResponse or DespatchAdvice in "
        "INBOX becomes supply.changed, one an order, and moves to done when the broker has all of "
        "it, or to failed with the reason beside it. When a customer is erased, what is kept here "
        "of "
        "their orders goes.",
    .after = "FILES\n"
             "  STATE/scm/outbox   documents; the suppliers' mailbox may take them away\n"
             "  STATE/scm/inbox    answers; write aside (.NAME or NAME.tmp), then rename\n"
             "  STATE/scm/done     answers that are with the broker\n"
             "  STATE/scm/failed   answers that are not, each with NAME.reason\n"
             "  STATE/scm/sent     what was ordered last, an order a file: not for others\n",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .conf_size = sizeof(struct scm_conf),
    .types = types,
    .counters = counters,
    .check = scm_check,
    .open = scm_open,
    .reload = scm_reload,
    .collect = scm_collect,
    .settled = scm_settled,
    .deliver = scm_deliver,
    .close = scm_close,
};

KIT_MAIN(connector)
