// SPDX-License-Identifier: Apache-2.0
// What the erasure of a person means for the customer file: their rows go in the transaction that
// moves the fence, then the file is swept, so that no free page, no write-ahead log and no copy of
// another log's file keeps what the rows were.
#pragma once

#include "connectors/crm/sqlite.h"
#include "connectors/crm/store.h"

// In the event's savepoint: deletes the customer's rows of every table and notes the erasure.
// SQLITE_OK or a code.
int erasure_apply(struct sql_file *file, const struct store_event *event);
// Outside a transaction; does nothing where no erasure is open. SQLITE_OK; SQLITE_BUSY while a
// reader holds pages of before; a code.
int erasure_sweep(struct sql_file *file, const char *path, const struct store_sweep *sweep);

// copies.c: takes persons whose keys the broker knows as erased out of FILE.<incarnation>-<time>.
// SQLITE_OK or a code; a copy that cannot be read is named in the log and fails.
int copies_sweep(const char *path, const struct store_sweep *sweep);
