// SPDX-License-Identifier: Apache-2.0
// One named subscription with up to two members, for tests of its rules: events are offered to it
// and taken from it by hand. The fixture is the test's; queue_close frees it.
#pragma once

#include <stdint.h>

#include "broker/delivery/subscription.h"

struct fixture {
    struct subscription_budget budget;
    struct subscription *subscription;
    struct member one, two;
    int64_t now_us;
};

// A new one without members; budget and time are set. 0, or a negative errno.
int queue_open(const struct subscription_options *options, uint64_t n_max, struct fixture **ret);
// Members leave. Not 0: something of the budget is still taken.
int queue_close(struct fixture *fixture);
void offer(struct fixture *fixture, uint64_t sequence, uint64_t lane);
// In both lanes.
void offer_both(struct fixture *fixture, uint64_t sequence, uint64_t lane, uint64_t other);
// The sequence handed out next, 0: none; ret_member may be NULL.
uint64_t take(struct fixture *fixture, struct member **ret_member);
