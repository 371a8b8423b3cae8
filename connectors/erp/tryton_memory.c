// SPDX-License-Identifier: Apache-2.0
// The memory as a SQLite file of three small tables, a transaction a page. Deleted rows are
// overwritten. A statement that fails is the disk's or a damaged file's: it is logged here once.
#include "connectors/erp/tryton_memory.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

static const char schema[] =
    "PRAGMA synchronous = FULL;"
    "PRAGMA secure_delete = ON;"
    "CREATE TABLE IF NOT EXISTS cursor (feed TEXT PRIMARY KEY, stamp_us INTEGER) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS said (key TEXT PRIMARY KEY, value TEXT, stamp_us INTEGER)"
    "  WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS pending (number INTEGER PRIMARY KEY, event TEXT);";

enum statement { BEGIN, COMMIT, ROLLBACK, READ, START, MOVE, FIND, SAY, PEND, LIST, CLEAR, TRIM };
static const char *const statements[] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [READ] = "SELECT stamp_us FROM cursor WHERE feed = ?1",
    [START] = "INSERT OR IGNORE INTO cursor VALUES (?1, ?2)",
    [MOVE] = "UPDATE cursor SET stamp_us = ?2 WHERE feed = ?1",
    [FIND] = "SELECT value, stamp_us FROM said WHERE key = ?1",
    [SAY] = "INSERT OR REPLACE INTO said VALUES (?1, ?3, ?2)",
    [PEND] = "INSERT INTO pending (event) VALUES (?1)",
    [LIST] = "SELECT event FROM pending ORDER BY number",
    [CLEAR] = "DELETE FROM pending",
    [TRIM] = "DELETE FROM said WHERE stamp_us < ?2",
};
enum { STATEMENTS = sizeof(statements) / sizeof(statements[0]) };

struct tryton_memory {
    sqlite3 *file;
    sqlite3_stmt *prepared[STATEMENTS];
    int64_t cursors[TRYTON_FEEDS];
};

// ---- statements

static int failed(const struct tryton_memory *memory, const char *what) {
    logging_error("tryton_memory=%s error=\"%s\"", what, sqlite3_errmsg(memory->file));
    return -EIO;
}

// The statement with its values bound; text and value may be NULL. The caller resets it.
static sqlite3_stmt *bind(struct tryton_memory *memory, enum statement which, const char *text,
                          int64_t number, const char *value) {
    sqlite3_stmt *statement = memory->prepared[which];
    int n = sqlite3_bind_parameter_count(statement);
    sqlite3_reset(statement);
    if (n >= 1) {
        sqlite3_bind_text(statement, 1, text, -1, SQLITE_TRANSIENT);
    }
    if (n >= 2) {
        sqlite3_bind_int64(statement, 2, number);
    }
    if (n >= 3) {
        sqlite3_bind_text(statement, 3, value, -1, SQLITE_TRANSIENT);
    }
    return statement;
}

static int run(struct tryton_memory *memory, enum statement which, const char *text, int64_t number,
               const char *value) {
    sqlite3_stmt *statement = bind(memory, which, text, number, value);
    int code = sqlite3_step(statement);
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? 0 : failed(memory, statements[which]);
}

static int end(struct tryton_memory *memory, int r) {
    r = r == 0 ? run(memory, COMMIT, NULL, 0, NULL) : r;
    if (r != 0 && !sqlite3_get_autocommit(memory->file)) {
        run(memory, ROLLBACK, NULL, 0, NULL);
    }
    return r;
}

// ---- life

static int prepare(struct tryton_memory *memory, const char *folder) {
    char path[PATH_MAX];
    int size = snprintf(path, sizeof(path), "%s/tryton.sqlite", folder);
    if (size < 0 || (size_t)size >= sizeof(path)) {
        return -ENAMETOOLONG;
    }
    mode_t before = umask(077);
    int code = sqlite3_open(path, &memory->file);
    code = code == SQLITE_OK ? sqlite3_exec(memory->file, schema, NULL, NULL, NULL) : code;
    umask(before);
    for (size_t i = 0; code == SQLITE_OK && i < STATEMENTS; i++) {
        code = sqlite3_prepare_v2(memory->file, statements[i], -1, &memory->prepared[i], NULL);
    }
    return code == SQLITE_OK ? 0 : failed(memory, path);
}

static int read_cursor(struct tryton_memory *memory, enum tryton_feed feed) {
    sqlite3_stmt *statement = bind(memory, READ, tryton_feed_model(feed), 0, NULL);
    int code = sqlite3_step(statement);
    memory->cursors[feed] = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return code == SQLITE_ROW ? 0 : failed(memory, "cursor");
}

