// SPDX-License-Identifier: Apache-2.0
// Copies of the file that were made when the log became another one. Their customer numbers are
// that log's, so a person is found in them by keys: the broker says which keys belong to somebody
// who was erased.
#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/crm/erasure.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum { BUSY_MS = 1000, INCARNATION_DIGITS = 2 * STORE_INCARNATION_BYTES };

static const char by_key[] = "SELECT kind, value, customer FROM keys ORDER BY customer";
static const char *const deletes[] = {
    "DELETE FROM order_lines WHERE order_id IN (SELECT order_id FROM orders WHERE customer IN "
    "temp.gone)",
    "DELETE FROM quote_lines WHERE quote_id IN (SELECT quote_id FROM quotes WHERE customer IN "
    "temp.gone)",
    "DELETE FROM orders WHERE customer IN temp.gone",
    "DELETE FROM quotes WHERE customer IN temp.gone",
    "DELETE FROM consents WHERE customer IN temp.gone",
    "DELETE FROM attributes WHERE customer IN temp.gone",
    "DELETE FROM keys WHERE customer IN temp.gone",
    "DELETE FROM interactions WHERE customer IN temp.gone",
    "DELETE FROM customers WHERE customer IN temp.gone",
};
// Tables that a copy of an older program's file does not have.
static const struct {
    const char *table, *statement;
} later_deletes[] = {
    {"contacts", "DELETE FROM contacts WHERE customer IN temp.gone"},
    {"cases", "DELETE FROM cases WHERE customer IN temp.gone"},
    {"standings", "DELETE FROM standings WHERE customer IN temp.gone"},
    {"merge_history", "DELETE FROM merge_history WHERE leaf IN temp.gone"},
};

struct batch {
    struct store_key keys[STORE_SWEEP_KEYS_MAX];
    char *texts[2 * STORE_SWEEP_KEYS_MAX];
    int64_t customers[STORE_SWEEP_KEYS_MAX];
    size_t n_keys;
};

static void batch_clear(struct batch *batch) {
    for (size_t i = 0; i < 2 * batch->n_keys; i++) {
        free(batch->texts[i]);
    }
    batch->n_keys = 0;
}

static int batch_add(struct batch *batch, sqlite3_stmt *row) {
    size_t i = batch->n_keys;
    const char *kind = (const char *)sqlite3_column_text(row, 0);
    const char *value = (const char *)sqlite3_column_text(row, 1);
    char **texts = &batch->texts[2 * i];
    texts[0] = kind == NULL ? NULL : strdup(kind);
    texts[1] = value == NULL ? NULL : strdup(value);
    if (texts[0] == NULL || texts[1] == NULL) {
        free(texts[0]);
        free(texts[1]);
        return SQLITE_NOMEM;
    }
    batch->keys[i] = (struct store_key){.kind = texts[0], .value = texts[1]};
    batch->customers[i] = sqlite3_column_int64(row, 2);
    batch->n_keys++;
    return SQLITE_OK;
}

// Asks for one batch and notes whose keys are an erased person's.
static int batch_ask(const struct sql_file *copy, const struct batch *batch,
                     const struct store_sweep *sweep) {
    bool gone[STORE_SWEEP_KEYS_MAX] = {false};
    if (batch->n_keys == 0) {
        return SQLITE_OK;
    }
    if (sweep->tombstoned(sweep->user, batch->keys, batch->n_keys, gone) != 0) {
        return SQLITE_INTERRUPT; // the broker has no answer now
    }
    int code = SQLITE_OK;
    for (size_t i = 0; i < batch->n_keys && code == SQLITE_OK; i++) {
        char insert[96];
        snprintf(insert, sizeof(insert), "INSERT OR IGNORE INTO temp.gone VALUES (%lld)",
                 (long long)batch->customers[i]);
        code = gone[i] ? sql_script(copy, insert) : SQLITE_OK;
    }
    return code;
}

