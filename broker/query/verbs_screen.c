// SPDX-License-Identifier: Apache-2.0
// The verb customer.screen: what somebody who talks to a customer has to see at a glance, out of
// one snapshot. A sheet a candidate, the likeliest first: only what is open or due now, no more
// than a screen shows, and what must not be done with its reason. Everything else is customer.show.
#include <errno.h>
#include <string.h>

#include "broker/query/verbs_all.h"
#include "broker/query/verbs_profile.h"
#include "schemas/base/guards.h"
#include "schemas/base/money.h"
#include "schemas/envelope.h"

enum {
    SCREEN_ITEMS_MAX = 10,     // of each list of a sheet
    SCREEN_LOOKED_AT_MAX = 50, // of a kind, for those that are open
    SCREEN_RECENT_MAX = 10,
};

// ---- what is open

static bool is_open_state(const struct reading *reading, const View__Item *item) {
    return strcmp(item_text(reading, item, "state"), "open") == 0;
}

static bool is_open_call(const struct reading *reading, const View__Item *item) {
    return strcmp(item_text(reading, item, "state"), "ended") != 0;
}

static bool is_open_quote(const struct reading *reading, const View__Item *item) {
    return strcmp(quote_state(reading, item), "open") == 0;
}

static bool is_any(const struct reading *reading, const View__Item *item) {
    (void)reading;
    (void)item;
    return true;
}

static const struct {
    enum item_kind kind;
    bool (*takes)(const struct reading *reading, const View__Item *item);
} lists[] = {
    {ITEM_CALL, is_open_call},   {ITEM_CASE, is_open_state},    {ITEM_ORDER, is_any},
    {ITEM_QUOTE, is_open_quote}, {ITEM_PROMISE, is_open_state}, {ITEM_ANSWER, is_any},
    {ITEM_CART, is_open_state},
};

static json_t *list_json(const struct reading *reading, size_t row) {
    View__Item **items;
    size_t n;
    json_t *list = json_array();
    if (list == NULL ||
        profile_items(&reading->profile, lists[row].kind, SCREEN_LOOKED_AT_MAX, &items, &n) != 0) {
        json_decref(list);
        return NULL;
    }
    for (size_t i = 0; i < n && json_array_size(list) < SCREEN_ITEMS_MAX; i++) {
        if (lists[row].takes(reading, items[i])) {
            json_t *json = item_json(reading, items[i]);
            json_object_del(json, "lines"); // a price is enough here
            json_array_append_new(list, json);
        }
    }
    return list;
}

// ---- what to say

static struct facts facts_of(const struct reading *reading) {
    return (struct facts){reading->policy, &reading->profile, &reading->standing, reading->now_us};
}

static json_t *offers_json(struct reading *reading, const char *channel) {
    const struct facts facts = facts_of(reading);
    struct profile_offer *offers;
    size_t n;
    json_t *list = json_array();
    if (list == NULL || profile_offers(&facts, channel, SCREEN_ITEMS_MAX, &offers, &n) != 0) {
        json_decref(list);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_pack("{s:s, s:s?}", "offer_id", offers[i].offer->id,
                                              "text", offers[i].text));
    }
    return list;
}

static json_t *greeting_json(struct reading *reading) {
    const struct facts facts = facts_of(reading);
    const struct grant *grant = call_grant(reading->call);
    const char *named = call_argument(reading->call, "named");
    bool may_be_named = !GUARD(greeting_name) || grant == NULL || grant->local ||
                        grant_may_read(grant, "attributes.name");
    bool is_named = may_be_named && (named == NULL || strcmp(named, "false") != 0);
    const char *variant, *text;
    if (profile_greeting(&facts, is_named, &variant, &text) != 0) {
        return NULL;
    }
    return variant != NULL ? json_pack("{s:s, s:s}", "variant", variant, "text", text)
                           : json_object();
}

// ---- all of it

static void set_text(json_t *json, const char *name, const char *text) {
    if (text != NULL) {
        json_object_set_new(json, name, json_string(text));
    }
}

