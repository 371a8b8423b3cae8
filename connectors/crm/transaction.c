// SPDX-License-Identifier: Apache-2.0
// What is sent in which order, and how answers are read back.
#include "connectors/crm/transaction.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/crm/statements.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"

enum { NAME_BYTES = 16 };

static char *name_of(int statement, char ret[static NAME_BYTES]) {
    snprintf(ret, NAME_BYTES, "s%d", statement);
    return ret;
}

static bool send_prepared(struct postgres *postgres, int statement, const char *const *values) {
    char name[NAME_BYTES];
    return PQsendQueryPrepared(postgres_handle(postgres), name_of(statement, name),
                               statements[statement].n_values, values, NULL, NULL, 0) != 0;
}

static bool send_plain(struct postgres *postgres, const char *text) {
    return PQsendQueryParams(postgres_handle(postgres), text, 0, NULL, NULL, NULL, NULL, 0) != 0;
}

// Ends a pipeline: the first n_kept results are the caller's, the first error counts. A connection
// whose answers were not read to their end is dropped.
static enum postgres_class finish(struct postgres *postgres, int64_t timeout_ms, PGresult **kept,
                                  size_t n_kept, char *why) {
    enum postgres_class class = POSTGRES_DONE;
    bool at_end = false;
    size_t n = 0;
    if (PQpipelineSync(postgres_handle(postgres)) == 0) {
        return postgres_lost(postgres, why);
    }
    while (!at_end) {
        PGresult *result = NULL;
        char other[POSTGRES_WHY_BYTES];
        bool first = class == POSTGRES_DONE;
        enum postgres_class now = postgres_wait(postgres, timeout_ms, &result, first ? why : other);
        class = first ? now : class;
        if (postgres_handle(postgres) == NULL) {
            return POSTGRES_AWAY;
        }
        at_end = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        if (result != NULL && !at_end && n < n_kept) {
            kept[n++] = result;
        } else {
            PQclear(result);
        }
    }
    if (PQexitPipelineMode(postgres_handle(postgres)) == 0) {
        return postgres_lost(postgres, why);
    }
    return class;
}

static bool enter(struct postgres *postgres) {
    return PQenterPipelineMode(postgres_handle(postgres)) != 0;
}

enum postgres_class transaction_prepare(struct postgres *postgres, char *why) {
    bool sent = enter(postgres);
    for (int i = 0; i < N_STATEMENTS && sent; i++) {
        char name[NAME_BYTES];
        sent = PQsendPrepare(postgres_handle(postgres), name_of(i, name), statements[i].text, 0,
                             NULL) != 0;
    }
    return sent ? finish(postgres, POSTGRES_ANSWER_MS_MAX, NULL, 0, why)
                : postgres_lost(postgres, why);
}

// ---- fences

static char *numbers(const struct transaction_fence *fences, size_t n_fences, bool sequences) {
    enum { DIGITS = 22 };
    char *array = malloc(n_fences * DIGITS + 3);
    size_t used = 0;
    for (size_t i = 0; i < n_fences && array != NULL; i++) {
        used += (size_t)snprintf(array + used, DIGITS + 1, "%c%" PRId64, i == 0 ? '{' : ',',
                                 sequences ? fences[i].sequence : fences[i].lane);
    }
    if (array != NULL) {
        memcpy(array + used, "}", 2);
    }
    return array;
}

