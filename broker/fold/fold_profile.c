// SPDX-License-Identifier: Apache-2.0
// Profile attributes, and which types set which: of two writers the one with the higher source rank
// wins, then the later event time (clamped to its receipt), then the greater event id, never the
// one that arrived later (register.h). A nil deletes and stays as a tombstone, so that a late older
// write does not bring the value back.
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"
#include "broker/fold/register.h"
#include "schemas/limits.h"

static View__Attribute *find_attribute(const View__Person *person, const char *name, size_t size) {
    for (size_t i = 0; i < person->n_attributes; i++) {
        const char *other = person->attributes[i]->name;
        if (strncmp(other, name, size) == 0 && other[size] == '\0') {
            return person->attributes[i];
        }
    }
    return NULL;
}

// Puts what was written in the place of what stands.
static int write_value(struct fold_step *step, View__Attribute *attribute,
                       const View__Attribute *written) {
    char *name = attribute->name;
    step->touched->person_changed = true;
    *attribute = *written;
    attribute->name = name;
    attribute->id = arena_strdup(step->fold->arena, written->id);
    return attribute->id == NULL ? -ENOMEM : 0;
}

static View__Attribute *add_attribute(struct fold_step *step, View__Person *person,
                                      const char *name, size_t size) {
    struct arena *arena = step->fold->arena;
    View__Attribute *attribute = arena_alloc(arena, sizeof(*attribute));
    View__Attribute **attributes = fold_grow(step, ROOM_ATTRIBUTES, person->attributes,
                                             person->n_attributes, sizeof(*attributes));
    char *copy = arena_alloc(arena, size + 1);
    if (attribute == NULL || attributes == NULL || copy == NULL) {
        return NULL;
    }
    memcpy(copy, name, size);
    copy[size] = '\0';
    view__attribute__init(attribute);
    attribute->name = copy;
    attributes[person->n_attributes++] = attribute;
    person->attributes = attributes;
    return attribute;
}

static int set_attribute(struct fold_step *step, const char *name, size_t size,
                         const uint8_t *value, size_t value_size) {
    View__Customer *customer = step->customer;
    if (size == 0 || size > NAME_BYTES_MAX || memchr(name, '\0', size) != NULL ||
        value_size > ATTRIBUTE_VALUE_BYTES_MAX) {
        customer->dropped++;
        return 0;
    }
    View__Person *person;
    int r = fold_person(step, &person);
    if (r != 0) {
        return r;
    }
    View__Attribute *attribute = find_attribute(person, name, size);
    View__Attribute written;
    view__attribute__init(&written);
    written.value = (ProtobufCBinaryData){.data = arena_copy(step->fold->arena, value, value_size),
                                          .len = value_size};
    written.sequence = step->event->sequence;
    written.rank = step->event->rank;
    written.time_us = step->time_us;
    written.id = step->event->id;
    if (written.value.data == NULL) {
        return -ENOMEM;
    }
    if (attribute != NULL) {
        return register_beats(&written, attribute) ? write_value(step, attribute, &written) : 0;
    }
    if (person->n_attributes >= CUSTOMER_ATTRIBUTES_MAX) {
        customer->dropped++;
        return 0;
    }
    attribute = add_attribute(step, person, name, size);
    return attribute == NULL ? -ENOMEM : write_value(step, attribute, &written);
}

// Every member of the map under this name is an attribute.
static int set_members(struct fold_step *step, const char *map_name) {
    const ProtobufCBinaryData *data = &step->event->data;
    struct body_value map;
    if (data->len == 0 || !body_find(data->data, data->len, map_name, &map) ||
        map.kind != BODY_MAP) {
        return 0;
    }
    size_t position = 0;
    struct body_value name;
    struct body_value value;
    while (body_next(&map, &position, &name, &value)) {
        int r = name.kind == BODY_TEXT
                    ? set_attribute(step, name.text, name.text_size, value.raw, value.raw_size)
                    : 0;
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

// ---- which types set which

static int set_from_data(struct fold_step *step, const char *attribute, const char *name) {
    struct body_value value;
    return fold_data_find(step, name, &value)
               ? set_attribute(step, attribute, strlen(attribute), value.raw, value.raw_size)
               : 0;
}

static int set_registered(struct fold_step *step, const char *attribute, const char *name) {
    static const uint8_t yes = 0xc3; // msgpack true
    (void)name;
    step->customer->registered = true;
    return set_attribute(step, attribute, strlen(attribute), &yes, sizeof(yes));
}

// {score, scale} as one value, so that a score never stands with another's scale.
static int set_satisfaction(struct fold_step *step, const char *attribute, const char *name) {
    static const uint8_t map = 0x82, score_name[] = "\xa5score", scale_name[] = "\xa5scale";
    struct body_value score, scale;
    uint8_t bytes[ATTRIBUTE_VALUE_BYTES_MAX], *end = bytes;
    (void)name;
    if (!fold_data_find(step, "score", &score) || !fold_data_find(step, "scale", &scale) ||
        score.raw_size > sizeof(bytes) / 4 || scale.raw_size > sizeof(bytes) / 2) {
        return 0;
    }
    *end++ = map;
    end = mempcpy(end, score_name, sizeof(score_name) - 1);
    end = mempcpy(end, score.raw, score.raw_size);
    end = mempcpy(end, scale_name, sizeof(scale_name) - 1);
    end = mempcpy(end, scale.raw, scale.raw_size);
    return set_attribute(step, attribute, strlen(attribute), bytes, (size_t)(end - bytes));
}

// How messages on this channel fare.
static int set_reachability(struct fold_step *step, const char *attribute, const char *name) {
    const char *full = arena_printf(step->fold->arena, "%s%s", attribute, step->event->channel);
    return full == NULL ? -ENOMEM : set_from_data(step, full, name);
}

static int set_map(struct fold_step *step, const char *attribute, const char *name) {
    (void)attribute;
    return set_members(step, name);
}

static const struct attribute_row {
    const char *type;
    int (*set)(struct fold_step *step, const char *attribute, const char *name);
    const char *attribute;
    const char *name; // in the data
} ROWS[] = {
    {"call.answered", set_from_data, "owner", "actor"},
    {"customer.changed", set_map, NULL, "fields"},
    {"customer.identified", set_map, NULL, "traits"},
    {"customer.registered", set_from_data, "incentive", "incentive"},
    {"customer.registered", set_registered, "registered", NULL},
    {"feedback.given", set_satisfaction, "satisfaction", NULL},
    {"greeting.shown", set_from_data, "greeting", "variant"},
    {"interaction.routed", set_from_data, "owner", "actor"},
    {"message.outcome", set_reachability, "reachability.", "outcome"},
    {"opportunity.changed", set_from_data, "owner", "owner"},
    {"preference.set", set_from_data, "preference.channel", "channel"},
    {"preference.set", set_from_data, "preference.hours", "hours"},
    {"preference.set", set_from_data, "preference.language", "language"},
};
enum { N_ROWS = sizeof(ROWS) / sizeof(ROWS[0]) };

struct fold_span fold_attributes_of(const char *type) {
    return fold_rows_of(ROWS, N_ROWS, sizeof(ROWS[0]), type);
}

int fold_attributes(struct fold_step *step, struct fold_span rows) {
    int r = 0;
    for (size_t i = rows.first; r == 0 && i < (size_t)rows.first + rows.n; i++) {
        r = fold_left_out(step) ? 0 : ROWS[i].set(step, ROWS[i].attribute, ROWS[i].name);
    }
    return r;
}
