// SPDX-License-Identifier: Apache-2.0
// See conditions.h. A field is a word of its own or a group, a dot and a name that a source chose;
// each has a row here.
#include "broker/profile/conditions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/money.h"
#include "schemas/body.h"

#define DAY_US (INT64_C(86400) * 1000000)
enum { OPEN_ITEMS_MAX = 100 }; // looked at, of a kind

// A field's value: a text, a number, or both.
struct value {
    const char *text; // NULL: it has none
    double number;
    bool has_number;
};

static struct value number_value(double number) {
    return (struct value){.number = number, .has_number = true};
}

static struct value flag_value(bool flag) {
    return (struct value){.text = flag ? "true" : "false", .number = flag, .has_number = true};
}

static struct value text_value(const char *text) {
    struct value value = {.text = text};
    char *end = NULL;
    if (text != NULL) {
        value.number = strtod(text, &end);
        value.has_number = end != text && *end == '\0';
    }
    return value;
}

static struct value attribute_value(const struct facts *facts, const char *name) {
    const View__Attribute *attribute = profile_attribute(facts->profile, name);
    struct body_value value;
    if (attribute == NULL || !body_read(attribute->value.data, attribute->value.len, &value)) {
        return (struct value){.text = NULL};
    }
    switch (value.kind) {
    case BODY_BOOL:
        return flag_value(value.integer != 0);
    case BODY_REAL:
        return number_value(value.real);
    case BODY_INTEGER:
    case BODY_TEXT:
        return text_value(profile_value_text(facts->profile, attribute));
    case BODY_NIL:
    case BODY_BINARY:
    case BODY_LIST:
    case BODY_MAP:
        break;
    }
    return (struct value){.text = NULL};
}

// ---- words

static int tier(const struct facts *facts, const char *name, struct value *ret) {
    (void)name;
    *ret = text_value(facts->standing->tier);
    return 0;
}

static int phase(const struct facts *facts, const char *name, struct value *ret) {
    (void)name;
    *ret = text_value(facts->standing->phase);
    return 0;
}

static int worth(const struct facts *facts, const char *name, struct value *ret) {
    (void)name;
    *ret = number_value((double)facts->standing->value_micro / (double)MONEY_UNIT);
    return 0;
}

static int orders(const struct facts *facts, const char *name, struct value *ret) {
    (void)name;
    *ret = number_value((double)facts->standing->orders);
    return 0;
}

static int access(const struct facts *facts, const char *name, struct value *ret) {
    (void)name;
    *ret = number_value(facts->standing->access);
    return 0;
}

static int registered(const struct facts *facts, const char *name, struct value *ret) {
    (void)name;
    *ret = flag_value(facts->standing->registered);
    return 0;
}

static int is_tier(const struct facts *facts, const char *name, struct value *ret) {
    *ret = flag_value(strcmp(facts->standing->tier, name) == 0);
    return 0;
}

static int language(const struct facts *facts, const char *name, struct value *ret) {
    (void)name;
    *ret = text_value(profile_language(facts->profile));
    return 0;
}

static int channel(const struct facts *facts, const char *name, struct value *ret) {
    (void)name;
    *ret = attribute_value(facts, "preference.channel");
    return 0;
}

static int attribute(const struct facts *facts, const char *name, struct value *ret) {
    *ret = attribute_value(facts, name);
    return 0;
}

static int preference(const struct facts *facts, const char *name, struct value *ret) {
    const char *whole = arena_printf(facts->profile->arena, "preference.%s", name);
    if (whole == NULL) {
        return -ENOMEM;
    }
    *ret = attribute_value(facts, whole);
    return 0;
}

static int events(const struct facts *facts, const char *name, struct value *ret) {
    (void)name;
    uint64_t n = 0;
    for (size_t i = 0; i < facts->profile->n_leaves; i++) {
        n += facts->profile->leaves[i].record->events;
    }
    *ret = number_value((double)n);
    return 0;
}

static int inactive_days(const struct facts *facts, const char *name, struct value *ret) {
    (void)name;
    int64_t days = (facts->now_us - facts->standing->heard_us) / DAY_US;
    if (facts->standing->heard_us > 0) {
        *ret = number_value((double)days);
    }
    return 0;
}

