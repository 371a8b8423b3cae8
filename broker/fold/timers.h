// SPDX-License-Identifier: Apache-2.0
// What may fall due, and the keys of the tables that say when. Kinds' numbers stand in the log and
// in keys of the view: never renumbered.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/stores/lookup.h"
#include "broker/stores/view.h"

enum timer_kind {
    TIMER_CONTACT = 1,  // a deferred contact is decided again
    TIMER_CHECKOUT = 2, // a cart was left
    TIMER_DEMOTION = 3, // the most valuable tier, below its threshold for too long
    TIMER_ROUTING = 4,  // a waiting interaction's next ring of skills
    TIMER_CALLBACK = 5, // somebody wants to be called
};

enum {
    TIMER_KEY_BYTES = 8 + 1 + LOOKUP_BYTES,    // of VIEW_TIMERS
    TIMER_DUE_KEY_BYTES = 8 + TIMER_KEY_BYTES, // of VIEW_DUE
};

// One row of VIEW_DUE.
struct timer_due {
    int64_t due_us;
    uint64_t customer; // the leaf whose timer it is; 0: nobody's
    uint32_t kind;
    uint8_t id[LOOKUP_BYTES];
};

void timer_key(uint64_t customer, uint32_t kind, const uint8_t id[static LOOKUP_BYTES],
               uint8_t ret[static TIMER_KEY_BYTES]);
// False: no such key.
bool timer_due_read(const void *key, size_t size, struct timer_due *ret);
// When it is due; *ret_due_us 0: it is off. 0 or a negative errno.
int timer_get(struct view_txn *txn, uint64_t customer, uint32_t kind,
              const uint8_t id[static LOOKUP_BYTES], int64_t *ret_due_us);
