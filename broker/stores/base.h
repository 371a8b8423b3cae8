// SPDX-License-Identifier: Apache-2.0
// base/: the fold of what retention has trimmed. Every rebuild starts here. It is advanced only by
// blocks about to be trimmed, in synced transactions, and always before they go.
//
// Fold versions: the blocks behind the base are gone, so it cannot be rebuilt. A fold of a newer
// version therefore must read every record that an older one wrote (add fields, never change their
// meaning), and goes on from it as it is; where what stood readable is to be sealed, base_upgrade
// writes it anew. A base of a newer version than the program's is refused.
#pragma once

#include <stddef.h>

#include "broker/stores/log.h"
#include "broker/stores/view.h"

// Opens or makes the base of this log. -ESTALE: it is ahead of the log, which was rolled back;
// -EXDEV: it is of another log; -ENOTSUP: of a newer fold version; -ENODATA: blocks between its end
// and the log's start are missing. *ret_applied: where it ends.
int base_open(const char *dir, size_t map_bytes, struct log *log, struct view **ret,
              uint64_t *ret_applied);
