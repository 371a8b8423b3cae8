// SPDX-License-Identifier: Apache-2.0
// A row of the table outgoing as an event, and what the broker answered as what stands in the row
// afterwards. Pure: no server, no clock. The same row makes the same event whenever it is read, so
// that a repeat is known by its id; a row that cannot be one gets a reason for whoever wrote it.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connectors/client/touchbus.h"
#include "connectors/kit/kit.h"

enum {
    OUTGOING_WHY_BYTES = 256,
    OUTGOING_DATA_BYTES_MAX = 256 << 10, // of a row's data as text
    OUTGOING_CHANNELS_MAX = 32,          // that a contact may be made by
    OUTGOING_NAMES_MAX = 3,              // identities one row may name
};

// As the row is read; all borrowed. NULL where it has none.
struct outgoing_row {
    const char *event;                // the event's id
    const char *kind;                 // customer.changed, mvc, ...
    const char *customer;             // digits: the number of one
    const char *key_kind, *key_value; // or a key of one
    const char *data;                 // JSON; NULL: over OUTGOING_DATA_BYTES_MAX
    const char *actor;                // who changed it
    const char *created;              // RFC 3339: when
};

// 0 and the event, the caller's; 1 and why: the row cannot be one; -ENOMEM.
int outgoing_event(const struct outgoing_row *row, const char *source, touchbus_event **ret,
                   char why[OUTGOING_WHY_BYTES]);
// Who is named in the row: its key, and the address in its data as every kind it could be. Borrows
// from row and data (its parsed data, may be NULL). Returns how many.
size_t outgoing_names(const struct outgoing_row *row, const json_t *data,
                      struct kit_identity ret[OUTGOING_NAMES_MAX]);
// What is to stand in the row: an object with outcome (accepted, quarantined, refused), sequence,
// attached (the customer), reason, and of a verdict verdict, channel, until, decided. A new
// reference; NULL where memory is short.
json_t *outgoing_answer(const struct kit_ack *ack);
// The same for a row that cannot be an event.
json_t *outgoing_malformed(const char *why);
