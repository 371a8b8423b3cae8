// SPDX-License-Identifier: Apache-2.0
// The order is the promise: keys_destroy is on disk before anything is logged. What stands between
// the two, at a start, is whoever has a destroyed key and a record that is not erased. A merged
// customer is erased with all its leaves: each has its key, its event and its record, the surviving
// one last, so that its event is behind those of the others.
#include "broker/tick/erase.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "broker/faultpoint.h"
#include "broker/tick/tick_internal.h"
#include "broker/tick/whose.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/reasons.h"

enum { ERASED_A_TICK_MAX = 256 }; // of those that a start found

static int append(struct tick *tick, uint64_t customer, const char *actor, uint64_t *ret_sequence) {
    json_t *data = json_pack("{s:s, s:s}", "kind", "erasure", "state", "done");
    int r = tick_append_own(tick, "privacy.changed", data, actor, customer, true, ret_sequence);
    if (r != 0) {
        return r;
    }
    tick->n_erased++;
    return log_put(tick_log(tick), LOG_META, ERASE_MARK, sizeof(ERASE_MARK) - 1, "", 0);
}

// Everything that was merged with the customer, the surviving one last. 0 or a negative errno.
static int all_leaves(struct tick *tick, uint64_t customer, uint64_t ret[static STAMP_LEAVES_MAX],
                      size_t *ret_n) {
    const View__Customer *record;
    uint64_t survivor;
    int r = fold_flush(tick->fold, tick->view); // what this tick erased is seen, too
    r = r != 0 ? r : fold_survivor(tick->fold, tick->view, customer, &survivor);
    r = r != 0 ? r : fold_customer(tick->fold, tick->view, survivor, &record);
    if (r != 0 || record->n_leaves >= STAMP_LEAVES_MAX) {
        return r != 0 ? r : -EBADMSG;
    }
    size_t n = 0;
    while (GUARD(erase_all_leaves) && n < record->n_leaves) {
        ret[n] = record->leaves[n];
        n++;
    }
    ret[n++] = survivor;
    *ret_n = n;
    return 0;
}

// Leaves that are erased already, and said to be, are passed over. *ret_sequence: of the customer's
// own event.
static int erase_leaves(struct tick *tick, const uint64_t *leaves, size_t n, const char *actor) {
    uint64_t sequence = 0;
    int r = 0;
    for (size_t i = 0; r >= 0 && i < n; i++) {
        r = keys_destroy(tick->broker->keys, leaves[i], tick->now_us); // 1: it was before
        keys_reader_forget(tick->view_keys, leaves[i]);
        fold_forget(tick->fold, leaves[i]);
    }
    if (r < 0) {
        return r;
    }
    r = 0;
    FAULTPOINT("in-erasure");
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = whose_erased_sequence(tick->view, leaves[i], &sequence);
        r = r == 0 && sequence == 0 ? append(tick, leaves[i], actor, &sequence) : r;
    }
    return r > 0 ? -EPROTO : r; // there is room, and the events are of our own making
}

int erase_customer(struct tick *tick, uint64_t customer, const char *actor,
                   uint64_t *ret_sequence) {
    uint64_t leaves[STAMP_LEAVES_MAX];
    size_t n = 0;
    uint64_t sequence = 0;
    int r = all_leaves(tick, customer, leaves, &n);
    r = r != 0 ? r : whose_erased_sequence(tick->view, customer, &sequence);
    if (r == 0 && sequence == 0) {
        if (!tick_has_room_for(tick, n)) {
            return REASON_BUSY; // before anything is destroyed
        }
        r = erase_leaves(tick, leaves, n, actor);
        r = r != 0 ? r : fold_flush(tick->fold, tick->view);
        r = r != 0 ? r : whose_erased_sequence(tick->view, leaves[n - 1], &sequence);
    }
    *ret_sequence = sequence;
    return r;
}

int erase_settle(struct tick *tick, uint64_t erasures) {
    if (tick->n_erased > 0 || atomic_load(&tick->broker->erasures) != erasures) {
        return REASON_BUSY;
    }
    int r = log_delete(tick_log(tick), LOG_META, ERASE_MARK, sizeof(ERASE_MARK) - 1);
    return r < 0 ? r : 0;
}

// ---- at a start

struct search {
    struct tick *tick;
    struct view_txn *txn;
    size_t n_allocated;
};

static int add_unsaid(void *user, uint64_t customer, int64_t time_us) {
    (void)time_us;
    struct search *search = user;
    struct tick *tick = search->tick;
    uint64_t sequence = 0;
    if (customer > tick->customers_last) {
        return 0; // of a later log than this one: nobody here
    }
    int r = whose_erased_sequence(search->txn, customer, &sequence);
    if (r != 0 || sequence != 0) {
        return r;
    }
    if (tick->n_unsaid == search->n_allocated) {
        size_t n = 2 * search->n_allocated + 16;
        uint64_t *grown = reallocarray(tick->unsaid, n, sizeof(*grown));
        if (grown == NULL) {
            return -ENOMEM;
        }
        tick->unsaid = grown;
        search->n_allocated = n;
    }
    tick->unsaid[tick->n_unsaid++] = customer;
    return 0;
}

int erase_load(struct tick *tick) {
    struct search search = {.tick = tick};
    if (!GUARD(reconcile_at_start) || keys_n_destroyed(tick->broker->keys) == 0) {
        return 0;
    }
    int r = view_begin(tick->broker->view, false, &search.txn);
    if (r != 0) {
        return r;
    }
    r = keys_each_destroyed(tick->broker->keys, add_unsaid, &search);
    view_abort(search.txn);
    if (tick->n_unsaid > 0) {
        logging_info("event=erasures-made-good customers=%zu", tick->n_unsaid);
    }
    return r;
}

// Of a merged customer the broker may have died between two of its keys: all go.
int erase_go_on(struct tick *tick) {
    int r = 0;
    for (size_t n = 0; r == 0 && n < ERASED_A_TICK_MAX && tick->n_unsaid > 0; n++) {
        uint64_t sequence;
        r = erase_customer(tick, tick->unsaid[tick->n_unsaid - 1], "", &sequence);
        tick->n_unsaid -= r == 0;
    }
    return r == REASON_BUSY ? 0 : r;
}
