// SPDX-License-Identifier: Apache-2.0
// Whether a customer is what a policy's conditions ask for: who is in a segment, and which offers
// and which greeting fit. It reads the joined profile as of a time and changes nothing.
#pragma once

#include <stdbool.h>

#include "broker/policy/policy.h"
#include "broker/profile/profile.h"
#include "broker/profile/standing.h"

// A need or a product counts half after so long.
#define INTEREST_HALF_LIFE_US (INT64_C(30) * 86400 * 1000000)

// One customer as conditions see it. Borrowed.
struct facts {
    const struct policy *policy;
    const struct profile *profile;
    const struct profile_standing *standing;
    int64_t now_us;
};

// Every condition holds. What is not known fulfils `is_not` alone; what is counted and was never
// seen is 0. Fields: README.md. 1, 0, or a negative errno.
int conditions_hold(const struct facts *facts, const struct policy_condition *all, unsigned n);
// In the policy's segment of this name. 1, 0, or a negative errno; 0 where there is none.
int conditions_segment(const struct facts *facts, const char *name);
const struct policy_segment *conditions_find(const struct policy *policy, const char *name);

// ---- what to say
struct profile_offer {
    const struct policy_offer *offer;
    const char *text; // in the customer's language; NULL: it has none
    double weight;    // of the need it is for
};
// The offers that fit, best first (priority, then the weight of the need), minus what the person
// has seen or has answered; channel NULL: any. At most max. 0 or a negative errno.
int profile_offers(const struct facts *facts, const char *channel, size_t max,
                   struct profile_offer **ret, size_t *ret_n);
// The first greeting that fits, {name} filled in (or taken out, with the comma before it, where
// is_named is false or no name is known). *ret_variant NULL: none fits.
int profile_greeting(const struct facts *facts, bool is_named, const char **ret_variant,
                     const char **ret_text);
