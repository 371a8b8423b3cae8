// SPDX-License-Identifier: Apache-2.0
// The words of the policy: what a text may be, judged by ICU where a standard says it.
#pragma once

#include "broker/policy/policy_rows.h"

extern const struct policy_vocabulary policy_region;   // ISO 3166-1 alpha-2
extern const struct policy_vocabulary policy_zone;     // tz database
extern const struct policy_vocabulary policy_currency; // ISO 4217
extern const struct policy_vocabulary policy_language; // BCP 47
extern const struct policy_vocabulary policy_class, policy_tier, policy_phase;
extern const struct policy_vocabulary policy_name; // of a channel, skill, purpose, type, ...
extern const struct policy_vocabulary policy_name_or_none;
extern const struct policy_vocabulary policy_field; // of the profile, as a condition names it
