// SPDX-License-Identifier: Apache-2.0
// One value of the policy, between its text and its member.
#pragma once

#include "broker/policy/policy_rows.h"

enum { POLICY_WHY_BYTES = 256 };

// Sets a scalar member from its text, freeing what it held. 0; -ENOMEM; -EINVAL: not what the row
// takes, why says it.
int policy_set(const struct policy_row *row, void *object, const char *text,
               char why[static POLICY_WHY_BYTES]);
