// SPDX-License-Identifier: Apache-2.0
// See retention.h. Sizes are judged by the log's average: the next look corrects what this one got
// wrong, and no block is read for it.
#include "broker/stores/retention.h"

#include <stdbool.h>

#include "schemas/base/guards.h"

#define HOUR_US (INT64_C(3600) * 1000000)
enum {
    AGE_SHARE = 8,   // of the age, an hour
    HOURS_LEAST = 2, // of received time, an hour
    LOSE_SHARE = 10, // a loss makes room for a tenth of the cap, so that losses are few
};

static uint64_t least(uint64_t one, uint64_t other) {
    return one < other ? one : other;
}

// How many of the oldest events hold that many bytes, about.
static uint64_t events_of(const struct retention_log *log, uint64_t bytes) {
    uint64_t n = log->next - log->first;
    return log->bytes == 0 ? 0 : (uint64_t)((double)bytes / (double)log->bytes * (double)n);
}

// What would go if nobody needed it. By size the last block is taken whole: a limit is a limit. By
// age none goes that has younger events.
static uint64_t wanted_floor(const struct retention_rule *rule, const struct retention_log *log,
                             uint64_t *ret_max) {
    uint64_t floor = log->first;
    if (rule->age_us > 0 && log->age_floor > floor) {
        floor = least(log->age_floor, log->next);
    }
    *ret_max = floor;
    if (rule->bytes > 0 && log->bytes > (uint64_t)rule->bytes) {
        uint64_t by_size = log->first + events_of(log, log->bytes - (uint64_t)rule->bytes) + 1;
        if (by_size > floor) {
            floor = least(by_size, log->next);
            *ret_max = log->next;
        }
    }
    return floor;
}

struct retention_verdict retention_judge(const struct retention_rule *rule,
                                         const struct retention_log *log) {
    struct retention_verdict verdict = {.floor = log->first, .floor_max = log->first};
    if (log->next <= log->first) {
        return verdict;
    }
    uint64_t wanted_max = 0, wanted = wanted_floor(rule, log, &wanted_max);
    uint64_t needed = log->needed < log->first ? log->first : log->needed;
    if (!GUARD(retention_needed) || wanted <= needed) {
        verdict.floor = wanted;
        verdict.floor_max = least(wanted_max, needed);
        return verdict;
    }
    verdict.floor = verdict.floor_max = needed;
    // Subscriptions alone hold back needed to wanted.
    double each = (double)log->bytes / (double)(log->next - log->first);
    double held = each * (double)(wanted - needed), cap = (double)rule->subscription_bytes;
    if (rule->subscription_bytes > 0 && held > cap) {
        uint64_t n = events_of(log, (uint64_t)(held - cap + cap / LOSE_SHARE)) + 1;
        verdict.floor = verdict.floor_max = least(needed + n, wanted);
        verdict.lost_first = needed;
        verdict.lost_last = verdict.floor - 1;
    }
    return verdict;
}

static int64_t budget_an_hour(int64_t age_us) {
    int64_t share = age_us / AGE_SHARE;
    return share > HOURS_LEAST * HOUR_US ? share : HOURS_LEAST * HOUR_US;
}

int64_t retention_pace_limit(struct retention_pace *pace, int64_t age_us, int64_t monotonic_us,
                             int64_t oldest_us, int64_t target_us) {
    int64_t full = budget_an_hour(age_us);
    int64_t elapsed = monotonic_us - pace->refilled_us;
    if (pace->refilled_us == 0 || elapsed > HOUR_US) {
        pace->budget_us = full;
    } else {
        pace->budget_us += (int64_t)((double)full * (double)elapsed / (double)HOUR_US);
        pace->budget_us = pace->budget_us < full ? pace->budget_us : full;
    }
    pace->refilled_us = monotonic_us;
    int64_t limit = 0;
    if (__builtin_add_overflow(oldest_us, pace->budget_us, &limit)) {
        limit = INT64_MAX;
    }
    return GUARD(retention_pace) && limit < target_us ? limit : target_us;
}

void retention_pace_spend(struct retention_pace *pace, int64_t oldest_us, int64_t reached_us) {
    int64_t spent = 0;
    if (reached_us <= oldest_us) {
        return;
    }
    if (__builtin_sub_overflow(reached_us, oldest_us, &spent) || spent > pace->budget_us) {
        spent = pace->budget_us;
    }
    pace->budget_us -= spent;
}
