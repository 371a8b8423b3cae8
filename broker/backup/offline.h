// SPDX-License-Identifier: Apache-2.0
// What touchbusd does where its first argument is a task instead of an option: work on stores that
// no broker serves. `touchbus backup` and `touchbus restore` run it.
#pragma once

#include <stdbool.h>

bool offline_is_task(const char *name);
// argv[0] is the task's name. Returns the exit status: 0, 1 (no), 2 (wrong usage).
int offline_run(int argc, char **argv);
