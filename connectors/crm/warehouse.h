// SPDX-License-Identifier: Apache-2.0
// The PostgreSQL warehouse as a sink. A batch is one transaction: first the fence of each lane
// moves from a lower sequence to the event's, which says what is new here; then what the new events
// write; then the commit. So an event is in here once, however often it is delivered, and whoever
// delivers it: a second sink waits at the fences and finds its events to be repeats.
//
// An error in the data takes the whole transaction back; the event is then found by halving, and it
// alone is rejected. What the server cannot do now is away: nothing is rejected for it.
#pragma once

#include "connectors/crm/postgres.h"
#include "connectors/crm/store.h"

enum {
    WAREHOUSE_EVENTS_MAX = 1024,     // of one call
    WAREHOUSE_AGAIN_MAX = 5,         // a transaction that lost against others is tried so often
    WAREHOUSE_ERASE_MS_MAX = 600000, // where it erases somebody
    WAREHOUSE_MONTHS_MAX = 64,       // partitions known to be there; then they are asked for anew
};

struct warehouse;

// timeout_ms is for each of a batch's two answers. Migrates where the server is there. 0; -EINVAL
// after one logged line: a newer program made it; another negative errno. A server that is away is
// no error: it is waited for.
int warehouse_open(const struct postgres_conf *conf, int64_t timeout_ms, struct warehouse **ret);
// As postgres_redirect, with a new timeout.
int warehouse_redirect(struct warehouse *warehouse, const struct postgres_conf *conf,
                       int64_t timeout_ms);
struct warehouse *warehouse_close(struct warehouse *warehouse); // takes NULL; returns NULL
// Its connection, made where there is none; NULL: the server is away. For between batches.
struct postgres *warehouse_postgres(struct warehouse *warehouse);
// As store_deliver of the file.
int warehouse_deliver(struct warehouse *warehouse,
                      const uint8_t incarnation[static STORE_INCARNATION_BYTES],
                      const struct store_event *events, size_t n_events,
                      struct store_result *results, char *why);
int warehouse_sweep(struct warehouse *warehouse, const struct store_sweep *sweep, char *why);
