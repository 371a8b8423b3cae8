// SPDX-License-Identifier: Apache-2.0
// Profile attributes: of two writers the one with the higher source rank wins, then the later event
// time (clamped to its receipt), then the greater event id, never the one that arrived later. A nil
// deletes and stays as a tombstone, so that a late older write does not bring the value back.
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"
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

// Whether this event's write beats the one that stands.
static bool beats(const struct fold_step *step, const View__Attribute *standing,
                  const struct body_value *value) {
    const Touchbus__Event *event = step->event;
    if (event->rank != standing->rank) {
        return event->rank > standing->rank;
    }
    if (step->time_us != standing->time_us) {
        return step->time_us > standing->time_us;
    }
    int order = strcmp(event->id, standing->id);
    if (order != 0) {
        return order > 0;
    }
    // Two sources may use one id: the bytes decide, so that arrival still does not.
    size_t size = value->raw_size < standing->value.len ? value->raw_size : standing->value.len;
    order = memcmp(value->raw, standing->value.data, size);
    return order != 0 ? order > 0 : value->raw_size > standing->value.len;
}

static int write_value(struct fold_step *step, View__Attribute *attribute,
                       const struct body_value *value) {
    struct arena *arena = step->fold->arena;
    step->touched->person_changed = true;
    attribute->value.data = arena_copy(arena, value->raw, value->raw_size);
    attribute->value.len = value->raw_size;
    attribute->sequence = step->event->sequence;
    attribute->rank = step->event->rank;
    attribute->time_us = step->time_us;
    attribute->id = arena_strdup(arena, step->event->id);
    return attribute->value.data == NULL || attribute->id == NULL ? -ENOMEM : 0;
}

static View__Attribute *add_attribute(struct fold_step *step, View__Person *person,
                                      const char *name, size_t size) {
    struct arena *arena = step->fold->arena;
    View__Attribute *attribute = arena_alloc(arena, sizeof(*attribute));
    View__Attribute **attributes =
        fold_grow(arena, person->attributes, person->n_attributes, sizeof(*attributes));
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
                         const struct body_value *value) {
    View__Customer *customer = step->customer;
    if (size == 0 || size > NAME_BYTES_MAX || memchr(name, '\0', size) != NULL ||
        value->raw_size > ATTRIBUTE_VALUE_BYTES_MAX) {
        customer->dropped++;
        return 0;
    }
    View__Person *person;
    int r = fold_person(step, &person);
    if (r != 0) {
        return r;
    }
    View__Attribute *attribute = find_attribute(person, name, size);
    if (attribute != NULL) {
        return beats(step, attribute, value) ? write_value(step, attribute, value) : 0;
    }
    if (person->n_attributes >= CUSTOMER_ATTRIBUTES_MAX) {
        customer->dropped++;
        return 0;
    }
    attribute = add_attribute(step, person, name, size);
    return attribute == NULL ? -ENOMEM : write_value(step, attribute, value);
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
        int r = name.kind == BODY_TEXT ? set_attribute(step, name.text, name.text_size, &value) : 0;
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

int fold_customer_identified(struct fold_step *step) {
    return set_members(step, "traits");
}

int fold_customer_changed(struct fold_step *step) {
    return set_members(step, "fields");
}

int fold_customer_registered(struct fold_step *step) {
    static const uint8_t yes[] = {0xc3}; // msgpack true
    const ProtobufCBinaryData *data = &step->event->data;
    struct body_value value = {.kind = BODY_BOOL, .raw = yes, .raw_size = sizeof(yes)};
    int r = set_attribute(step, "registered", strlen("registered"), &value);
    if (r == 0 && data->len > 0 && body_find(data->data, data->len, "incentive", &value)) {
        r = set_attribute(step, "incentive", strlen("incentive"), &value);
    }
    return r;
}
