// SPDX-License-Identifier: Apache-2.0
// What stands in a connection string, and what follows from it.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/crm/postgres.h"

static void copy_line(const char *text, char *error, size_t error_size) {
    char line[POSTGRES_WHY_BYTES];
    postgres_line(text, line);
    snprintf(error, error_size, "%s", line);
}

// What the string itself says; NULL: nothing.
static const char *find(const PQconninfoOption *parsed, const char *keyword) {
    for (const PQconninfoOption *row = parsed; row != NULL && row->keyword != NULL; row++) {
        if (strcmp(row->keyword, keyword) == 0) {
            return row->val;
        }
    }
    return NULL;
}

int postgres_check(const char *connection, char *error, size_t error_size) {
    char *complaint = NULL;
    PQconninfoOption *parsed = PQconninfoParse(connection, &complaint);
    int r = 0;
    if (parsed == NULL) {
        // libpq's own words may quote what stands where a password was meant.
        snprintf(error, error_size, "%s",
                 "the connection to PostgreSQL is no URI and no list of keywords");
        r = -EINVAL;
    } else if (find(parsed, "password") != NULL || find(parsed, "sslpassword") != NULL) {
        copy_line("the connection to PostgreSQL has a password in it, where others can read it: "
                  "give it in a file",
                  error, error_size);
        r = -EINVAL;
    }
    PQconninfoFree(parsed);
    PQfreemem(complaint);
    return r;
}

static bool is_local(const char *host) {
    return host == NULL || host[0] == '\0' || host[0] == '/' || host[0] == '@' ||
           strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           strncmp(host, "127.", 4) == 0;
}

// Over a network a server's certificate is checked unless the operator says otherwise; libpq alone
// would take any, or none.
bool postgres_checks_certificate(const char *connection) {
    PQconninfoOption *parsed = PQconninfoParse(connection, NULL);
    const char *host = find(parsed, "host"), *address = find(parsed, "hostaddr");
    bool remote = !is_local(host != NULL ? host : address) && getenv("PGSSLMODE") == NULL;
    PQconninfoFree(parsed);
    return remote;
}
