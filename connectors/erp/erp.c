// SPDX-License-Identifier: Apache-2.0
// touchbus-erp: orders to an ERP and what it reports back as events. The ERP is a folder of files
// (folder.c, and the kit's inbox), or with --tryton a Tryton server (tryton_orders.c), beside which
// the inbox is read all the same. Here is only what belongs to which.
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "connectors/dialect/order_document.h"
#include "connectors/erp/conf.h"
#include "connectors/erp/folder.h"
#include "connectors/erp/tryton_changes.h"
#include "connectors/erp/tryton_orders.h"
#include "connectors/kit/exchange.h"
#include "schemas/base/logging.h"

struct erp {
    struct kit *kit;
    const struct erp_conf *conf;
    int64_t tend_us;
    struct outbox *outbox;
    struct inbox *inbox;
    struct inbox_options inbox_options;
    char inbox_path[PATH_MAX];
    char source[NAME_MAX]; // of what this connector publishes itself
    struct folder folder;
    struct tryton *tryton; // NULL: orders go to the folder
    struct tryton_orders orders;
    struct tryton_changes *changes; // NULL: without a Tryton
};

enum erp_counter {
    ERP_FOLDER,
    ERP_TRYTON = ERP_FOLDER + FOLDER_COUNTERS,
    ERP_CHANGES = ERP_TRYTON + TRYTON_COUNTERS,
    ERP_COUNTERS = ERP_CHANGES + CHANGES_COUNTERS,
};
static const char *const counters[] = {FOLDER_COUNTER_NAMES, TRYTON_COUNTER_NAMES,
                                       CHANGES_COUNTER_NAMES, NULL};
_Static_assert(sizeof(counters) / sizeof(counters[0]) == ERP_COUNTERS + 1, "a name each");

// ---- life

