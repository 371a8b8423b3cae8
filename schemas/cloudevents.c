// SPDX-License-Identifier: Apache-2.0
// CloudEvents attributes as rows: a row reads one JSON member into the event; what no row names is
// an extension. Reading is strict, because what is accepted here must come out the same: names of
// [a-z0-9], the types of the spec, and at the end everything that the envelope asks of an event.
// Writing is cloudevents_write.c.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
#include "schemas/cloudevents.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/base64.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/body.h"
#include "schemas/cloudevents_names.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"

struct reading {
    struct arena *arena;
    Touchbus__Event *event;
    bool stamped;
    bool has_specversion;
    bool has_keys;
    bool has_data;
    const char *why; // static
};

struct attribute {
    const char *name;
    int (*read)(struct reading *reading, const struct attribute *attribute, const json_t *value);
    size_t offset; // of the event's text, where read_text reads it
    const char *why_not;
};

static int refuse(struct reading *reading, const char *why) {
    reading->why = why;
    return 1;
}

static const char too_large[] = "it is too large";

// The text of a JSON string without NUL, NULL for any other value.
static const char *text_of(const json_t *value) {
    const char *text = json_string_value(value);
    return text != NULL && strlen(text) == json_string_length(value) ? text : NULL;
}

static int read_text(struct reading *reading, const struct attribute *attribute,
                     const json_t *value) {
    const char *text = text_of(value);
    if (text == NULL || text[0] == '\0') {
        return refuse(reading, attribute->why_not);
    }
    char *copy = arena_strdup(reading->arena, text);
    if (copy == NULL) {
        return refuse(reading, too_large);
    }
    memcpy((char *)reading->event + attribute->offset, &copy, sizeof(copy));
    return 0;
}

static int read_specversion(struct reading *reading, const struct attribute *attribute,
                            const json_t *value) {
    const char *text = text_of(value);
    reading->has_specversion = text != NULL && strcmp(text, "1.0") == 0;
    return reading->has_specversion ? 0 : refuse(reading, attribute->why_not);
}

static int read_type(struct reading *reading, const struct attribute *attribute,
                     const json_t *value) {
    int r = read_text(reading, attribute, value);
    const char *inside =
        r != 0 ? NULL : cloudevents_type_inside(reading->event->type, reading->arena);
    if (r == 0 && inside == NULL) {
        return refuse(reading, too_large);
    }
    if (r == 0) {
        memcpy(&reading->event->type, &inside, sizeof(inside));
    }
    return r;
}

static int read_time(struct reading *reading, const struct attribute *attribute,
                     const json_t *value) {
    const char *text = text_of(value);
    if (text == NULL || clock_parse_rfc3339(text, &reading->event->time_us) != 0) {
        return refuse(reading, attribute->why_not);
    }
    reading->event->has_time = true;
    return 0;
}

// A whole number above 0, as text or as a JSON integer.
static int number_of(const json_t *value, uint64_t *ret) {
    if (json_is_integer(value)) {
        *ret = (uint64_t)json_integer_value(value);
        return json_integer_value(value) > 0 ? 0 : -EINVAL;
    }
    const char *text = text_of(value);
    if (text == NULL || *text < '1' || *text > '9') {
        return -EINVAL;
    }
    uint64_t number = 0;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number)) {
            return -EINVAL;
        }
    }
    *ret = number;
    return 0;
}

static int read_cause(struct reading *reading, const struct attribute *attribute,
                      const json_t *value) {
    return number_of(value, &reading->event->cause) == 0 ? 0 : refuse(reading, attribute->why_not);
}

static int read_sequence(struct reading *reading, const struct attribute *attribute,
                         const json_t *value) {
    if (!reading->stamped) {
        return 0;
    }
    return number_of(value, &reading->event->sequence) == 0 ? 0
                                                            : refuse(reading, attribute->why_not);
}

static int read_received(struct reading *reading, const struct attribute *attribute,
                         const json_t *value) {
    if (!reading->stamped) {
        return 0;
    }
    const char *text = text_of(value);
    return text != NULL && clock_parse_rfc3339(text, &reading->event->received_us) == 0
               ? 0
               : refuse(reading, attribute->why_not);
}

static int read_customer(struct reading *reading, const struct attribute *attribute,
                         const json_t *value) {
    if (!reading->stamped) {
        return 0;
    }
    const char *text = text_of(value);
    return text != NULL && envelope_parse_customer(text, &reading->event->customer) == 0
               ? 0
               : refuse(reading, attribute->why_not);
}

