// SPDX-License-Identifier: Apache-2.0
// What state.c and state_view.c share.
#pragma once

#include "broker/stores/state.h"

enum { STATE_PATH_BYTES = 4096 };

// state/name. -ENAMETOOLONG.
int state_path(const char *state, const char *name, char ret[static STATE_PATH_BYTES]);
// The live view: restored or built anew from broker->base, caught up. 0 or a negative errno, said.
int state_open_view(struct broker *broker);
// A restore point of the better kind, where no other thread writes. As view_snapshot_finish.
int state_take_point(struct broker *broker, uint64_t applied);
