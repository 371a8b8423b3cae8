// SPDX-License-Identifier: Apache-2.0
// What PostgreSQL's errors mean for a sink: one table of SQLSTATE prefixes. Whatever is not in it
// is taken for the server's or the operator's trouble: it is waited for, never parked.
#include <stdio.h>
#include <string.h>

#include "connectors/crm/postgres.h"

static const struct {
    const char *prefix;
    enum postgres_class class;
} classes[] = {
    {"08", POSTGRES_AWAY},       // connection
    {"21", POSTGRES_REFUSED},    // one row twice in a statement: found alone, it is none
    {"22", POSTGRES_REFUSED},    // a value that its column does not take
    {"23", POSTGRES_REFUSED},    // a constraint
    {"40", POSTGRES_AGAIN},      // deadlock, serialisation
    {"53", POSTGRES_AWAY},       // disk full, memory, too many connections
    {"54", POSTGRES_REFUSED},    // too long for an index, nested too deep
    {"57P", POSTGRES_AWAY},      // shutting down, starting up
    {"P0001", POSTGRES_REFUSED}, // a trigger of the operator's said no
};

enum postgres_class postgres_class_of(const char *state) {
    for (size_t i = 0; state != NULL && i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strncmp(state, classes[i].prefix, strlen(classes[i].prefix)) == 0) {
            return classes[i].class;
        }
    }
    return POSTGRES_AWAY;
}

void postgres_line(const char *text, char *why) {
    size_t length = 0;
    bool gap = false;
    for (; *text != '\0' && length + 2 < POSTGRES_WHY_BYTES; text++) {
        bool space = (unsigned char)*text <= ' ';
        if (!space && gap && length > 0) {
            why[length++] = ' ';
        }
        gap = space;
        if (!space) {
            why[length++] = *text == '"' ? '\'' : *text;
        }
    }
    why[length] = '\0';
}

// Of an error in the data the server's own words may quote a value; names alone may be told.
static void say_refused(const PGresult *result, const char *state, char *why) {
    const char *table = PQresultErrorField(result, PG_DIAG_TABLE_NAME);
    const char *column = PQresultErrorField(result, PG_DIAG_COLUMN_NAME);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    snprintf(why, POSTGRES_WHY_BYTES, "postgres: SQLSTATE %s%s%s%s%s%s%s", state,
             table != NULL ? ", table " : "", table != NULL ? table : "",
             column != NULL ? ", column " : "", column != NULL ? column : "",
             constraint != NULL ? ", constraint " : "", constraint != NULL ? constraint : "");
}

enum postgres_class postgres_judge(const PGresult *result, char *why) {
    ExecStatusType status = PQresultStatus(result);
    if (result == NULL || (status != PGRES_BAD_RESPONSE && status != PGRES_FATAL_ERROR)) {
        return POSTGRES_DONE;
    }
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    enum postgres_class class = postgres_class_of(state);
    if (class == POSTGRES_REFUSED) {
        say_refused(result, state, why);
    } else {
        const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        char line[POSTGRES_WHY_BYTES];
        postgres_line(message != NULL ? message : PQresultErrorMessage(result), line);
        snprintf(why, POSTGRES_WHY_BYTES, "postgres: %.200s (SQLSTATE %s)", line,
                 state != NULL ? state : "none");
    }
    return class;
}
