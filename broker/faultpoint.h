// SPDX-License-Identifier: Apache-2.0
// Named points at which a test can have the process killed, as kill -9 would at that very line.
// Compiled in only with TOUCHBUS_FAULTPOINTS (the dev and asan presets); a release has none of it.
//   TOUCHBUS_FAULTPOINT=name:N    SIGKILL at the N-th pass of that point (N from 1)
//   TOUCHBUS_HOLDPOINT=name:FILE  waits at that point while FILE is there, at most 30 seconds, and
//                                 makes it read-only meanwhile
// Points: before-commits (log and view written, neither committed), between-journal-and-log (on
// disk in the log's journal, its store not committed), in-log-point (the log's file synced, the
// point in its journal not yet written), between-commits (log committed, view not),
// in-restore-point (file synced, restore point not yet renamed), while-trimming (base advanced,
// blocks not yet removed), in-erasure (a person's key destroyed, the event not yet logged).
#pragma once

#ifdef TOUCHBUS_FAULTPOINTS
void faultpoint_pass(const char *name);
#define FAULTPOINT(name) faultpoint_pass(name)
#else
#define FAULTPOINT(name) ((void)0)
#endif
