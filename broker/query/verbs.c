// SPDX-License-Identifier: Apache-2.0
// The table of verbs: name, where it runs, its arguments, its functions. A verb of delivery has no
// function here: delivery_command gets its name and arguments as they stand. What each answers is
// documented in tools/README.md.
#include "broker/query/verbs.h"

#include <string.h>

#include "broker/query/verbs_all.h"

#define ARGUMENTS(...) ((const struct verb_argument[]){__VA_ARGS__ __VA_OPT__(, ){.name = NULL}})
#define REQUIRED(NAME)                                                                             \
    { .name = (NAME), .required = true }
#define OPTIONAL(NAME)                                                                             \
    { .name = (NAME) }
#define DEFAULT(NAME, VALUE)                                                                       \
    { .name = (NAME), .default_text = (VALUE) }
#define LIST(NAME)                                                                                 \
    { .name = (NAME), .repeats = true }
#define ACTOR                                                                                      \
    { .name = "actor" } // who asked, for the log; "operator" where it is not said
#define ONE_CUSTOMER OPTIONAL("customer"), OPTIONAL("key"), OPTIONAL("reference")

static const struct verb rows[] = {
    // Begins with delivery's list, adds what delivery does not know.
    {.name = "status",
     .place = VERB_DELIVERY,
     .arguments = ARGUMENTS(),
     .then = verb_status,
     .option = "subscription.ls",
     .right = VERB_FOR_WATCH},

    {.name = "log.info",
     .place = VERB_READ,
     .arguments = ARGUMENTS(),
     .run = verb_log_info,
     .right = VERB_FOR_WATCH},
    {.name = "log.get",
     .place = VERB_SLICED,
     .arguments = ARGUMENTS(REQUIRED("sequence"), DEFAULT("count", "1")),
     .run = verb_log_get},
    {.name = "log.verify", .place = VERB_SLICED, .arguments = ARGUMENTS(), .run = verb_log_verify},
    // Whole blocks that end below `before`, never what somebody needs.
    {.name = "log.trim",
     .place = VERB_UPKEEP,
     .arguments = ARGUMENTS(REQUIRED("before"), ACTOR),
     .run = verb_log_trim,
     .on_upkeep = verb_log_trim_on_upkeep,
     .acts = true},

    {.name = "customer.show",
     .place = VERB_READ,
     .arguments = ARGUMENTS(ONE_CUSTOMER),
     .run = verb_customer_show,
     .right = VERB_FOR_READ},
    {.name = "customer.find",
     .place = VERB_READ,
     .arguments = ARGUMENTS(ONE_CUSTOMER),
     .run = verb_customer_find,
     .right = VERB_FOR_READ},
    {.name = "customer.timeline",
     .place = VERB_READ,
     .arguments = ARGUMENTS(ONE_CUSTOMER, DEFAULT("limit", "50"), DEFAULT("before", "0")),
     .run = verb_customer_timeline,
     .right = VERB_FOR_TIMELINE},
    // channel: where it is shown, for offers that are not for every channel. named=false: a
    // greeting without the name. guest=true: where it is not certain who is meant, what a guest
    // gets.
    {.name = "customer.screen",
     .place = VERB_READ,
     .arguments =
         ARGUMENTS(ONE_CUSTOMER, OPTIONAL("channel"), OPTIONAL("named"), OPTIONAL("guest")),
     .run = verb_customer_screen,
     .right = VERB_FOR_READ},
    // field: an attribute, LIST.ID.MEMBER of an item, or tier, phase, value.
    {.name = "customer.why",
     .place = VERB_READ,
     .arguments = ARGUMENTS(ONE_CUSTOMER, REQUIRED("field")),
     .run = verb_customer_why},
    // Without a name: the segments that there are.
    {.name = "segment.ls",
     .place = VERB_SLICED,
     .arguments = ARGUMENTS(OPTIONAL("name")),
     .run = verb_segment_ls},
    {.name = "customer.export",
     .place = VERB_SLICED,
     .arguments = ARGUMENTS(ONE_CUSTOMER),
     .run = verb_customer_export},

    // customer: numbers; of a split the one leaf to cut off. Refused where the rules of identity
    // do.
    {.name = "customer.merge",
     .place = VERB_TICK,
     .arguments = ARGUMENTS(LIST("customer"), DEFAULT("reason", "requested"), ACTOR),
     .run = verb_customer_merge,
     .write = verb_customer_identity_write,
     .then = verb_customer_identity_then,
     .acts = true,
     .right = VERB_FOR_MERGE},
    {.name = "customer.split",
     .place = VERB_TICK,
     .arguments = ARGUMENTS(LIST("customer"), DEFAULT("reason", "requested"), ACTOR),
     .run = verb_customer_split,
     .write = verb_customer_identity_write,
     .then = verb_customer_identity_then,
     .acts = true,
     .right = VERB_FOR_MERGE},

    // Destroys the person's key first; not to be undone. Erased again: the same answer.
    {.name = "customer.erase",
     .place = VERB_TICK,
     .arguments = ARGUMENTS(ONE_CUSTOMER, ACTOR),
     .run = verb_customer_erase,
     .write = verb_customer_erase_write,
     .then = verb_customer_erase_then,
     .acts = true},
    {.name = "customer.receipt",
     .place = VERB_DELIVERY,
     .arguments = ARGUMENTS(ONE_CUSTOMER),
     .run = verb_customer_receipt,
     .then = verb_customer_receipt_then,
     .option = "erasure.connectors"},
    // body: {"identities": [{"kind", "value"}]}
    {.name = "customer.tombstoned",
     .place = VERB_READ,
     .arguments = ARGUMENTS(),
     .run = verb_customer_tombstoned,
     .right = VERB_FOR_ANY_KEY}, // a connector asks it of what it keeps itself

    {.name = "subscription.ls",
     .place = VERB_DELIVERY,
     .arguments = ARGUMENTS(),
     .then = verb_delivery_rows,
     .right = VERB_FOR_WATCH},
    {.name = "subscription.show",
     .place = VERB_DELIVERY,
     .arguments = ARGUMENTS(REQUIRED("name")),
     .right = VERB_FOR_SUBSCRIPTION},
    {.name = "subscription.pause",
     .place = VERB_DELIVERY,
     .arguments = ARGUMENTS(REQUIRED("name"), ACTOR),
     .acts = true},
    {.name = "subscription.resume",
     .place = VERB_DELIVERY,
     .arguments = ARGUMENTS(REQUIRED("name"), ACTOR),
     .acts = true},
    // from: beginning, end, a sequence (the first to deliver), or RFC 3339.
    {.name = "subscription.reset",
     .place = VERB_DELIVERY,
     .arguments = ARGUMENTS(REQUIRED("name"), REQUIRED("from"), OPTIONAL("force"), ACTOR),
     .acts = true},
    {.name = "subscription.rm",
     .place = VERB_DELIVERY,
     .arguments = ARGUMENTS(REQUIRED("name"), OPTIONAL("force"), ACTOR),
     .acts = true},
    // from and until as above; customer: c42; rate: events a second, 0: as fast as it goes.
    {.name = "subscription.replay",
     .place = VERB_DELIVERY,
     .arguments =
         ARGUMENTS(REQUIRED("name"), LIST("type"), LIST("channel"), OPTIONAL("customer"),
                   DEFAULT("from", "beginning"), OPTIONAL("until"), DEFAULT("rate", "0"), ACTOR),
     .acts = true},

    {.name = "parked.ls",
     .place = VERB_DELIVERY,
     .arguments = ARGUMENTS(OPTIONAL("name")),
     .then = verb_delivery_rows,
     .right = VERB_FOR_SUBSCRIPTION},
    {.name = "parked.show",
     .place = VERB_DELIVERY,
     .arguments = ARGUMENTS(REQUIRED("name"), REQUIRED("lane"))},
    // Without a lane: every parked lane of the subscription.
    {.name = "parked.retry",
     .place = VERB_DELIVERY,
     .arguments = ARGUMENTS(REQUIRED("name"), OPTIONAL("lane"), ACTOR),
     .acts = true},
    // Gives up the lane's first event; all=true: everything that waits.
    {.name = "parked.drop",
     .place = VERB_DELIVERY,
     .arguments = ARGUMENTS(REQUIRED("name"), REQUIRED("lane"), OPTIONAL("all"), ACTOR),
     .acts = true},

    {.name = "quarantine.ls",
     .place = VERB_SLICED,
     .arguments = ARGUMENTS(),
     .run = verb_quarantine_ls},
    {.name = "quarantine.show",
     .place = VERB_READ,
     .arguments = ARGUMENTS(REQUIRED("id")),
     .run = verb_quarantine_show},
    {.name = "quarantine.fix",
     .place = VERB_TICK,
     .arguments = ARGUMENTS(REQUIRED("id"), ACTOR),
     .run = verb_quarantine_fix,
     .write = verb_quarantine_fix_write,
     .then = verb_quarantine_fix_then,
     .acts = true},
    {.name = "quarantine.drop",
     .place = VERB_TICK,
     .arguments = ARGUMENTS(REQUIRED("id"), ACTOR),
     .run = verb_quarantine_drop,
     .write = verb_quarantine_drop_write,
     .then = verb_quarantine_drop_then,
     .acts = true},

    // by: hour, channel, tier; since, until: RFC 3339.
    {.name = "scorecard",
     .place = VERB_SLICED,
     .arguments = ARGUMENTS(LIST("by"), OPTIONAL("since"), OPTIONAL("until"), OPTIONAL("channel")),
     .run = verb_scorecard,
     .right = VERB_FOR_WATCH},

    {.name = "view.verify",
     .place = VERB_CHILD,
     .arguments = ARGUMENTS(),
     .then = verb_view_verify,
     .option = "--verify-view"},
    {.name = "view.rebuild",
     .place = VERB_READ,
     .arguments = ARGUMENTS(ACTOR),
     .run = verb_view_rebuild,
     .acts = true},

    // body: the connector's metrics, a flat map.
    {.name = "connector.report",
     .place = VERB_READ,
     .arguments =
         ARGUMENTS(REQUIRED("name"), REQUIRED("kind"), REQUIRED("state"), DEFAULT("instance", "")),
     .run = verb_connector_report,
     .right = VERB_FOR_OWN_NAME},
    {.name = "connector.ls",
     .place = VERB_READ,
     .arguments = ARGUMENTS(),
     .run = verb_connector_ls,
     .right = VERB_FOR_WATCH},
    {.name = "connector.show",
     .place = VERB_READ,
     .arguments = ARGUMENTS(REQUIRED("name")),
     .run = verb_connector_show,
     .right = VERB_FOR_WATCH},
    {.name = "connector.reload",
     .place = VERB_READ,
     .arguments = ARGUMENTS(REQUIRED("name"), ACTOR),
     .run = verb_connector_reload,
     .acts = true},

    {.name = "configuration.show",
     .place = VERB_READ,
     .arguments = ARGUMENTS(),
     .run = verb_configuration_show,
     .right = VERB_FOR_WATCH},
    // As SIGHUP. Its record is configuration.changed, with what changed and the actor.
    {.name = "configuration.reload",
     .place = VERB_TICK,
     .arguments = ARGUMENTS(ACTOR),
     .run = verb_configuration_reload,
     .write = verb_configuration_reload_write,
     .then = verb_configuration_reload_then},

    // dir, keys: new folders, for the stores and for the keys; rate: bytes a second, 0: by itself.
    {.name = "backup",
     .place = VERB_HELPER,
     .arguments = ARGUMENTS(OPTIONAL("dir"), OPTIONAL("keys"), DEFAULT("rate", "0"), ACTOR),
     .run = verb_backup,
     .acts = true},
};

const struct verb *verbs_find(const char *name) {
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

const struct verb *verbs_rows(size_t *ret_n) {
    *ret_n = sizeof(rows) / sizeof(rows[0]);
    return rows;
}
