// SPDX-License-Identifier: Apache-2.0
// A body against its row. The body is walked once; what it must have is a bit mask of the row's
// fields. The detail names fields and types only: values are personal.
#include <stdio.h>
#include <string.h>

#include "schemas/base/clock.h"
#include "schemas/body.h"
#include "schemas/catalogue.h"
#include "schemas/limits.h"

_Static_assert(CATALOGUE_FIELDS_MAX <= 64, "the fields of a row are bits of a uint64_t");

enum { DECIMAL_BYTES_MAX = 40, TIME_BYTES_MAX = 64 };

// -?digits[.digits], as in "19.90".
static bool is_decimal(const struct body_value *value) {
    if (value->kind != BODY_TEXT || value->text_size > DECIMAL_BYTES_MAX) {
        return false;
    }
    const char *at = value->text;
    const char *end = at + value->text_size;
    at += at < end && *at == '-';
    for (int part = 0; part < 2; part++) {
        const char *digits = at;
        while (at < end && *at >= '0' && *at <= '9') {
            at++;
        }
        if (at == digits) {
            return false;
        }
        if (at == end) {
            return true;
        }
        if (part == 1 || *at++ != '.') {
            return false;
        }
    }
    return false;
}

static bool is_time(const struct body_value *value) {
    char text[TIME_BYTES_MAX + 1];
    int64_t ignored;
    if (value->kind != BODY_TEXT || value->text_size > TIME_BYTES_MAX) {
        return false;
    }
    memcpy(text, value->text, value->text_size);
    text[value->text_size] = '\0';
    return clock_parse_rfc3339(text, &ignored) == 0;
}

static bool is_number(const struct body_value *value) {
    return value->kind == BODY_INTEGER || value->kind == BODY_REAL;
}

static bool is_text(const struct body_value *value) {
    return value->kind == BODY_TEXT;
}

static bool is_name_or_nil(const struct body_value *value) {
    return value->kind == BODY_TEXT || value->kind == BODY_NIL;
}

// Every line of an order passes here: one walk over its members.
static bool is_line(const struct body_value *line) {
    static const struct {
        const char *name;
        size_t length;
        bool (*fits)(const struct body_value *value);
        bool required;
    } members[] = {
        {"sku", 3, is_text, true},
        {"quantity", 8, is_number, true},
        {"price", 5, is_decimal, true},
        {"name", 4, is_name_or_nil, false},
    };
    if (line->kind != BODY_MAP) {
        return false;
    }
    unsigned n_required = 0;
    struct body_value name;
    struct body_value value;
    for (size_t position = 0; body_next(line, &position, &name, &value);) {
        for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
            if (name.text_size == members[i].length &&
                memcmp(name.text, members[i].name, members[i].length) == 0) {
                if (!members[i].fits(&value)) {
                    return false;
                }
                n_required += members[i].required;
                break;
            }
        }
    }
    return n_required == 3;
}

static bool is_lines(const struct body_value *value) {
    struct body_value line;
    size_t position = 0;
    if (value->kind != BODY_LIST) {
        return false;
    }
    while (body_next(value, &position, NULL, &line)) {
        if (!is_line(&line)) {
            return false;
        }
    }
    return true;
}

static bool is_any(const struct body_value *value) {
    (void)value;
    return true;
}

static bool is_integer(const struct body_value *value) {
    return value->kind == BODY_INTEGER;
}

static bool is_bool(const struct body_value *value) {
    return value->kind == BODY_BOOL;
}

static bool is_list(const struct body_value *value) {
    return value->kind == BODY_LIST;
}

static bool is_map(const struct body_value *value) {
    return value->kind == BODY_MAP;
}

static const struct {
    bool (*fits)(const struct body_value *value);
    const char *expected;
} checks[] = {
    [FIELD_ANY] = {is_any, "a value"},
    [FIELD_TEXT] = {is_text, "text"},
    [FIELD_INTEGER] = {is_integer, "a whole number"},
    [FIELD_NUMBER] = {is_number, "a number"},
    [FIELD_DECIMAL] = {is_decimal, "a decimal as text, such as \"19.90\""},
    [FIELD_BOOL] = {is_bool, "true or false"},
    [FIELD_TIME] = {is_time, "an RFC 3339 time"},
    [FIELD_LIST] = {is_list, "a list"},
    [FIELD_MAP] = {is_map, "a map"},
    [FIELD_LINES] = {is_lines, "a list of {sku: text, quantity: number, price: decimal as text}"},
};

