// SPDX-License-Identifier: Apache-2.0
// Values of a call as the catalogue wants them: ids as text, money as decimal text, products as
// lines. What cannot be converted stays as it came: the catalogue judges, not we.
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "connectors/dialect/segment_types.h"
#include "schemas/base/clock.h"

enum { PATH_BYTES_MAX = 128, LINES_MAX = 1024 };

static json_t *find_path(json_t *value, const char *path, size_t length) {
    char buffer[PATH_BYTES_MAX];
    if (length >= sizeof(buffer)) {
        return NULL;
    }
    memcpy(buffer, path, length);
    buffer[length] = '\0';
    for (char *name = buffer, *next; name != NULL; name = next) {
        next = strchr(name, '.');
        if (next != NULL) {
            *next++ = '\0';
        }
        value = json_object_get(value, name);
    }
    return json_is_null(value) ? NULL : value;
}

json_t *segment_find(json_t *call, const char *paths) {
    for (const char *path = paths; path != NULL;) {
        size_t length = strcspn(path, "|");
        json_t *value = find_path(call, path, length);
        bool empty = json_is_string(value) && json_string_length(value) == 0;
        if (value != NULL && !empty) {
            return value;
        }
        path = path[length] == '|' ? path + length + 1 : NULL;
    }
    return NULL;
}

static const char *format_real(double value, char buffer[static SEGMENT_NUMBER_BYTES]) {
    // Up to 15 digits every decimal comes back as it was written.
    snprintf(buffer, SEGMENT_NUMBER_BYTES, "%.15g", value);
    if (strchr(buffer, 'e') != NULL) {
        if (!(fabs(value) < 1e15)) {
            return NULL;
        }
        snprintf(buffer, SEGMENT_NUMBER_BYTES, "%.15f", value);
    }
    return buffer;
}

const char *segment_text(const json_t *value, char buffer[static SEGMENT_NUMBER_BYTES]) {
    if (json_is_string(value)) {
        return json_string_length(value) == 0 ? NULL : json_string_value(value);
    }
    if (json_is_integer(value)) {
        snprintf(buffer, SEGMENT_NUMBER_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return buffer;
    }
    return json_is_real(value) ? format_real(json_real_value(value), buffer) : NULL;
}

static json_t *make_text(const json_t *value) {
    char buffer[SEGMENT_NUMBER_BYTES];
    const char *text = segment_text(value, buffer);
    return text == NULL ? NULL : json_string(text);
}

static json_t *make_number(const json_t *value) {
    if (json_is_number(value)) {
        return json_deep_copy(value);
    }
    if (!json_is_string(value)) {
        return NULL;
    }
    json_t *number = json_loads(json_string_value(value), JSON_DECODE_ANY, NULL);
    if (!json_is_number(number)) {
        json_decref(number);
        return NULL;
    }
    return number;
}

// A member that is missing or no text at all is left as it is: the catalogue judges.
static void set_text(json_t *object, const char *name, const json_t *value) {
    json_t *text = make_text(value);
    if (text != NULL) {
        json_object_set_new(object, name, text);
    }
}

// Segment's product -> {sku, quantity, price, name}, and whatever else it has where `whole`.
static json_t *make_line(json_t *product, bool whole) {
    if (!json_is_object(product)) {
        return json_incref(product);
    }
    json_t *line = whole ? json_copy(product) : json_object();
    json_t *quantity = make_number(json_object_get(product, "quantity"));
    set_text(line, "sku", segment_find(product, "sku|product_id|id"));
    set_text(line, "price", json_object_get(product, "price"));
    set_text(line, "name", json_object_get(product, "name"));
    json_object_set_new(line, "quantity", quantity != NULL ? quantity : json_integer(1));
    return line;
}

static json_t *make_lines(json_t *products) {
    if (!json_is_array(products) || json_array_size(products) > LINES_MAX) {
        return NULL;
    }
    json_t *lines = json_array();
    for (size_t i = 0; i < json_array_size(products); i++) {
        json_array_append_new(lines, make_line(json_array_get(products, i), true));
    }
    return lines;
}

static json_t *make_revision(const json_t *value, json_t *call) {
    json_t *number = make_number(value);
    int64_t time_us;
    if (json_is_integer(number)) {
        return number;
    }
    json_decref(number);
    const char *time = json_string_value(segment_find(call, "originalTimestamp|timestamp"));
    if (time == NULL || clock_parse_rfc3339(time, &time_us) != 0) {
        return json_integer(1);
    }
    return json_integer(time_us / CLOCK_US_PER_MS);
}

static json_t *make_value(const struct segment_field *field, json_t *call) {
    json_t *value = segment_find(call, field->from);
    json_t *made = NULL;
    switch (field->value) {
    case VALUE_TEXT:
    case VALUE_DECIMAL:
        made = make_text(value);
        break;
    case VALUE_NUMBER:
        made = make_number(value);
        break;
    case VALUE_MAP:
        return json_is_object(value) ? json_copy(value) : json_object();
    case VALUE_LINES:
        return make_lines(value);
    case VALUE_LINE: {
        json_t *lines = json_array();
        json_array_append_new(lines, make_line(value, false));
        return lines;
    }
    case VALUE_REVISION:
        return make_revision(value, call);
    }
    if (made == NULL && field->otherwise != NULL) {
        made = field->value == VALUE_NUMBER ? json_loads(field->otherwise, JSON_DECODE_ANY, NULL)
                                            : json_string(field->otherwise);
    }
    return made;
}

// Where it happened (page, campaign, device); not the library, and traits stand elsewhere.
static void add_context(json_t *data, json_t *context) {
    if (!json_is_object(context) || json_object_get(data, "context") != NULL) {
        return;
    }
    json_t *copy = json_copy(context);
    json_object_del(copy, "library");
    json_object_del(copy, "traits");
    if (json_object_size(copy) > 0) {
        json_object_set(data, "context", copy);
    }
    json_decref(copy);
}

json_t *segment_type_data(const struct segment_type *type, json_t *call) {
    json_t *base = type->base == NULL ? NULL : json_object_get(call, type->base);
    json_t *data = json_is_object(base) ? json_copy(base) : json_object();
    if (data == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < SEGMENT_FIELDS_MAX && type->fields[i].name != NULL; i++) {
        json_t *value = make_value(&type->fields[i], call);
        if (value != NULL) {
            json_object_set_new(data, type->fields[i].name, value);
        }
    }
    add_context(data, json_object_get(call, "context"));
    return data;
}
