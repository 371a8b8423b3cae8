// SPDX-License-Identifier: Apache-2.0
// Routing: which queue and which agent get a live interaction (a call, a chat, a callback that is
// due). routing_live.c follows interactions from their beginning to their end, whether they are
// routed or not; routing.c decides. What they find stands in Stamp.routing.
#pragma once

#include <stdint.h>

#include "broker/fold/waiting.h"
#include "broker/rules/rules.h"

// ---- for the scorecard: the interaction that the event is about, as it is before the event.
// *ret NULL: none that lives.
int routing_live(struct judging *judging, View__Waiting **ret);
// What the event says of it: a waiting_state, 0 nothing.
enum waiting_state routing_says(struct judging *judging);
