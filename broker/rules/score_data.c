// SPDX-License-Identifier: Apache-2.0
// Reading what the scorecard sums out of an event's data. Nothing here fails an event: what is no
// number adds nothing.
#include <math.h>
#include <string.h>

#include "broker/rules/score_internal.h"
#include "schemas/base/guards.h"

bool score_value(const struct scoring *scoring, const char *name, struct body_value *ret) {
    const ProtobufCBinaryData *data = &scoring->event->data;
    return data->len > 0 && body_find(data->data, data->len, name, ret);
}

bool score_number(const struct body_value *value, int64_t *ret_micro) {
    if (value->kind == BODY_INTEGER) {
        return !__builtin_mul_overflow(value->integer, MONEY_UNIT, ret_micro);
    }
    if (value->kind == BODY_REAL) {
        double micro = value->real * (double)MONEY_UNIT;
        if (!(fabs(micro) < 9e18)) {
            return false;
        }
        *ret_micro = llround(micro);
        return true;
    }
    return value->kind == BODY_TEXT && money_parse(value->text, value->text_size, ret_micro) == 0;
}

bool score_money(struct scoring *scoring, const char *text, size_t size, const char *currency,
                 int64_t *ret_micro) {
    char own[4] = "";
    int64_t micro;
    if (money_parse_currency(text, size, &micro, own) != 0) {
        return false;
    }
    const char *of = own[0] != '\0' ? own : currency;
    if (GUARD(score_currency) && of != NULL &&
        strcmp(of, scoring->judging->policy->organisation.currency) != 0) {
        scoring->score->unconverted++;
        scoring->changed = true;
        return false;
    }
    *ret_micro = micro;
    return true;
}
