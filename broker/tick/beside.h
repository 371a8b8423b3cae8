// SPDX-License-Identifier: Apache-2.0
// A thread that does one piece of work beside its owner, who waits for it: fork and join, with the
// thread kept. What the work touches is the work's alone from the start to the wait.
#pragma once

struct beside;

// Starts the thread; it sleeps while it has nothing to do.
int beside_new(const char *name, struct beside **ret);
struct beside *beside_free(struct beside *beside); // nothing may be going on; takes NULL
// Nothing may be going on. `work` returns 0 or a negative errno; user is borrowed until the wait.
void beside_start(struct beside *beside, int (*work)(void *user), void *user);
// What the work returned; 0 where none was started.
int beside_wait(struct beside *beside);
// The same, without the work where it has not begun.
int beside_call_off(struct beside *beside);
