// SPDX-License-Identifier: Apache-2.0
// What a thread asks of the processor: to be on it soon and briefly, or to leave it to others.
// Wishes, never needed for anything to be right: a kernel that does not know them, or does not
// grant them, goes on as it does.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// The calling thread, and those it starts from now on, answer somebody who waits: a short slice
// (sched_setattr(2), Linux 6.12), so that they need not wait for the end of another's.
void scheduling_prompt(void);
// The calling thread does much at a time: the usual slice, and behind the prompt ones where both
// want the processor (5 nicer than the process was started). Once a thread.
void scheduling_patient(void);
// Whether somebody waits for an answer: from now on patient threads leave their processor for a
// moment at every yield point that is more than YIELD_EVERY_US behind the last. Of the whole
// process; where the processors are full it costs patient work a few percent.
void scheduling_yields(bool wanted);
bool scheduling_yields_wanted(void);
// Of a patient thread, between two of many pieces of work; cheap enough for each. Without it a
// thread that wakes while it is owed nothing waits for the end of the other's slice, which the
// kernel looks for at its next tick only: up to 4 ms (EEVDF: a wakeup preempts where the waking
// thread is eligible).
void scheduling_yield_point(void);
// A thread of this process (gettid(2)), which was prompt, has a processor as soon as it wakes: the
// lowest real-time priority. Nobody else runs while it does, so its work has to be bounded. What it
// starts is neither urgent nor prompt, for good. 0; -EPERM where the process may not (CAP_SYS_NICE
// or RLIMIT_RTPRIO), or another negative errno: then nothing has changed.
int scheduling_urgent(pid_t thread);
// It is prompt again, as others may run.
void scheduling_prompt_again(pid_t thread);
// Processor time that a thread of this process has used; -1 where there is none.
int64_t scheduling_used_us(pid_t thread);