static int compare_lanes(const void *a, const void *b) {
    const int64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static enum postgres_class mark_moved(const PGresult *result, struct transaction_fence *fences,
                                      size_t n_fences, char *why) {
    size_t n = (size_t)PQntuples(result);
    _cleanup_free_ int64_t *lanes = calloc(n + 1, sizeof(*lanes));
    if (lanes == NULL) {
        snprintf(why, POSTGRES_WHY_BYTES, "out of memory");
        return POSTGRES_AWAY;
    }
    for (size_t i = 0; i < n; i++) {
        lanes[i] = strtoll(PQgetvalue(result, (int)i, 0), NULL, 10);
    }
    for (size_t i = 0; i < n_fences; i++) {
        bool moved = bsearch(&fences[i].lane, lanes, n, sizeof(*lanes), compare_lanes) != NULL;
        fences[i].moved = moved || !GUARD(warehouse_fence);
    }
    return POSTGRES_DONE;
}

enum postgres_class transaction_begin(struct postgres *postgres, const char *incarnation,
                                      struct transaction_fence *fences, size_t n_fences,
                                      int64_t timeout_ms, bool *ret_other_log, char *why) {
    _cleanup_free_ char *lanes = numbers(fences, n_fences, false);
    _cleanup_free_ char *sequences = numbers(fences, n_fences, true);
    const char *const log_values[] = {incarnation}, *const values[] = {lanes, sequences};
    *ret_other_log = false;
    if (lanes == NULL || sequences == NULL || !enter(postgres) || !send_plain(postgres, "BEGIN") ||
        !send_prepared(postgres, STATEMENT_LOG, log_values) ||
        !send_prepared(postgres, STATEMENT_FENCES, values)) {
        return postgres_lost(postgres, why);
    }
    PGresult *kept[3] = {NULL, NULL, NULL};
    enum postgres_class class = finish(postgres, timeout_ms, kept, 3, why);
    if (class == POSTGRES_DONE) {
        *ret_other_log = PQntuples(kept[1]) == 0;
        class = mark_moved(kept[2], fences, n_fences, why);
    }
    for (size_t i = 0; i < 3; i++) {
        PQclear(kept[i]);
    }
    return class;
}

// ---- rows

// False: not sent.
static bool send_bulk(struct postgres *postgres, const struct batch *batch, int statement,
                      const bool *skip) {
    char *arrays[BATCH_VALUES_MAX] = {NULL};
    const char *values[BATCH_VALUES_MAX];
    size_t n_rows = 0;
    bool fits = true;
    for (int i = 0; i < statements[statement].n_values && fits; i++) {
        fits = batch_array(batch, statement, i, skip, &arrays[i], &n_rows) == 0;
        values[i] = arrays[i];
        if (n_rows == 0) {
            break;
        }
    }
    bool sent = fits && (n_rows == 0 || send_prepared(postgres, statement, values));
    for (size_t i = 0; i < BATCH_VALUES_MAX; i++) {
        free(arrays[i]);
    }
    return sent;
}

static bool send_row(struct postgres *postgres, const struct batch *batch,
                     const struct batch_row *row) {
    const char *values[BATCH_VALUES_MAX];
    for (int i = 0; i < row->n_values; i++) {
        values[i] = batch_value(batch, row, i);
    }
    return send_prepared(postgres, row->statement, values);
}

enum postgres_class transaction_commit(struct postgres *postgres, const struct batch *batch,
                                       const bool *skip, int64_t timeout_ms, char *why) {
    bool sent = enter(postgres);
    for (int i = 0; i < N_STATEMENTS && sent; i++) {
        sent = !statements[i].bulk || send_bulk(postgres, batch, i, skip);
    }
    for (size_t i = 0; i < batch->n_rows && sent; i++) {
        const struct batch_row *row = &batch->rows[i];
        sent =
            statements[row->statement].bulk || skip[row->event] || send_row(postgres, batch, row);
    }
    if (!sent || !send_plain(postgres, "COMMIT")) {
        return postgres_lost(postgres, why);
    }
    enum postgres_class class = finish(postgres, timeout_ms, NULL, 0, why);
    PGconn *handle = postgres_handle(postgres);
    if (class == POSTGRES_DONE && PQtransactionStatus(handle) != PQTRANS_IDLE) {
        snprintf(why, POSTGRES_WHY_BYTES, "postgres: the transaction did not end");
        return POSTGRES_AWAY;
    }
    return class;
}
