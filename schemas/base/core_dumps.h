// SPDX-License-Identifier: Apache-2.0
// A crash must not write the memory of a process to disk: it holds what people said, their keys and
// ours. Whoever hunts a bug sets TOUCHBUS_CORE_DUMPS=1 in the environment, and knows what for.
#pragma once

// No core file, to disk or to a handler, and no reading of this process's memory by others of its
// user. Before any thread starts; once more after a change of the user.
void core_dumps_forbid(void);
