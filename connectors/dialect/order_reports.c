// SPDX-License-Identifier: Apache-2.0
// What an ERP reports back: a JSON object or a list of them, each the data of an event with its
// type beside it. A file is good as a whole or refused as a whole.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connectors/dialect/order_document.h"
#include "schemas/base/clock.h"

enum member_kind { MEMBER_TEXT, MEMBER_INTEGER, MEMBER_MONEY, MEMBER_TIME };

struct member {
    const char *name;
    enum member_kind kind;
};

enum { MEMBERS_MAX = 4 };

static const struct report_type {
    const char *type;
    struct member required[MEMBERS_MAX];
} types[] = {
    {"order.changed",
     {{"order_id", MEMBER_TEXT}, {"status", MEMBER_TEXT}, {"revision", MEMBER_INTEGER}}},
    {"price.changed",
     {{"sku", MEMBER_TEXT},
      {"price", MEMBER_MONEY},
      {"currency", MEMBER_TEXT},
      {"valid_from", MEMBER_TIME}}},
};

static bool fits(const json_t *value, enum member_kind kind) {
    size_t size = json_string_length(value);
    const char *text = json_string_value(value);
    struct decimal ignored_money;
    int64_t ignored_time;
    switch (kind) {
    case MEMBER_TEXT:
        return size > 0 && size <= ORDER_ID_BYTES_MAX;
    case MEMBER_INTEGER:
        return json_is_integer(value);
    case MEMBER_MONEY:
        return text != NULL && decimal_parse(text, &ignored_money) == 0;
    case MEMBER_TIME:
        return text != NULL && clock_parse_rfc3339(text, &ignored_time) == 0;
    }
    return false;
}

static const char *const kind_texts[] = {
    [MEMBER_TEXT] = "a text",
    [MEMBER_INTEGER] = "a whole number",
    [MEMBER_MONEY] = "a decimal string",
    [MEMBER_TIME] = "a time (RFC 3339)",
};

static const struct report_type *find_type(const json_t *report) {
    const char *type = json_string_value(json_object_get(report, "type"));
    for (size_t i = 0; type != NULL && i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].type, type) == 0) {
            return &types[i];
        }
    }
    return NULL;
}

static int check(const json_t *report, size_t index, char *why) {
    const struct report_type *type = find_type(report);
    if (type == NULL) {
        snprintf(why, ORDER_WHY_BYTES, "report %zu: type is not order.changed or price.changed",
                 index);
        return 1;
    }
    for (size_t i = 0; i < MEMBERS_MAX && type->required[i].name != NULL; i++) {
        const struct member *member = &type->required[i];
        if (!fits(json_object_get(report, member->name), member->kind)) {
            snprintf(why, ORDER_WHY_BYTES, "report %zu: %s must be %s", index, member->name,
                     kind_texts[member->kind]);
            return 1;
        }
    }
    const json_t *time = json_object_get(report, "time");
    if (time != NULL && !fits(time, MEMBER_TIME)) {
        snprintf(why, ORDER_WHY_BYTES, "report %zu: time must be %s", index,
                 kind_texts[MEMBER_TIME]);
        return 1;
    }
    return 0;
}

// {type, [time], data}; data is the report without the two.
static json_t *unfold(json_t *report) {
    json_t *data = json_copy(report);
    json_object_del(data, "type");
    json_object_del(data, "time");
    json_t *event = json_object();
    json_object_set(event, "type", json_object_get(report, "type"));
    if (json_object_get(report, "time") != NULL) {
        json_object_set(event, "time", json_object_get(report, "time"));
    }
    json_object_set_new(event, "data", data);
    return event;
}

static int unfold_all(json_t *list, json_t **ret, char *why) {
    json_t *events = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (check(json_array_get(list, i), i, why) != 0) {
            json_decref(events);
            return 1;
        }
        json_array_append_new(events, unfold(json_array_get(list, i)));
    }
    *ret = events;
    return 0;
}

int order_reports_read(const void *bytes, size_t size, json_t **ret, char *why) {
    size_t mark = size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; // a BOM
    bytes = (const char *)bytes + mark;
    size -= mark;
    json_error_t error;
    json_t *json = size <= ORDER_JSON_BYTES_MAX
                       ? json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &error)
                       : NULL;
    if (json == NULL) {
        if (size > ORDER_JSON_BYTES_MAX) {
            snprintf(why, ORDER_WHY_BYTES, "the file is over %d bytes", ORDER_JSON_BYTES_MAX);
        } else {
            snprintf(why, ORDER_WHY_BYTES, "no JSON from line %d column %d on", error.line,
                     error.column);
        }
        return 1;
    }
    json_t *list = json_is_array(json) ? json_incref(json) : json_pack("[O]", json);
    json_decref(json);
    size_t n_reports = json_array_size(list);
    int r = 1;
    if (n_reports == 0 || n_reports > ORDER_REPORTS_MAX) {
        snprintf(why, ORDER_WHY_BYTES, "%zu reports, expected 1 to %d", n_reports,
                 ORDER_REPORTS_MAX);
    } else {
        r = unfold_all(list, ret, why);
    }
    json_decref(list);
    return r;
}
