// SPDX-License-Identifier: Apache-2.0
// The SQLite file with its prepared statements: one enum row a statement, its text in sql.c. Knows
// how to open, migrate and run; what is written when is store.c and effects.c.
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sql {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_EVENT_BEGIN,
    SQL_EVENT_KEEP,
    SQL_EVENT_UNDO,
    SQL_LOG_GET,
    SQL_LOG_SET,
    SQL_COPY_ASIDE,
    SQL_FENCE,
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
    SQL_MERGE,
    SQL_MERGED,
    SQL_ERASURE,
    SQL_ERASURES_OPEN,
    SQL_ERASURES_SWEPT,
    SQL_ERASE_FIRST,
    SQL_ERASE_LAST = SQL_ERASE_FIRST + 9, // a statement a table that knows of the person
    N_SQL,
};

// What is deleted is overwritten with zeros, so that no page keeps what a row was.
#define SQL_SECURE_DELETE "PRAGMA secure_delete = ON"

struct sql_file {
    sqlite3 *database;
    sqlite3_stmt *statements[N_SQL];
};

// Opens or creates path (owner only), brings it to the newest schema, prepares. 0; a negative errno
// after one logged line. The caller closes it either way.
int sql_open(const char *path, struct sql_file *ret);
void sql_close(struct sql_file *file);
// Binds and runs a statement to its end: format has a letter a parameter, i (int64_t), s (const
// char *, NULL is NULL), d (double), n (nothing: NULL). SQLITE_OK or SQLite's extended code.
int sql_run(struct sql_file *file, enum sql statement, const char *format, ...);
// The first column of the first row as text into ret ("" where there is none). SQLITE_OK or a code.
int sql_text(struct sql_file *file, enum sql statement, char *ret, size_t ret_size);
// Runs a script of statements. SQLITE_OK or a code.
int sql_script(const struct sql_file *file, const char *script);
// Whether the last statement changed a row.
bool sql_changed(const struct sql_file *file);
