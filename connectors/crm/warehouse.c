// SPDX-License-Identifier: Apache-2.0
// Batches against the warehouse: what is tried again, in how large parts, and who is to blame.
#include "connectors/crm/warehouse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/crm/effects.h"
#include "connectors/crm/migrate.h"
#include "connectors/crm/partitions.h"
#include "connectors/crm/statements.h"
#include "connectors/crm/transaction.h"
#include "connectors/crm/warehouse_sweep.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum { INCARNATION_TEXT_BYTES = 2 * STORE_INCARNATION_BYTES + 1 };

struct warehouse {
    struct postgres *postgres;
    int64_t timeout_ms;
    uint64_t generation;              // of the connection that is set up
    char log[INCARNATION_TEXT_BYTES]; // "": not asked for in this connection
    struct batch batch;
    struct partitions partitions;
    bool skip[WAREHOUSE_EVENTS_MAX];
    struct transaction_fence fences[WAREHOUSE_EVENTS_MAX];
};

// ---- being ready

static enum postgres_class set_up(struct warehouse *warehouse, bool *ret_newer, char *why) {
    enum postgres_class class = postgres_connect(warehouse->postgres, why);
    *ret_newer = false;
    if (class != POSTGRES_DONE ||
        warehouse->generation == postgres_generation(warehouse->postgres)) {
        return class;
    }
    class = migrate(warehouse->postgres, ret_newer, why);
    class = class == POSTGRES_DONE ? transaction_prepare(warehouse->postgres, why) : class;
    if (class != POSTGRES_DONE) {
        postgres_drop(warehouse->postgres);
        return POSTGRES_AWAY;
    }
    warehouse->generation = postgres_generation(warehouse->postgres);
    warehouse->log[0] = '\0';
    partitions_forget(&warehouse->partitions);
    return POSTGRES_DONE;
}

