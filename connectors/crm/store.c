// SPDX-License-Identifier: Apache-2.0
// Batches against the customer file. Which SQLite errors blame an event and which the file is the
// one judgement here: constraints and values are the event's, everything else is the file's.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connectors/crm/effects.h"
#include "connectors/crm/erasure.h"
#include "connectors/crm/sqlite.h"
#include "connectors/crm/store.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

extern const char crm_clear[];

enum { INCARNATION_TEXT_BYTES = 2 * STORE_INCARNATION_BYTES + 1 };

struct store {
    struct sql_file file;
    char *path;
};

int store_open(const char *path, struct store **ret) {
    struct store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return -ENOMEM;
    }
    store->path = strdup(path);
    int r = store->path != NULL ? sql_open(path, &store->file) : -ENOMEM;
    if (r < 0) {
        store_close(store);
        return r;
    }
    *ret = store;
    return 0;
}

struct store *store_close(struct store *store) {
    if (store != NULL) {
        sql_close(&store->file);
        free(store->path);
        free(store);
    }
    return NULL;
}

// Names the code only: SQLite's own message may quote what a trigger or a check says about values.
static int away(struct store *store, int code, char *why) {
    if (sqlite3_get_autocommit(store->file.database) == 0) {
        sql_run(&store->file, SQL_ROLLBACK, "");
    }
    snprintf(why, STORE_WHY_BYTES, "sqlite: %s (%d)", sqlite3_errstr(code), code);
    return STORE_AWAY;
}

static bool is_events_fault(int code) {
    switch (code & 0xff) { // the primary code
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
        return true;
    default:
        return false;
    }
}

// ---- the log that the file belongs to

static char *format_incarnation(const uint8_t *incarnation,
                                char ret[static INCARNATION_TEXT_BYTES]) {
    for (size_t i = 0; i < STORE_INCARNATION_BYTES; i++) {
        snprintf(ret + 2 * i, 3, "%02x", incarnation[i]);
    }
    return ret;
}

static int sync_copy(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0) {
        close(fd);
    }
    return r == 0 ? SQLITE_OK : SQLITE_IOERR_FSYNC;
}

// In one transaction, so that readers see the one log or the other. Another member may have been
// faster: then there is nothing to do.
static int empty(struct store *store, const char *old, const char *new) {
    char now[INCARNATION_TEXT_BYTES];
    int code = sql_run(&store->file, SQL_BEGIN, "");
    if (code == SQLITE_OK) {
        code = sql_text(&store->file, SQL_LOG_GET, now, sizeof(now));
    }
    if (code == SQLITE_OK && strcmp(now, old) == 0) {
        code = sql_script(&store->file, crm_clear);
        code = code == SQLITE_OK ? sql_run(&store->file, SQL_LOG_SET, "s", new) : code;
    }
    return code == SQLITE_OK ? sql_run(&store->file, SQL_COMMIT, "") : code;
}

// Copies what there is to FILE.<its incarnation>-<time>, then empties the file for the new log.
static int switch_log(struct store *store, const char *old, const char *new) {
    char copy[PATH_MAX];
    int size =
        snprintf(copy, sizeof(copy), "%s.%s-%lld", store->path, old, (long long)clock_now_us());
    if (size < 0 || (size_t)size >= sizeof(copy)) {
        return SQLITE_CANTOPEN;
    }
    int code = sql_run(&store->file, SQL_COPY_ASIDE, "s", copy);
    code = code == SQLITE_OK ? sync_copy(copy) : code;
    code = code == SQLITE_OK ? empty(store, old, new) : code;
    if (code == SQLITE_OK) {
        logging_warning("database=%s incarnation=%s replaced=%s copy=%s", store->path, new, old,
                        copy);
    }
    return code;
}

