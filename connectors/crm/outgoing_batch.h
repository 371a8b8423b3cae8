// SPDX-License-Identifier: Apache-2.0
// A batch of rows of the table outgoing: read, published, answered, written back in one
// transaction. Knows nothing of who may read the table, and when (outgoing.c).
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "connectors/crm/postgres.h"
#include "connectors/kit/kit.h"

enum {
    OUTGOING_ROWS_MAX = 256, // of a batch
    OUTGOING_AGAIN_MAX = 3,  // attempts of what loses against other transactions
};

struct outgoing_slot {
    struct outgoing_batch *batch;
    json_t *answer; // NULL: none, or none yet
};

struct outgoing_batch {
    struct kit *kit;
    struct postgres *postgres;
    const char *source;   // of the events
    size_t first_counter; // of the connector's: accepted, and anything else
    PGresult *rows;       // NULL: there is no batch
    size_t n_rows;
    size_t n_open; // published, not yet answered
    struct outgoing_slot slots[OUTGOING_ROWS_MAX];
};

// Reads the first rows that are not settled and publishes them as far as the kit takes them; those
// that cannot be events are answered at once. No rows: there is no batch afterwards.
enum postgres_class outgoing_batch_read(struct outgoing_batch *batch, char *why);
// Takes the answer to one; item is what was given to kit_publish.
void outgoing_batch_answered(struct outgoing_batch *batch, void *item, const struct kit_ack *ack);
// When nothing is open: writes the answers back. DONE: there is no batch any more, unless the
// broker does not say now who was erased; *ret_stuck: some of it was not taken and comes again.
enum postgres_class outgoing_batch_write(struct outgoing_batch *batch, bool *ret_stuck, char *why);
void outgoing_batch_forget(struct outgoing_batch *batch);
