// SPDX-License-Identifier: Apache-2.0
// One question, one transaction. What fails is said once and tried again when it is time.
#include "connectors/crm/quarantined.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/crm/batch.h"
#include "connectors/crm/statements.h"
#include "connectors/crm/transaction.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"

struct quarantined {
    struct kit *kit;
    touchbus_client *client;
    struct batch batch;
    int64_t next_us;
    bool failed; // the last time, and it was said
};

int quarantined_new(struct kit *kit, struct quarantined **ret) {
    touchbus_client_options options = {
        .broker = kit_broker(kit), .key = kit_key(kit), .broker_key = kit_broker_key(kit)};
    struct quarantined *quarantined = calloc(1, sizeof(*quarantined));
    if (quarantined == NULL) {
        return -ENOMEM;
    }
    quarantined->kit = kit;
    batch_init(&quarantined->batch);
    int r = touchbus_client_new(&options, &quarantined->client);
    if (r != 0) {
        quarantined_free(quarantined);
        return r;
    }
    *ret = quarantined;
    return 0;
}

struct quarantined *quarantined_free(struct quarantined *quarantined) {
    if (quarantined != NULL) {
        touchbus_client_free(quarantined->client);
        batch_free(&quarantined->batch);
        free(quarantined);
    }
    return NULL;
}

static const char *text(const json_t *row, const char *name) {
    const char *value = json_string_value(json_object_get(row, name));
    return value != NULL ? value : "";
}

// A row that does not fit into memory is left out as one beyond the bound is.
static void note_part(const touchbus_answer *part, void *user) {
    struct quarantined *quarantined = user;
    struct batch *batch = &quarantined->batch;
    json_t *answer = json_loads(touchbus_answer_json(part), 0, NULL);
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(answer, "rows"), i, row) {
        if (batch->n_rows < QUARANTINED_ROWS_MAX) {
            batch_event(batch, batch->n_rows);
            if (batch->sql.run(&batch->sql, STATEMENT_QUARANTINED, "ssssss", text(row, "id"),
                               text(row, "type"), text(row, "source"), text(row, "producer"),
                               text(row, "detail"), text(row, "received")) != 0) {
                batch_undo(batch);
            }
        }
    }
    json_decref(answer);
}

// 0; 1 and why: not this time.
static int ask(struct quarantined *quarantined, char *why) {
    touchbus_answer *answer = NULL;
    batch_clear(&quarantined->batch);
    int r = touchbus_client_query(quarantined->client, "quarantine.ls", NULL, 0, NULL, 0,
                                  QUARANTINED_ANSWER_MS_MAX, note_part, quarantined, &answer);
    bool refused = r == 0 && touchbus_answer_code(answer) != 0;
    if (r != 0 || refused) {
        snprintf(why, POSTGRES_WHY_BYTES, "quarantine.ls: %s",
                 refused ? touchbus_answer_reason(answer) : strerror(-r));
    }
    touchbus_answer_free(answer);
    return r != 0 || refused;
}

// Away from the table what is not among them, then what is new.
static enum postgres_class write(struct quarantined *quarantined, struct postgres *postgres,
                                 char *why) {
    const struct batch *batch = &quarantined->batch;
    _cleanup_free_ char *ids = NULL;
    _cleanup_free_ bool *skip = calloc(batch->n_rows + 1, sizeof(*skip));
    size_t n = 0;
    if (skip == NULL || batch_array(batch, STATEMENT_QUARANTINED, 0, skip, &ids, &n) != 0) {
        snprintf(why, POSTGRES_WHY_BYTES, "out of memory");
        return POSTGRES_AWAY;
    }
    const char *const values[] = {n > 0 ? ids : "{}"};
    enum postgres_class class = postgres_script(postgres, "BEGIN", POSTGRES_ANSWER_MS_MAX, why);
    if (class == POSTGRES_DONE) {
        class = postgres_exec(postgres,
                              "DELETE FROM touchbus.quarantined WHERE NOT (id = ANY ($1::text[]))",
                              1, values, NULL, why);
    }
    if (class == POSTGRES_DONE) {
        class = transaction_commit(postgres, batch, skip, POSTGRES_ANSWER_MS_MAX, why);
    }
    if (class != POSTGRES_DONE) {
        postgres_roll_back(postgres);
    }
    return class;
}

bool quarantined_due(const struct quarantined *quarantined) {
    return clock_monotonic_us() >= quarantined->next_us && kit_connected(quarantined->kit);
}

void quarantined_tend(struct quarantined *quarantined, struct postgres *postgres) {
    char why[POSTGRES_WHY_BYTES];
    quarantined->next_us = clock_monotonic_us() + QUARANTINED_EVERY_MS * CLOCK_US_PER_MS;
    bool fails = ask(quarantined, why) != 0 || write(quarantined, postgres, why) != POSTGRES_DONE;
    if (fails && !quarantined->failed) {
        logging_warning("table=quarantined is=old detail=\"%s\"", why);
    }
    quarantined->failed = fails;
}
