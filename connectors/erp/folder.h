// SPDX-License-Identifier: Apache-2.0
// Orders to the ERP's folder: a JSON document each in an outbox, which the ERP may take away.
#pragma once

#include "connectors/kit/inbox.h"
#include "connectors/kit/kit.h"
#include "connectors/kit/outbox.h"

enum folder_counter {
    FOLDER_DOCUMENTS,
    FOLDER_REPEATS,
    FOLDER_STALE,
    FOLDER_OWN,
    FOLDER_ERASED,
    FOLDER_REDACTED,
    FOLDER_COUNTERS,
};
#define FOLDER_COUNTER_NAMES "documents", "repeats", "stale", "own_reports", "erased", "redacted"

struct folder {
    struct kit *kit;
    struct outbox *outbox;
    struct inbox *inbox;  // an erasure goes through its reports as well
    const char *source;   // of what this connector publishes itself
    size_t first_counter; // index of FOLDER_DOCUMENTS in the descriptor's counters
};

// The descriptor's deliver.
void folder_deliver(const struct folder *folder, touchbus_event *const *events, size_t n_events,
                    struct kit_result *results);
// What is kept here of the customer goes, as in an erasure's delivery; without a notice to the ERP.
// 0; negative errno after which nothing is confirmed.
int folder_forget(const struct folder *folder, const touchbus_event *event);
