// SPDX-License-Identifier: Apache-2.0
// Items of a customer as JSON: each member that somebody set, under the name the catalogue gives
// it, then what only the reading knows (an expired quote, a consent's parts, a balance). A table of
// kinds, so that show, screen and export call a thing the same.
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/query/verbs_profile.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/money.h"
#include "schemas/body.h"

static void add_quote(const struct reading *reading, const View__Item *item, json_t *json);
static void add_order(const struct reading *reading, const View__Item *item, json_t *json);
static void add_cart(const struct reading *reading, const View__Item *item, json_t *json);
static void add_consent(const struct reading *reading, const View__Item *item, json_t *json);

static const struct {
    const char *list, *id;
    const char *first; // what its first event did: FIRST_sequence, FIRST; NULL: `add` says it
    void (*add)(const struct reading *reading, const View__Item *item, json_t *json);
} forms[ITEM_KINDS_MAX] = {
    [ITEM_ORDER] = {"orders", "order_id", NULL, add_order},
    [ITEM_QUOTE] = {"quotes", "quote_id", NULL, add_quote},
    [ITEM_CASE] = {"cases", "case_id", "opened", NULL},
    [ITEM_CALL] = {"calls", "call_id", "began", NULL},
    [ITEM_CHAT] = {"chats", "conversation_id", "began", NULL},
    [ITEM_CART] = {"carts", "cart_id", "began", add_cart},
    [ITEM_PROMISE] = {"promises", "promise_id", "made", NULL},
    [ITEM_ANSWER] = {"answers", "question", "first", NULL},
    [ITEM_CONSENT] = {"consents", NULL, "first", add_consent},
    [ITEM_CONTACT] = {"contacts", "contact_id", "requested", NULL},
    [ITEM_CONTENT] = {"contents", "content_id", "first", NULL},
    [ITEM_OFFER] = {"offers", "offer_id", "first", NULL},
    [ITEM_LEAD] = {"leads", "lead_id", "first", NULL},
    [ITEM_OPPORTUNITY] = {"opportunities", "opportunity_id", "first", NULL},
    [ITEM_CREDIT] = {"credits", "application_id", "first", NULL},
    [ITEM_INVOICE] = {"invoices", "invoice_id", "first", NULL},
    [ITEM_ASSET] = {"assets", "asset", "first", NULL},
    [ITEM_GROUP] = {"groups", "group_id", "first", NULL},
    [ITEM_MESSAGE] = {"messages", "ref", "first", NULL},
    [ITEM_PRIVACY] = {"restrictions", "kind", "first", NULL},
};

const char *item_list_name(enum item_kind kind) {
    return kind < ITEM_KINDS_MAX ? forms[kind].list : NULL;
}

enum item_kind item_kind_of(const char *list) {
    for (size_t kind = 1; kind < ITEM_KINDS_MAX; kind++) {
        if (forms[kind].list != NULL && strcmp(forms[kind].list, list) == 0) {
            return (enum item_kind)kind;
        }
    }
    return 0;
}

json_t *attribute_json(const View__Attribute *attribute) {
    json_t *value = NULL;
    if (attribute == NULL ||
        body_to_json(attribute->value.data, attribute->value.len, &value) != 0) {
        return NULL;
    }
    if (json_is_null(value)) { // deleted, kept by the fold only
        json_decref(value);
        return NULL;
    }
    return value;
}

const char *item_text(const struct reading *reading, const View__Item *item, const char *name) {
    const char *text = profile_member_text(&reading->profile, item, name);
    return text != NULL ? text : "";
}

// ---- what a reading adds

// A date stands for its end.
static bool is_past(const struct reading *reading, const char *text) {
    int64_t time_us;
    char whole[CLOCK_TEXT_BYTES];
    if (clock_parse_rfc3339(text, &time_us) == 0) {
        return time_us < reading->now_us;
    }
    snprintf(whole, sizeof(whole), "%.10sT23:59:59Z", text);
    return clock_parse_rfc3339(whole, &time_us) == 0 && time_us < reading->now_us;
}

const char *quote_state(const struct reading *reading, const View__Item *item) {
    const char *outcome = item_text(reading, item, "outcome");
    const char *state = item_text(reading, item, "state");
    if (strcmp(state, "closed") == 0 || outcome[0] != '\0') {
        return outcome[0] != '\0' ? outcome : "closed";
    }
    bool is_over =
        GUARD(quote_shown_open) && is_past(reading, item_text(reading, item, "valid_until"));
    return is_over ? "expired" : "open";
}

// What the lines cost together, which the view has in millionths.
static void add_total(const View__Item *item, json_t *json) {
    const View__Attribute *total = profile_member(item, "total");
    struct body_value value;
    char text[MONEY_TEXT_BYTES];
    if (total != NULL && body_read(total->value.data, total->value.len, &value) &&
        value.kind == BODY_INTEGER) {
        json_object_set_new(json, "total", json_string(money_format(value.integer, text)));
    }
}