static int sheet_json(struct reading *reading, const char *channel, json_t **ret) {
    char number[24], amount[MONEY_TEXT_BYTES];
    const struct profile_standing *standing = &reading->standing;
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:i, s:{s:s, s:s}}", "customer",
                  envelope_format_customer(reading->profile.customer, number), "tier",
                  standing->tier, "phase", standing->phase, "access", (int)standing->access,
                  "value", "amount", money_format(standing->value_micro, amount), "currency",
                  reading->policy->organisation.currency);
    set_text(json, "name", profile_name(&reading->profile));
    set_text(json, "language", profile_language(&reading->profile));
    set_text(json, "owner", profile_text(&reading->profile, "owner"));
    int r = json_object_set_new(json, "preferences", reading_preferences_json(reading));
    for (size_t i = 0; r == 0 && i < sizeof(lists) / sizeof(lists[0]); i++) {
        r = json_object_set_new(json, item_list_name(lists[i].kind), list_json(reading, i));
    }
    r = r == 0
            ? json_object_set_new(json, "recent", reading_recent_json(reading, SCREEN_RECENT_MAX))
            : r;
    r = r == 0 ? json_object_set_new(json, "fitting_offers", offers_json(reading, channel)) : r;
    r = r == 0 ? json_object_set_new(json, "greeting", greeting_json(reading)) : r;
    r = r == 0 ? json_object_set_new(json, "must_not", must_not_json(reading)) : r;
    *ret = r == 0 ? call_withhold(reading->call, json) : NULL;
    if (r != 0) {
        json_decref(json);
    }
    return *ret != NULL ? 0 : -ENOMEM;
}

// One sheet more in the answer.
static int screen(struct reading *reading) {
    const char *channel = call_argument(reading->call, "channel");
    json_t *answer = call_answer_borrow(reading->call), *sheet = NULL;
    int r = sheet_json(reading, channel, &sheet);
    if (r == 0 && answer == NULL) {
        r = call_answer(reading->call, json_pack("{s:[]}", "candidates"));
        answer = call_answer_borrow(reading->call);
    }
    if (r != 0) {
        json_decref(sheet);
        return r;
    }
    return json_array_append_new(json_object_get(answer, "candidates"), sheet) == 0 ? 0 : -ENOMEM;
}

// What a site shows whom nobody knows.
static int guest(struct reading *reading) {
    json_t *json = json_pack("{s:s, s:s, s:i}", "tier", reading->standing.tier, "phase",
                             reading->standing.phase, "access", (int)reading->standing.access);
    json_t *offers = offers_json(reading, call_argument(reading->call, "channel"));
    json_t *greeting = greeting_json(reading);
    if (json_object_set_new(json, "fitting_offers", offers) != 0 ||
        json_object_set_new(json, "greeting", greeting) != 0) {
        json_decref(json);
        return -ENOMEM;
    }
    call_refuse(reading->call, REASON_OK, "%s", ""); // nobody is an answer, too
    return call_answer(reading->call, json_pack("{s:[], s:o?}", "candidates", "guest",
                                                call_withhold(reading->call, json)));
}

// Whether it is certain who is meant.
static bool is_one(struct call *call) {
    const json_t *candidates = json_object_get(call_answer_borrow(call), "candidates");
    return call_code(call) == REASON_OK && json_array_size(candidates) == 1;
}

int verb_customer_screen(struct call *call) {
    const char *wanted = call_argument(call, "guest");
    bool guest_is_well = wanted != NULL && strcmp(wanted, "true") == 0;
    int r = reading_candidates(call, screen);
    bool is_refused = call_code(call) != REASON_OK && call_code(call) != REASON_NOT_FOUND &&
                      call_code(call) != REASON_ERASED;
    // A site must not greet one by the name of another who uses the same key.
    return r == 0 && guest_is_well && !is_refused &&
                   (!GUARD(screen_certain) ? call_code(call) != REASON_OK : !is_one(call))
               ? reading_of_nobody(call, guest)
               : r;
}
