// SPDX-License-Identifier: Apache-2.0
// The attributes of an event by name: one row each in a table, everything else is an extension.
// Numbers and times are formatted on the first read and kept until the event changes.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/client/event.h"
#include "schemas/base/clock.h"
#include "schemas/cloudevents_names.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"

enum attribute_kind {
    ATTRIBUTE_TEXT,
    ATTRIBUTE_NAME, // text of a small charset
    ATTRIBUTE_TIME,
    ATTRIBUTE_DIRECTION,
    ATTRIBUTE_CAUSE,
    ATTRIBUTE_SEQUENCE,
    ATTRIBUTE_RECEIVED,
    ATTRIBUTE_CUSTOMER,
    ATTRIBUTE_REDACTED,
    ATTRIBUTE_SCORES,
    ATTRIBUTE_RESERVED,
};

struct attribute {
    const char *name;
    enum attribute_kind kind;
    size_t offset;    // text: of the char * in the message
    size_t bytes_max; // ATTRIBUTE_TEXT
};

#define TEXT(name, member, bytes_max)                                                              \
    { name, ATTRIBUTE_TEXT, offsetof(Touchbus__Event, member), bytes_max }

static const struct attribute attributes[] = {
    TEXT("id", id, ID_BYTES_MAX),
    TEXT("source", source, ID_BYTES_MAX),
    TEXT("type", type, ID_BYTES_MAX),
    TEXT("subject", subject, ID_BYTES_MAX),
    TEXT("dataschema", dataschema, ID_BYTES_MAX),
    TEXT("datacontenttype", datacontenttype, ID_BYTES_MAX),
    {"channel", ATTRIBUTE_NAME, offsetof(Touchbus__Event, channel), 0},
    TEXT("actor", actor, ID_BYTES_MAX),
    TEXT("case", case_id, ID_BYTES_MAX),
    TEXT("cost", cost, NAME_BYTES_MAX),
    TEXT("traceparent", traceparent, NAME_BYTES_MAX),
    {"time", ATTRIBUTE_TIME, 0, 0},
    {"direction", ATTRIBUTE_DIRECTION, 0, 0},
    {"cause", ATTRIBUTE_CAUSE, 0, 0},
    {"sequence", ATTRIBUTE_SEQUENCE, 0, 0},
    {"received", ATTRIBUTE_RECEIVED, 0, 0},
    {"customer", ATTRIBUTE_CUSTOMER, 0, 0},
    {"redacted", ATTRIBUTE_REDACTED, 0, 0},
    {"scores", ATTRIBUTE_SCORES, 0, 0},
    {"specversion", ATTRIBUTE_RESERVED, 0, 0},
    {"data", ATTRIBUTE_RESERVED, 0, 0},
    {"keys", ATTRIBUTE_RESERVED, 0, 0},
};

static const struct {
    const char *name;
    Touchbus__Direction direction;
} directions[] = {
    {"in", TOUCHBUS__DIRECTION__INBOUND},
    {"out", TOUCHBUS__DIRECTION__OUTBOUND},
    {"decided", TOUCHBUS__DIRECTION__DECIDED},
};

static const struct attribute *attribute_find(const char *name) {
    for (size_t i = 0; i < sizeof(attributes) / sizeof(*attributes); i++) {
        if (strcmp(attributes[i].name, name) == 0) {
            return &attributes[i];
        }
    }
    return NULL;
}

static char **text_at(Touchbus__Event *message, size_t offset) {
    return (char **)(void *)((char *)message + offset);
}

static int set_text(touchbus_event *event, const struct attribute *row, const char *value) {
    int r = row->kind == ATTRIBUTE_NAME ? event_check_name(value)
                                        : event_check_text(value, row->bytes_max);
    if (r != 0) {
        return r;
    }
    Touchbus__Event *message = event_change(event);
    char *text = message == NULL ? NULL : arena_strdup(event->arena, value);
    if (text == NULL) {
        return -ENOMEM;
    }
    *text_at(message, row->offset) = text;
    return 0;
}

static int set_direction(touchbus_event *event, const char *value) {
    for (size_t i = 0; i < sizeof(directions) / sizeof(*directions); i++) {
        if (strcmp(directions[i].name, value) == 0) {
            Touchbus__Event *message = event_change(event);
            if (message == NULL) {
                return -ENOMEM;
            }
            message->direction = directions[i].direction;
            return 0;
        }
    }
    return -EINVAL;
}

static int set_cause(touchbus_event *event, const char *value) {
    char *end;
    errno = 0;
    unsigned long long cause = strtoull(value, &end, 10);
    if (errno != 0 || *end != '\0' || value[0] < '0' || value[0] > '9') {
        return -EINVAL;
    }
    Touchbus__Event *message = event_change(event);
    if (message == NULL) {
        return -ENOMEM;
    }
    message->cause = cause;
    return 0;
}

