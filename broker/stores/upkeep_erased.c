// SPDX-License-Identifier: Apache-2.0
// After an erasure, away from the tick: the person's quarantined events go, in slices that are read
// here and deleted by the tick; the key's old pages are overwritten; a restore point is taken, so
// that no start goes back behind it. A mark in the log stands until all of it is done.
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "broker/stores/upkeep_internal.h"
#include "broker/tick/erase.h"
#include "broker/tick/quarantine.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum {
    PURGE_ROWS = 64, // read in one slice
    AGAIN_MS = 1000, // after something was in the way
};

struct purge {
    struct upkeep *upkeep;
    struct whose whose;
    uint8_t last[QUARANTINE_KEY_BYTES]; // row looked at
    bool began, more;
    size_t n_rows, n_found;
    uint8_t found[PURGE_ROWS][QUARANTINE_KEY_BYTES];
};

static int judge_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct purge *purge = user;
    struct upkeep *upkeep = purge->upkeep;
    struct quarantine_row row;
    bool erased = false;
    if (key_size != QUARANTINE_KEY_BYTES || quarantine_parse(value, size, &row) != 0) {
        return 0; // said by whoever lists it
    }
    if (purge->began && memcmp(key, purge->last, key_size) == 0) {
        return 0;
    }
    if (purge->n_rows == PURGE_ROWS) {
        purge->more = true;
        return 1;
    }
    arena_reset(upkeep->arena);
    int r =
        quarantine_is_erased(&purge->whose, upkeep->broker->catalogue, upkeep->keys, &row, &erased);
    if (r == 0 && erased) {
        memcpy(purge->found[purge->n_found++], key, key_size);
    }
    memcpy(purge->last, key, key_size);
    purge->n_rows++;
    return r;
}

// One slice. 0, or a negative errno.
static int judge(struct purge *purge) {
    struct upkeep *upkeep = purge->upkeep;
    bool from = purge->n_rows > 0;
    purge->began = from;
    purge->more = false;
    purge->n_rows = purge->n_found = 0;
    int r = view_begin(upkeep->broker->view, false, &purge->whose.txn);
    r = r != 0 ? r : keys_reader_begin(upkeep->keys);
    r = r != 0 ? r : log_reader_begin(upkeep->log);
    if (r == 0) {
        r = log_reader_scan(upkeep->log, LOG_QUARANTINE, NULL, 0, from ? purge->last : NULL,
                            from ? sizeof(purge->last) : 0, judge_row, purge);
        log_reader_end(upkeep->log);
    }
    keys_reader_end(upkeep->keys);
    view_abort(purge->whose.txn);
    purge->whose.txn = NULL;
    return r < 0 ? r : 0;
}

struct purge_request {
    struct upkeep_request request; // first
    const struct purge *purge;
};

static int write_purge(struct upkeep_request *request, struct tick *tick) {
    const struct purge *purge = ((struct purge_request *)request)->purge;
    for (size_t i = 0; i < purge->n_found; i++) {
        int r = quarantine_drop(tick, purge->found[i]); // one that went meanwhile is no matter
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

// 0; positive: the tick is busy; negative errno.
static int purge_quarantine(struct upkeep *upkeep) {
    struct purge purge = {.upkeep = upkeep, .more = true};
    purge.whose = (struct whose){
        .keys = upkeep->broker->keys, .arena = upkeep->arena, .policies = upkeep->broker->policy};
    size_t n = 0;
    int r = 0;
    while (r == 0 && purge.more && !atomic_load(&upkeep->broker->stop)) {
        r = judge(&purge);
        struct purge_request request = {.request.write = write_purge, .purge = &purge};
        if (r == 0 && GUARD(quarantine_of_erased) && purge.n_found > 0) {
            r = upkeep_ask(upkeep, &request.request);
            n += purge.n_found;
        }
    }
    if (n > 0) {
        logging_info("event=quarantine-purged rows=%zu", n);
    }
    return r != 0 ? r : purge.more;
}

static int write_settled(struct upkeep_request *request, struct tick *tick) {
    return erase_settle(tick, request->erasures);
}

static int settle(struct upkeep *upkeep, uint64_t erasures) {
    struct upkeep_request request = {.write = write_settled, .erasures = erasures};
    return upkeep_ask(upkeep, &request);
}

// Whether the log says that somebody is not done with.
static int is_marked(struct upkeep *upkeep, bool *ret) {
    const void *value;
    size_t size;
    int r = log_reader_begin(upkeep->log);
    if (r == 0) {
        r = log_reader_get(upkeep->log, LOG_META, ERASE_MARK, sizeof(ERASE_MARK) - 1, &value,
                           &size);
        log_reader_end(upkeep->log);
    }
    *ret = r == 0;
    return r < 0 ? r : 0;
}

static int clean(struct upkeep *upkeep) {
    uint64_t erasures = atomic_load(&upkeep->broker->erasures);
    bool marked = false;
    int r = is_marked(upkeep, &marked);
    if (r == 0 && marked) {
        r = purge_quarantine(upkeep);
        upkeep_point(upkeep, true);
    }
    if (r == 0 && keys_needs_scrub(upkeep->broker->keys)) {
        r = keys_scrub(upkeep->broker->keys);
        if (r < 0) {
            broker_fatal("keys-scrub", r);
        }
    }
    r = r == 0 && marked ? settle(upkeep, erasures) : r;
    upkeep->erasures_done = r == 0 ? erasures : upkeep->erasures_done;
    return r;
}

void upkeep_erased(struct upkeep *upkeep) {
    int64_t now_us = clock_monotonic_us();
    if (upkeep->erasures_done == atomic_load(&upkeep->broker->erasures) ||
        now_us < upkeep->erased_again_us) {
        return;
    }
    int r = clean(upkeep);
    upkeep->erased_again_us = r == 0 ? 0 : now_us + AGAIN_MS * CLOCK_US_PER_MS;
    if (r < 0) {
        logging_error("event=erasure-unfinished error=\"%s\"", strerror(-r));
    }
}
