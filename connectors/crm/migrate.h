// SPDX-License-Identifier: Apache-2.0
// Brings the warehouse to the newest schema: numbered files built into the program, each run once,
// in order, in a transaction of its own under an advisory lock, so that two connectors that start
// at once run it once. A warehouse that a newer program made is refused.
#pragma once

#include "connectors/crm/postgres.h"

enum {
    MIGRATE_LOCK = 7400,             // the advisory lock's number
    MIGRATE_MS_MAX = 10 * 60 * 1000, // of one migration
};

#define MIGRATE_SET_UP                                                                             \
    "SET client_min_messages = warning; CREATE SCHEMA IF NOT EXISTS touchbus; "                    \
    "SET search_path = touchbus; SET touchbus.sink = 'on'; SET lock_timeout = '5s'; "              \
    "SET idle_in_transaction_session_timeout = '60s'; SET timezone = 'UTC'"

// On a fresh connection. DONE; AWAY and why. *ret_newer: made by a newer program.
enum postgres_class migrate(struct postgres *postgres, bool *ret_newer, char *why);
