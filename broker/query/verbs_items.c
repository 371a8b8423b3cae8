// SPDX-License-Identifier: Apache-2.0
// Items of a customer as JSON: each member that somebody set, under the name the catalogue gives
// it, then what only the reading knows (an expired quote, a consent's parts, a balance). A table of
// kinds, so that show, screen and export call a thing the same.
#include <assert.h>
#include <errno.h>
#include <math.h>
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

// Of one list in an answer, which has to fit into a frame with all the others. What has lines is
// shown without them beyond that, the rest is not.
enum {
    LIST_BYTES_MAX = 512 << 10,
    LIST_VALUES_MAX = 8000,
    SMALL_LIST_BYTES_MAX = 64 << 10,
    SMALL_LIST_VALUES_MAX = 1500,
};

static bool is_large(enum item_kind kind) {
    return kind == ITEM_ORDER || kind == ITEM_QUOTE || kind == ITEM_CART;
}

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

// False where it is no number or does not fit.
static bool read_micro(const struct body_value *value, int64_t *ret) {
    if (value->kind == BODY_TEXT) {
        return money_parse(value->text, value->text_size, ret) == 0;
    }
    if (value->kind == BODY_INTEGER) {
        return !__builtin_mul_overflow(value->integer, MONEY_UNIT, ret);
    }
    if (value->kind != BODY_REAL || !(fabs(value->real) < 1e12)) {
        return false;
    }
    *ret = llround(value->real * (double)MONEY_UNIT);
    return true;
}

static bool add_line(const struct body_value *line, int64_t *sum) {
    struct body_value quantity, price;
    int64_t number, amount, product;
    if (!body_find(line->raw, line->raw_size, "quantity", &quantity) ||
        !body_find(line->raw, line->raw_size, "price", &price) || !read_micro(&quantity, &number) ||
        !read_micro(&price, &amount) || money_times(number, amount, &product) != 0) {
        return false;
    }
    money_add(sum, product);
    return true;
}

// What the lines cost together. False: one of them does not say.
static bool sum_lines(const View__Item *item, int64_t *ret) {
    const View__Attribute *lines = profile_member(item, "lines");
    struct body_value list, line;
    size_t position = 0;
    *ret = 0;
    if (lines == NULL || !body_read(lines->value.data, lines->value.len, &list) ||
        list.kind != BODY_LIST) {
        return false;
    }
    while (body_next(&list, &position, NULL, &line)) {
        if (!add_line(&line, ret)) {
            return false;
        }
    }
    return true;
}

// The view has an order's in millionths, since its worth goes by it.
static void add_total(const View__Item *item, json_t *json) {
    const View__Attribute *total = profile_member(item, "total");
    struct body_value value;
    int64_t sum = 0;
    char text[MONEY_TEXT_BYTES];
    bool is_known = total != NULL && body_read(total->value.data, total->value.len, &value) &&
                    value.kind == BODY_INTEGER;
    sum = is_known ? value.integer : 0;
    if (is_known || sum_lines(item, &sum)) {
        json_object_set_new(json, "total", json_string(money_format(sum, text)));
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

// What a list may hold still: an answer has bounds of both.
struct room {
    size_t bytes, values;
};

// At most so many values: a byte of a container within a container may be one.
static size_t count_values(const View__Attribute *member) {
    struct body_value value, line, name, inner;
    size_t position = 0, n = 1;
    if (!body_read(member->value.data, member->value.len, &value) ||
        (value.kind != BODY_LIST && value.kind != BODY_MAP)) {
        return n;
    }
    while (body_next(&value, &position, &name, &line)) {
        size_t at = 0;
        n += 2;
        while ((line.kind == BODY_MAP || line.kind == BODY_LIST) &&
               body_next(&line, &at, &name, &inner)) {
            bool is_container = inner.kind == BODY_MAP || inner.kind == BODY_LIST;
            n += 2 + (is_container ? inner.raw_size : 0);
        }
    }
    return n;
}

// False: no room for it.
static bool take_room(struct room *room, const View__Item *item) {
    enum { MEMBER_BYTES = 32, OWN_BYTES = 128, OWN_VALUES = 12 };
    struct room needed = {strlen(item->id) + OWN_BYTES, OWN_VALUES};
    for (size_t i = 0; i < item->n_members; i++) {
        needed.bytes += item->members[i]->value.len + MEMBER_BYTES;
        needed.values += 1 + count_values(item->members[i]);
    }
    if (needed.bytes > room->bytes || needed.values > room->values) {
        return false;
    }
    room->bytes -= needed.bytes;
    room->values -= needed.values;
    return true;
}

json_t *items_json(const struct reading *reading, enum item_kind kind, size_t max) {
    struct room room = is_large(kind) ? (struct room){LIST_BYTES_MAX, LIST_VALUES_MAX}
                                      : (struct room){SMALL_LIST_BYTES_MAX, SMALL_LIST_VALUES_MAX};
    View__Item **items;
    size_t n;
    json_t *list = json_array();
    if (list == NULL || profile_items(&reading->profile, kind, max, &items, &n) != 0) {
        json_decref(list);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        bool fits = !GUARD(list_bytes) || take_room(&room, items[i]);
        if (!fits && !is_large(kind)) {
            break;
        }
        json_t *json = item_json(reading, items[i]);
        if (!fits) {
            json_object_del(json, "lines");
            json_object_set_new(json, "lines_cut", json_true());
        }
        json_array_append_new(list, json);
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
