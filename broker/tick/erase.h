// SPDX-License-Identifier: Apache-2.0
// Erasing a person. The key is destroyed durably first, then the event that says so is logged and
// folded: from the first moment nothing of the person can be read, and a crash in between is made
// good at the next start, as an older log is that was restored beside the current keys. What is to
// be done after the tick (quarantine, key pages, restore point) is upkeep's; a mark in the log
// makes a start do it again.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/tick/tick.h"

// Key of LOG_META: stands while upkeep has not finished with what was erased.
#define ERASE_MARK "erased"

// ---- in a tick job's `write`
// The customer was given a number. 0 and *ret_sequence, the erasing event's (also where it was
// erased before); REASON_BUSY: nothing was done; negative errno.
int erase_customer(struct tick *tick, uint64_t customer, const char *actor, uint64_t *ret_sequence);
// Takes the mark away, where nobody was erased since `erasures` was read from the broker. 0, or
// REASON_BUSY: somebody was.
int erase_settle(struct tick *tick, uint64_t erasures);
