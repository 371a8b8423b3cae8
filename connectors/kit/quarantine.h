// SPDX-License-Identifier: Apache-2.0
// What the quarantine's files share: the file, who holds it, and whom an item is about. The file is
// held by a lock on it besides the mutex, as the command --quarantine is another process; whoever
// holds it looks again how long it is.
#pragma once

#include "connectors/kit/private.h"

#define QUARANTINE_NAME "quarantine.jsonl"
#define QUARANTINE_ASIDE "quarantine.jsonl.new"

struct quarantine {
    pthread_mutex_t lock;
    int folder, fd; // fd: -1 until it is opened, again after a rewrite
};

// Opens where needed and locks. 0 and the file's size; a negative errno: not held.
int quarantine_hold(struct quarantine *quarantine, uint64_t *ret_size);
void quarantine_release(struct quarantine *quarantine);

// quarantine_names.c

struct names {
    struct kit_identity *list; // owns the values
    size_t n, n_allocated;
    bool cut; // more than QUARANTINE_NAMES_MAX, or memory was short
};
// Whom an item may be about, as identities to ask for: an event's own; of anything else every text
// in it that could be one. Adds to ret; the caller clears it.
void names_find(const void *item, size_t size, struct names *ret);
void names_free_values(struct kit_identity *list, size_t n);
void names_clear(struct names *names);
