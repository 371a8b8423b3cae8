// SPDX-License-Identifier: Apache-2.0
// The table of what types add to the scorecard beside being a contact and costing something, and
// the path of an event. What is neither a contact, nor has a cost or a row here, is let through at
// once: that is most of them.
#include "broker/rules/score.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/rules/rules_internal.h"
#include "broker/rules/score_internal.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"
#include "schemas/base/type_order.h"

static int handled_as_it_comes(struct scoring *scoring) {
    scoring->score->handled = 1;
    scoring->changed = true;
    return 0;
}

// A scale is the best score ("5", 5), or the worst and the best ("1-5").
static bool read_scale(const struct body_value *value, int64_t *ret_worst, int64_t *ret_best) {
    const char *dash = value->kind == BODY_TEXT && value->text_size > 1
                           ? memchr(value->text + 1, '-', value->text_size - 1)
                           : NULL;
    *ret_worst = 0;
    if (dash == NULL) {
        return score_number(value, ret_best);
    }
    size_t size = (size_t)(dash - value->text);
    return money_parse(value->text, size, ret_worst) == 0 &&
           money_parse(dash + 1, value->text_size - size - 1, ret_best) == 0;
}

static int feedback_given(struct scoring *scoring) {
    struct body_value score, scale;
    int64_t given, worst, best;
    if (!score_value(scoring, "score", &score) || !score_number(&score, &given) ||
        !score_value(scoring, "scale", &scale) || !read_scale(&scale, &worst, &best) ||
        worst >= best || given < worst || given > best) {
        return 0;
    }
    __int128 part = (__int128)(given - worst) * MONEY_UNIT;
    __int128 whole = best - worst;
    scoring->score->satisfaction_micro = (int64_t)((part + whole / 2) / whole);
    scoring->score->has_satisfaction = true;
    scoring->changed = true;
    return 0;
}

static int contact_decided(struct scoring *scoring) {
    struct body_value list, reason;
    const char *verdict = rules_text(scoring->judging, "verdict");
    const char *channel = rules_text(scoring->judging, "channel");
    struct arena *arena = scoring->judging->arena;
    size_t position = 0;
    if (verdict == NULL || strcmp(verdict, "suppressed") != 0 ||
        !score_value(scoring, "reasons", &list) || list.kind != BODY_LIST) {
        return 0;
    }
    Touchbus__Score *score = scoring->score;
    score->reasons = arena_alloc(arena, SCORE_REASONS_MAX * sizeof(char *));
    if (score->reasons == NULL) {
        return -ENOMEM;
    }
    while (score->n_reasons < SCORE_REASONS_MAX && body_next(&list, &position, NULL, &reason)) {
        if (reason.kind == BODY_TEXT && reason.text_size <= NAME_BYTES_MAX) {
            char *text = arena_printf(arena, "%.*s", (int)reason.text_size, reason.text);
            if (text == NULL) {
                return -ENOMEM;
            }
            score->reasons[score->n_reasons++] = text;
        }
    }
    if (channel != NULL && strlen(channel) <= NAME_BYTES_MAX) {
        memcpy(&score->channel, &channel, sizeof(channel));
    }
    scoring->changed = score->n_reasons > 0;
    return 0;
}

// ---- cost.recorded: a channel's period, "2026-11" or "2026-11-22"

static bool period_hour(struct arena *arena, const char *period, uint32_t *ret) {
    static const char *const rests[] = {"-01T00:00:00Z", "T00:00:00Z", ""};
    int64_t time_us;
    for (size_t i = 0; period != NULL && i < sizeof(rests) / sizeof(rests[0]); i++) {
        const char *text = arena_printf(arena, "%s%s", period, rests[i]);
        if (text != NULL && clock_parse_rfc3339(text, &time_us) == 0) {
            *ret = scores_hour(time_us);
            return true;
        }
    }
    return false;
}

static int cost_recorded(struct scoring *scoring) {
    struct body_value amount;
    const char *channel = rules_text(scoring->judging, "channel");
    const char *currency = rules_text(scoring->judging, "currency");
    uint32_t hour;
    if (channel == NULL || strlen(channel) > NAME_BYTES_MAX ||
        !score_value(scoring, "amount", &amount) || amount.kind != BODY_TEXT ||
        !period_hour(scoring->judging->arena, rules_text(scoring->judging, "period"), &hour)) {
        return 0;
    }
    Touchbus__Score *score = score_add(scoring, hour, channel, "");
    int64_t micro;
    if (score == NULL) {
        return -ENOMEM;
    }
    if (!score_money(scoring, amount.text, amount.text_size, currency, &micro)) {
        return 0;
    }
    score->cost_micro = micro;
    return score_put(scoring, score);
}

// ---- the event

// In the order of names.
static const struct score_row {
    const char *type;
    int (*score)(struct scoring *scoring);
} TYPES[] = {
    {"call.answered", score_call_answered},       {"call.ended", score_call_ended},
    {"case.opened", score_case_opened},           {"case.resolved", score_case_resolved},
    {"chat.message", score_chat_message},         {"chat.state", score_chat_state},
    {"contact.decided", contact_decided},         {"cost.recorded", cost_recorded},
    {"feedback.given", feedback_given},           {"fieldservice.completed", handled_as_it_comes},
    {"kiosk.session.ended", handled_as_it_comes}, {"message.received", score_message_received},
    {"message.sent", score_message_sent},         {"order.changed", score_order_changed},
    {"order.placed", score_order_placed},         {"visit.recorded", handled_as_it_comes},
};

