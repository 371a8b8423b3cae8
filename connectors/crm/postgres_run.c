// SPDX-License-Identifier: Apache-2.0
// Statements that are sent and waited for one at a time.
#include <stdio.h>

#include "connectors/crm/postgres.h"

// The results of what was sent, to their end; the first error counts.
static enum postgres_class finish(struct postgres *postgres, int64_t timeout_ms, PGresult **ret,
                                  char *why) {
    enum postgres_class class = POSTGRES_DONE;
    PGresult *last = NULL;
    while (postgres_handle(postgres) != NULL) {
        PGresult *result;
        char other[POSTGRES_WHY_BYTES];
        bool first = class == POSTGRES_DONE;
        enum postgres_class now = postgres_wait(postgres, timeout_ms, &result, first ? why : other);
        if (now == POSTGRES_DONE && result == NULL) {
            break;
        }
        class = first ? now : class;
        PQclear(last);
        last = result;
    }
    if (ret != NULL && class == POSTGRES_DONE) {
        *ret = last;
    } else {
        PQclear(last);
    }
    return class;
}

enum postgres_class postgres_exec(struct postgres *postgres, const char *statement, int n_values,
                                  const char *const *values, PGresult **ret, char *why) {
    if (postgres_handle(postgres) == NULL) {
        snprintf(why, POSTGRES_WHY_BYTES, "postgres: not connected");
        return POSTGRES_AWAY;
    }
    if (PQsendQueryParams(postgres_handle(postgres), statement, n_values, NULL, values, NULL, NULL,
                          0) == 0) {
        return postgres_lost(postgres, why);
    }
    return finish(postgres, POSTGRES_ANSWER_MS_MAX, ret, why);
}

enum postgres_class postgres_exec_long(struct postgres *postgres, const char *statement,
                                       int64_t timeout_ms, PGresult **ret, char *why) {
    if (postgres_handle(postgres) == NULL) {
        snprintf(why, POSTGRES_WHY_BYTES, "postgres: not connected");
        return POSTGRES_AWAY;
    }
    if (PQsendQuery(postgres_handle(postgres), statement) == 0) {
        return postgres_lost(postgres, why);
    }
    return finish(postgres, timeout_ms, ret, why);
}

enum postgres_class postgres_script(struct postgres *postgres, const char *script,
                                    int64_t timeout_ms, char *why) {
    return postgres_exec_long(postgres, script, timeout_ms, NULL, why);
}

void postgres_roll_back(struct postgres *postgres) {
    char why[POSTGRES_WHY_BYTES];
    PGTransactionStatusType status = postgres_handle(postgres) != NULL
                                         ? PQtransactionStatus(postgres_handle(postgres))
                                         : PQTRANS_IDLE;
    if (status == PQTRANS_IDLE) {
        return;
    }
    // In the middle of a COPY or of answers nobody waits for: what is begun ends with the session.
    if (status == PQTRANS_ACTIVE ||
        postgres_script(postgres, "ROLLBACK", POSTGRES_ANSWER_MS_MAX, why) != POSTGRES_DONE) {
        postgres_drop(postgres);
    }
}
