// SPDX-License-Identifier: Apache-2.0
// The configuration read anew while the broker runs.
#pragma once

#include "broker/tick/tick.h"
#include "schemas/limits.h"

// What came of a reload that was done.
struct reloaded {
    uint64_t sequence; // of configuration.changed
    size_t n_changes;  // of the policy
};

// Inside an open tick: the file of --config, and with it --policy and --clients, anew. Everything
// is judged before anything is taken over: what is malformed leaves all as it was. The change is
// one configuration.changed by actor. 0; REASON_BAD_ARGUMENT: refused, why says it; another reason
// code; a negative errno (fatal).
int reload_configuration(struct tick *tick, const char *actor, struct reloaded *ret,
                         char why[static DETAIL_BYTES_MAX]);
