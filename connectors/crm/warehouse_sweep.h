// SPDX-License-Identifier: Apache-2.0
// What an erasure means beyond the rows: dead rows of the tables are vacuumed away, and the person
// leaves what was kept of other logs (schemas touchbus_<incarnation>_<time>), found there by keys,
// as the broker knows which are an erased person's.
#pragma once

#include "connectors/crm/postgres.h"
#include "connectors/crm/store.h"

// Does nothing where no erasure is open. DONE; anything else and why: do it again later.
enum postgres_class warehouse_sweep_all(struct postgres *postgres, const struct store_sweep *sweep,
                                        char *why);
