// SPDX-License-Identifier: Apache-2.0
// What an event writes, as statements with parameters: one enum row a statement, its text in each
// back end's own dialect (sqlite_statements.c, statements.c). The effects (effects.c) know no more
// than this, so SQLite file and PostgreSQL warehouse follow the same rules.
//
// No statement answers. What depends on another one's success asks in its own text: the lines of an
// order are written where the order's row has this event's sequence.
#pragma once

#include <stdint.h>

enum {
    SQL_INTERACTION,
    SQL_CUSTOMER,
    SQL_KEY,
    SQL_ATTRIBUTE,
    SQL_ORDER_PLACED,
    SQL_ORDER_CHANGED,
    SQL_ORDER_ETA,
    SQL_ORDER_LINES_CLEAR,
    SQL_ORDER_LINE,
    SQL_QUOTE_ISSUED,
    SQL_QUOTE_CLOSED,
    SQL_QUOTE_LINES_CLEAR,
    SQL_QUOTE_LINE,
    SQL_CONSENT,
    SQL_CONTACT,
    SQL_CONTACT_DECIDED,
    SQL_CONTACT_OUTCOME,
    SQL_CASE_OPENED,
    SQL_CASE_RESOLVED,
    SQL_MERGE,
    SQL_MERGED,
    SQL_MERGE_HISTORY,
    SQL_STANDING,
    SQL_SCORE,
    N_SQL, // back ends have more of their own behind it
};

// Where statements go: run at once (SQLite), or noted and sent with the batch (PostgreSQL).
struct sql {
    // format has a letter a parameter: i (int64_t), s (const char *, NULL is NULL), d (double), n
    // (nothing: NULL). 0 or the back end's own code, which is positive.
    int (*run)(struct sql *sql, int statement, const char *format, ...);
};
