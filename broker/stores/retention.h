// SPDX-License-Identifier: Apache-2.0
// Which events may go: a pure judgement over numbers, by age and by size, held back by what named
// subscriptions still need until their own cap is passed. Who trims is upkeep.
#pragma once

#include <stdint.h>

struct retention_rule {
    int64_t age_us;             // 0: keep for ever
    int64_t bytes;              // 0: no limit
    int64_t subscription_bytes; // what subscriptions may hold back; 0: no limit
};

struct retention_log {
    uint64_t first, next; // sequences
    uint64_t bytes;
    uint64_t needed;    // the lowest sequence a subscription needs; UINT64_MAX: none
    uint64_t age_floor; // the first sequence received at or after now - age_us; 0 without the rule
};

struct retention_verdict {
    uint64_t floor;                 // what ends below may go; first: nothing
    uint64_t floor_max;             // the block that holds floor may go whole where it ends below
    uint64_t lost_first, lost_last; // of it, what a subscription still needed; 0: nothing
};

struct retention_verdict retention_judge(const struct retention_rule *rule,
                                         const struct retention_log *log);

// The clock may jump by years: by age, no more than a budget of received time goes an hour: two
// hours, or an eighth of the age where that is more. Times are in microseconds.
struct retention_pace {
    int64_t budget_us;   // of received time that may be passed now
    int64_t refilled_us; // monotonic; 0: never
};
// Given that events received before target_us are due and the oldest was received at oldest_us:
// before when events may go now. Refills the budget.
int64_t retention_pace_limit(struct retention_pace *pace, int64_t age_us, int64_t monotonic_us,
                             int64_t oldest_us, int64_t target_us);
// Events from oldest_us to reached_us went.
void retention_pace_spend(struct retention_pace *pace, int64_t oldest_us, int64_t reached_us);
