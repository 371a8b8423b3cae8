// SPDX-License-Identifier: Apache-2.0
// Where a customer stands as of a time: tier with its access level, phase, value, and by which name
// and in which language to speak. The tier is what standing.changed said last; the phase is that
// too, but who has ordered and was silent for longer than the policy allows is to be won back,
// which needs no event: it is a function of the time it is read.
#pragma once

#include "broker/policy/policy.h"
#include "broker/profile/profile.h"
#include "schemas/catalogue.h"

struct profile_standing {
    const char *tier;    // guest, registered, client, mvc
    const char *phase;   // acquisition, enhancement, retention
    unsigned access;     // the tier's level in the policy
    int64_t value_micro; // of the orders that count, in the organisation's currency
    uint64_t sequence;   // of the event that changed it last; 0: none did
    bool registered;
    uint64_t orders;  // different ones placed
    int64_t heard_us; // when something came from them last; 0: never
};
// catalogue tells what comes from the customer; what it does not know is taken for that. 0 or a
// negative errno.
int profile_standing(const struct profile *profile, const struct policy *policy,
                     const struct catalogue *catalogue, int64_t now_us,
                     struct profile_standing *ret);
// How to call them; NULL where nothing is known.
const char *profile_name(const struct profile *profile);
// BCP 47, of what they prefer, else of their profile; NULL where it is not known.
const char *profile_language(const struct profile *profile);
// The interned type or channel as text in the arena, "" for none.
const char *profile_interned(const struct profile *profile, uint32_t number);
