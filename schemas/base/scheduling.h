// SPDX-License-Identifier: Apache-2.0
// What a thread asks of the processor: to be on it soon and briefly, or to leave it to others.
// Wishes, never needed for anything to be right: a kernel that does not know them goes on as it
// does.
#pragma once

// The calling thread, and those it starts from now on, answer somebody who waits: a short slice
// (sched_setattr(2), Linux 6.12), so that they need not wait for the end of another's.
void scheduling_prompt(void);
// The calling thread does much at a time: the usual slice, and behind the prompt ones where both
// want the processor (5 nicer than the process was started). Once a thread.
void scheduling_patient(void);
