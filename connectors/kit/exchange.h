// SPDX-License-Identifier: Apache-2.0
// A system that exchanges files with us: an outbox of documents for it and an inbox of its reports,
// and what both keep of a person, or of long ago.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connectors/kit/inbox.h"
#include "connectors/kit/outbox.h"

// Removes what the outbox has for an owner (outbox_erase), and the reports in done and failed that
// speak of any of those things: id_of gives a record's id, malloc'ed, NULL where it has none.
// Flushes before. 0; negative errno: do it again, nothing was confirmed.
int exchange_erase(struct outbox *outbox, struct inbox *inbox, const char *owner,
                   char *(*id_of)(const void *record, size_t size));
// From collect: every EXCHANGE_TEND_MS forgets what is older than keep_us. *due_us begins at 0.
void exchange_tend(struct outbox *outbox, struct inbox *inbox, int64_t keep_us, int64_t *due_us);
