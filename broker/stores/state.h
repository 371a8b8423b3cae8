// SPDX-License-Identifier: Apache-2.0
// The state folder: who owns it, and how its stores come up. One path for every start, after a
// clean end, a kill or a power cut alike: the log and the keys are as they were synced, the live
// view goes back to its restore point (or is built anew from the base) and catches up from the log.
#pragma once

#include "broker/broker.h"

// Takes STATE/lock for this process until *ret_descriptor is closed. -EBUSY: another broker has it.
int state_lock(const char *state, int *ret_descriptor);

// Makes the folder where it is missing, locks it, opens log, keys, base and view into broker, folds
// what the view does not have yet, and sets broker->visible. Reads broker->configuration only.
// Single-threaded, before any thread starts. 0, or a negative errno after one clear line on the
// log: main exits with 1. What was opened so far is for state_close.
int state_open(struct broker *broker);
// Whether a restore point up to `applied` is better a copy than a steady one: fewer bytes are in
// use in the view than were rewritten since the point before, and there is room for them.
bool state_copy_pays(struct broker *broker, uint64_t applied);
// Whether publishing must stop for want of room, on the disk or in a store's map. Says so on the
// log where it changes. Upkeep asks now and then; state_open sets broker->disk_low by it.
bool state_is_low(struct broker *broker);
// After every thread was joined: takes a last restore point where all is well (clean), closes what
// is open, gives up the lock.
void state_close(struct broker *broker, bool clean);
// The last restore point alone, where a thread still reads the stores and the process is to end.
void state_leave(struct broker *broker);
