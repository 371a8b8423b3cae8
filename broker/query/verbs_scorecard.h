// SPDX-License-Identifier: Apache-2.0
// What the files of the verb scorecard share: rows being added up.
#pragma once

#include <stdbool.h>

#include "broker/fold/scores.h"
#include "broker/fold/spread.h"
#include "broker/query/verbs.h"
#include "broker/stores/view.h"
#include "broker/tick/quarantine.h"
#include "view.pb-c.h"

enum {
    GROUPS_MAX = 2000,  // rows of one answer: each keeps its distributions
    SOURCES_MAX = 1000, // named among the quarantined
    REASONS_MAX = 64,   // of one row
    SPREADS = 3,
    RATIO = 10000, // ratios have four decimals
};
#define HOUR_US (INT64_C(3600) * 1000000)

enum { BY_HOUR = 1, BY_CHANNEL = 2, BY_TIER = 4 };

struct spread {
    uint64_t number;
    int64_t sum_us;
    uint64_t counts[SPREAD_BUCKETS_MAX];
};

// One row of the answer.
struct group {
    uint32_t hour, channel, tier; // 0 where it is not asked by
    View__Cell sums;              // without what it points to
    struct spread spreads[SPREADS];
    uint32_t reasons[REASONS_MAX]; // interned
    uint64_t reason_numbers[REASONS_MAX];
    size_t n_reasons;
};

struct scorecard {
    unsigned by;
    uint32_t hour_first, hour_end;
    int64_t since_us, until_us;
    const char *channel; // NULL: every one; the call's argument
    struct group **groups;
    size_t n_groups, n_given;
    bool cells_done, full;
    uint8_t next[SCORES_CELL_KEY_BYTES]; // the cell to go on at
    uint64_t as_of;                      // of the first slice
    // then
    uint8_t last[QUARANTINE_KEY_BYTES];
    bool began, quarantine_done;
    json_t *sources;
    int64_t slice_us; // when this slice began
    struct call *call;
    struct view_txn *txn;
};

// ---- verbs_scorecard_sums.c
// The row, a new one where there is none. NULL: *ret_error, or scorecard->full.
struct group *scorecard_group(struct scorecard *scorecard, uint32_t hour, uint32_t channel,
                              uint32_t tier, int *ret_error);
void scorecard_add(struct group *group, const View__Cell *cell);

// ---- verbs_scorecard_json.c, in a transaction of the view
json_t *scorecard_json(const struct scorecard *scorecard, const struct group *group);
// Budget lines of this month, appended. 0 or a negative errno.
int scorecard_budgets(struct view_txn *txn, const struct policy *policy, json_t *list);
