// SPDX-License-Identifier: Apache-2.0
// An answer inside the library: a query's, or the policy's verdict in an answer's place.
#pragma once

#include "connectors/client/touchbus.h"
#include "schemas/base/arena.h"
#include "touchbus.pb-c.h"

struct touchbus_answer {
    struct arena *arena;
    const Touchbus__Answer *message;
    char *json;            // made when asked for
    touchbus_answer *self; // how a reader that takes a const answer keeps what it made
};

// Without a message yet. NULL where memory is short.
touchbus_answer *answer_new(void);
