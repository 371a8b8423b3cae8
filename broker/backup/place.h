// SPDX-License-Identifier: Apache-2.0
// A new state folder takes the place of another one.
#pragma once

#include <limits.h>

// Renames part to state. A state that is there goes to state.before-TIME first (in ret_replaced, ""
// where there was none), but for what is not the broker's own in it: connectors' folders stay.
// The caller has seen that no broker runs on it. 0 or a negative errno; ret_replaced then says
// whether the old one is still aside.
int place_state(const char *part, const char *state, char ret_replaced[static PATH_MAX]);