static int read_redacted(struct reading *reading, const struct attribute *attribute,
                         const json_t *value) {
    if (!reading->stamped) {
        return 0;
    }
    reading->event->redacted = json_is_true(value);
    return json_is_boolean(value) ? 0 : refuse(reading, attribute->why_not);
}

// Written for readers of the log; the broker finds them itself.
static int pass_over(struct reading *reading, const struct attribute *attribute,
                     const json_t *value) {
    (void)reading;
    (void)attribute;
    (void)value;
    return 0;
}

static int read_direction(struct reading *reading, const struct attribute *attribute,
                          const json_t *value) {
    const char *text = text_of(value);
    for (int i = TOUCHBUS__DIRECTION__INBOUND; text != NULL && i <= TOUCHBUS__DIRECTION__DECIDED;
         i++) {
        if (strcmp(text, cloudevents_directions[i]) == 0) {
            reading->event->direction = (Touchbus__Direction)i;
            return 0;
        }
    }
    return refuse(reading, attribute->why_not);
}

static int read_keys(struct reading *reading, const struct attribute *attribute,
                     const json_t *value) {
    const char *text = text_of(value);
    reading->has_keys = true;
    if (text == NULL || cloudevents_parse_keys(text, reading->arena, &reading->event->identities,
                                               &reading->event->n_identities) != 0) {
        return refuse(reading, attribute->why_not);
    }
    return 0;
}

static int keep_data(struct reading *reading, const void *bytes, size_t size) {
    if (reading->has_data) {
        return refuse(reading, "data and data_base64 exclude each other");
    }
    reading->has_data = true;
    reading->event->data.data = arena_copy(reading->arena, bytes, size);
    reading->event->data.len = size;
    return reading->event->data.data == NULL ? refuse(reading, too_large) : 0;
}

static int read_data(struct reading *reading, const struct attribute *attribute,
                     const json_t *value) {
    _cleanup_free_ void *bytes = NULL;
    size_t size = 0;
    int r = body_from_json(value, &bytes, &size);
    if (r != 0) {
        return refuse(reading, r == -E2BIG ? too_large : attribute->why_not);
    }
    return keep_data(reading, bytes, size);
}

static int read_data_base64(struct reading *reading, const struct attribute *attribute,
                            const json_t *value) {
    _cleanup_free_ uint8_t *bytes = NULL;
    _cleanup_free_ void *packed = NULL;
    size_t size = 0;
    if (!json_is_string(value) ||
        base64_decode(json_string_value(value), json_string_length(value), &bytes, &size) != 0) {
        return refuse(reading, attribute->why_not);
    }
    if (body_from_bytes(bytes, size, &packed, &size) != 0) {
        return refuse(reading, too_large);
    }
    return keep_data(reading, packed, size);
}

static int read_extension(struct reading *reading, const char *name, const json_t *value) {
    Touchbus__Event *event = reading->event;
    if (event->n_extensions == EVENT_EXTENSIONS_MAX) {
        return refuse(reading, "too many extension attributes");
    }
    Touchbus__Extension *extension = arena_alloc(reading->arena, sizeof(*extension));
    char *copy = arena_strdup(reading->arena, name);
    if (extension == NULL || copy == NULL) {
        return refuse(reading, too_large);
    }
    touchbus__extension__init(extension);
    extension->name = copy;
    const char *text = text_of(value);
    if (text != NULL) {
        extension->value_case = TOUCHBUS__EXTENSION__VALUE_TEXT;
        extension->text = arena_strdup(reading->arena, text);
        if (extension->text == NULL) {
            return refuse(reading, too_large);
        }
    } else if (json_is_boolean(value)) {
        extension->value_case = TOUCHBUS__EXTENSION__VALUE_FLAG;
        extension->flag = json_is_true(value);
    } else if (json_is_integer(value) && json_integer_value(value) >= INT32_MIN &&
               json_integer_value(value) <= INT32_MAX) {
        extension->value_case = TOUCHBUS__EXTENSION__VALUE_NUMBER;
        extension->number = (int32_t)json_integer_value(value);
    } else {
        return refuse(reading, "an extension attribute is neither text, a 32-bit integer nor a "
                               "boolean");
    }
    event->extensions[event->n_extensions++] = extension;
    return 0;
}

#define TEXT(name, member)                                                                         \
    { name, read_text, offsetof(Touchbus__Event, member), name " is not text, or empty" }
