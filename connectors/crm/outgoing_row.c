// SPDX-License-Identifier: Apache-2.0
// The table of kinds: what a row of that kind must have and which event it becomes. What the
// catalogue asks beyond that is the broker's to judge; its reason is written into the row.
#include "connectors/crm/outgoing_row.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/limits.h"

enum { MEMBERS_MAX = 5, CUSTOMER_DIGITS_MAX = 18, CUSTOMER_BYTES = CUSTOMER_DIGITS_MAX + 2 };

enum member_type { MEMBER_TEXT, MEMBER_MAP, MEMBER_NAMES, MEMBER_CUSTOMERS, MEMBER_FLAG };

struct member {
    const char *name;
    enum member_type type;
};

static const struct kind {
    const char *name, *type, *direction;
    bool of_one; // names a customer or a key
    struct member members[MEMBERS_MAX];
} kinds[] = {
    {"customer.changed", "customer.changed", "in", true, {{"fields", MEMBER_MAP}}},
    {"mvc", "customer.changed", "in", true, {{"mvc", MEMBER_FLAG}}},
    {"consent.changed",
     "consent.changed",
     "in",
     true,
     {{"purpose", MEMBER_TEXT},
      {"address", MEMBER_TEXT},
      {"state", MEMBER_TEXT},
      {"text_version", MEMBER_TEXT}}},
    {"contact.requested",
     "contact.requested",
     "out",
     true,
     {{"content_id", MEMBER_TEXT}, {"purpose", MEMBER_TEXT}, {"channels", MEMBER_NAMES}}},
    {"merge.requested",
     "merge.requested",
     "out",
     false,
     {{"customers", MEMBER_CUSTOMERS}, {"reason", MEMBER_TEXT}}},
    {"split.requested",
     "split.requested",
     "out",
     false,
     {{"customers", MEMBER_CUSTOMERS}, {"reason", MEMBER_TEXT}}},
};

static void cleanup_json(json_t **json) {
    json_decref(*json);
}

static void cleanup_event(touchbus_event **event) {
    touchbus_event_free(*event);
}

static int complain(char *why, const char *text) {
    snprintf(why, OUTGOING_WHY_BYTES, "%s", text);
    return 1;
}

// ---- what a row of its kind must have

static bool is_text(const json_t *value) {
    return json_string_length(value) > 0 && json_string_length(value) <= ID_BYTES_MAX;
}

static bool is_map(const json_t *value) {
    return json_object_size(value) > 0;
}

static bool is_list_of(const json_t *value, size_t n_min, size_t n_max) {
    bool fits = json_array_size(value) >= n_min && json_array_size(value) <= n_max;
    for (size_t i = 0; i < json_array_size(value) && fits; i++) {
        fits = is_text(json_array_get(value, i));
    }
    return fits;
}

static bool is_names(const json_t *value) {
    return json_is_array(value) && is_list_of(value, 0, OUTGOING_CHANNELS_MAX);
}

static bool is_customers(const json_t *value) {
    return is_list_of(value, 1, EVENT_REFERENCES_MAX);
}

static bool is_flag(const json_t *value) {
    return json_is_boolean(value);
}

static const struct {
    const char *expected;
    bool (*fits)(const json_t *value);
} member_types[] = {
    [MEMBER_TEXT] = {"a text of at most 256 bytes", is_text},
    [MEMBER_MAP] = {"a map with at least one field", is_map},
    [MEMBER_NAMES] = {"a list of at most 32 names, empty for any", is_names},
    [MEMBER_CUSTOMERS] = {"a list of 1 to 16 customers, such as \"c42\"", is_customers},
    [MEMBER_FLAG] = {"true or false", is_flag},
};

static int check_members(const struct kind *kind, const json_t *data, char *why) {
    for (size_t i = 0; i < MEMBERS_MAX && kind->members[i].name != NULL; i++) {
        const struct member *member = &kind->members[i];
        const json_t *value = json_object_get(data, member->name);
        if (!member_types[member->type].fits(value)) {
            snprintf(why, OUTGOING_WHY_BYTES, "data.%s: expected %s", member->name,
                     member_types[member->type].expected);
            return 1;
        }
    }
    return 0;
}