int touchbus_event_set_time(touchbus_event *event, int64_t time_us) {
    if (time_us < CLOCK_US_MIN || time_us > CLOCK_US_MAX) {
        return -EINVAL;
    }
    Touchbus__Event *message = event_change(event);
    if (message == NULL) {
        return -ENOMEM;
    }
    message->time_us = time_us;
    message->has_time = true;
    return 0;
}

static int set_extension(touchbus_event *event, const char *name, const char *value) {
    size_t length = strnlen(name, NAME_BYTES_MAX + 1);
    if (length == 0 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789") != length) {
        return -EINVAL;
    }
    int r = length > NAME_BYTES_MAX ? -E2BIG : event_check_text(value, EXTENSION_TEXT_BYTES_MAX);
    if (r != 0) {
        return r;
    }
    Touchbus__Event *message = event_change(event);
    if (message == NULL) {
        return -ENOMEM;
    }
    struct arena *arena = event->arena;
    size_t index = 0;
    while (index < message->n_extensions && strcmp(message->extensions[index]->name, name) != 0) {
        index++;
    }
    if (index >= EVENT_EXTENSIONS_MAX) {
        return -E2BIG;
    }
    Touchbus__Extension *extension = arena_alloc(arena, sizeof(*extension));
    Touchbus__Extension **list = arena_calloc(arena, message->n_extensions + 1, sizeof(void *));
    char *own_name = arena_strdup(arena, name);
    char *text = arena_strdup(arena, value);
    if (extension == NULL || list == NULL || own_name == NULL || text == NULL) {
        return -ENOMEM;
    }
    touchbus__extension__init(extension);
    extension->name = own_name;
    extension->value_case = TOUCHBUS__EXTENSION__VALUE_TEXT;
    extension->text = text;
    for (size_t i = 0; i < message->n_extensions; i++) {
        list[i] = message->extensions[i];
    }
    list[index] = extension;
    message->extensions = list;
    message->n_extensions += index == message->n_extensions ? 1 : 0;
    return 0;
}

int touchbus_event_set(touchbus_event *event, const char *name, const char *value) {
    const struct attribute *row = attribute_find(name);
    int64_t time_us;
    if (row == NULL) {
        return set_extension(event, name, value);
    }
    switch (row->kind) {
    case ATTRIBUTE_TEXT:
    case ATTRIBUTE_NAME:
        return set_text(event, row, value);
    case ATTRIBUTE_TIME:
        return clock_parse_rfc3339(value, &time_us) != 0 ? -EINVAL
                                                         : touchbus_event_set_time(event, time_us);
    case ATTRIBUTE_DIRECTION:
        return set_direction(event, value);
    case ATTRIBUTE_CAUSE:
        return set_cause(event, value);
    case ATTRIBUTE_SEQUENCE:
    case ATTRIBUTE_RECEIVED:
    case ATTRIBUTE_CUSTOMER:
    case ATTRIBUTE_REDACTED:
    case ATTRIBUTE_SCORES:
    case ATTRIBUTE_RESERVED:
        break;
    }
    return -EINVAL;
}

// ---- reading

static const char *keep(const touchbus_event *event, int slot, const char *text) {
    if (event->self->texts[slot] == NULL) {
        event->self->texts[slot] = arena_strdup(event->arena, text);
    }
    return event->self->texts[slot];
}

static const char *keep_time(const touchbus_event *event, int slot, int64_t time_us) {
    char buffer[CLOCK_TEXT_BYTES];
    return keep(event, slot, clock_format_rfc3339(time_us, buffer));
}

static const char *keep_number(const touchbus_event *event, int slot, uint64_t number) {
    if (number == 0) {
        return NULL;
    }
    if (event->self->texts[slot] == NULL) {
        event->self->texts[slot] = arena_printf(event->arena, "%" PRIu64, number);
    }
    return event->self->texts[slot];
}

static const char *keep_scores(const touchbus_event *event) {
    if (event->self->texts[EVENT_TEXT_SCORES] == NULL) {
        json_t *scores = cloudevents_scores(event->message->stamp);
        const char *text = json_string_value(scores);
        keep(event, EVENT_TEXT_SCORES, text != NULL ? text : "[]");
        json_decref(scores);
    }
    return event->self->texts[EVENT_TEXT_SCORES];
}