static const struct attribute attributes[] = {
    {"specversion", read_specversion, 0, "specversion is not \"1.0\""},
    TEXT("id", id),
    TEXT("source", source),
    {"type", read_type, offsetof(Touchbus__Event, type), "type is not text, or empty"},
    TEXT("subject", subject),
    {"time", read_time, 0, "time is not RFC 3339"},
    TEXT("dataschema", dataschema),
    TEXT("datacontenttype", datacontenttype),
    {"data", read_data, 0, "data is over a limit of bodies, or its text holds a NUL"},
    {"data_base64", read_data_base64, 0, "data_base64 is not base64"},
    {"sequence", read_sequence, 0, "sequence is not a number above 0"},
    {"received", read_received, 0, "received is not RFC 3339"},
    {"customer", read_customer, 0, "customer is not of the form c42"},
    {"redacted", read_redacted, 0, "redacted is not true or false"},
    {"scores", pass_over, 0, ""},
    TEXT("channel", channel),
    {"direction", read_direction, 0, "direction is not in, out or decided"},
    TEXT("actor", actor),
    TEXT("case", case_id),
    {"cause", read_cause, 0, "cause is not a number above 0"},
    TEXT("cost", cost),
    TEXT("traceparent", traceparent),
    {"keys", read_keys, 0, "keys are not form-encoded kind=value pairs, or too many"},
};

static const struct attribute *find_attribute(const char *name) {
    for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
        if (strcmp(attributes[i].name, name) == 0) {
            return &attributes[i];
        }
    }
    return NULL;
}

bool cloudevents_is_attribute(const char *name) {
    return find_attribute(name) != NULL;
}

static bool is_attribute_name(const char *name) {
    return name[0] != '\0' && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789")] == '\0';
}

static int read_members(struct reading *reading, const json_t *json) {
    const char *name;
    json_t *value;
    json_t *object = NULL; // jansson iterates over a mutable object only; nothing changes it
    memcpy(&object, &json, sizeof(json));
    json_object_foreach(object, name, value) {
        const struct attribute *attribute = find_attribute(name);
        bool is_data = attribute != NULL && attribute->read == read_data;
        if (attribute == NULL && !is_attribute_name(name)) {
            return refuse(reading, "an attribute's name is not of [a-z0-9]");
        }
        if (json_is_null(value) && !is_data) {
            continue; // the same as not there
        }
        int r = attribute != NULL ? attribute->read(reading, attribute, value)
                                  : read_extension(reading, name, value);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

// Without keys the subject says whose event it is.
static int take_subject(struct reading *reading) {
    Touchbus__Event *event = reading->event;
    if (reading->has_keys || event->subject[0] == '\0') {
        return 0;
    }
    Touchbus__Identity **list = arena_alloc(reading->arena, sizeof(*list));
    Touchbus__Identity *identity = cloudevents_subject_identity(event->subject, reading->arena);
    if (list == NULL || identity == NULL) {
        return refuse(reading, too_large);
    }
    list[0] = identity;
    event->identities = list;
    event->n_identities = 1;
    return 0;
}

static int read_event(struct reading *reading, const json_t *json) {
    if (!json_is_object(json)) {
        return refuse(reading, "not a JSON object");
    }
    reading->event = arena_alloc(reading->arena, sizeof(*reading->event));
    if (reading->event == NULL) {
        return refuse(reading, too_large);
    }
    touchbus__event__init(reading->event);
    reading->event->extensions =
        arena_alloc(reading->arena, EVENT_EXTENSIONS_MAX * sizeof(Touchbus__Extension *));
    if (reading->event->extensions == NULL) {
        return refuse(reading, too_large);
    }
    int r = read_members(reading, json);
    if (r == 0 && !reading->has_specversion) {
        return refuse(reading, "specversion is missing");
    }
    if (r == 0) {
        r = take_subject(reading);
    }
    if (r == 0) {
        r = envelope_check_event(reading->event, !reading->stamped, reading->arena, &reading->why);
    }
    return r == 0 ? 0 : 1;
}

int cloudevents_from_json(const json_t *json, bool stamped, struct arena *arena,
                          Touchbus__Event **ret, const char **ret_why) {
    struct reading reading = {.arena = arena, .stamped = stamped};
    if (read_event(&reading, json) != 0) {
        *ret_why = reading.why;
        return 1;
    }
    *ret = reading.event;
    return 0;
}
