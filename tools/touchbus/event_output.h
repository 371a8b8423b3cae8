// SPDX-License-Identifier: Apache-2.0
// How sub and replay print an event: CloudEvents JSON, its data alone, or a line for people.
#pragma once

#include <stdbool.h>

#include "connectors/client/touchbus.h"
#include "tools/touchbus/tool.h"

// False where it cannot be printed (said on stderr).
bool event_print(const struct tool *tool, const touchbus_event *event);
