// SPDX-License-Identifier: Apache-2.0
// touchbus-crm: every event into a SQLite file or a PostgreSQL warehouse that service staff and
// reports read. Translates events for the store and its outcomes for the kit; what is written is
// effects.c, and how is store.c (SQLite) or warehouse.c (PostgreSQL).
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/crm/conf.h"
#include "connectors/crm/outgoing.h"
#include "connectors/crm/quarantined.h"
#include "connectors/crm/store.h"
#include "connectors/crm/warehouse.h"
#include "connectors/kit/kit.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"

struct crm {
    struct kit *kit;
    struct store *store;         // or
    struct warehouse *warehouse; // one of the two,
    struct outgoing *outgoing;   // with what comes back from it
    struct quarantined *quarantined;
    struct store_event events[KIT_DELIVER_EVENTS_MAX];
    struct store_result results[KIT_DELIVER_EVENTS_MAX];
};

enum crm_counter { CRM_APPLIED, CRM_REPEATED, CRM_ERASED, CRM_OUTGOING };
static const char *const counters[] = {
    "applied", "repeated", "erased", "outgoing_accepted", "outgoing_not_accepted", NULL};

static void beat(void *user) {
    const struct crm *crm = user;
    kit_beat(crm->kit);
}

static int open_file(struct crm *crm, const struct crm_conf *conf) {
    char path[PATH_MAX];
    int size = conf->database != NULL
                   ? snprintf(path, sizeof(path), "%s", conf->database)
                   : snprintf(path, sizeof(path), "%s/crm.sqlite", kit_folder(crm->kit));
    return size < 0 || (size_t)size >= sizeof(path) ? -ENAMETOOLONG : store_open(path, &crm->store);
}

static int open_warehouse(struct crm *crm, const struct crm_conf *conf) {
    const struct postgres_conf postgres = {.connection = conf->postgres,
                                           .password_file = conf->password_file,
                                           .password_variable = CRM_PASSWORD_VARIABLE,
                                           .application = "touchbus-crm",
                                           .beat = beat,
                                           .user = crm};
    int r = warehouse_open(&postgres, conf->postgres_timeout_us / CLOCK_US_PER_MS, &crm->warehouse);
    r = r < 0 ? r : outgoing_new(crm->kit, &postgres, CRM_OUTGOING, &crm->outgoing);
    return r < 0 ? r : quarantined_new(crm->kit, &crm->quarantined);
}

static void crm_close(void *state) {
    struct crm *crm = state;
    store_close(crm->store);
    warehouse_close(crm->warehouse);
    quarantined_free(crm->quarantined);
    outgoing_free(crm->outgoing);
    free(crm);
}

static int crm_open(struct kit *kit, const void *conf, void **ret_state) {
    const struct crm_conf *crm_conf = conf;
    struct crm *crm = calloc(1, sizeof(*crm));
    if (crm == NULL) {
        return -ENOMEM;
    }
    crm->kit = kit;
    int r = crm_conf->postgres != NULL ? open_warehouse(crm, crm_conf) : open_file(crm, crm_conf);
    if (r < 0) {
        crm_close(crm);
        return r;
    }
    *ret_state = crm;
    return 0;
}

// From a file to a warehouse, or back, is another store: that is a restart's to do.
static void crm_reload(void *state, const void *conf) {
    struct crm *crm = state;
    const struct crm_conf *crm_conf = conf;
    if (crm->warehouse == NULL || crm_conf->postgres == NULL) {
        if ((crm->warehouse == NULL) != (crm_conf->postgres == NULL)) {
            logging_warning("option=postgres reloaded=false reason=needs-a-restart");
        }
        return;
    }
    const struct postgres_conf postgres = {.connection = crm_conf->postgres,
                                           .password_file = crm_conf->password_file};
    int r = warehouse_redirect(crm->warehouse, &postgres,
                               crm_conf->postgres_timeout_us / CLOCK_US_PER_MS);
    r = r < 0 ? r : outgoing_redirect(crm->outgoing, &postgres);
    if (r < 0) {
        logging_error("reload=failed error=\"%s\" the connection to PostgreSQL stays as it was",
                      strerror(-r));
    }
}

