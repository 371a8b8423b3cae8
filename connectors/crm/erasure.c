// SPDX-License-Identifier: Apache-2.0
// Rows first, the rest when they are durably gone. A sweep that is cut off is done again: the table
// of erasures knows that it is open, and the event was not confirmed.
#include "connectors/crm/erasure.h"

#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum { PROGRESS_STEPS = 100000 /* of SQLite's machine: some milliseconds */ };

int erasure_apply(struct sql_file *file, const struct store_event *event) {
    int code = SQLITE_OK;
    for (int i = SQL_ERASE_FIRST; i <= SQL_ERASE_LAST && code == SQLITE_OK; i++) {
        code = sql_run(file, i, "i", (int64_t)event->customer);
    }
    return code == SQLITE_OK ? sql_run(file, SQL_ERASURE, "iis", (int64_t)event->customer,
                                       (int64_t)event->sequence, event->received)
                             : code;
}

// SQLITE_BUSY where a reader still needs the log's pages.
static int truncate_log(const struct sql_file *file) {
    int code =
        sqlite3_wal_checkpoint_v2(file->database, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    return code == SQLITE_OK ? SQLITE_OK : sqlite3_extended_errcode(file->database);
}

static int on_progress(void *user) {
    const struct store_sweep *sweep = user;
    sweep->beat(sweep->user);
    return 0;
}

// The log first: where a reader stands in the way it is said before the work is done.
static int vacuum(const struct sql_file *file, const struct store_sweep *sweep) {
    union {
        const struct store_sweep *from;
        void *to;
    } user = {.from = sweep};
    int code = truncate_log(file);
    if (code == SQLITE_OK && GUARD(crm_vacuum)) {
        sqlite3_progress_handler(file->database, PROGRESS_STEPS, on_progress, user.to);
        code = sql_script(file, "VACUUM");
        sqlite3_progress_handler(file->database, 0, NULL, NULL);
    }
    return code == SQLITE_OK && GUARD(crm_truncate_log) ? truncate_log(file) : code;
}

int erasure_sweep(struct sql_file *file, const char *path, const struct store_sweep *sweep) {
    char is_open[2];
    int code = sql_text(file, SQL_ERASURES_OPEN, is_open, sizeof(is_open));
    if (code != SQLITE_OK || is_open[0] == '\0') {
        return code;
    }
    code = vacuum(file, sweep);
    code = code == SQLITE_OK ? copies_sweep(path, sweep) : code;
    code = code == SQLITE_OK ? sql_run(file, SQL_ERASURES_SWEPT, "") : code;
    if (code == SQLITE_OK) {
        logging_info("database=%s erasure=swept", path);
    }
    return code;
}