int tryton_memory_open(const char *folder, int64_t start_us, struct tryton_memory **ret) {
    struct tryton_memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL) {
        return -ENOMEM;
    }
    int64_t keep_us = TRYTON_MEMORY_KEEP_D * INT64_C(86400) * CLOCK_US_PER_S;
    int r = prepare(memory, folder);
    r = r == 0 ? run(memory, TRIM, NULL, start_us - keep_us, NULL) : r;
    for (size_t i = 0; r == 0 && i < TRYTON_FEEDS; i++) {
        enum tryton_feed feed = (enum tryton_feed)i;
        r = run(memory, START, tryton_feed_model(feed), feed == TRYTON_PRODUCTS ? 0 : start_us,
                NULL);
        r = r == 0 ? read_cursor(memory, feed) : r;
    }
    if (r != 0) {
        tryton_memory_close(memory);
        return r;
    }
    *ret = memory;
    return 0;
}

struct tryton_memory *tryton_memory_close(struct tryton_memory *memory) {
    if (memory != NULL) {
        for (size_t i = 0; i < STATEMENTS; i++) {
            sqlite3_finalize(memory->prepared[i]);
        }
        sqlite3_close(memory->file);
        free(memory);
    }
    return NULL;
}

int64_t tryton_memory_cursor(const struct tryton_memory *memory, enum tryton_feed feed) {
    return memory->cursors[feed];
}

// ---- reports

// 1: news; 0: the same was said before. The report is raised above what was said before.
static int is_news(struct tryton_memory *memory, json_t *report) {
    const char *value = json_string_value(json_object_get(report, "value"));
    sqlite3_stmt *statement =
        bind(memory, FIND, json_string_value(json_object_get(report, "key")), 0, NULL);
    int code = sqlite3_step(statement), r = 1;
    if (code == SQLITE_ROW) {
        const char *said = (const char *)sqlite3_column_text(statement, 0);
        if (said != NULL && value != NULL && GUARD(tryton_said) && strcmp(said, value) == 0) {
            r = 0;
        } else {
            tryton_report_after(report, sqlite3_column_int64(statement, 1));
        }
    } else if (code != SQLITE_DONE) {
        r = failed(memory, "said");
    }
    sqlite3_reset(statement);
    return r;
}

static int keep_one(struct tryton_memory *memory, json_t *report) {
    json_t *event = json_object_get(report, "event");
    _cleanup_free_ char *text = event == NULL ? NULL : json_dumps(event, JSON_COMPACT);
    int r = event != NULL && text == NULL ? -ENOMEM : 0;
    r = r != 0 ? r
               : run(memory, SAY, json_string_value(json_object_get(report, "key")),
                     json_integer_value(json_object_get(report, "stamp")),
                     json_string_value(json_object_get(report, "value")));
    return r == 0 && text != NULL ? run(memory, PEND, text, 0, NULL) : r;
}

int tryton_memory_keep(struct tryton_memory *memory, json_t *reports, json_t **ret_new) {
    json_t *news = json_array();
    int r = news == NULL ? -ENOMEM : run(memory, BEGIN, NULL, 0, NULL);
    for (size_t i = 0; r == 0 && i < json_array_size(reports); i++) {
        json_t *report = json_array_get(reports, i);
        r = is_news(memory, report);
        if (r == 1) {
            r = json_array_append(news, report) != 0 ? -ENOMEM : keep_one(memory, report);
        }
    }
    r = end(memory, r);
    if (r != 0) {
        json_decref(news);
        return r;
    }
    *ret_new = news;
    return 0;
}

int tryton_memory_pending(struct tryton_memory *memory, json_t **ret) {
    json_t *list = json_array();
    sqlite3_stmt *statement = bind(memory, LIST, NULL, 0, NULL);
    int code = sqlite3_step(statement);
    for (; code == SQLITE_ROW; code = sqlite3_step(statement)) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        json_array_append_new(list, text == NULL ? NULL : json_loads(text, 0, NULL));
    }
    sqlite3_reset(statement);
    if (code != SQLITE_DONE) {
        json_decref(list);
        return failed(memory, "pending");
    }
    *ret = list;
    return 0;
}

int tryton_memory_acked(struct tryton_memory *memory, enum tryton_feed feed, int64_t cursor_us) {
    int r = run(memory, BEGIN, NULL, 0, NULL);
    r = r == 0 ? run(memory, CLEAR, NULL, 0, NULL) : r;
    r = r == 0 ? run(memory, MOVE, tryton_feed_model(feed), cursor_us, NULL) : r;
    r = end(memory, r);
    if (r == 0) {
        memory->cursors[feed] = cursor_us;
    }
    return r;
}