static void translate(const touchbus_event *event, const char *data, struct store_event *ret) {
    *ret = (struct store_event){
        .sequence = touchbus_event_sequence(event),
        .customer = touchbus_event_customer(event),
        .lane = touchbus_event_lane(event),
        .rank = touchbus_event_rank(event),
        .id = touchbus_event_get(event, "id"),
        .source = touchbus_event_get(event, "source"),
        .type = touchbus_event_get(event, "type"),
        .channel = touchbus_event_get(event, "channel"),
        .direction = touchbus_event_get(event, "direction"),
        .time = touchbus_event_get(event, "time"),
        .received = touchbus_event_get(event, "received"),
        .received_us = touchbus_event_received(event),
        .data = data,
        .actor = touchbus_event_get(event, "actor"),
        .cause = touchbus_event_get(event, "cause"),
        .cost = touchbus_event_get(event, "cost"),
        .scores = touchbus_event_get(event, "scores"),
        .erases = touchbus_event_erases(event),
        .redacted = touchbus_event_redacted(event),
    };
    if (!touchbus_event_time(event, &ret->time_us)) {
        ret->time_us = ret->received_us;
    }
    while (ret->n_keys < STORE_KEYS_MAX &&
           touchbus_event_key(event, ret->n_keys, &ret->keys[ret->n_keys].kind,
                              &ret->keys[ret->n_keys].value)) {
        ret->n_keys++;
    }
}

// The store is away: what it has already it knows when the events come again.
static void hold_all(struct kit_result *results, size_t n_events, const char *why) {
    for (size_t i = 0; i < n_events; i++) {
        kit_result(&results[i], KIT_AWAY, "%s", why);
    }
}

static int ask_tombstoned(void *user, const struct store_key *keys, size_t n_keys, bool *ret) {
    const struct crm *crm = user;
    struct kit_identity identities[STORE_SWEEP_KEYS_MAX];
    for (size_t i = 0; i < n_keys; i++) {
        identities[i] = (struct kit_identity){.kind = keys[i].kind, .value = keys[i].value};
    }
    return kit_tombstoned(crm->kit, identities, n_keys, ret);
}

static int store_sweep_any(struct crm *crm, char *why) {
    const struct store_sweep around = {.tombstoned = ask_tombstoned, .beat = beat, .user = crm};
    return crm->warehouse != NULL ? warehouse_sweep(crm->warehouse, &around, why)
                                  : store_sweep(crm->store, &around, why);
}

// An erasure is confirmed when nothing of the person is left in the store and beside it. Until then
// it comes again, alone: the other events of the batch are safe.
static void sweep(struct crm *crm, touchbus_event *const *events, size_t n_events,
                  struct kit_result *results) {
    char why[STORE_WHY_BYTES];
    bool is_swept = false, is_asked = false;
    for (size_t i = 0; i < n_events; i++) {
        if (results[i].outcome != KIT_DELIVERED || !touchbus_event_erases(events[i])) {
            continue;
        }
        if (!is_asked) {
            is_swept = store_sweep_any(crm, why) == 0;
            is_asked = true;
        }
        if (is_swept) {
            kit_count(crm->kit, CRM_ERASED, 1);
        } else {
            kit_result(&results[i], KIT_RETRY, "rows are gone, the sweep is not done: %s", why);
        }
    }
}

static void tell(struct crm *crm, const struct store_result *stored, struct kit_result *result) {
    if (stored->outcome == STORE_REJECTED) {
        kit_result(result, KIT_REJECT, "%s", stored->why);
    } else {
        kit_result(result, KIT_DELIVERED, "%s", "");
        kit_count(crm->kit, stored->outcome == STORE_APPLIED ? CRM_APPLIED : CRM_REPEATED, 1);
    }
}

