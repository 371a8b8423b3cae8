// SPDX-License-Identifier: Apache-2.0
// The events that the broker has put aside because they broke their schema, as a table for those
// who mend them. They are in no log, so the broker is asked for them now and then, and the table is
// made to say the same: what was mended, given up or erased there goes here as well. Nothing of an
// event's data is kept, only what is wrong with it.
#pragma once

#include <stdbool.h>

#include "connectors/crm/postgres.h"
#include "connectors/kit/kit.h"

enum {
    QUARANTINED_EVERY_MS = 30000,
    QUARANTINED_ANSWER_MS_MAX = 1000, // the broker's; later it is asked again
    QUARANTINED_ROWS_MAX = 10000,     // of more the table has these
};

struct quarantined;

int quarantined_new(struct kit *kit, struct quarantined **ret);
struct quarantined *quarantined_free(struct quarantined *quarantined); // takes NULL; returns NULL
bool quarantined_due(const struct quarantined *quarantined);
// postgres is a connection that is set up.
void quarantined_tend(struct quarantined *quarantined, struct postgres *postgres);
