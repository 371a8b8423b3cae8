// SPDX-License-Identifier: Apache-2.0
// A policy as people and programs read it: as JSON and YAML that policy_load takes again, and what
// two policies differ in.
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "broker/policy/policy.h"

enum {
    POLICY_CHANGES_MAX = 50,            // told of one reload
    POLICY_CHANGE_TEXT_BYTES_MAX = 200, // of one value; cut behind it
};

// A new object, the names and values of the file; what is not set is left out. NULL: memory.
json_t *policy_to_json(const struct policy *policy);
// The same as YAML, malloc'ed; NULL: memory is short.
char *policy_to_yaml(const struct policy *policy);
// A new list of {section, path, old, new}, at most POLICY_CHANGES_MAX; old or new is null where
// there was or is none. *ret_n counts all. NULL: memory is short.
json_t *policy_changes(const struct policy *before, const struct policy *after, size_t *ret_n);
// The same of what policy_print gave, perhaps in another version of the program.
json_t *policy_changes_of(const char *before, const char *after, size_t *ret_n);
// All of it in one line, malloc'ed; equal policies have the same. NULL: memory is short.
char *policy_print(const struct policy *policy);
