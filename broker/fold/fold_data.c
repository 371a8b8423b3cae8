// SPDX-License-Identifier: Apache-2.0
// Reading an event's data, and the rows of its type in a table, for the fold's files. Everything is
// copied into the fold's arena: the event is only borrowed.
#include <inttypes.h>
#include <string.h>

#include "broker/fold/fold_internal.h"
#include "schemas/limits.h"

bool fold_data_find(const struct fold_step *step, const char *name, struct body_value *ret) {
    const ProtobufCBinaryData *bytes = &step->event->data;
    struct fold_data *data = step->data;
    if (data == NULL) {
        return bytes->len > 0 && body_find(bytes->data, bytes->len, name, ret);
    }
    if (data->members == NULL) {
        body_members_read(bytes->data, bytes->len, &data->own);
        data->members = &data->own;
    }
    return body_members_find(data->members, name, ret);
}

char *fold_data_text(const struct fold_step *step, const char *name) {
    struct body_value value;
    if (!fold_data_find(step, name, &value)) {
        return NULL;
    }
    if (value.kind == BODY_INTEGER) {
        return arena_printf(step->fold->scratch, "%" PRId64, value.integer);
    }
    if (value.kind != BODY_TEXT || value.text_size == 0 || value.text_size > ID_BYTES_MAX ||
        memchr(value.text, '\0', value.text_size) != NULL) {
        return NULL;
    }
    char *text = arena_alloc(step->fold->scratch, value.text_size + 1);
    if (text != NULL) {
        memcpy(text, value.text, value.text_size);
        text[value.text_size] = '\0';
    }
    return text;
}

bool fold_data_unsigned(const struct fold_step *step, const char *name, uint64_t *ret) {
    struct body_value value;
    if (!fold_data_find(step, name, &value) || value.kind != BODY_INTEGER || value.integer < 0) {
        return false;
    }
    *ret = (uint64_t)value.integer;
    return true;
}

bool fold_data_raw(const struct fold_step *step, const char *name, size_t size_max,
                   ProtobufCBinaryData *ret) {
    struct body_value value;
    if (!fold_data_find(step, name, &value) || value.kind == BODY_NIL) {
        return false;
    }
    if (value.raw_size > size_max) {
        if (step->customer != NULL) {
            step->customer->dropped++;
        }
        return false;
    }
    uint8_t *copy = arena_copy(step->fold->scratch, value.raw, value.raw_size);
    if (copy == NULL) {
        return false;
    }
    *ret = (ProtobufCBinaryData){.len = value.raw_size, .data = copy};
    return true;
}

static const char *type_at(const void *rows, size_t row_size, size_t i) {
    const char *type;
    memcpy(&type, (const char *)rows + i * row_size, sizeof(type));
    return type;
}

struct fold_span fold_rows_of(const void *rows, size_t n, size_t row_size, const char *type) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(type_at(rows, row_size, middle), type) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    struct fold_span span = {.first = (uint16_t)low};
    while (low + span.n < n && strcmp(type_at(rows, row_size, low + span.n), type) == 0) {
        span.n++;
    }
    return span;
}
