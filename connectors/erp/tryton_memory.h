// SPDX-License-Identifier: Apache-2.0
// What was told of the ERP's changes, in a file that survives: how far each feed was read, what was
// said last of each thing, and the events that the broker has not acknowledged yet. A page is
// written before it is published and its cursor moves only after all of it is acknowledged, so
// that a crash in between repeats the same events, and nothing else.
//
// It holds numbers of the ERP, statuses and amounts; an event with an order's id stays only until
// it is acknowledged.
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "connectors/dialect/tryton_change.h"

enum { TRYTON_MEMORY_KEEP_D = 400 }; // what was said of things that did not change since

struct tryton_memory;

// Opens or makes tryton.sqlite in the folder; feeds that were never read begin at start_us, but
// products at the beginning. Negative errno, logged.
int tryton_memory_open(const char *folder, int64_t start_us, struct tryton_memory **ret);
struct tryton_memory *tryton_memory_close(struct tryton_memory *memory);

int64_t tryton_memory_cursor(const struct tryton_memory *memory, enum tryton_feed feed);
// Keeps of these reports what is news; their events are pending then. Borrowed; *ret_new is a list
// of those that are news, without being kept the less. 0; negative errno: nothing was kept.
int tryton_memory_keep(struct tryton_memory *memory, json_t *reports, json_t **ret_new);
// The pending events, a list of {id, type, time, data}, oldest first; a new reference.
int tryton_memory_pending(struct tryton_memory *memory, json_t **ret);
// The broker has all that was pending: the feed was read up to cursor_us.
int tryton_memory_acked(struct tryton_memory *memory, enum tryton_feed feed, int64_t cursor_us);
