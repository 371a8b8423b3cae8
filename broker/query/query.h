// SPDX-License-Identifier: Apache-2.0
// The query thread: its own ROUTER (tcp port + 2, and ipc at STATE/query), a table of verbs
// (verbs.h), answers from bounded read transactions of the view and the log. Never writes a store
// and never waits for another thread: what belongs to the tick or to delivery goes there as a job
// and comes back through broker->to_query.
//
// Long work runs in a child process of this program (`view.verify`: --verify-view --state DIR in
// another time zone). Such a child prints one JSON object a line on stdout: any number of
// {"phase": TEXT, "done": N, "total": N}, and as its last line the verb's answer, e.g.
// {"applied": N, "live_hash": HEX, "rebuilt_hash": HEX, "equal": BOOL}; exit 0 where it has one.
#pragma once

#include "broker/broker.h"

struct query;

// A file of this name in the state folder: the next start drops the view and its restore point, and
// rebuilds it from the base and the log. The start removes it when the view is caught up.
#define VIEW_REBUILD_MARKER "rebuild-view"

// Binds the endpoints. -EADDRINUSE where another process has the port (said in one log line).
int query_new(struct broker *broker, struct query **ret);
struct query *query_free(struct query *query); // after its thread was joined; takes NULL
// After its thread was joined: whether a backup still reads the stores, and the query with them.
// Then neither may be closed. Takes NULL.
bool query_is_copying(const struct query *query);
// The thread's body, for pthread_create, until broker->stop.
void *query_run(void *query);