// ---- counters and interests

static uint64_t count(const struct facts *facts, const char *channel_name, const char *type) {
    uint64_t n = 0;
    for (size_t i = 0; i < facts->profile->n_leaves; i++) {
        const View__Customer *record = facts->profile->leaves[i].record;
        for (size_t j = 0; j < record->n_counter_number; j++) {
            if (strcmp(profile_interned(facts->profile, record->counter_type[j]), type) == 0 &&
                (strcmp(channel_name, "*") == 0 ||
                 strcmp(profile_interned(facts->profile, record->counter_channel[j]),
                        channel_name) == 0)) {
                n += record->counter_number[j];
            }
        }
    }
    return n;
}

// CHANNEL.TYPE; the type has dots of its own. * stands for every channel.
static int counter(const struct facts *facts, const char *name, struct value *ret) {
    size_t size = strcspn(name, ".");
    const char *channel_name = arena_printf(facts->profile->arena, "%.*s", (int)size, name);
    if (channel_name == NULL) {
        return -ENOMEM;
    }
    *ret =
        number_value(name[size] == '.' ? (double)count(facts, channel_name, name + size + 1) : 0);
    return 0;
}

static int visits(const struct facts *facts, const char *name, struct value *ret) {
    static const char *const types[] = {"page.viewed", "visit.recorded", "kiosk.session.ended"};
    uint64_t n = 0;
    (void)name;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        n += count(facts, "*", types[i]);
    }
    *ret = number_value((double)n);
    return 0;
}

static int weigh(const struct facts *facts, enum interest_kind kind, const char *term,
                 double *ret) {
    struct profile_interest *interests;
    size_t n;
    int r = profile_interests(facts->profile, facts->now_us, INTEREST_HALF_LIFE_US, &interests, &n);
    *ret = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (interests[i].kind == kind && strcmp(interests[i].term, term) == 0) {
            *ret = interests[i].weight;
        }
    }
    return r;
}

static int need(const struct facts *facts, const char *name, struct value *ret) {
    ret->has_number = true;
    return weigh(facts, INTEREST_NEED, name, &ret->number);
}

static int product(const struct facts *facts, const char *name, struct value *ret) {
    ret->has_number = true;
    return weigh(facts, INTEREST_PRODUCT, name, &ret->number);
}

// ---- items

// How many of a kind are in this state.
static int count_items(const struct facts *facts, enum item_kind kind, const char *state,
                       struct value *ret) {
    View__Item **items;
    size_t n, n_found = 0;
    int r = profile_items(facts->profile, kind, OPEN_ITEMS_MAX, &items, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        const char *text = profile_member_text(facts->profile, items[i], "state");
        n_found += text != NULL && strcmp(text, state) == 0;
    }
    *ret = number_value((double)n_found);
    return r;
}

static int count_open(const struct facts *facts, enum item_kind kind, struct value *ret) {
    View__Item **items;
    size_t n;
    int r = profile_open(facts->profile, kind, facts->now_us, OPEN_ITEMS_MAX, &items, &n);
    *ret = number_value((double)n);
    return r < 0 ? r : 0;
}

static int quotes(const struct facts *facts, const char *name, struct value *ret) {
    (void)name;
    return count_open(facts, ITEM_QUOTE, ret);
}

static int cases(const struct facts *facts, const char *name, struct value *ret) {
    (void)name;
    return count_open(facts, ITEM_CASE, ret);
}

static int carts(const struct facts *facts, const char *name, struct value *ret) {
    (void)name;
    return count_items(facts, ITEM_CART, "open", ret);
}

static int answer(const struct facts *facts, const char *name, struct value *ret) {
    View__Item *item;
    int r = profile_item(facts->profile, ITEM_ANSWER, name, &item);
    if (r == 0 && item != NULL) {
        *ret = text_value(profile_member_text(facts->profile, item, "answer"));
    }
    return r;
}

static int in_group(const struct facts *facts, const char *name, struct value *ret) {
    View__Item *item;
    int r = profile_item(facts->profile, ITEM_GROUP, name, &item);
    *ret = flag_value(item != NULL);
    return r;
}