static int find_gone(const struct sql_file *copy, const struct store_sweep *sweep) {
    sqlite3_stmt *rows = NULL;
    struct batch batch = {.n_keys = 0};
    int code = sqlite3_prepare_v2(copy->database, by_key, -1, &rows, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        code = batch_add(&batch, rows);
        if (code == SQLITE_OK && batch.n_keys == STORE_SWEEP_KEYS_MAX) {
            code = batch_ask(copy, &batch, sweep);
            batch_clear(&batch);
        }
    }
    code = code == SQLITE_DONE ? batch_ask(copy, &batch, sweep) : code;
    batch_clear(&batch);
    sqlite3_finalize(rows);
    return code;
}

static int sweep_copy(const struct sql_file *copy, const struct store_sweep *sweep) {
    int code = sql_script(copy, "PRAGMA temp_store = MEMORY; " SQL_SECURE_DELETE
                                "; CREATE TEMP TABLE gone (customer INTEGER PRIMARY KEY)");
    code = code == SQLITE_OK ? find_gone(copy, sweep) : code;
    code = code == SQLITE_OK ? sql_script(copy, "BEGIN IMMEDIATE") : code;
    for (size_t i = 0; i < sizeof(deletes) / sizeof(deletes[0]) && code == SQLITE_OK; i++) {
        code = sql_script(copy, deletes[i]);
    }
    for (size_t i = 0; i < sizeof(later_deletes) / sizeof(later_deletes[0]); i++) {
        bool is_there =
            sqlite3_table_column_metadata(copy->database, NULL, later_deletes[i].table, NULL, NULL,
                                          NULL, NULL, NULL, NULL) == SQLITE_OK;
        code = code == SQLITE_OK && is_there ? sql_script(copy, later_deletes[i].statement) : code;
    }
    code = code == SQLITE_OK ? sql_script(copy, "COMMIT") : code;
    bool changed = sqlite3_total_changes(copy->database) > 0;
    return code == SQLITE_OK && changed ? sql_script(copy, "VACUUM") : code;
}

static int open_and_sweep(const char *path, const struct store_sweep *sweep) {
    struct sql_file copy = {0};
    int code =
        sqlite3_open_v2(path, &copy.database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) {
        sqlite3_busy_timeout(copy.database, BUSY_MS);
        code = sweep_copy(&copy, sweep);
    }
    sqlite3_close_v2(copy.database);
    if (code != SQLITE_OK) {
        logging_warning("database=%s erasure=failed error=\"%s\"", path, sqlite3_errstr(code));
    }
    return code;
}

// NAME.<32 hex digits>-<digits>, as store.c names them.
static bool is_copy(const char *entry, const char *name) {
    size_t length = strlen(name);
    if (strncmp(entry, name, length) != 0 || entry[length] != '.') {
        return false;
    }
    const char *digits = entry + length + 1;
    size_t n = strspn(digits, "0123456789abcdef");
    const char *time = digits + n + 1;
    return n == INCARNATION_DIGITS && digits[n] == '-' && time[0] != '\0' &&
           time[strspn(time, "0123456789")] == '\0';
}

int copies_sweep(const char *path, const struct store_sweep *sweep) {
    _cleanup_free_ char *for_folder = strdup(path);
    _cleanup_free_ char *for_name = strdup(path);
    if (for_folder == NULL || for_name == NULL) {
        return SQLITE_NOMEM;
    }
    const char *folder_name = dirname(for_folder), *name = basename(for_name);
    DIR *folder = opendir(folder_name);
    int code = folder == NULL ? SQLITE_CANTOPEN : SQLITE_OK;
    for (struct dirent *entry; code == SQLITE_OK && (entry = readdir(folder)) != NULL;) {
        char copy[PATH_MAX];
        if (!is_copy(entry->d_name, name) || !GUARD(crm_copies)) {
            continue;
        }
        int size = snprintf(copy, sizeof(copy), "%s/%s", folder_name, entry->d_name);
        code = size < 0 || (size_t)size >= sizeof(copy) ? SQLITE_CANTOPEN
                                                        : open_and_sweep(copy, sweep);
        sweep->beat(sweep->user);
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return code;
}