static const char *extension_text(const touchbus_event *event, size_t index) {
    const Touchbus__Event *message = event->message;
    const Touchbus__Extension *extension = message->extensions[index];
    if (extension->value_case == TOUCHBUS__EXTENSION__VALUE_TEXT) {
        return extension->text;
    }
    if (extension->value_case == TOUCHBUS__EXTENSION__VALUE_FLAG) {
        return extension->flag ? "true" : "false";
    }
    touchbus_event *self = event->self;
    if (self->extension_texts == NULL) {
        self->extension_texts =
            arena_calloc(self->arena, message->n_extensions, sizeof(*self->extension_texts));
        if (self->extension_texts == NULL) {
            return NULL;
        }
    }
    if (self->extension_texts[index] == NULL) {
        self->extension_texts[index] = arena_printf(self->arena, "%" PRId32, extension->number);
    }
    return self->extension_texts[index];
}

const char *touchbus_event_get(const touchbus_event *event, const char *name) {
    Touchbus__Event *message = event_message(event);
    const struct attribute *row = attribute_find(name);
    char customer[24];
    if (message == NULL) {
        return NULL;
    }
    if (row == NULL) {
        for (size_t i = 0; i < message->n_extensions; i++) {
            if (strcmp(message->extensions[i]->name, name) == 0) {
                return extension_text(event, i);
            }
        }
        return NULL;
    }
    switch (row->kind) {
    case ATTRIBUTE_TEXT:
    case ATTRIBUTE_NAME: {
        const char *text = *text_at(message, row->offset);
        return text == NULL || text[0] == '\0' ? NULL : text;
    }
    case ATTRIBUTE_TIME:
        return message->has_time ? keep_time(event, EVENT_TEXT_TIME, message->time_us) : NULL;
    case ATTRIBUTE_DIRECTION:
        for (size_t i = 0; i < sizeof(directions) / sizeof(*directions); i++) {
            if (directions[i].direction == message->direction) {
                return directions[i].name;
            }
        }
        return NULL;
    case ATTRIBUTE_CAUSE:
        return keep_number(event, EVENT_TEXT_CAUSE, message->cause);
    case ATTRIBUTE_SEQUENCE:
        return keep_number(event, EVENT_TEXT_SEQUENCE, message->sequence);
    case ATTRIBUTE_RECEIVED:
        return message->sequence == 0 ? NULL
                                      : keep_time(event, EVENT_TEXT_RECEIVED, message->received_us);
    case ATTRIBUTE_CUSTOMER:
        return message->customer == 0 ? NULL
                                      : keep(event, EVENT_TEXT_CUSTOMER,
                                             envelope_format_customer(message->customer, customer));
    case ATTRIBUTE_REDACTED:
        return message->redacted ? "true" : NULL;
    case ATTRIBUTE_SCORES:
        return message->stamp == NULL || message->stamp->n_scores == 0 ? NULL : keep_scores(event);
    case ATTRIBUTE_RESERVED:
        break;
    }
    return NULL;
}

bool touchbus_event_time(const touchbus_event *event, int64_t *ret_us) {
    const Touchbus__Event *message = event_message(event);
    if (message == NULL || !message->has_time) {
        return false;
    }
    *ret_us = message->time_us;
    return true;
}

uint64_t touchbus_event_sequence(const touchbus_event *event) {
    return event->message != NULL ? event->message->sequence : event->outline.sequence;
}

int64_t touchbus_event_received(const touchbus_event *event) {
    const Touchbus__Event *message = event_message(event);
    return message == NULL ? 0 : message->received_us;
}

uint64_t touchbus_event_customer(const touchbus_event *event) {
    const Touchbus__Event *message = event_message(event);
    return message == NULL ? 0 : message->customer;
}

bool touchbus_event_erases(const touchbus_event *event) {
    const Touchbus__Event *message = event_message(event);
    return message != NULL && message->erases;
}

bool touchbus_event_redacted(const touchbus_event *event) {
    const Touchbus__Event *message = event_message(event);
    return message != NULL && message->redacted;
}

bool event_lanes(const touchbus_event *event, const uint64_t **ret, size_t *ret_n) {
    if (event->message == NULL && event->outline.n_lanes <= 1) {
        *ret = &event->outline.lane;
        *ret_n = event->outline.n_lanes;
        return true;
    }
    const Touchbus__Event *message = event_message(event);
    if (message == NULL) {
        return false;
    }
    *ret = message->lanes;
    *ret_n = message->n_lanes;
    return true;
}

uint64_t touchbus_event_lane(const touchbus_event *event) {
    const Touchbus__Event *message = event->message;
    if (message == NULL) {
        return event->outline.lane;
    }
    return message->n_lanes > 0 ? message->lanes[0] : 0;
}

uint32_t touchbus_event_rank(const touchbus_event *event) {
    const Touchbus__Event *message = event_message(event);
    return message == NULL ? 0 : message->rank;
}

uint32_t touchbus_event_attempt(const touchbus_event *event) {
    return event->attempt;
}
