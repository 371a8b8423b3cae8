// SPDX-License-Identifier: Apache-2.0
// Who reads the table outgoing, and when: on the kit's loop thread, by a notice or a poll.
// A server that is not there is no error of the connector's: it is said once and looked for again.
#include "connectors/crm/outgoing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/crm/outgoing_batch.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/limits.h"

enum { SOURCE_BYTES = NAME_BYTES_MAX + 2 };

// Whoever goes away without a word (a machine that lost its power) loses the lock within a minute.
static const char set_up[] =
    "SET client_min_messages = warning; SET search_path = touchbus; SET timezone = 'UTC'; SET "
    "lock_timeout = '3s'; SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; "
    "SET tcp_keepalives_count = 3; SET statement_timeout = 5000; "
    "LISTEN touchbus_outgoing";
static const char lock[] =
    "SELECT pg_try_advisory_lock((1953461603::bigint << 32) + 'outgoing'::regclass::oid::bigint)";
struct outgoing {
    struct kit *kit;
    struct postgres *postgres;
    char source[SOURCE_BYTES];
    uint64_t generation; // of the connection that the lock was asked on
    bool leads;          // the lock is ours
    bool waits;          // it is another instance's, and that was said
    bool away;           // that the server is away was said
    bool moved;          // the batch in hand is of a table that was given up
    struct outgoing_batch batch;
};

// ---- life

int outgoing_new(struct kit *kit, const struct postgres_conf *conf, size_t first_counter,
                 struct outgoing **ret) {
    struct outgoing *outgoing = calloc(1, sizeof(*outgoing));
    if (outgoing == NULL) {
        return -ENOMEM;
    }
    struct postgres_conf own = *conf;
    own.application = "touchbus-crm-outgoing";
    own.set_up = set_up;
    int r = postgres_new(&own, &outgoing->postgres);
    if (r < 0) {
        outgoing_free(outgoing);
        return r;
    }
    outgoing->kit = kit;
    snprintf(outgoing->source, sizeof(outgoing->source), "/%s", kit_name(kit));
    outgoing->batch = (struct outgoing_batch){.kit = kit,
                                              .postgres = outgoing->postgres,
                                              .source = outgoing->source,
                                              .first_counter = first_counter};
    *ret = outgoing;
    return 0;
}

int outgoing_redirect(struct outgoing *outgoing, const struct postgres_conf *conf) {
    int r = postgres_redirect(outgoing->postgres, conf);
    bool is_dropped = postgres_handle(outgoing->postgres) == NULL;
    outgoing->moved = outgoing->moved || (is_dropped && outgoing->batch.rows != NULL);
    return r;
}

struct outgoing *outgoing_free(struct outgoing *outgoing) {
    if (outgoing != NULL) {
        outgoing_batch_forget(&outgoing->batch);
        postgres_free(outgoing->postgres);
        free(outgoing);
    }
    return NULL;
}

// ---- the connection

static void say_away(struct outgoing *outgoing, const char *why) {
    if (!outgoing->away) {
        logging_warning("outgoing=away why=\"%s\"", why);
    }
    outgoing->away = true;
}

// Connected, with what the server told taken off the socket; or not.
static bool listens(struct outgoing *outgoing, char *why) {
    PGconn *handle = postgres_handle(outgoing->postgres);
    if (handle != NULL && PQconsumeInput(handle) == 0) {
        postgres_drop(outgoing->postgres);
    }
    if (postgres_connect(outgoing->postgres, why) != POSTGRES_DONE) {
        return false;
    }
    if (outgoing->generation != postgres_generation(outgoing->postgres)) {
        outgoing->generation = postgres_generation(outgoing->postgres);
        outgoing->leads = false;
    }
    // What a notice says is only that there may be something: a look at the table tells what.
    for (PGnotify *notice; (notice = PQnotifies(postgres_handle(outgoing->postgres))) != NULL;) {
        PQfreemem(notice);
    }
    return true;
}

// Whether the table is ours to read. DONE with leads unchanged: another instance reads it.
static enum postgres_class lead(struct outgoing *outgoing, char *why) {
    PGresult *answer = NULL;
    enum postgres_class class = postgres_exec(outgoing->postgres, lock, 0, NULL, &answer, why);
    if (class == POSTGRES_DONE) {
        outgoing->leads = strcmp(PQgetvalue(answer, 0, 0), "t") == 0 || !GUARD(outgoing_lock);
        PQclear(answer);
        if (outgoing->leads || !outgoing->waits) {
            logging_info("outgoing=%s", outgoing->leads ? "read" : "read-by-another");
        }
        outgoing->waits = !outgoing->leads;
    }
    return class;
}

// ---- turns

// What was answered is written back, then the next rows are read; what is open goes on when it is
// answered.
static enum postgres_class turn(struct outgoing *outgoing, char *why) {
    struct outgoing_batch *batch = &outgoing->batch;
    enum postgres_class class = POSTGRES_DONE;
    bool stuck = false;
    for (int i = 0; i < OUTGOING_ROUNDS_MAX && class == POSTGRES_DONE && !stuck; i++) {
        if (batch->n_open > 0) {
            return POSTGRES_DONE;
        }
        if (outgoing->moved) {
            outgoing_batch_forget(batch);
            outgoing->moved = false;
        }
        if (batch->rows != NULL) {
            class = outgoing_batch_write(batch, &stuck, why);
        }
        if (class == POSTGRES_DONE && batch->rows == NULL && !outgoing->leads) {
            class = lead(outgoing, why);
        }
        if (class != POSTGRES_DONE || stuck || batch->rows != NULL || !outgoing->leads) {
            return class;
        }
        class = outgoing_batch_read(batch, why);
        if (batch->rows == NULL) {
            return class;
        }
    }
    return class;
}

void outgoing_collect(struct outgoing *outgoing) {
    char why[POSTGRES_WHY_BYTES] = "";
    if (!listens(outgoing, why) || turn(outgoing, why) != POSTGRES_DONE) {
        say_away(outgoing, why);
    } else if (outgoing->away) {
        outgoing->away = false;
        logging_info("outgoing=back");
    }
    kit_watch(outgoing->kit, postgres_socket(outgoing->postgres));
}

void outgoing_settled(struct outgoing *outgoing, void *item, const struct kit_ack *ack) {
    outgoing_batch_answered(&outgoing->batch, item, ack);
    if (outgoing->batch.n_open == 0) {
        outgoing_collect(outgoing);
    }
}