static void crm_deliver(void *state, touchbus_event *const *events, size_t n_events,
                        struct kit_result *results) {
    struct crm *crm = state;
    char *data[KIT_DELIVER_EVENTS_MAX];
    char why[STORE_WHY_BYTES];
    for (size_t i = 0; i < n_events; i++) {
        data[i] = touchbus_event_data_json(events[i]);
        translate(events[i], data[i], &crm->events[i]);
        crm->results[i].why[0] = '\0';
    }
    const uint8_t *incarnation = kit_incarnation(crm->kit);
    int r = crm->warehouse != NULL
                ? warehouse_deliver(crm->warehouse, incarnation, crm->events, n_events,
                                    crm->results, why)
                : store_deliver(crm->store, incarnation, crm->events, n_events, crm->results, why);
    for (size_t i = 0; i < n_events; i++) {
        free(data[i]);
    }
    if (r != 0) {
        hold_all(results, n_events, why);
        return;
    }
    for (size_t i = 0; i < n_events; i++) {
        tell(crm, &crm->results[i], &results[i]);
    }
    sweep(crm, events, n_events, results);
}

// ---- what comes back, and what is asked for; a SQLite file has no such tables

static bool crm_collects(const void *conf) {
    const struct crm_conf *crm = conf;
    return crm->postgres != NULL;
}

static int crm_collect(void *state) {
    struct crm *crm = state;
    struct postgres *postgres = crm->quarantined != NULL && quarantined_due(crm->quarantined)
                                    ? warehouse_postgres(crm->warehouse)
                                    : NULL;
    if (postgres != NULL) {
        quarantined_tend(crm->quarantined, postgres);
    }
    if (crm->outgoing != NULL) {
        outgoing_collect(crm->outgoing);
    }
    return 0;
}

static void crm_settled(void *state, void *item, const struct kit_ack *ack) {
    struct crm *crm = state;
    outgoing_settled(crm->outgoing, item, ack);
}

// ---- the descriptor

static const struct kit_connector connector = {
    .name = "crm",
    .summary = "Keeps customers, interactions, orders, quotes, consents, contacts and cases in a "
               "SQLite file or a PostgreSQL database.",
    .description =
        "Every event becomes one row of the table interactions, exactly once: the last sequence of "
        "each lane is written in the same transaction. An event that the database refuses (a "
        "constraint, a trigger, malformed data) is rejected and parks its lane; a database "
        "that is away, busy, full or broken is waited for. In PostgreSQL rows that a CRM inserts "
        "into the table outgoing become events (changes of a customer, consents, contacts to be "
        "decided, merges), and what the broker answered is written into the row.",
    .after = "FILES\n"
             "  STATE/crm/crm.sqlite   the database: tables interactions, customers, keys,\n"
             "                         attributes, orders, order_lines, quotes, quote_lines,\n"
             "                         consents, contacts, cases, standings, merges,\n"
             "                         merge_history, scorecard, erasures;\n"
             "                         views leaves, profiles\n"
             "  crm.sqlite.ID-TIME     a copy of what there was when the broker's log became\n"
             "                         another one\n"
             "  schema touchbus        the same in PostgreSQL, with outgoing, quarantined, and\n"
             "                         views for analysts: customer_360, funnel_by_phase,\n"
             "                         channel_roi, channel_roi_monthly, contact_history;\n"
             "                         touchbus_ID_TIME is what there was of another log\n",
    .options = crm_options,
    .n_options = CRM_OPTIONS,
    .conf_size = sizeof(struct crm_conf),
    .counters = counters,
    .collect_every_ms = OUTGOING_POLL_MS,
    .check = crm_conf_check,
    .open = crm_open,
    .reload = crm_reload,
    .collect = crm_collect,
    .collects = crm_collects,
    .settled = crm_settled,
    .deliver = crm_deliver,
    .close = crm_close,
};

KIT_MAIN(connector)
