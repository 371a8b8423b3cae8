// SPDX-License-Identifier: Apache-2.0
// What an event changes in the customer file or warehouse: its own row, customer and keys, and by a
// row a type attributes, orders, quotes, consents, contacts, cases. A type without one has no
// further effect. Both back ends run it; neither is known here.
#pragma once

#include "connectors/crm/sql.h"
#include "connectors/crm/store.h"

enum {
    EFFECTS_MISMATCH = -1, // the event's data is not what its type promises, and why
    EFFECTS_NO_MEMORY = -2,
};

// What the broker counted for the event: nothing personal, also of events that are redacted. 0 or a
// code of the back end.
int effects_score(struct sql *sql, const struct store_event *event);
// 0, one of these, or a code of the back end. why has STORE_WHY_BYTES.
int effects_apply(struct sql *sql, const struct store_event *event, char *why);
