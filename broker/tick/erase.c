// SPDX-License-Identifier: Apache-2.0
// The order is the promise: keys_destroy is on disk before anything is logged. What stands between
// the two, at a start, is whoever has a destroyed key and a record that is not erased.
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

int erase_customer(struct tick *tick, uint64_t customer, const char *actor,
                   uint64_t *ret_sequence) {
    uint64_t sequence = 0;
    if (!tick_has_room(tick)) {
        return REASON_BUSY; // before anything is destroyed
    }
    int r = fold_flush(tick->fold, tick->view); // what this tick erased is seen, too
    r = r != 0 ? r : whose_erased_sequence(tick->view, customer, &sequence);
    if (r == 0 && sequence != 0) {
        *ret_sequence = sequence;
        return 0;
    }
    r = r != 0 ? r : keys_destroy(tick->broker->keys, customer, tick->now_us);
    if (r < 0) {
        return r;
    }
    FAULTPOINT("in-erasure");
    r = append(tick, customer, actor, ret_sequence);
    return r > 0 ? -EPROTO : r; // there is room, and the event is of our own making
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

int erase_go_on(struct tick *tick) {
    int r = 0;
    for (size_t n = 0; r == 0 && n < ERASED_A_TICK_MAX && tick->n_unsaid > 0 && tick_has_room(tick);
         n++) {
        uint64_t sequence, customer = tick->unsaid[--tick->n_unsaid];
        r = whose_erased_sequence(tick->view, customer, &sequence);
        if (r == 0 && sequence == 0) { // nobody asked again meanwhile
            r = append(tick, customer, "", &sequence);
        }
    }
    return r > 0 ? -EPROTO : r;
}
