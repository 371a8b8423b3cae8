// SPDX-License-Identifier: Apache-2.0
// A sink that is away looks like many poison events at once. Failures of OUTAGE_LANES different
// lanes with no success in between are an outage: nothing is counted against any event, and single
// probes go out, further and further apart, until one is answered.
#pragma once

#include "broker/delivery/subscription.h"

// A try failed. True: during an outage, it does not count and the slot is ready again.
bool outage_failed(struct subscription *subscription, struct slot *slot, int64_t now_us);
void outage_end(struct subscription *subscription); // the sink answered
// The slot to try next; NULL: not yet.
struct slot *outage_probe(struct subscription *subscription, int64_t now_us);
// How long to rest after n failures before this one: doubled each time, a quarter of it random.
int64_t outage_backoff(struct subscription *subscription, uint32_t n);
