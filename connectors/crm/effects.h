// SPDX-License-Identifier: Apache-2.0
// What an event changes in the customer file beside its own row: attributes, orders, quotes,
// consents. One row a type; a type without one has no further effect.
#pragma once

#include "connectors/crm/sql.h"
#include "connectors/crm/store.h"

// SQLITE_OK or a code; SQLITE_MISMATCH and why (STORE_WHY_BYTES) where the event's data is not what
// its type promises.
int effects_apply(struct sql_file *file, const struct store_event *event, char *why);
