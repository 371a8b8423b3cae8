// SPDX-License-Identifier: Apache-2.0
// The policy in force, shared by threads. Who reads it takes it and gives it back; a reload puts
// another in its place, and the old one goes when the last reader has given it back. Any thread.
#pragma once

#include "broker/policy/policy.h"

struct policy_holder;

// Takes policy, also where it fails. 0 or -ENOMEM.
int policy_holder_new(struct policy *policy, struct policy_holder **ret);
// Nobody may hold a policy any more. Takes NULL; returns NULL.
struct policy_holder *policy_holder_free(struct policy_holder *holder);
// The one in force, valid until policy_release. Never waits longer than a pointer takes.
const struct policy *policy_take(struct policy_holder *holder);
void policy_release(struct policy_holder *holder, const struct policy *policy); // takes NULL
// Takes policy. 0, or -ENOMEM: the one in force stays, policy is freed.
int policy_replace(struct policy_holder *holder, struct policy *policy);
