// SPDX-License-Identifier: Apache-2.0
// Orders on their way into Tryton: each event is a job that goes from step to step, each step one
// call, several jobs side by side. A job begins by asking for the sale by the order's id and comes
// back to that after everything it did: what counts is the state found in the ERP, never what this
// process remembers, so that a crash anywhere leads on from where things stand.
#pragma once

#include "connectors/erp/tryton_rpc.h"
#include "connectors/kit/kit.h"

enum { TRYTON_ORDERS_MAX = TRYTON_CALLS_MAX }; // worked on at once

enum tryton_counter {
    TRYTON_SALES_MADE,     // confirmed
    TRYTON_SALES_REPEATED, // found confirmed
    TRYTON_SALES_STRAY,    // drafts of a doubt, cancelled
    TRYTON_PRICES_DIFFER,  // lines whose price is not the ERP's
    TRYTON_PARTIES,        // made
    TRYTON_CHANGES,        // orders cancelled or amended
    TRYTON_CHANGES_REFUSED,
    TRYTON_ORDERS_UNKNOWN, // changes of orders that Tryton has not
    TRYTON_ERASED,         // parties
    TRYTON_COUNTERS,
};
#define TRYTON_COUNTER_NAMES                                                                       \
    "tryton_sales", "tryton_sales_repeated", "tryton_sales_stray", "tryton_prices_differ",         \
        "tryton_parties", "tryton_changes", "tryton_changes_refused", "tryton_orders_unknown",     \
        "tryton_erased"

struct tryton_orders {
    struct kit *kit;
    struct tryton *tryton;
    size_t first_counter; // index of TRYTON_SALES_MADE in the descriptor's counters
    const char *source;   // of this connector's own events
};

// order.placed, order.changed and erasures; n_events is at most TRYTON_ORDERS_MAX. All results are
// set. KIT_AWAY on one of them stands for an ERP that is away.
void tryton_orders_deliver(const struct tryton_orders *orders, touchbus_event *const *events,
                           size_t n_events, struct kit_result *results);
