// SPDX-License-Identifier: Apache-2.0
// What a value may be, by the type of its row, and where it is kept. Whatever is wrong is said in
// one line that begins with where it stands.
#include "schemas/base/options_value.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"

int options_complain(const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    return -EINVAL;
}

static int parse_bytes(const char *text, int64_t *ret) {
    static const char units[] = "kMGT";
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || isspace((unsigned char)*text)) {
        return -EINVAL;
    }
    int64_t factor = 1;
    const char *unit = *end == '\0' ? NULL : strchr(units, *end == 'K' ? 'k' : *end);
    if (unit != NULL) {
        factor = INT64_C(1) << (10 * (unit - units + 1));
        end++;
    }
    return *end != '\0' || __builtin_mul_overflow(number, factor, ret) ? -EINVAL : 0;
}

static int parse_integer(const char *text, int64_t *ret) {
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || isspace((unsigned char)*text)) {
        return -EINVAL;
    }
    *ret = number;
    return 0;
}

static int set_number(struct options_parse *parse, const struct option_row *row, const char *text) {
    static const struct {
        int (*parse)(const char *text, int64_t *ret);
        const char *expected;
    } kinds[] = {
        [OPTION_INTEGER] = {parse_integer, "a whole number"},
        [OPTION_BYTES] = {parse_bytes, "a size such as 64k, 8M or 2G"},
        [OPTION_DURATION] = {clock_parse_duration, "a duration such as 250ms, 30s or 7d"},
    };
    int64_t number;
    if (kinds[row->type].parse(text, &number) != 0) {
        return options_complain("%s%s: '%s' is not %s", parse->where, row->name, text,
                                kinds[row->type].expected);
    }
    if (GUARD(option_range) && (row->min != 0 || row->max != 0) &&
        (number < row->min || number > row->max)) {
        const char *unit = row->type == OPTION_DURATION ? " us"
                           : row->type == OPTION_BYTES  ? " bytes"
                                                        : "";
        return options_complain("%s%s: '%s' is out of range (%lld to %lld%s)", parse->where,
                                row->name, text, (long long)row->min, (long long)row->max, unit);
    }
    memcpy(parse->conf + row->offset, &number, sizeof(number));
    return 0;
}

static void list_clear(struct option_list *list) {
    for (size_t i = 0; i < list->n_values; i++) {
        free(list->values[i]);
    }
    free(list->values);
    *list = (struct option_list){0};
}

static int list_add(struct option_list *list, const char *text) {
    if (list->n_values == OPTION_LIST_MAX) {
        return -EINVAL;
    }
    char **values = reallocarray(list->values, list->n_values + 1, sizeof(*values));
    if (values == NULL) {
        return -EINVAL;
    }
    list->values = values;
    char *copy = strdup(text);
    if (copy == NULL) {
        return -EINVAL;
    }
    values[list->n_values++] = copy;
    return 0;
}

static int set_list(struct options_parse *parse, const struct option_row *row, const char *text,
                    bool first_of_layer) {
    struct option_list list;
    memcpy(&list, parse->conf + row->offset, sizeof(list));
    if (first_of_layer) {
        list_clear(&list);
    }
    int r = list_add(&list, text);
    memcpy(parse->conf + row->offset, &list, sizeof(list));
    return r == 0 ? 0 : options_complain("%s%s: too many values", parse->where, row->name);
}

static int set_string(struct options_parse *parse, const struct option_row *row, const char *text) {
    char *old;
    char *copy = strdup(text);
    if (copy == NULL) {
        return options_complain("%s%s: out of memory", parse->where, row->name);
    }
    memcpy(&old, parse->conf + row->offset, sizeof(old));
    free(old);
    memcpy(parse->conf + row->offset, &copy, sizeof(copy));
    return 0;
}

static int set_bool(struct options_parse *parse, const struct option_row *row, const char *text) {
    bool value = strcmp(text, "true") == 0;
    if (!value && strcmp(text, "false") != 0) {
        return options_complain("%s%s: '%s' is neither true nor false", parse->where, row->name,
                                text);
    }
    memcpy(parse->conf + row->offset, &value, sizeof(value));
    return 0;
}

int options_set_row(struct options_parse *parse, size_t index, const char *text,
                    enum options_layer layer) {
    const struct option_row *row = &parse->page->rows[index];
    bool first_of_layer = parse->layers[index] != layer;
    parse->layers[index] = layer;
    if (strlen(text) > OPTION_VALUE_BYTES_MAX) {
        return options_complain("%s%s: the value is too long", parse->where, row->name);
    }
    switch (row->type) {
    case OPTION_BOOL:
        return set_bool(parse, row, text);
    case OPTION_INTEGER:
    case OPTION_BYTES:
    case OPTION_DURATION:
        return set_number(parse, row, text);
    case OPTION_STRING:
        return set_string(parse, row, text);
    case OPTION_LIST:
        return set_list(parse, row, text, first_of_layer);
    }
    assert(false && "an option row without a type");
    return -EINVAL;
}
