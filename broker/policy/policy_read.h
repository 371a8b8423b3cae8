// SPDX-License-Identifier: Apache-2.0
// YAML text into a policy, by the rows.
#pragma once

#include "broker/policy/policy_rows.h"

// Sets what the text has and leaves the rest. 0; -EINVAL or -ENOMEM, *ret_error as in policy_load;
// the policy then holds part of it and is for policy_free alone.
int policy_read(const char *text, size_t size, const char *name, struct policy *policy,
                char **ret_error);