static void set_sequence(json_t *json, const char *name, const View__Attribute *member) {
    uint64_t sequence = member != NULL ? member->sequence : 0;
    json_object_set_new(json, name, json_integer((json_int_t)sequence));
}

static void set_default(json_t *json, const char *name, json_t *value) {
    if (json_object_get(json, name) == NULL) {
        json_object_set(json, name, value);
    }
    json_decref(value);
}

static void add_quote(const struct reading *reading, const View__Item *item, json_t *json) {
    json_object_set_new(json, "state", json_string(quote_state(reading, item)));
    set_sequence(json, "issued_sequence", profile_member(item, "lines"));
    set_default(json, "revision", json_integer(0));
    add_total(item, json);
}

static void add_order(const struct reading *reading, const View__Item *item, json_t *json) {
    (void)reading;
    const View__Attribute *placed = profile_member(item, "placed");
    set_sequence(json, "placed_sequence", placed);
    if (placed != NULL) {
        json_object_set_new(json, "placed", read_time_json(placed->time_us));
    }
    json_t *outcome = json_object_get(json, "delivery");
    if (outcome != NULL) {
        json_object_set(json, "delivery_outcome", outcome); // its older name, which stays
        json_object_del(json, "delivery");
    }
    set_default(json, "status", json_string(""));
    set_default(json, "revision", json_integer(0));
    add_total(item, json);
}

static void add_cart(const struct reading *reading, const View__Item *item, json_t *json) {
    (void)reading;
    add_total(item, json);
}

bool item_is_expired(const struct reading *reading, const View__Item *item) {
    const char *expires = item_text(reading, item, "expires");
    return expires[0] != '\0' && is_past(reading, expires);
}

static void add_consent(const struct reading *reading, const View__Item *item, json_t *json) {
    static const char *const parts[] = {"address", "channel", "purpose"};
    const char *at = item->id;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        size_t size = strcspn(at, "\x1f");
        json_object_set_new(json, parts[i], json_stringn(at, size));
        at += size + (at[size] != '\0');
    }
    if (item_is_expired(reading, item)) {
        json_object_set_new(json, "expired", json_true());
    }
}

// ---- one, and lists

static void set_event(json_t *json, const char *what, uint64_t sequence, int64_t time_us) {
    char name[NAME_BYTES_MAX];
    snprintf(name, sizeof(name), "%s_sequence", what);
    json_object_set_new(json, name, json_integer((json_int_t)sequence));
    if (sequence != 0) {
        json_object_set_new(json, what, read_time_json(time_us));
    }
}

json_t *item_json(const struct reading *reading, const View__Item *item) {
    assert(item_list_name(item->kind) != NULL);
    const char *id = forms[item->kind].id;
    json_t *json = json_object();
    if (id != NULL) {
        json_object_set_new(json, id, json_string(item->id));
    }
    for (size_t i = 0; i < item->n_members; i++) {
        json_t *value = attribute_json(item->members[i]);
        if (value != NULL) {
            json_object_set_new(json, item->members[i]->name, value);
        }
    }
    if (forms[item->kind].add != NULL) {
        forms[item->kind].add(reading, item, json);
    }
    if (forms[item->kind].first != NULL) {
        set_event(json, forms[item->kind].first, item->first_sequence, item->first_us);
    }
    set_event(json, "changed", item->changed_sequence, item->changed_us);
    return json;
}

json_t *items_json(const struct reading *reading, enum item_kind kind, size_t max) {
    View__Item **items;
    size_t n;
    json_t *list = json_array();
    if (list == NULL || profile_items(&reading->profile, kind, max, &items, &n) != 0) {
        json_decref(list);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, item_json(reading, items[i]));
    }
    return list;
}

// ---- invoices

static bool is_unpaid(const char *state) {
    static const char *const done[] = {"paid", "cancelled", "refunded", "written_off"};
    for (size_t i = 0; i < sizeof(done) / sizeof(done[0]); i++) {
        if (strcmp(done[i], state) == 0) {
            return false;
        }
    }
    return true;
}

static void add_to_balance(const struct reading *reading, const View__Item *item, json_t *balance) {
    const char *amount = item_text(reading, item, "amount");
    const char *currency = item_text(reading, item, "currency");
    const char *before = json_string_value(json_object_get(balance, currency));
    char text[MONEY_TEXT_BYTES];
    int64_t sum = 0, more;
    if (!is_unpaid(item_text(reading, item, "state")) ||
        money_parse(amount, strlen(amount), &more) != 0 ||
        (before != NULL && money_parse(before, strlen(before), &sum) != 0)) {
        return;
    }
    money_add(&sum, more);
    json_object_set_new(balance, currency, json_string(money_format(sum, text)));
}

json_t *balance_json(const struct reading *reading) {
    View__Item **items;
    size_t n;
    json_t *balance = json_object();
    if (balance == NULL ||
        profile_items(&reading->profile, ITEM_INVOICE, CALL_ROWS_MAX, &items, &n) != 0) {
        json_decref(balance);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        add_to_balance(reading, items[i], balance);
    }
    return balance;
}
