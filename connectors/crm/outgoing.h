// SPDX-License-Identifier: Apache-2.0
// What people change in the CRM comes back: rows of the warehouse's table outgoing become events,
// and what the broker answered is written into the row that asked. One instance at a time reads the
// table (a lock of its session, gone with it), in the order of the rows' ids, a batch at a time; a
// row is settled after the broker's ack and repeated as the same event where that was lost.
//
// Only rows of that table ever become events: what the sink writes is never read back.
#pragma once

#include "connectors/crm/postgres.h"
#include "connectors/kit/kit.h"

enum {
    OUTGOING_POLL_MS = 1000,   // a look at the table where no notice came
    OUTGOING_ROUNDS_MAX = 16,  // batches of nothing but malformed rows in one go
    OUTGOING_COUNTERS_MAX = 2, // accepted, and anything else
};

struct outgoing;

// On a connection of its own, made by conf, with an application name of its own. Does not connect.
// first_counter: where its counters stand in the descriptor. 0 or a negative errno.
int outgoing_new(struct kit *kit, const struct postgres_conf *conf, size_t first_counter,
                 struct outgoing **ret);
// As postgres_redirect. Rows of the table there was are not written back: they come as the same
// events should it be the same table, or become the connector's again.
int outgoing_redirect(struct outgoing *outgoing, const struct postgres_conf *conf);
struct outgoing *outgoing_free(struct outgoing *outgoing); // takes NULL; returns NULL
// For the descriptor's collect (at least every OUTGOING_POLL_MS) and settled.
void outgoing_collect(struct outgoing *outgoing);
void outgoing_settled(struct outgoing *outgoing, void *item, const struct kit_ack *ack);
