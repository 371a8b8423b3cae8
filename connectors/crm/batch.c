// SPDX-License-Identifier: Apache-2.0
// Rows of a batch in three growing arrays; they keep their room from batch to batch.
#include "connectors/crm/batch.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/guards.h"

// Room for n more items; false: memory is short.
static bool grow(void **items, size_t used, size_t *size, size_t n, size_t item_size) {
    if (used + n <= *size) {
        return true;
    }
    size_t wanted = 2 * *size > used + n ? 2 * *size : used + n + 64;
    void *grown = reallocarray(*items, wanted, item_size);
    if (grown == NULL) {
        return false;
    }
    *items = grown;
    *size = wanted;
    return true;
}

static bool add_text(struct batch *batch, const char *text) {
    size_t size = strlen(text) + 1;
    void *bytes = batch->text;
    if (!grow(&bytes, batch->text_used, &batch->text_size, size, 1)) {
        return false;
    }
    batch->text = bytes;
    batch->values[batch->n_values++] = batch->text_used;
    memcpy(batch->text + batch->text_used, text, size);
    batch->text_used += size;
    return true;
}

static bool add_value(struct batch *batch, char letter, va_list *arguments) {
    char number[40];
    const char *text = number;
    switch (letter) {
    case 'i':
        snprintf(number, sizeof(number), "%" PRId64, va_arg(*arguments, int64_t));
        break;
    case 'd':
        snprintf(number, sizeof(number), "%.17g", va_arg(*arguments, double));
        break;
    case 's':
        text = va_arg(*arguments, const char *);
        break;
    default:
        text = NULL;
        break;
    }
    if (text == NULL) {
        batch->values[batch->n_values++] = BATCH_NULL;
        return true;
    }
    return add_text(batch, text);
}

static int run(struct sql *sql, int statement, const char *format, ...) {
    struct batch *batch = (struct batch *)sql; // sql is its first member
    size_t n = strlen(format);
    assert(n <= BATCH_VALUES_MAX);
    void *rows = batch->rows, *values = batch->values;
    bool fits = grow(&rows, batch->n_rows, &batch->rows_size, 1, sizeof(*batch->rows));
    batch->rows = rows;
    fits = fits && grow(&values, batch->n_values, &batch->values_size, n, sizeof(*batch->values));
    batch->values = values;
    if (!fits) {
        return BATCH_NO_MEMORY;
    }
    batch->rows[batch->n_rows++] = (struct batch_row){.statement = statement,
                                                      .n_values = (int)n,
                                                      .event = batch->event,
                                                      .first = batch->n_values};
    va_list arguments;
    va_start(arguments, format);
    for (size_t i = 0; i < n && fits; i++) {
        fits = add_value(batch, format[i], &arguments);
    }
    va_end(arguments);
    return fits ? 0 : BATCH_NO_MEMORY;
}

void batch_init(struct batch *batch) {
    *batch = (struct batch){.sql.run = run};
}

void batch_clear(struct batch *batch) {
    batch->n_rows = batch->n_values = batch->text_used = 0;
}

void batch_free(struct batch *batch) {
    free(batch->rows);
    free(batch->values);
    free(batch->text);
    *batch = (struct batch){.sql.run = run};
}

void batch_event(struct batch *batch, size_t event) {
    batch->event = event;
}

void batch_undo(struct batch *batch) {
    while (batch->n_rows > 0 && batch->rows[batch->n_rows - 1].event == batch->event) {
        batch->n_values = batch->rows[--batch->n_rows].first;
    }
}

const char *batch_value(const struct batch *batch, const struct batch_row *row, int value) {
    size_t place = batch->values[row->first + (size_t)value];
    return place == BATCH_NULL ? NULL : batch->text + place;
}

char *batch_without_nul(const char *json) {
    char *copied = strdup(json);
    for (char *place = copied; place != NULL && *place != '\0'; place++) {
        if (place[0] == '\\' && place[1] != '\0') {
            if (strncmp(place, "\\u0000", 6) == 0) {
                memcpy(place, "\\ufffd", 6);
            }
            place++; // what is escaped begins no escape
        }
    }
    return copied;
}

// ---- arrays

struct array {
    char *text;
    size_t used, size;
};

static bool add_element(struct array *array, const char *text) {
    size_t length = text != NULL ? strlen(text) : 4;
    void *bytes = array->text;
    if (!grow(&bytes, array->used, &array->size, 2 * length + 5, 1)) {
        return false;
    }
    array->text = bytes;
    char *to = array->text + array->used;
    *to++ = array->used == 0 ? '{' : ',';
    if (text == NULL) {
        for (const char *null = "NULL"; *null != '\0'; null++) {
            *to++ = *null;
        }
    } else {
        *to++ = '"';
        for (; *text != '\0'; text++) {
            if (GUARD(warehouse_escape) && (*text == '"' || *text == '\\')) {
                *to++ = '\\';
            }
            *to++ = *text;
        }
        *to++ = '"';
    }
    array->used = (size_t)(to - array->text);
    return true;
}

int batch_array(const struct batch *batch, int statement, int value, const bool *skip, char **ret,
                size_t *ret_n) {
    struct array array = {0};
    *ret_n = 0;
    for (size_t i = 0; i < batch->n_rows; i++) {
        const struct batch_row *row = &batch->rows[i];
        if (row->statement != statement || skip[row->event]) {
            continue;
        }
        if (!add_element(&array, batch_value(batch, row, value))) {
            free(array.text);
            return -ENOMEM;
        }
        (*ret_n)++;
    }
    if (array.text != NULL) { // add_element left room for these
        array.text[array.used++] = '}';
        array.text[array.used] = '\0';
    }
    *ret = array.text;
    return 0;
}