int store_begin(struct store *store, const uint8_t incarnation[static STORE_INCARNATION_BYTES],
                char *why) {
    char new[INCARNATION_TEXT_BYTES], old[INCARNATION_TEXT_BYTES];
    format_incarnation(incarnation, new);
    int code = sql_run(&store->file, SQL_BEGIN, "");
    if (code == SQLITE_OK) {
        code = sql_text(&store->file, SQL_LOG_GET, old, sizeof(old));
    }
    if (code == SQLITE_OK && old[0] == '\0') {
        code = sql_run(&store->file, SQL_LOG_SET, "s", new);
    } else if (code == SQLITE_OK && strcmp(old, new) != 0) {
        sql_run(&store->file, SQL_ROLLBACK, "");
        code = switch_log(store, old, new);
        code = code == SQLITE_OK ? sql_run(&store->file, SQL_BEGIN, "") : code;
    }
    return code == SQLITE_OK ? 0 : away(store, code, why);
}

// ---- an event

// Everything of one event. The fence first: it says whether there is anything to do.
static int write_event(struct store *store, const struct store_event *event, bool *ret_repeat,
                       char *why) {
    struct sql_file *file = &store->file;
    int code = sql_run(file, SQL_FENCE, "ii", (int64_t)event->lane, (int64_t)event->sequence);
    if (code != SQLITE_OK || (GUARD(crm_fence) && !sql_changed(file))) {
        *ret_repeat = true;
        return code;
    }
    code = effects_score(&file->sql, event);
    if (code != SQLITE_OK) {
        return code;
    }
    if (event->erases) {
        return erasure_apply(file, event);
    }
    if (event->redacted && GUARD(crm_redacted)) {
        return SQLITE_OK;
    }
    code = effects_apply(&file->sql, event, why);
    return code == EFFECTS_MISMATCH    ? SQLITE_MISMATCH
           : code == EFFECTS_NO_MEMORY ? SQLITE_NOMEM
                                       : code;
}

enum store_outcome store_apply(struct store *store, const struct store_event *event, char *why) {
    bool is_repeat = false;
    why[0] = '\0';
    int code = sql_run(&store->file, SQL_EVENT_BEGIN, "");
    if (code == SQLITE_OK) {
        code = write_event(store, event, &is_repeat, why);
    }
    if (code == SQLITE_OK) {
        code = sql_run(&store->file, SQL_EVENT_KEEP, "");
        return code != SQLITE_OK ? (enum store_outcome)away(store, code, why)
               : is_repeat       ? STORE_REPEAT
                                 : STORE_APPLIED;
    }
    int undone = SQLITE_ERROR;
    if (is_events_fault(code) && sqlite3_get_autocommit(store->file.database) == 0) {
        undone = sql_run(&store->file, SQL_EVENT_UNDO, "");
        undone = undone == SQLITE_OK ? sql_run(&store->file, SQL_EVENT_KEEP, "") : undone;
    }
    if (undone != SQLITE_OK) {
        return (enum store_outcome)away(store, code, why);
    }
    if (why[0] == '\0') {
        snprintf(why, STORE_WHY_BYTES, "sqlite: %s (%d)", sqlite3_errstr(code), code);
    }
    return STORE_REJECTED;
}

int store_commit(struct store *store, char *why) {
    int code = sql_run(&store->file, SQL_COMMIT, "");
    return code == SQLITE_OK ? 0 : away(store, code, why);
}

int store_deliver(struct store *store, const uint8_t incarnation[static STORE_INCARNATION_BYTES],
                  const struct store_event *events, size_t n_events, struct store_result *results,
                  char *why) {
    int r = store_begin(store, incarnation, why);
    for (size_t i = 0; i < n_events && r == 0; i++) {
        results[i].outcome = store_apply(store, &events[i], results[i].why);
        if (results[i].outcome == STORE_AWAY) {
            snprintf(why, STORE_WHY_BYTES, "%s", results[i].why);
            r = STORE_AWAY;
        }
    }
    return r == 0 ? store_commit(store, why) : r;
}

int store_sweep(struct store *store, const struct store_sweep *sweep, char *why) {
    int code = erasure_sweep(&store->file, store->path, sweep);
    return code == SQLITE_OK ? 0 : away(store, code, why);
}
