// SPDX-License-Identifier: Apache-2.0
// Opens the customer file and runs its statements. WAL with synchronous=FULL: a commit that
// returned is on disk. Migrations are numbered files built in; a file newer than they is refused.
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "connectors/crm/sqlite.h"
#include "schemas/base/logging.h"

// Longer than another member's transaction, shorter than what the broker takes for silence.
enum { BUSY_MS = 1000 };

extern const char crm_migration_1[], crm_migration_2[], crm_migration_3[], crm_migration_4[],
    crm_migration_5[];

// The version of a file is the number of migrations in it (PRAGMA user_version).
static const char *const migrations[] = {crm_migration_1, crm_migration_2, crm_migration_3,
                                         crm_migration_4, crm_migration_5};
enum { N_MIGRATIONS = sizeof(migrations) / sizeof(migrations[0]) };

bool sql_changed(const struct sql_file *file) {
    return sqlite3_changes(file->database) > 0;
}

int sql_script(const struct sql_file *file, const char *script) {
    int code = sqlite3_exec(file->database, script, NULL, NULL, NULL);
    return code == SQLITE_OK ? SQLITE_OK : sqlite3_extended_errcode(file->database);
}

static int bind(sqlite3_stmt *statement, const char *format, va_list arguments) {
    int code = SQLITE_OK;
    for (int i = 1; format[i - 1] != '\0' && code == SQLITE_OK; i++) {
        switch (format[i - 1]) {
        case 'i':
            code = sqlite3_bind_int64(statement, i, va_arg(arguments, int64_t));
            break;
        case 'd':
            code = sqlite3_bind_double(statement, i, va_arg(arguments, double));
            break;
        case 's':
            code =
                sqlite3_bind_text(statement, i, va_arg(arguments, const char *), -1, SQLITE_STATIC);
            break;
        default:
            code = sqlite3_bind_null(statement, i);
            break;
        }
    }
    return code;
}

static int run(struct sql_file *file, int statement, const char *format, va_list arguments) {
    sqlite3_stmt *prepared = file->statements[statement];
    int code = bind(prepared, format, arguments);
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(prepared);
    }
    code = code == SQLITE_DONE ? SQLITE_OK : sqlite3_extended_errcode(file->database);
    sqlite3_reset(prepared);
    sqlite3_clear_bindings(prepared);
    return code;
}

int sql_run(struct sql_file *file, int statement, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int code = run(file, statement, format, arguments);
    va_end(arguments);
    return code;
}

static int run_effect(struct sql *sql, int statement, const char *format, ...) {
    struct sql_file *file = (struct sql_file *)sql; // sql is its first member
    va_list arguments;
    va_start(arguments, format);
    int code = run(file, statement, format, arguments);
    va_end(arguments);
    return code;
}

int sql_text(struct sql_file *file, int statement, char *ret, size_t ret_size) {
    sqlite3_stmt *prepared = file->statements[statement];
    ret[0] = '\0';
    int code = sqlite3_step(prepared);
    if (code == SQLITE_ROW) {
        const unsigned char *text = sqlite3_column_text(prepared, 0);
        snprintf(ret, ret_size, "%s", text != NULL ? (const char *)text : "");
    }
    code = code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK
                                                     : sqlite3_extended_errcode(file->database);
    sqlite3_reset(prepared);
    return code;
}

// ---- opening

static int complain(struct sql_file *file, const char *path, const char *what) {
    logging_error("database=%s %s error=\"%s\"", path, what,
                  file->database != NULL ? sqlite3_errmsg(file->database) : "out of memory");
    return -EIO;
}

static int read_version(struct sql_file *file, int *ret) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(file->database, "PRAGMA user_version", -1, &statement, NULL);
    if (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        *ret = sqlite3_column_int(statement, 0);
    } else {
        code = SQLITE_ERROR;
    }
    sqlite3_finalize(statement);
    return code;
}

// Inside one transaction, so that two that start at once migrate once.
static int migrate(struct sql_file *file, const char *path) {
    int version = 0;
    if (sql_script(file, "BEGIN IMMEDIATE") != SQLITE_OK ||
        read_version(file, &version) != SQLITE_OK) {
        return complain(file, path, "cannot be read");
    }
    if (version > N_MIGRATIONS) {
        logging_error("database=%s version=%d known=%d made by a newer program", path, version,
                      N_MIGRATIONS);
        return -EINVAL;
    }
    for (int i = version; i < N_MIGRATIONS; i++) {
        char pragma[64];
        snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d", i + 1);
        if (sql_script(file, migrations[i]) != SQLITE_OK || sql_script(file, pragma) != SQLITE_OK) {
            return complain(file, path, "cannot be migrated");
        }
        logging_info("database=%s migration=%d applied", path, i + 1);
    }
    return sql_script(file, "COMMIT") == SQLITE_OK ? 0 : complain(file, path, "cannot be written");
}

static int prepare(struct sql_file *file, const char *path) {
    for (int i = 0; i < N_SQLITE; i++) {
        if (sqlite3_prepare_v3(file->database, sqlite_statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &file->statements[i], NULL) != SQLITE_OK) {
            return complain(file, path, "is not as it should be");
        }
    }
    return 0;
}

int sql_open(const char *path, struct sql_file *ret) {
    *ret = (struct sql_file){.sql.run = run_effect};
    // Made by us, for the owner only: SQLite gives its side files the same mode.
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        int error = errno;
        logging_error("database=%s cannot be opened error=\"%s\"", path, strerror(error));
        return -error;
    }
    close(fd);
    if (sqlite3_open_v2(path, &ret->database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
            SQLITE_OK ||
        sqlite3_busy_timeout(ret->database, BUSY_MS) != SQLITE_OK ||
        sql_script(ret,
                   "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; " SQL_SECURE_DELETE) !=
            SQLITE_OK) {
        return complain(ret, path, "cannot be opened");
    }
    int r = migrate(ret, path);
    return r != 0 ? r : prepare(ret, path);
}

void sql_close(struct sql_file *file) {
    for (int i = 0; i < N_SQLITE; i++) {
        sqlite3_finalize(file->statements[i]);
    }
    sqlite3_close_v2(file->database);
    *file = (struct sql_file){0};
}