static const struct kind *find_kind(const char *name) {
    for (size_t i = 0; name != NULL && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

// ---- whom it is about

// 42 -> c42.
static int format_customer(const char *digits, char ret[static CUSTOMER_BYTES], char *why) {
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > CUSTOMER_DIGITS_MAX || digits[n] != '\0' || digits[0] == '0') {
        return complain(why, "customer: expected the number of one, 42 for c42");
    }
    snprintf(ret, CUSTOMER_BYTES, "c%s", digits);
    return 0;
}

static bool has_key(const struct outgoing_row *row) {
    return row->key_kind != NULL && row->key_value != NULL;
}

// A customer by number stands in the data, where the catalogue has it; a key is an identity. Both:
// the key decides, as everywhere.
static int set_whom(const struct outgoing_row *row, const struct kind *kind, json_t *data,
                    char *why) {
    char customer[CUSTOMER_BYTES];
    bool addressed =
        json_object_get(data, "address") != NULL && strcmp(kind->type, "contact.requested") == 0;
    if ((row->key_kind == NULL) != (row->key_value == NULL)) {
        return complain(why, "key_kind and key_value: expected both or none");
    }
    if (!kind->of_one) {
        return row->customer == NULL && row->key_kind == NULL
                   ? 0
                   : complain(why,
                              "customer, key: this kind names its customers in data.customers");
    }
    if (json_object_get(data, "customer") != NULL) {
        return complain(why, "data.customer: it belongs into the column customer");
    }
    if (row->customer == NULL) {
        return has_key(row) || addressed ? 0 : complain(why, "who? expected customer, or a key");
    }
    int r = format_customer(row->customer, customer, why);
    return r != 0                                                              ? r
           : json_object_set_new(data, "customer", json_string(customer)) != 0 ? -ENOMEM
                                                                               : 0;
}

// ---- what it becomes

// What the row says in another form than the event does.
static int complete(const struct outgoing_row *row, const struct kind *kind, json_t *data) {
    json_t *flag = json_object_get(data, "mvc");
    if (strcmp(kind->name, "mvc") == 0) {
        json_t *fields = json_pack("{s:O}", "mvc", flag);
        return json_object_del(data, "mvc") != 0 || json_object_set_new(data, "fields", fields) != 0
                   ? -ENOMEM
                   : 0;
    }
    // Asked again under the same contact_id the broker's verdict is the same.
    if (strcmp(kind->name, "contact.requested") == 0 &&
        json_object_get(data, "contact_id") == NULL) {
        return json_object_set_new(data, "contact_id", json_string(row->event)) != 0 ? -ENOMEM : 0;
    }
    return 0;
}

static int fill(const struct outgoing_row *row, const struct kind *kind, const json_t *data,
                touchbus_event *event, char *why) {
    int64_t created_us;
    _cleanup_free_ char *text = json_dumps(data, JSON_COMPACT);
    int r = text == NULL ? -ENOMEM : touchbus_event_set_data_json(event, text, strlen(text));
    if (r != 0) {
        return r == -ENOMEM ? r : complain(why, "data: nested too deep, or too large");
    }
    if (row->created == NULL || clock_parse_rfc3339(row->created, &created_us) != 0 ||
        touchbus_event_set_time(event, created_us) != 0) {
        return complain(why, "created: no time that an event may have");
    }
    r = touchbus_event_set(event, "channel", "crm");
    r = r != 0 ? r : touchbus_event_set(event, "direction", kind->direction);
    if (r == 0 && row->actor != NULL && row->actor[0] != '\0' &&
        touchbus_event_set(event, "actor", row->actor) != 0) {
        return complain(why, "actor: too long, or with control characters");
    }
    if (r == 0 && has_key(row)) {
        r = touchbus_event_add_identity(event, row->key_kind, row->key_value, false);
    }
    return r == 0 || r == -ENOMEM ? r
                                  : complain(why, "key_kind, key_value: not acceptable as a key");
}

int outgoing_event(const struct outgoing_row *row, const char *source, touchbus_event **ret,
                   char why[OUTGOING_WHY_BYTES]) {
    const struct kind *kind = find_kind(row->kind);
    if (kind == NULL) {
        return complain(why, "kind: expected customer.changed, mvc, consent.changed, "
                             "contact.requested, merge.requested or split.requested");
    }
    if (row->data == NULL || strlen(row->data) > OUTGOING_DATA_BYTES_MAX) {
        return complain(why, "data: over 256 KiB");
    }
    _cleanup_(cleanup_json) json_t *data = json_loads(row->data, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(data)) {
        return complain(why, "data: expected a JSON object");
    }
    int r = GUARD(outgoing_members) ? check_members(kind, data, why) : 0;
    r = r != 0 ? r : set_whom(row, kind, data, why);
    r = r != 0 ? r : complete(row, kind, data);
    if (r != 0) {
        return r;
    }
    _cleanup_(cleanup_event) touchbus_event *event =
        touchbus_event_new(kind->type, source, row->event);
    r = event == NULL ? -ENOMEM : fill(row, kind, data, event, why);
    if (r == 0) {
        *ret = STEAL(event);
    }
    return r;
}

size_t outgoing_names(const struct outgoing_row *row, const json_t *data,
                      struct kit_identity ret[OUTGOING_NAMES_MAX]) {
    const char *address = json_string_value(json_object_get(data, "address"));
    size_t n = 0;
    if (has_key(row)) {
        ret[n++] = (struct kit_identity){.kind = row->key_kind, .value = row->key_value};
    }
    if (address != NULL && strchr(address, '@') != NULL) {
        ret[n++] = (struct kit_identity){.kind = "email", .value = address};
    } else if (address != NULL) {
        ret[n++] = (struct kit_identity){.kind = "phone", .value = address};
        ret[n++] = (struct kit_identity){.kind = "fax", .value = address};
    }
    return n;
}
