// SPDX-License-Identifier: Apache-2.0
// What can be done with a backup while no broker runs on its stores: verify it, make a state folder
// of it. Each prints to out one JSON object a line: progress {"phase", "done", "total"}, problems
// {"problem": TEXT, "file": PATH, ...}, at last its answer, or {"error": TEXT}; and returns the
// exit status: 0 sound, or done; 1 it is not.
#pragma once

#include <stdbool.h>
#include <stdio.h>

// Every file against the manifest, every block, cursors and view against the log; with keys (a
// folder of keys; NULL: none) the view against base and log folded anew in a folder under scratch.
int backup_verify(const char *dir, const char *keys, const char *scratch, FILE *out);

struct restore_task {
    const char *from, *keys, *state;
    bool force;   // although keys are missing: whose key is missing is lost
    bool replace; // a state folder that is there is moved aside
};
int backup_restore(const struct restore_task *task, FILE *out);