static bool is_listed(const char *const *values, const struct body_value *value) {
    for (; values != NULL && *values != NULL; values++) {
        if (strlen(*values) == value->text_size &&
            memcmp(*values, value->text, value->text_size) == 0) {
            return true;
        }
    }
    return values == NULL;
}

// The first letters nearly always differ.
static size_t find_field(const struct catalogue_type *type, const char *name, size_t size) {
    size_t i = 0;
    while (i < type->n_fields && size > 0 &&
           (type->fields[i].name[0] != name[0] || strlen(type->fields[i].name) != size ||
            memcmp(type->fields[i].name, name, size) != 0)) {
        i++;
    }
    return size == 0 ? type->n_fields : i;
}

// Whether one of the fields that a group "a|b" names is among those seen.
static bool has_one_of(const struct catalogue_type *type, const char *group, uint64_t seen) {
    for (const char *at = group; at != NULL;) {
        const char *bar = strchr(at, '|');
        size_t index = find_field(type, at, bar == NULL ? strlen(at) : (size_t)(bar - at));
        if (index < type->n_fields && (seen & UINT64_C(1) << index) != 0) {
            return true;
        }
        at = bar == NULL ? NULL : bar + 1;
    }
    return false;
}

static int check_presence(const struct catalogue_type *type, uint64_t seen, char *detail,
                          size_t detail_size) {
    for (size_t i = 0; i < type->n_fields; i++) {
        if (type->fields[i].required && (seen & UINT64_C(1) << i) == 0) {
            snprintf(detail, detail_size, "%s: %s is missing", type->name, type->fields[i].name);
            return 1;
        }
    }
    for (const char *const *group = type->one_of; *group != NULL; group++) {
        if (!has_one_of(type, *group, seen)) {
            snprintf(detail, detail_size, "%s: one of %s is needed", type->name, *group);
            return 1;
        }
    }
    return 0;
}

// One member of the body. 0, or 1 and what is wrong with it.
static int check_member(const struct catalogue_type *type, const char *name, size_t name_size,
                        const struct body_value *value, uint64_t *seen, char *detail,
                        size_t detail_size) {
    size_t index = find_field(type, name, name_size);
    if (index == type->n_fields || value->kind == BODY_NIL) {
        return 0;
    }
    const struct catalogue_field *field = &type->fields[index];
    if (!checks[field->type].fits(value)) {
        snprintf(detail, detail_size, "%s: %s is not %s", type->name, field->name,
                 checks[field->type].expected);
        return 1;
    }
    if (!is_listed(field->values, value)) {
        snprintf(detail, detail_size, "%s: %s is none of the values it may have", type->name,
                 field->name);
        return 1;
    }
    *seen |= UINT64_C(1) << index;
    return 0;
}

static int no_map(const struct catalogue_type *type, char *detail, size_t detail_size) {
    snprintf(detail, detail_size, "%s: data is not a map", type->name);
    return 1;
}

int catalogue_check(const struct catalogue_type *type, const void *data, size_t size, char *detail,
                    size_t detail_size) {
    struct body_value body, name, value;
    uint64_t seen = 0;
    if (!body_read(data, size, &body) || body.kind != BODY_MAP) {
        return no_map(type, detail, detail_size);
    }
    for (size_t position = 0; body_next(&body, &position, &name, &value);) {
        if (check_member(type, name.text, name.text_size, &value, &seen, detail, detail_size) !=
            0) {
            return 1;
        }
    }
    return check_presence(type, seen, detail, detail_size);
}

int catalogue_check_members(const struct catalogue_type *type, const struct body_members *members,
                            char *detail, size_t detail_size) {
    uint64_t seen = 0;
    if (members->is_large) {
        return catalogue_check(type, members->data, members->size, detail, detail_size);
    }
    if (!members->is_map) {
        return no_map(type, detail, detail_size);
    }
    for (size_t i = 0; i < members->n; i++) {
        if (check_member(type, members->rows[i].name, members->rows[i].name_size,
                         &members->rows[i].value, &seen, detail, detail_size) != 0) {
            return 1;
        }
    }
    return check_presence(type, seen, detail, detail_size);
}
