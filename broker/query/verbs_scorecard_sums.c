// SPDX-License-Identifier: Apache-2.0
// Cells added up to the rows of an answer, in the order of hour, channel and tier.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/query/verbs_scorecard.h"
#include "schemas/base/money.h"

static int compare(const struct group *group, uint32_t hour, uint32_t channel, uint32_t tier) {
    return group->hour != hour         ? (group->hour < hour ? -1 : 1)
           : group->channel != channel ? (group->channel < channel ? -1 : 1)
           : group->tier != tier       ? (group->tier < tier ? -1 : 1)
                                       : 0;
}

struct group *scorecard_group(struct scorecard *scorecard, uint32_t hour, uint32_t channel,
                              uint32_t tier, int *ret_error) {
    size_t low = 0, high = scorecard->n_groups;
    hour = (scorecard->by & BY_HOUR) != 0 ? hour : 0;
    channel = (scorecard->by & BY_CHANNEL) != 0 ? channel : 0;
    tier = (scorecard->by & BY_TIER) != 0 ? tier : 0;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare(scorecard->groups[middle], hour, channel, tier);
        if (order == 0) {
            return scorecard->groups[middle];
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    if (scorecard->n_groups == GROUPS_MAX) {
        scorecard->full = true;
        *ret_error = 1;
        return NULL;
    }
    struct group *group = calloc(1, sizeof(*group));
    if (group == NULL) {
        *ret_error = -ENOMEM;
        return NULL;
    }
    view__cell__init(&group->sums);
    group->hour = hour;
    group->channel = channel;
    group->tier = tier;
    memmove(scorecard->groups + low + 1, scorecard->groups + low,
            (scorecard->n_groups - low) * sizeof(*scorecard->groups));
    scorecard->groups[low] = group;
    scorecard->n_groups++;
    return group;
}

static void add_spread(struct spread *sum, const View__Spread *spread) {
    if (spread == NULL) {
        return;
    }
    sum->number += spread->number;
    money_add(&sum->sum_us, spread->sum_us);
    for (size_t i = 0; i < spread->n_bucket && i < spread->n_count; i++) {
        if (spread->bucket[i] < SPREAD_BUCKETS_MAX) {
            sum->counts[spread->bucket[i]] += spread->count[i];
        }
    }
}

static void add_reasons(struct group *group, const View__Cell *cell) {
    for (size_t i = 0; i < cell->n_reason && i < cell->n_reason_number; i++) {
        size_t at = 0;
        while (at < group->n_reasons && group->reasons[at] != cell->reason[i]) {
            at++;
        }
        if (at == REASONS_MAX) {
            continue;
        }
        group->n_reasons += at == group->n_reasons;
        group->reasons[at] = cell->reason[i];
        group->reason_numbers[at] += cell->reason_number[i];
    }
}

void scorecard_add(struct group *group, const View__Cell *cell) {
    View__Cell *sums = &group->sums;
    sums->contacts += cell->contacts;
    sums->handled += cell->handled;
    sums->abandoned += cell->abandoned;
    sums->resolved += cell->resolved;
    sums->reopened += cell->reopened;
    sums->satisfactions += cell->satisfactions;
    sums->orders += cell->orders;
    sums->unconverted += cell->unconverted;
    sums->suppressed += cell->suppressed;
    money_add(&sums->satisfaction_micro, cell->satisfaction_micro);
    money_add(&sums->cost_micro, cell->cost_micro);
    money_add(&sums->revenue_micro, cell->revenue_micro);
    money_add(&sums->margin_micro, cell->margin_micro);
    const View__Spread *const spreads[SPREADS] = {cell->waiting, cell->handling, cell->response};
    for (size_t i = 0; i < SPREADS; i++) {
        add_spread(&group->spreads[i], spreads[i]);
    }
    add_reasons(group, cell);
}