static void erp_close(void *state) {
    struct erp *erp = state;
    tryton_changes_close(erp->changes);
    tryton_free(erp->tryton);
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

static int open_folder(struct erp *erp) {
    char outbox[PATH_MAX], sent[PATH_MAX];
    erp->inbox_options = (struct inbox_options){.folder = erp->inbox_path,
                                                .file_bytes_max = ORDER_JSON_BYTES_MAX,
                                                .read = order_reports_read,
                                                .channel = "erp"};
    int r = path_of(erp->kit, erp->conf->outbox, "outbox", outbox);
    r = r < 0 ? r : path_of(erp->kit, NULL, "sent", sent);
    r = r < 0 ? r : path_of(erp->kit, erp->conf->inbox, "inbox", erp->inbox_path);
    r = r < 0 ? r : outbox_open(outbox, sent, &erp->outbox);
    r = r < 0 ? r : inbox_open(erp->kit, &erp->inbox_options, &erp->inbox);
    erp->folder = (struct folder){.kit = erp->kit,
                                  .outbox = erp->outbox,
                                  .inbox = erp->inbox,
                                  .source = erp->source,
                                  .first_counter = ERP_FOLDER};
    return r;
}

static void beat(void *user) {
    kit_beat(user);
}

static struct tryton_options options_of(const struct erp *erp) {
    return (struct tryton_options){.url = erp->conf->tryton,
                                   .user = erp->conf->tryton_user,
                                   .password_file = erp->conf->password_file,
                                   .ca_file = erp->conf->tryton_ca,
                                   .timeout_us = erp->conf->tryton_timeout_us,
                                   .beat = beat,
                                   .beat_user = erp->kit};
}

static int open_tryton(struct erp *erp) {
    const struct tryton_options tryton_options = options_of(erp);
    int r = tryton_new(&tryton_options, &erp->tryton);
    erp->orders = (struct tryton_orders){
        .kit = erp->kit, .tryton = erp->tryton, .first_counter = ERP_TRYTON, .source = erp->source};
    const struct tryton_changes_options options = {.kit = erp->kit,
                                                   .tryton = erp->tryton,
                                                   .every_us = erp->conf->tryton_every_us,
                                                   .first_counter = ERP_CHANGES};
    return r == 0 ? tryton_changes_open(&options, &erp->changes) : r;
}

static int erp_open(struct kit *kit, const void *conf, void **ret_state) {
    struct erp *erp = calloc(1, sizeof(*erp));
    if (erp == NULL) {
        return -ENOMEM;
    }
    erp->kit = kit;
    erp->conf = conf;
    snprintf(erp->source, sizeof(erp->source), "/%s", kit_name(kit));
    int r = open_folder(erp);
    r = r == 0 && erp->conf->tryton != NULL ? open_tryton(erp) : r;
    if (r < 0) {
        erp_close(erp);
        return r;
    }
    *ret_state = erp;
    return 0;
}

// From folder to Tryton, or back, is another ERP: that is a restart's to do.
static void erp_reload(void *state, const void *conf) {
    struct erp *erp = state;
    erp->conf = conf;
    if ((erp->tryton == NULL) != (erp->conf->tryton == NULL)) {
        logging_warning("option=tryton reloaded=false reason=needs-a-restart");
    }
    if (erp->tryton == NULL || erp->conf->tryton == NULL) {
        return;
    }
    const struct tryton_options options = options_of(erp);
    if (tryton_redirect(erp->tryton, &options) < 0) {
        logging_error("reload=failed memory is short, the connection to Tryton stays as it was");
        return;
    }
    tryton_changes_hurry(erp->changes, erp->conf->tryton_every_us);
}

// ---- orders out

static size_t erp_deliver_max(const void *conf) {
    const struct erp_conf *erp_conf = conf;
    return erp_conf->tryton != NULL ? (size_t)erp_conf->tryton_parallel : KIT_DELIVER_EVENTS_MAX;
}

// What the folder kept from before there was a Tryton goes as well.
static void forget(const struct erp *erp, touchbus_event *const *events, size_t n_events,
                   struct kit_result *results) {
    for (size_t i = 0; i < n_events; i++) {
        if (results[i].outcome == KIT_DELIVERED && touchbus_event_erases(events[i]) &&
            folder_forget(&erp->folder, events[i]) < 0) {
            kit_result(&results[i], KIT_RETRY, "the outbox or inbox cannot be cleared");
        }
    }
}

static void erp_deliver(void *state, touchbus_event *const *events, size_t n_events,
                        struct kit_result *results) {
    const struct erp *erp = state;
    if (erp->tryton == NULL) {
        folder_deliver(&erp->folder, events, n_events, results);
        return;
    }
    tryton_orders_deliver(&erp->orders, events, n_events, results);
    forget(erp, events, n_events, results);
}

// ---- reports in

static int erp_collect(void *state) {
    struct erp *erp = state;
    exchange_tend(erp->outbox, erp->inbox, erp->conf->keep_us, &erp->tend_us);
    int r = inbox_collect(erp->inbox);
    return r == 0 && erp->changes != NULL ? tryton_changes_collect(erp->changes) : r;
}

static void erp_settled(void *state, void *item, const struct kit_ack *ack) {
    struct erp *erp = state;
    if (erp->changes == NULL || !tryton_changes_settled(erp->changes, item, ack)) {
        inbox_settled(erp->inbox, item, ack);
    }
}

// ---- the descriptor

static const char *const types[] = {"order.placed", "order.changed", "privacy.changed", NULL};

static const struct kit_connector connector = {
    .name = "erp",
    .summary = "Hands orders to an ERP, as JSON documents or to a Tryton server, and takes its "
               "reports back.",
    .description =
        "order.placed writes OUTBOX/<order id>.json, order.changed rewrites it with the new status "
        "and revision; a repeat changes nothing. A file in INBOX reports order.changed and "
        "price.changed, one JSON object or a list of them, and moves to done when the broker has "
        "all of it, or to failed with the reason beside it. When a customer is erased, what is "
        "kept here of them goes, and OUTBOX/<customer>.erasure.json says so.\n\n"
        "With --tryton an order becomes one sale there, quoted and confirmed, with the order's id "
        "as its reference; the customer becomes a party, or is found as one. A change cancels or "
        "amends the sale as long as Tryton allows it. What Tryton refuses is rejected with its own "
        "words and parks the customer's lane; a Tryton that is away is waited for.\n\n"
        "What changes there comes back: sales and shipments as order.changed, invoices as "
        "payment.changed, list prices as price.changed, purchases as supply.changed.",
    .after = "FILES\n"
             "  STATE/erp/outbox   order documents; the ERP may take them away\n"
             "  STATE/erp/inbox    reports; write aside (.NAME or NAME.tmp), then rename\n"
             "  STATE/erp/done     reports that are with the broker\n"
             "  STATE/erp/failed   reports that are not, each with NAME.reason\n"
             "  STATE/erp/sent     what was handed over last, an order a file: not for others\n"
             "  STATE/erp/tryton.sqlite\n"
             "                     how far Tryton's changes were read, what was said last\n"
             "\nENVIRONMENT\n"
             "  TOUCHBUS_TRYTON_PASSWORD   the password of --tryton-user, where no\n"
             "                             --password-file is given\n",
    .options = erp_options,
    .n_options = ERP_OPTIONS,
    .conf_size = sizeof(struct erp_conf),
    .types = types,
    .check = erp_conf_check,
    .deliver_max = erp_deliver_max,
    .counters = counters,
    .open = erp_open,
    .reload = erp_reload,
    .collect = erp_collect,
    .settled = erp_settled,
    .deliver = erp_deliver,
    .close = erp_close,
};

KIT_MAIN(connector)