static int compare_row(const void *type, const void *row) {
    return type_order(type, ((const struct score_row *)row)->type);
}

static bool counts(const struct policy *policy, const char *type) {
    return policy->score.n_contacts > 0 &&
           policy_holds(policy->score.contacts, policy->score.n_contacts, type);
}

// The event's own cost, else the channel's for a contact.
static void add_cost(struct scoring *scoring) {
    const char *cost = scoring->event->cost;
    const struct policy_channel *channel =
        policy_channel(scoring->judging->policy, scoring->event->channel);
    int64_t micro = 0;
    bool own = *cost != '\0' && score_money(scoring, cost, strlen(cost), NULL, &micro);
    if (!own && scoring->is_contact && channel != NULL) {
        micro = channel->cost_micro;
    }
    scoring->score->cost_micro = micro;
    scoring->changed = scoring->changed || micro != 0;
}

static int begin(struct judging *judging, struct scoring *ret) {
    *ret = (struct scoring){
        .judging = judging, .event = judging->event, .time_us = rules_time(judging)};
    int r = rules_tier(judging, &ret->tier);
    if (r == 0) {
        ret->score = score_add(ret, scores_hour(ret->time_us), judging->event->channel, ret->tier);
        r = ret->score == NULL ? -ENOMEM : 0;
    }
    return r;
}

int score_stamp(struct judging *judging) {
    const Touchbus__Event *event = judging->event;
    struct scoring scoring;
    if (judging->policy == NULL) {
        return 0;
    }
    bool is_contact = counts(judging->policy, event->type);
    const struct score_row *row = bsearch(event->type, TYPES, sizeof(TYPES) / sizeof(TYPES[0]),
                                          sizeof(TYPES[0]), compare_row);
    if (!is_contact && row == NULL && *event->cost == '\0') {
        return 0;
    }
    int r = begin(judging, &scoring);
    scoring.is_contact = is_contact;
    r = r != 0 || row == NULL ? r : row->score(&scoring);
    if (r != 0) {
        return r;
    }
    scoring.score->contacts = scoring.is_contact;
    scoring.changed = scoring.changed || scoring.is_contact;
    add_cost(&scoring);
    return scoring.changed ? score_put(&scoring, scoring.score) : 0;
}

// ---- budgets

uint32_t score_month(int64_t time_us) {
    return scores_month(scores_hour(time_us));
}

int score_month_cost(struct view_txn *txn, const char *channel, uint32_t month,
                     int64_t *ret_micro) {
    uint8_t key[SCORES_KEY_BYTES_MAX];
    const void *value;
    size_t size = scores_month_key(month, channel, key);
    int r = view_get(txn, VIEW_SCORES, key, size, &value, &size);
    if (r != 0) {
        *ret_micro = 0;
        return r < 0 ? r : 0;
    }
    View__Cell *cell = view__cell__unpack(NULL, size, value);
    if (cell == NULL) {
        return -EBADMSG;
    }
    *ret_micro = cell->cost_micro;
    view__cell__free_unpacked(cell, NULL);
    return 0;
}

static int say_reached(struct judging *judging, const struct policy_channel *channel,
                       uint32_t month, int64_t spent_micro, const char *state) {
    char spent[MONEY_TEXT_BYTES], budget[MONEY_TEXT_BYTES], period[16];
    Touchbus__Event *event;
    snprintf(period, sizeof(period), "%04u-%02u", month / 12, month % 12 + 1);
    logging_warning("event=budget-reached channel=%s period=%s state=%s spent=%s budget=%s",
                    channel->name, period, state, money_format_cents(spent_micro, spent),
                    money_format_cents(channel->budget_micro, budget));
    json_t *data =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "channel", channel->name, "period", period,
                  "state", state, "spent", money_format_cents(spent_micro, spent), "budget",
                  money_format_cents(channel->budget_micro, budget), "currency",
                  judging->policy->organisation.currency);
    int r = rules_follow_up(judging, "budget", "budget.reached", data, 0, &event);
    return r > 0 ? 0 : r;
}

static int follow_cost(struct judging *judging, const Touchbus__Score *score) {
    const struct policy *policy = judging->policy;
    const struct policy_channel *channel = policy_channel(policy, score->channel);
    int64_t spent = 0;
    if (channel == NULL || channel->budget_micro <= 0 || score->cost_micro <= 0) {
        return 0;
    }
    uint32_t month = scores_month(score->hour);
    int r = fold_month_cost(judging->fold, judging->txn, score->channel, month, &spent);
    if (r != 0) {
        return r;
    }
    double warns = (double)channel->budget_micro * policy->score.budget_warns;
    int64_t warns_micro =
        warns < (double)channel->budget_micro ? (int64_t)warns : channel->budget_micro;
    int64_t before = spent - score->cost_micro;
    const char *state = before < channel->budget_micro && spent >= channel->budget_micro ? "over"
                        : before < warns_micro && spent >= warns_micro                   ? "warns"
                                                                                         : NULL;
    return state == NULL ? 0 : say_reached(judging, channel, month, spent, state);
}

int score_follow(struct judging *judging) {
    const Touchbus__Stamp *stamp = judging->event->stamp;
    int r = 0;
    if (judging->policy == NULL || stamp == NULL) {
        return 0;
    }
    for (size_t i = 0; r == 0 && i < stamp->n_scores; i++) {
        r = follow_cost(judging, stamp->scores[i]);
    }
    return r;
}
