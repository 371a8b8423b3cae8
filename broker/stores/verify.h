// SPDX-License-Identifier: Apache-2.0
// `view verify`, as a process of its own beside the running broker: is the live view the fold of
// base and log? Reads the stores only, and builds a scratch copy in the state folder, removed at
// the end (and at the next start, after a kill).
#pragma once

#include <stdio.h>

// Prints to out one JSON object a line: progress {"phase", "done", "total"}, at last
// {"applied": N, "live_hash": HEX, "rebuilt_hash": HEX, "equal": BOOL}, or {"error": TEXT}. Returns
// the exit status: 0 equal, 1 not equal or no answer, 3 no broker runs on state_dir.
int verify_run(const char *state_dir, FILE *out);

// In the state folder: the file that verifies hold shared, and what their scratch folders start
// with.
#define VERIFY_LOCK "readers"
#define VERIFY_SCRATCH "verify-"
