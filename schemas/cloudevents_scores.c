// SPDX-License-Identifier: Apache-2.0
// What an event added to the scorecard, as the text of the CloudEvents attribute `scores`: a JSON
// list, a member a figure, zeros left out, money as decimal text. It is written, never read.
#include <stdlib.h>
#include <string.h>

#include "schemas/base/clock.h"
#include "schemas/base/money.h"
#include "schemas/cloudevents_names.h"

#define HOUR_US (INT64_C(3600) * 1000000)

static void put_number(json_t *json, const char *name, bool there, int64_t number) {
    if (there) {
        json_object_set_new(json, name, json_integer(number));
    }
}

static void put_money(json_t *json, const char *name, int64_t micro) {
    char text[MONEY_TEXT_BYTES];
    if (micro != 0) {
        json_object_set_new(json, name, json_string(money_format(micro, text)));
    }
}

static json_t *reasons_json(const Touchbus__Score *score) {
    json_t *list = json_array();
    for (size_t i = 0; i < score->n_reasons; i++) {
        json_array_append_new(list, json_string(score->reasons[i]));
    }
    return list;
}

static json_t *score_json(const Touchbus__Score *score) {
    char hour[CLOCK_TEXT_BYTES];
    json_t *json =
        json_pack("{s:s, s:s, s:s}", "hour", clock_format_rfc3339(score->hour * HOUR_US, hour),
                  "channel", score->channel, "tier", score->tier);
    const struct {
        const char *name;
        bool there;
        int64_t number;
    } numbers[] = {
        {"contacts", score->contacts != 0, (int64_t)score->contacts},
        {"handled", score->handled != 0, (int64_t)score->handled},
        {"abandoned", score->abandoned != 0, (int64_t)score->abandoned},
        {"waiting_us", score->has_waiting, score->waiting_us},
        {"handling_us", score->has_handling, score->handling_us},
        {"response_us", score->has_response, score->response_us},
        {"resolved", score->resolved != 0, (int64_t)score->resolved},
        {"reopened", score->reopened != 0, (int64_t)score->reopened},
        {"orders", score->orders != 0, score->orders},
        {"unconverted", score->unconverted != 0, (int64_t)score->unconverted},
    };
    for (size_t i = 0; json != NULL && i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        put_number(json, numbers[i].name, numbers[i].there, numbers[i].number);
    }
    put_money(json, "cost", score->cost_micro);
    put_money(json, "revenue", score->revenue_micro);
    put_money(json, "margin", score->margin_micro);
    if (score->has_satisfaction) {
        char text[MONEY_TEXT_BYTES];
        json_object_set_new(json, "satisfaction",
                            json_string(money_format(score->satisfaction_micro, text)));
    }
    if (score->n_reasons > 0) {
        json_object_set_new(json, "reasons", reasons_json(score));
    }
    return json;
}

json_t *cloudevents_scores(const Touchbus__Stamp *stamp) {
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < stamp->n_scores; i++) {
        if (json_array_append_new(list, score_json(stamp->scores[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    char *text = list == NULL ? NULL : json_dumps(list, JSON_COMPACT);
    json_t *json = text == NULL ? NULL : json_string(text);
    free(text);
    json_decref(list);
    return json;
}
