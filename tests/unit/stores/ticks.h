// SPDX-License-Identifier: Apache-2.0
// Ticks without a tick: events stamped, halved, sealed, logged and folded as the tick does it, each
// following from its sequence, so that whoever reads them later knows what must be there. Anything
// that fails ends the process.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "broker/broker.h"

enum { TICKS_CUSTOMERS = 20, TICKS_EVENTS_MAX = 64 };

void ticks_one(struct broker *broker, size_t n);
void ticks_erase(struct broker *broker, uint64_t customer); // the event that erases it, folded
void ticks_point(struct broker *broker);                    // a restore point
// Folds into the base and trims, as retention does. Returns the blocks that went.
unsigned ticks_trim(struct broker *broker, uint64_t floor);
void ticks_hash(struct view *view, char ret[static 65]);
// Whether every event of the log is the one of its sequence; else the first that is not.
uint64_t ticks_first_wrong(struct broker *broker);
