// SPDX-License-Identifier: Apache-2.0
// touchbus-crm: every event into a SQLite file that service staff and reports read. Translates
// events for the store and its outcomes for the kit; what is written is store.c and effects.c.
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/crm/store.h"
#include "connectors/kit/kit.h"
#include "schemas/base/cleanup.h"

struct crm_conf {
    char *database;
};

struct crm {
    struct kit *kit;
    struct store *store;
};

enum crm_counter { CRM_APPLIED, CRM_REPEATED, CRM_ERASED };
static const char *const counters[] = {"applied", "repeated", "erased", NULL};

static int crm_open(struct kit *kit, const void *conf, void **ret_state) {
    const struct crm_conf *crm_conf = conf;
    char path[PATH_MAX];
    int size = crm_conf->database != NULL
                   ? snprintf(path, sizeof(path), "%s", crm_conf->database)
                   : snprintf(path, sizeof(path), "%s/crm.sqlite", kit_folder(kit));
    if (size < 0 || (size_t)size >= sizeof(path)) {
        return -ENAMETOOLONG;
    }
    struct crm *crm = calloc(1, sizeof(*crm));
    if (crm == NULL) {
        return -ENOMEM;
    }
    crm->kit = kit;
    int r = store_open(path, &crm->store);
    if (r < 0) {
        free(crm);
        return r;
    }
    *ret_state = crm;
    return 0;
}

static void crm_close(void *state) {
    struct crm *crm = state;
    store_close(crm->store);
    free(crm);
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

static enum store_outcome apply(struct crm *crm, const touchbus_event *event,
                                struct kit_result *result, char *why) {
    _cleanup_free_ char *data = touchbus_event_data_json(event);
    struct store_event translated;
    translate(event, data, &translated);
    enum store_outcome outcome = store_apply(crm->store, &translated, why);
    if (outcome == STORE_REJECTED) {
        kit_result(result, KIT_REJECT, "%s", why);
    } else if (outcome != STORE_AWAY) {
        kit_result(result, KIT_DELIVERED, "%s", "");
        kit_count(crm->kit, outcome == STORE_APPLIED ? CRM_APPLIED : CRM_REPEATED, 1);
    }
    return outcome;
}

// The file is away: nothing of this batch is in it, whatever was said of single events.
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

static void beat(void *user) {
    const struct crm *crm = user;
    kit_beat(crm->kit);
}

// An erasure is confirmed when nothing of the person is left in the file and beside it. Until then
// it comes again, alone: the other events of the batch are safe.
static void sweep(struct crm *crm, touchbus_event *const *events, size_t n_events,
                  struct kit_result *results) {
    const struct store_sweep around = {.tombstoned = ask_tombstoned, .beat = beat, .user = crm};
    char why[STORE_WHY_BYTES];
    bool is_swept = false, is_asked = false;
    for (size_t i = 0; i < n_events; i++) {
        if (results[i].outcome != KIT_DELIVERED || !touchbus_event_erases(events[i])) {
            continue;
        }
        if (!is_asked) {
            is_swept = store_sweep(crm->store, &around, why) == 0;
            is_asked = true;
        }
        if (is_swept) {
            kit_count(crm->kit, CRM_ERASED, 1);
        } else {
            kit_result(&results[i], KIT_RETRY, "rows are gone, the sweep is not done: %s", why);
        }
    }
}

static void crm_deliver(void *state, touchbus_event *const *events, size_t n_events,
                        struct kit_result *results) {
    struct crm *crm = state;
    char why[STORE_WHY_BYTES];
    int r = store_begin(crm->store, kit_incarnation(crm->kit), why);
    for (size_t i = 0; i < n_events && r == 0; i++) {
        r = apply(crm, events[i], &results[i], why) == STORE_AWAY ? STORE_AWAY : 0;
    }
    r = r == 0 ? store_commit(crm->store, why) : r;
    if (r != 0) {
        hold_all(results, n_events, why);
    } else {
        sweep(crm, events, n_events, results);
    }
}

static const struct option_row options[] = {
    {.name = "database",
     .type = OPTION_STRING,
     .offset = offsetof(struct crm_conf, database),
     .argument = "FILE",
     .help = "The SQLite file. By default crm.sqlite in the connector's folder of --state."},
};

static const struct kit_connector connector = {
    .name = "crm",
    .summary = "Keeps customers, interactions, orders, quotes and consents in a SQLite file.",
    .description =
        "Every event becomes one row of the table interactions, exactly once: the last sequence of "
        "each lane is written in the same transaction. An event that the file refuses (a "
        "constraint, a trigger, malformed data) is rejected and parks its lane; a file that is "
        "busy, full or broken is waited for.",
    .after = "FILES\n"
             "  STATE/crm/crm.sqlite   the database: tables interactions, customers, keys,\n"
             "                         attributes, orders, order_lines, quotes, quote_lines,\n"
             "                         consents, merges, erasures;\n"
             "                         views leaves, profiles\n"
             "  crm.sqlite.ID-TIME     a copy of what there was when the broker's log became\n"
             "                         another one\n",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .conf_size = sizeof(struct crm_conf),
    .counters = counters,
    .open = crm_open,
    .deliver = crm_deliver,
    .close = crm_close,
};

KIT_MAIN(connector)
