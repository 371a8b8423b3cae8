// SPDX-License-Identifier: Apache-2.0
// The statements of sql.h and the warehouse's own in PostgreSQL's words. Those for busy tables are
// bulk: they take an array a parameter and write the rows of a whole batch; the others run once a
// row, in the order of the events, behind the bulk ones.
#pragma once

#include <stdbool.h>

#include "connectors/crm/sql.h"

enum {
    STATEMENT_LOG = N_SQL, // a row where the log is $1, held against another one that begins
    STATEMENT_FENCES,      // the lanes that moved, in order: of the others the events are repeats
    STATEMENT_QUARANTINED,
    STATEMENT_ERASURE,
    STATEMENT_ERASE_FIRST,
    STATEMENT_ERASE_LAST = STATEMENT_ERASE_FIRST + 14, // one a table that knows of the person
    N_STATEMENTS,
};

struct statement {
    const char *text;
    int n_values;
    bool bulk;
};

extern const struct statement statements[N_STATEMENTS];
