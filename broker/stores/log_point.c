// SPDX-License-Identifier: Apache-2.0
// Points of the log's file, and how a start comes back to one: as the view's restore points
// (restore.md), but kept in the journal, whose records lead from there to the last commit.
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/faultpoint.h"
#include "broker/stores/log_journal_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

_Static_assert((int)STORE_MARK_BYTES == (int)JOURNAL_ID_BYTES, "the mark is the journal's id");

// ---- taking one

int log_point_describe(struct log_journal *journal, struct store_txn **ret_pin,
                       struct log_point *ret) {
    uint8_t page[STORE_PAGE_BYTES_MAX];
    size_t size = 0;
    struct store_txn *pin = NULL;
    struct log_point point = {.number = journal_number(journal->files)};
    int r = store_begin(journal->log->store, false, &pin);
    r = r == 0 ? store_read_meta(pin, page, &size) : r;
    r = r == 0 ? log_get_id(pin, LOG_KEY_INCARNATION, point.incarnation) : r;
    if (r != 0) {
        store_abort(pin);
        return r > 0 ? -EBADMSG : r;
    }
    point.txn_id = store_txn_id(pin);
    point.page_bytes = (uint32_t)size;
    memcpy(point.meta, page, sizeof(point.meta));
    *ret = point;
    *ret_pin = pin;
    return 0;
}

int log_point_write(struct log_journal *journal, const struct log_point *point) {
    int r = GUARD(log_data_sync) ? store_sync(journal->log->store) : 0;
    FAULTPOINT("in-log-point");
    return r == 0 ? journal_write_point(journal->files, point->number, point, sizeof(*point)) : r;
}

// ---- going back

static int write_back(const char *dir, const struct log_point *point) {
    uint8_t page[STORE_PAGE_BYTES_MAX] = {0};
    const char *why = "the point is damaged";
    memcpy(page, point->meta, sizeof(point->meta));
    int r = point->page_bytes < sizeof(point->meta) || point->page_bytes > sizeof(page)
                ? 1
                : store_write_meta(dir, page, point->page_bytes, point->txn_id, &why);
    if (r == 1) {
        logging_error("journal=%s/journal-0 error=\"%s\"", dir, why);
    }
    return r == 1 ? -EUCLEAN : r;
}

static int read_point(struct log_journal *journal) {
    uint8_t bytes[JOURNAL_POINT_BYTES_MAX];
    size_t size = 0;
    int r = journal_read_point(journal->files, bytes, &size);
    if (r < 0) {
        return r;
    }
    if (r == 1 || size != sizeof(journal->point)) {
        logging_error("journal=%s/journal-0 error=\"no point of the file beside it\"",
                      journal->dir);
        return -EUCLEAN;
    }
    memcpy(&journal->point, bytes, size);
    return 0;
}

static int journal_new(const char *dir, struct log_journal **ret) {
    struct log_journal *journal = calloc(1, sizeof(*journal));
    if (journal == NULL) {
        return -ENOMEM;
    }
    pthread_mutex_init(&journal->lock, NULL);
    pthread_cond_init(&journal->wake, NULL);
    pthread_cond_init(&journal->done, NULL);
    journal->dir = strdup(dir);
    if (journal->dir == NULL) {
        log_journal_drop(journal);
        return -ENOMEM;
    }
    *ret = journal;
    return 0;
}

struct log_journal *log_journal_drop(struct log_journal *journal) {
    if (journal != NULL) {
        store_abort(journal->pin);
        journal_close(journal->files);
        pthread_mutex_destroy(&journal->lock);
        pthread_cond_destroy(&journal->wake);
        pthread_cond_destroy(&journal->done);
        free(journal->dir);
        free(journal);
    }
    return NULL;
}

int log_journal_restore(const char *dir, struct log_journal **ret) {
    uint8_t mark[STORE_MARK_BYTES];
    struct log_journal *journal = NULL;
    int r = store_get_mark(dir, mark);
    if (r != 0) {
        return r == -ENOENT ? 1 : r; // which is the store's to judge
    }
    r = journal_new(dir, &journal);
    if (r == 0) {
        r = journal_open(dir, mark, false, &journal->files);
        r = r == -ENOENT ? -ENOLINK : r;
    }
    r = r == 0 ? read_point(journal) : r;
    r = r == 0 ? write_back(dir, &journal->point) : r;
    if (r < 0) {
        log_journal_drop(journal);
        return r;
    }
    *ret = journal;
    return 0;
}

// ---- taking in what the journal has

struct replay {
    struct store *store;
    struct store_txn *txn; // NULL between two records
    uint64_t n;
};

static int replay_change(void *user, const struct journal_change *change) {
    struct replay *replay = user;
    int r = replay->txn == NULL ? store_begin(replay->store, true, &replay->txn) : 0;
    return r == 0 ? log_apply(replay->txn, change) : r;
}

static int replay_done(void *user) {
    struct replay *replay = user;
    struct store_txn *txn = STEAL(replay->txn);
    replay->n++;
    return txn == NULL ? 0 : store_commit(txn);
}

static int replay(struct log_journal *journal) {
    struct replay replay = {.store = journal->log->store};
    int r =
        journal_replay(journal->files, journal->point.number, replay_change, replay_done, &replay);
    store_abort(replay.txn);
    if (r == 0 && replay.n > 0) {
        logging_info("journal=replayed records=%" PRIu64, replay.n);
    }
    return r;
}

static int begin_restored(struct log_journal *journal) {
    struct store *store = journal->log->store;
    uint8_t incarnation[INCARNATION_BYTES];
    // A killed predecessor's last record may lie in the page cache only; once somebody has seen it,
    // it must be on disk.
    int r = GUARD(log_startup_sync) ? journal_sync(journal->files) : 0;
    r = r == 0 ? store_set_no_sync(store, true) : r;
    r = r == 0 ? store_begin(store, false, &journal->pin) : r;
    r = r == 0 ? log_get_id(journal->pin, LOG_KEY_INCARNATION, incarnation) : r;
    if (r == 0 && memcmp(incarnation, journal->point.incarnation, sizeof(incarnation)) != 0) {
        r = -EUCLEAN;
    }
    r = r == 0 ? replay(journal) : r;
    journal->begun = journal_number(journal->files);
    return r > 0 ? -EBADMSG : r;
}

// ---- a journal for a log that has none

// 0; 1: there is no room for it.
static int begin_new(struct log_journal *journal) {
    uint8_t id[JOURNAL_ID_BYTES];
    randombytes_buf(id, sizeof(id));
    int r = journal_open(journal->dir, id, true, &journal->files);
    if (r == -ENOSPC) {
        logging_warning("journal=none why=\"no room\" hint=\"commits take twice as long\"");
        return 1;
    }
    r = r == 0 ? log_point_describe(journal, &journal->pin, &journal->point) : r;
    r = r == 0 ? log_point_write(journal, &journal->point) : r;
    // From here on the file may not be opened without its journal.
    r = r == 0 ? store_set_mark(journal->dir, id) : r;
    return r == 0 ? store_set_no_sync(journal->log->store, true) : r;
}

int log_journal_begin(struct log *log, const char *dir, struct log_journal *journal,
                      struct log_journal **ret) {
    bool restored = journal != NULL;
    int r = restored ? 0 : journal_new(dir, &journal);
    if (r < 0) {
        return r;
    }
    journal->log = log;
    r = restored ? begin_restored(journal) : begin_new(journal);
    r = r == 0 ? log_journal_start(journal) : r;
    if (r != 0) {
        log_journal_drop(journal);
        return r < 0 ? r : 0;
    }
    *ret = journal;
    return 0;
}