// Where the warehouse belongs to another log it is put aside and emptied (begin_log, in the
// migrations): in one transaction, so that another member finds it done.
static enum postgres_class take_log(struct warehouse *warehouse, const char *incarnation,
                                    char *why) {
    if (strcmp(warehouse->log, incarnation) == 0) {
        return POSTGRES_DONE;
    }
    char call[96];
    snprintf(call, sizeof(call), "SELECT touchbus.begin_log('%s')", incarnation);
    PGresult *result = NULL;
    enum postgres_class class =
        postgres_exec_long(warehouse->postgres, call, WAREHOUSE_ERASE_MS_MAX, &result, why);
    if (class != POSTGRES_DONE) {
        return POSTGRES_AWAY;
    }
    if (PQgetisnull(result, 0, 0) == 0) {
        logging_warning("warehouse incarnation=%s schema=%s keeps=the-log-before", incarnation,
                        PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    snprintf(warehouse->log, sizeof(warehouse->log), "%s", incarnation);
    return POSTGRES_DONE;
}

static enum postgres_class be_ready(struct warehouse *warehouse, const uint8_t *incarnation,
                                    char *why) {
    char text[INCARNATION_TEXT_BYTES];
    for (size_t i = 0; i < STORE_INCARNATION_BYTES; i++) {
        snprintf(text + 2 * i, 3, "%02x", incarnation[i]);
    }
    bool is_newer;
    enum postgres_class class = set_up(warehouse, &is_newer, why);
    return class == POSTGRES_DONE ? take_log(warehouse, text, why) : class;
}

int warehouse_open(const struct postgres_conf *conf, int64_t timeout_ms, struct warehouse **ret) {
    struct warehouse *warehouse = calloc(1, sizeof(*warehouse));
    struct postgres_conf with = *conf;
    with.set_up = MIGRATE_SET_UP;
    if (warehouse == NULL) {
        return -ENOMEM;
    }
    warehouse->timeout_ms = timeout_ms;
    batch_init(&warehouse->batch);
    int r = postgres_new(&with, &warehouse->postgres);
    if (r < 0) {
        warehouse_close(warehouse);
        return r;
    }
    char why[POSTGRES_WHY_BYTES];
    bool is_newer;
    if (set_up(warehouse, &is_newer, why) != POSTGRES_DONE) {
        if (is_newer) {
            logging_error("%s", why);
            warehouse_close(warehouse);
            return -EINVAL;
        }
        logging_warning("warehouse=away detail=\"%s\"", why);
    }
    *ret = warehouse;
    return 0;
}

int warehouse_redirect(struct warehouse *warehouse, const struct postgres_conf *conf,
                       int64_t timeout_ms) {
    warehouse->timeout_ms = timeout_ms;
    return postgres_redirect(warehouse->postgres, conf);
}

struct warehouse *warehouse_close(struct warehouse *warehouse) {
    if (warehouse != NULL) {
        postgres_free(warehouse->postgres);
        batch_free(&warehouse->batch);
        free(warehouse);
    }
    return NULL;
}

struct postgres *warehouse_postgres(struct warehouse *warehouse) {
    char why[POSTGRES_WHY_BYTES];
    bool is_newer;
    return set_up(warehouse, &is_newer, why) == POSTGRES_DONE ? warehouse->postgres : NULL;
}

// ---- noting what a batch writes

static int note_erasure(struct sql *sql, const struct store_event *event) {
    int code = 0;
    for (int i = STATEMENT_ERASE_FIRST; i <= STATEMENT_ERASE_LAST && code == 0; i++) {
        code = sql->run(sql, i, "i", (int64_t)event->customer);
    }
    return code == 0 ? sql->run(sql, STATEMENT_ERASURE, "iis", (int64_t)event->customer,
                                (int64_t)event->sequence, event->received)
                     : code;
}

static int note(struct batch *batch, const struct store_event *event, char *why) {
    int code = effects_score(&batch->sql, event);
    if (event->erases && code == 0) {
        return note_erasure(&batch->sql, event);
    }
    if ((event->redacted && GUARD(warehouse_redacted)) || code != 0) {
        return code;
    }
    struct store_event clean = *event;
    _cleanup_free_ char *data = NULL;
    if (event->data != NULL && strstr(event->data, "\\u0000") != NULL) {
        clean.data = data = batch_without_nul(event->data);
    }
    if (event->time != NULL && strncmp(event->time, "0000", 4) == 0) {
        clean.time = "0001-01-01T00:00:00Z"; // it knows no year nought
    }
    return data == NULL && clean.data != event->data ? BATCH_NO_MEMORY
                                                     : effects_apply(&batch->sql, &clean, why);
}

// The events of a part: how many fit, and which of them are none.
static enum postgres_class note_part(struct warehouse *warehouse, const struct store_event *events,
                                     size_t *n_events, struct store_result *results,
                                     size_t *ret_n_fences, char *why) {
    struct batch *batch = &warehouse->batch;
    batch_clear(batch);
    *ret_n_fences = 0;
    for (size_t i = 0; i < *n_events; i++) {
        if (batch->text_used > BATCH_BYTES_MAX) {
            *n_events = i;
            break;
        }
        results[i] = (struct store_result){.outcome = STORE_REPEAT};
        warehouse->skip[i] = true;
        batch_event(batch, i);
        int code = note(batch, &events[i], results[i].why);
        if (code == EFFECTS_MISMATCH) {
            batch_undo(batch);
            results[i].outcome = STORE_REJECTED;
        } else if (code != 0) {
            snprintf(why, STORE_WHY_BYTES, "out of memory");
            return POSTGRES_AWAY;
        } else {
            warehouse->fences[(*ret_n_fences)++] = (struct transaction_fence){
                .lane = (int64_t)events[i].lane, .sequence = (int64_t)events[i].sequence};
        }
    }
    return POSTGRES_DONE;
}

// ---- writing it

// No two events of a call are of one lane, and fences were noted in the order of events.
static void judge_fences(struct warehouse *warehouse, size_t n_events,
                         struct store_result *results) {
    const struct transaction_fence *fence = warehouse->fences;
    for (size_t i = 0; i < n_events; i++) {
        if (results[i].outcome == STORE_REJECTED) {
            continue;
        }
        warehouse->skip[i] = !fence->moved;
        results[i].outcome = fence->moved ? STORE_APPLIED : STORE_REPEAT;
        fence++;
    }
}

static int64_t patience(const struct warehouse *warehouse, const struct store_event *events,
                        size_t n_events) {
    size_t i = 0;
    while (i < n_events && !events[i].erases) {
        i++;
    }
    return i < n_events ? WAREHOUSE_ERASE_MS_MAX : warehouse->timeout_ms;
}

static enum postgres_class write_part(struct warehouse *warehouse, const struct store_event *events,
                                      size_t *n_events, struct store_result *results, char *why) {
    size_t n_fences;
    bool is_other_log = false, trusts_months = warehouse->partitions.n_known > 0;
    enum postgres_class class = note_part(warehouse, events, n_events, results, &n_fences, why);
    if (class != POSTGRES_DONE || n_fences == 0) {
        return class;
    }
    class = partitions_make(&warehouse->partitions, warehouse->postgres, events, *n_events, why);
    if (class == POSTGRES_DONE) {
        class = transaction_begin(warehouse->postgres, warehouse->log, warehouse->fences, n_fences,
                                  warehouse->timeout_ms, &is_other_log, why);
    }
    if (class == POSTGRES_DONE && is_other_log) {
        snprintf(why, STORE_WHY_BYTES, "the warehouse was taken over for another log");
        warehouse->log[0] = '\0';
        class = POSTGRES_AWAY;
    }
    if (class == POSTGRES_DONE) {
        judge_fences(warehouse, *n_events, results);
        class = transaction_commit(warehouse->postgres, &warehouse->batch, warehouse->skip,
                                   patience(warehouse, events, *n_events), why);
    }
    if (class != POSTGRES_DONE) {
        postgres_roll_back(warehouse->postgres);
        partitions_forget(&warehouse->partitions);
        // A month that an administrator took away is made anew before anybody is blamed.
        class = class == POSTGRES_REFUSED && trusts_months && GUARD(warehouse_months)
                    ? POSTGRES_AGAIN
                    : class;
    }
    return class;
}

static enum postgres_class write_again(struct warehouse *warehouse,
                                       const struct store_event *events, size_t *n_events,
                                       struct store_result *results, char *why) {
    enum postgres_class class = POSTGRES_AGAIN;
    for (int i = 0; i < WAREHOUSE_AGAIN_MAX && class == POSTGRES_AGAIN; i++) {
        class = write_part(warehouse, events, n_events, results, why);
    }
    return class == POSTGRES_AGAIN ? POSTGRES_AWAY : class;
}

int warehouse_deliver(struct warehouse *warehouse,
                      const uint8_t incarnation[static STORE_INCARNATION_BYTES],
                      const struct store_event *events, size_t n_events,
                      struct store_result *results, char *why) {
    enum postgres_class class = be_ready(warehouse, incarnation, why);
    size_t first = 0, most = WAREHOUSE_EVENTS_MAX;
    while (class == POSTGRES_DONE && first < n_events) {
        size_t n = n_events - first < most ? n_events - first : most;
        class = write_again(warehouse, events + first, &n, results + first, why);
        if (class == POSTGRES_REFUSED && n > 1) {
            most = n / 2; // one of them is to blame
            class = POSTGRES_DONE;
            continue;
        }
        if (class == POSTGRES_REFUSED) {
            results[first].outcome = STORE_REJECTED;
            snprintf(results[first].why, STORE_WHY_BYTES, "%s", why);
            class = POSTGRES_DONE;
        }
        first += n;
        most = n == 1 ? WAREHOUSE_EVENTS_MAX : most;
    }
    return class == POSTGRES_DONE ? 0 : STORE_AWAY;
}

int warehouse_sweep(struct warehouse *warehouse, const struct store_sweep *sweep, char *why) {
    return warehouse_sweep_all(warehouse->postgres, sweep, why) == POSTGRES_DONE ? 0 : STORE_AWAY;
}
