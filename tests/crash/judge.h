// SPDX-License-Identifier: Apache-2.0
// Whether a state folder after a cut is right: it opens as touchbusd opens it, what clients had
// seen is there, every event is whole and its own, the view is the fold of base and log, work goes
// on, and all of it holds over one more start.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account.h"

// What the account saw up to `offset` counts. with_view: the view is compared with one built from
// base and log. 0; 1 after a line on standard error. A damaged state may also crash it: call it in
// a process of its own.
int judge_state(const char *state, const struct account *account, uint64_t offset, bool with_view);