static int restricted(const struct facts *facts, const char *name, struct value *ret) {
    uint64_t sequence;
    (void)name;
    int r = profile_privacy(facts->profile, "restriction", &sequence);
    *ret = flag_value(sequence != 0);
    return r;
}

// Of a purpose, over all addresses and channels: a refusal beats a grant.
static int consent(const struct facts *facts, const char *name, struct value *ret) {
    View__Item **items;
    size_t n;
    const char *state = "unknown";
    int r = profile_items(facts->profile, ITEM_CONSENT, OPEN_ITEMS_MAX, &items, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        const char *purpose = strrchr(items[i]->id, '\x1f');
        const char *said = profile_member_text(facts->profile, items[i], "state");
        if (purpose != NULL && strcmp(purpose + 1, name) == 0 && said != NULL &&
            (strcmp(state, "unknown") == 0 || strcmp(said, "granted") != 0)) {
            state = said;
        }
    }
    *ret = text_value(state);
    return r;
}

static int key(const struct facts *facts, const char *name, struct value *ret) {
    unsigned n_keys = 0;
    for (size_t i = 0; i < facts->profile->n_leaves; i++) {
        const View__Person *person = facts->profile->leaves[i].person;
        for (size_t j = 0; j < person->n_keys; j++) {
            n_keys += strcmp(person->keys[j]->kind, name) == 0;
        }
    }
    *ret = number_value(n_keys);
    return 0;
}

// ---- all of them

static const struct {
    const char *field; // with a dot at its end: a group, whose names are asked for
    int (*get)(const struct facts *facts, const char *name, struct value *ret);
} fields[] = {
    {"tier", tier},
    {"phase", phase},
    {"value", worth},
    {"orders", orders},
    {"access", access},
    {"registered", registered},
    {"client", is_tier},
    {"mvc", is_tier},
    {"language", language},
    {"channel", channel},
    {"owner", attribute},
    {"satisfaction", attribute},
    {"events", events},
    {"interactions", events},
    {"inactive_days", inactive_days},
    {"visits", visits},
    {"quotes", quotes},
    {"cases", cases},
    {"carts", carts},
    {"restricted", restricted},
    {"attributes.", attribute},
    {"preference.", preference},
    {"counters.", counter},
    {"needs.", need},
    {"products.", product},
    {"answers.", answer},
    {"consents.", consent},
    {"keys.", key},
    {"groups.", in_group},
};

static int field_get(const struct facts *facts, const char *field, struct value *ret) {
    *ret = (struct value){.text = NULL};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        size_t size = strlen(fields[i].field);
        bool is_group = fields[i].field[size - 1] == '.';
        if (is_group ? strncmp(field, fields[i].field, size) == 0
                     : strcmp(field, fields[i].field) == 0) {
            return fields[i].get(facts, is_group ? field + size : field, ret);
        }
    }
    return 0;
}

static bool equals(const struct value *value, const char *text) {
    if (value->text != NULL && strcmp(value->text, text) == 0) {
        return true;
    }
    struct value other = text_value(text);
    return value->has_number && other.has_number && !(value->number < other.number) &&
           !(value->number > other.number);
}

static bool holds(const struct policy_condition *condition, const struct value *value) {
    return (condition->is == NULL || equals(value, condition->is)) &&
           (condition->is_not == NULL || !equals(value, condition->is_not)) &&
           (condition->at_least == NULL ||
            (value->has_number && value->number >= *condition->at_least)) &&
           (condition->below == NULL || (value->has_number && value->number < *condition->below));
}

int conditions_hold(const struct facts *facts, const struct policy_condition *all, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        struct value value;
        int r = field_get(facts, all[i].field, &value);
        if (r != 0 || !holds(&all[i], &value)) {
            return r;
        }
    }
    return 1;
}

const struct policy_segment *conditions_find(const struct policy *policy, const char *name) {
    for (unsigned i = 0; i < policy->n_segments; i++) {
        if (strcmp(policy->segments[i].name, name) == 0) {
            return &policy->segments[i];
        }
    }
    return NULL;
}

int conditions_segment(const struct facts *facts, const char *name) {
    const struct policy_segment *segment = conditions_find(facts->policy, name);
    return segment != NULL ? conditions_hold(facts, segment->all, segment->n_all) : 0;
}
