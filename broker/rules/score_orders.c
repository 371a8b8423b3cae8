// SPDX-License-Identifier: Apache-2.0
// Revenue and margin: an order counts once, for the channel of the last touch before it, and is
// taken back from there when it is cancelled. The last touch is the customer's last contact from
// their side that happened before the order did; without one, the order's own channel.
#include <errno.h>
#include <math.h>
#include <string.h>

#include "broker/rules/score_internal.h"
#include "schemas/base/guards.h"

// Contacts that the organisation makes, which are no touch of the customer's.
static const char *const OUTWARDS[] = {"call.placed", "message.sent", "contact.requested"};

static bool is_touch(const struct policy_score *policy, const char *type) {
    for (size_t i = 0; i < sizeof(OUTWARDS) / sizeof(OUTWARDS[0]); i++) {
        if (strcmp(OUTWARDS[i], type) == 0) {
            return false;
        }
    }
    return policy->n_contacts > 0 && policy_holds(policy->contacts, policy->n_contacts, type);
}

struct touch {
    int64_t time_us;
    uint64_t sequence; // 0: not known
    uint32_t channel;  // 0: none yet
};

static void consider(const struct scoring *scoring, uint32_t type, struct touch one,
                     struct touch *last) {
    const struct judging *judging = scoring->judging;
    bool later = last->channel == 0 || one.time_us > last->time_us ||
                 (one.time_us == last->time_us && one.sequence > last->sequence);
    if (later && one.time_us <= scoring->time_us && one.channel != 0 &&
        is_touch(&judging->policy->score, fold_name(judging->fold, type))) {
        *last = one;
    }
}

// The counters know the last time of each type and channel; where that is after the order, what was
// before it may stand in the recent interactions.
static int last_touch(const struct scoring *scoring, uint64_t customer,
                      const View__Customer *record, struct touch *touch) {
    struct judging *judging = scoring->judging;
    const struct fold_interaction *recent;
    size_t n;
    int r = fold_recent(judging->fold, judging->txn, customer, &recent, &n);
    for (size_t i = 0; i < record->n_counter_type; i++) {
        consider(scoring, record->counter_type[i],
                 (struct touch){record->counter_last_us[i], 0, record->counter_channel[i]}, touch);
    }
    for (size_t i = 0; r == 0 && i < n; i++) {
        consider(scoring, recent[i].type,
                 (struct touch){recent[i].time_us, recent[i].sequence, recent[i].channel}, touch);
    }
    return r;
}

// Over all that was merged into the customer.
static int touched_channel(const struct scoring *scoring, const char **ret) {
    struct judging *judging = scoring->judging;
    const View__Customer *record;
    struct touch touch = {0};
    *ret = scoring->event->channel;
    if (judging->customer == 0 || scoring->event->created) {
        return 0;
    }
    uint64_t survivor;
    int r = fold_survivor(judging->fold, judging->txn, judging->customer, &survivor);
    r = r != 0 ? r : fold_customer(judging->fold, judging->txn, survivor, &record);
    r = r != 0 ? r : last_touch(scoring, survivor, record, &touch);
    for (size_t i = 0; r == 0 && i < record->n_leaves && i < STAMP_LEAVES_MAX; i++) {
        const View__Customer *leaf;
        r = fold_customer(judging->fold, judging->txn, record->leaves[i], &leaf);
        r = r != 0 ? r : last_touch(scoring, record->leaves[i], leaf, &touch);
    }
    if (r != 0) {
        return r;
    }
    *ret = touch.channel != 0 ? fold_name(judging->fold, touch.channel) : *ret;
    return 0;
}

// ---- amounts

static bool member_number(const struct body_value *line, const char *name, int64_t *ret_micro) {
    struct body_value value;
    return body_find(line->raw, line->raw_size, name, &value) && score_number(&value, ret_micro);
}

// One line's revenue and margin: price and margin are a piece's.
static void add_line(const struct body_value *line, int64_t rate_micro, int64_t *revenue,
                     int64_t *margin) {
    int64_t price, quantity = MONEY_UNIT, own, amount;
    if (!member_number(line, "price", &price)) {
        return;
    }
    member_number(line, "quantity", &quantity);
    if (money_times(quantity, price, &amount) != 0) {
        return;
    }
    money_add(revenue, amount);
    int r = member_number(line, "margin", &own) ? money_times(quantity, own, &amount)
                                                : money_times(amount, rate_micro, &amount);
    if (r == 0) {
        money_add(margin, amount);
    }
}

static void add_lines(const struct scoring *scoring, int64_t *revenue, int64_t *margin) {
    struct body_value lines, line;
    size_t position = 0;
    double rate = scoring->judging->policy->score.margin;
    if (!score_value(scoring, "lines", &lines) || lines.kind != BODY_LIST) {
        return;
    }
    while (body_next(&lines, &position, NULL, &line)) {
        add_line(&line, llround(rate * (double)MONEY_UNIT), revenue, margin);
    }
}

// The order's total where it says one, else the sum of its lines.
static void order_amounts(struct scoring *scoring, Touchbus__Score *score) {
    struct body_value total;
    int64_t stated = 0;
    const char *currency = rules_text(scoring->judging, "currency");
    if (currency != NULL &&
        strcmp(currency, scoring->judging->policy->organisation.currency) != 0) {
        score->unconverted++;
        return;
    }
    add_lines(scoring, &score->revenue_micro, &score->margin_micro);
    if (score_value(scoring, "total", &total) && score_number(&total, &stated)) {
        score->revenue_micro = stated;
    }
}

int score_order_placed(struct scoring *scoring) {
    const char *id = rules_text(scoring->judging, "order_id");
    ProtobufCBinaryData lookup;
    View__Kept *kept;
    const char *channel;
    int r = id == NULL ? 0 : score_kept(scoring, ITEM_ORDER, id, &kept, &lookup);
    if (id == NULL || r != 0 || (GUARD(score_once) && kept != NULL) || lookup.len == 0) {
        return r; // counted before, or cancelled before it came
    }
    r = touched_channel(scoring, &channel);
    Touchbus__Score *score =
        r == 0 ? score_add(scoring, scoring->score->hour, channel, scoring->tier) : NULL;
    if (score == NULL) {
        return r != 0 ? r : -ENOMEM;
    }
    score->orders = 1;
    order_amounts(scoring, score);
    score_about(score, ITEM_ORDER, lookup, false);
    return score_put(scoring, score);
}

int score_order_changed(struct scoring *scoring) {
    const char *id = rules_text(scoring->judging, "order_id");
    const char *status = rules_text(scoring->judging, "status");
    if (id == NULL || status == NULL ||
        (strcmp(status, "cancelled") != 0 && strcmp(status, "canceled") != 0)) {
        return 0;
    }
    ProtobufCBinaryData lookup;
    View__Kept *kept;
    int r = score_kept(scoring, ITEM_ORDER, id, &kept, &lookup);
    if (r != 0 || (GUARD(score_taken_once) && kept != NULL && kept->settled) || lookup.len == 0) {
        return r;
    }
    Touchbus__Score *score =
        kept != NULL
            ? score_add(scoring, kept->hour, kept->channel, kept->tier)
            : score_add(scoring, scoring->score->hour, scoring->event->channel, scoring->tier);
    if (score == NULL) {
        return -ENOMEM;
    }
    if (kept != NULL) {
        score->orders = -1;
        score->revenue_micro = -kept->revenue_micro;
        score->margin_micro = -kept->margin_micro;
    }
    score_about(score, ITEM_ORDER, lookup, true);
    return score_put(scoring, score);
}
