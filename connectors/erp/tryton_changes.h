// SPDX-License-Identifier: Apache-2.0
// What comes back from Tryton: sales, shipments, invoices, prices and purchases that changed since
// the last look become events. Asked from collect, on the loop's thread, a page a call: a round
// ends when everything was looked at, and a collect after CHANGES_BUSY_MS even within a round, so
// that orders do not wait long. A thread of its own would need a session of its own, and with it
// twice the attempts after which Tryton locks a user out.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connectors/erp/tryton_rpc.h"
#include "connectors/kit/kit.h"

enum {
    CHANGES_OVERLAP_S = 60,   // looked at again: a row bears the time its transaction began
    CHANGES_QUIET_S = 600,    // after so long without news nothing is looked at again
    CHANGES_PAGE_ROWS = 100,  // in one answer
    CHANGES_MORE_ROWS = 2000, // in the answer of what has to be known besides
    CHANGES_BUSY_MS = 500,    // of one collect; a call that has begun is waited for
    CHANGES_AWAY_S_MAX = 60,  // between two attempts while Tryton is away
    CHANGES_FIRST_S = 3600,   // before the first start: what is looked at then
};

// Counters of the descriptor, in this order from first_counter on.
enum {
    CHANGES_NEWS,         // events
    CHANGES_ROUNDS,       // looks at everything
    CHANGES_FAILURES,     // calls that failed
    CHANGES_UNREFERENCED, // sales and invoices without a reference
    CHANGES_UNREADABLE,   // rows that are not as expected
    CHANGES_REFUSED,      // events that the broker refused; they are in quarantine
    CHANGES_COUNTERS,
};
#define CHANGES_COUNTER_NAMES                                                                      \
    "tryton_news", "tryton_looks", "tryton_look_failures", "tryton_unreferenced",                  \
        "tryton_unreadable", "tryton_refused"

struct tryton_changes_options {
    struct kit *kit;
    struct tryton *tryton; // borrowed; asked only while no call of others is under way
    int64_t every_us;      // from the end of a round to the next one's begin
    size_t first_counter;
};

struct tryton_changes;

// Options are copied. 0; negative errno, logged.
int tryton_changes_open(const struct tryton_changes_options *options, struct tryton_changes **ret);
// Takes NULL; returns NULL.
struct tryton_changes *tryton_changes_close(struct tryton_changes *changes);
// The configuration was reloaded: another pace, and the next look is at once.
void tryton_changes_hurry(struct tryton_changes *changes, int64_t every_us);
// From the descriptor's collect. Negative errno of the disk; a Tryton that is away is not one.
int tryton_changes_collect(struct tryton_changes *changes);
// From the descriptor's settled. False: the item is somebody else's.
bool tryton_changes_settled(struct tryton_changes *changes, void *item, const struct kit_ack *ack);
