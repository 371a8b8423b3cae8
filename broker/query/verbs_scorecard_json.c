// SPDX-License-Identifier: Apache-2.0
// A row of the scorecard as JSON: sums as they are, money as text, and what follows from them.
#include <stdio.h>

#include "broker/policy/policy.h"
#include "broker/query/verbs_names.h"
#include "broker/query/verbs_read.h"
#include "broker/query/verbs_scorecard.h"
#include "broker/rules/score.h"
#include "schemas/base/clock.h"
#include "schemas/base/money.h"

static json_t *money_json(int64_t micro) {
    char text[MONEY_TEXT_BYTES];
    return json_string(money_format(micro, text));
}

// part / whole as decimal text with at most four decimals; null where there is no whole.
static json_t *ratio_json(__int128 part, __int128 whole) {
    if (whole <= 0) {
        return json_null();
    }
    __int128 half = part < 0 ? -whole / 2 : whole / 2;
    return money_json((int64_t)((part * RATIO + half) / whole) * (MONEY_UNIT / RATIO));
}

// The time by which so many of a hundred were over, in milliseconds.
static json_t *percentile_json(const struct spread *spread, uint64_t percent) {
    uint64_t wanted = (spread->number * percent + 99) / 100, seen = 0;
    uint32_t bucket = 0;
    while (bucket + 1 < SPREAD_BUCKETS_MAX && (seen += spread->counts[bucket]) < wanted) {
        bucket++;
    }
    return json_integer((json_int_t)spread_end_ms(bucket));
}

static json_t *spread_json(const struct spread *spread) {
    if (spread->number == 0) {
        return json_null();
    }
    int64_t mean_ms = spread->sum_us / (int64_t)spread->number / 1000;
    return json_pack("{s:I, s:I, s:o, s:o, s:o}", "number", (json_int_t)spread->number, "mean_ms",
                     (json_int_t)mean_ms, "p50_ms", percentile_json(spread, 50), "p90_ms",
                     percentile_json(spread, 90), "p99_ms", percentile_json(spread, 99));
}

static json_t *reasons_json(const struct scorecard *scorecard, const struct group *group) {
    json_t *json = json_object();
    for (size_t i = 0; i < group->n_reasons; i++) {
        json_object_set_new(
            json, names_get(call_reads(scorecard->call)->names, scorecard->txn, group->reasons[i]),
            json_integer((json_int_t)group->reason_numbers[i]));
    }
    return json;
}

static void put_count(json_t *row, const char *name, uint64_t number) {
    json_object_set_new(row, name, json_integer((json_int_t)number));
}

static void put_dimensions(const struct scorecard *scorecard, const struct group *group,
                           json_t *row) {
    struct names *names = call_reads(scorecard->call)->names;
    if ((scorecard->by & BY_HOUR) != 0) {
        json_object_set_new(row, "hour", read_time_json(group->hour * HOUR_US));
    }
    if ((scorecard->by & BY_CHANNEL) != 0) {
        json_object_set_new(row, "channel",
                            json_string(names_get(names, scorecard->txn, group->channel)));
    }
    if ((scorecard->by & BY_TIER) != 0) {
        json_object_set_new(row, "tier",
                            json_string(names_get(names, scorecard->txn, group->tier)));
    }
}

static void put_money(const View__Cell *sums, json_t *row) {
    char text[MONEY_TEXT_BYTES];
    int64_t each = sums->contacts == 0 ? 0 : sums->cost_micro / (int64_t)sums->contacts;
    json_object_set_new(row, "cost", money_json(sums->cost_micro));
    json_object_set_new(row, "cost_per_contact",
                        sums->contacts == 0 ? json_null()
                                            : json_string(money_format_cents(each, text)));
    json_object_set_new(row, "orders", json_integer((json_int_t)sums->orders));
    json_object_set_new(row, "revenue", money_json(sums->revenue_micro));
    json_object_set_new(row, "margin", money_json(sums->margin_micro));
    json_object_set_new(
        row, "roi", ratio_json((__int128)sums->margin_micro - sums->cost_micro, sums->cost_micro));
    put_count(row, "unconverted", sums->unconverted);
}

json_t *scorecard_json(const struct scorecard *scorecard, const struct group *group) {
    static const char *const names[SPREADS] = {"waiting", "handling", "response"};
    const View__Cell *sums = &group->sums;
    json_t *row = json_object();
    put_dimensions(scorecard, group, row);
    put_count(row, "contacts", sums->contacts);
    put_count(row, "handled", sums->handled);
    put_count(row, "abandoned", sums->abandoned);
    for (size_t i = 0; i < SPREADS; i++) {
        json_object_set_new(row, names[i], spread_json(&group->spreads[i]));
    }
    put_count(row, "resolved", sums->resolved);
    json_object_set_new(
        row, "first_contact_resolution",
        ratio_json((__int128)sums->resolved - (__int128)sums->reopened, sums->resolved));
    put_count(row, "ratings", sums->satisfactions);
    json_object_set_new(
        row, "satisfaction",
        ratio_json(sums->satisfaction_micro, (__int128)sums->satisfactions * MONEY_UNIT));
    put_money(sums, row);
    put_count(row, "suppressed", sums->suppressed);
    json_object_set_new(row, "reasons", reasons_json(scorecard, group));
    return row;
}

// What was asked by, the channel's budget of this month and how much of it is spent.
static json_t *budget_json(const struct policy *policy, const struct policy_channel *channel,
                           uint32_t month, int64_t spent_micro) {
    double part = (double)spent_micro / (double)channel->budget_micro;
    const char *state = spent_micro >= channel->budget_micro ? "over"
                        : part >= policy->score.budget_warns ? "warns"
                                                             : "ok";
    char period[16];
    snprintf(period, sizeof(period), "%04u-%02u", month / 12, month % 12 + 1);
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:s, s:b}", "channel", channel->name, "period",
                     period, "budget", money_json(channel->budget_micro), "spent",
                     money_json(spent_micro), "part",
                     ratio_json(spent_micro, channel->budget_micro), "state", state, "stops",
                     (int)channel->budget_stops);
}

int scorecard_budgets(struct view_txn *txn, const struct policy *policy, json_t *list) {
    uint32_t month = score_month(clock_now_us());
    int r = 0;
    for (unsigned i = 0; r == 0 && i < policy->n_channels; i++) {
        const struct policy_channel *channel = &policy->channels[i];
        int64_t spent = 0;
        if (channel->budget_micro > 0) {
            r = score_month_cost(txn, channel->name, month, &spent);
            json_array_append_new(list, budget_json(policy, channel, month, spent));
        }
    }
    return r;
}
