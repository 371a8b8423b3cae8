// SPDX-License-Identifier: Apache-2.0
// The partitions of interactions, one a month of receipt in UTC, made as they are needed: as a
// table of its own that is then attached, which waits for no reader.
#pragma once

#include "connectors/crm/postgres.h"
#include "connectors/crm/store.h"

enum { PARTITIONS_KNOWN_MAX = 64 };

struct partitions {
    int known[PARTITIONS_KNOWN_MAX]; // 12 * year + month
    size_t n_known;
};

void partitions_forget(struct partitions *partitions);
// Those that the events need are there afterwards. DONE or AWAY.
enum postgres_class partitions_make(struct partitions *partitions, struct postgres *postgres,
                                    const struct store_event *events, size_t n_events, char *why);
