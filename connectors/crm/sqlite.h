// SPDX-License-Identifier: Apache-2.0
// The SQLite file with its prepared statements. Knows how to open, migrate and run; what is written
// when is store.c and effects.c.
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connectors/crm/sql.h"

enum {
    SQL_BEGIN = N_SQL,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_EVENT_BEGIN,
    SQL_EVENT_KEEP,
    SQL_EVENT_UNDO,
    SQL_LOG_GET,
    SQL_LOG_SET,
    SQL_COPY_ASIDE,
    SQL_FENCE,
    SQL_ERASURE,
    SQL_ERASURES_OPEN,
    SQL_ERASURES_SWEPT,
    SQL_ERASE_FIRST,
    SQL_ERASE_LAST = SQL_ERASE_FIRST + 13, // a statement a table that knows of the person
    N_SQLITE,
};

// What is deleted is overwritten with zeros, so that no page keeps what a row was.
#define SQL_SECURE_DELETE "PRAGMA secure_delete = ON"

struct sql_file {
    struct sql sql; // first: run is sql_run
    sqlite3 *database;
    sqlite3_stmt *statements[N_SQLITE];
};

extern const char *const sqlite_statements[N_SQLITE]; // their texts

// Opens or creates path (owner only), brings it to the newest schema, prepares. 0; a negative errno
// after one logged line. The caller closes it either way.
int sql_open(const char *path, struct sql_file *ret);
void sql_close(struct sql_file *file);
// Binds and runs a statement to its end: format has a letter a parameter, i (int64_t), s (const
// char *, NULL is NULL), d (double), n (nothing: NULL). SQLITE_OK or SQLite's extended code.
int sql_run(struct sql_file *file, int statement, const char *format, ...);
// The first column of the first row as text into ret ("" where there is none). SQLITE_OK or a code.
int sql_text(struct sql_file *file, int statement, char *ret, size_t ret_size);
// Runs a script of statements. SQLITE_OK or a code.
int sql_script(const struct sql_file *file, const char *script);
// Whether the last statement changed a row.
bool sql_changed(const struct sql_file *file);
