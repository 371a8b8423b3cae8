// SPDX-License-Identifier: Apache-2.0
// The catalogue of event types: catalogue.txt (built in) plus the rows an operator adds in the same
// format. A row names a type's direction, channels, fields with their types, what is personal, what
// refers to other things, and who needs it. Read once at start, then shared without locks.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schemas/body.h"

enum field_type {
    FIELD_ANY,
    FIELD_TEXT,
    FIELD_INTEGER,
    FIELD_NUMBER,
    FIELD_DECIMAL /* money: a decimal string */,
    FIELD_BOOL,
    FIELD_TIME /* RFC 3339 text */,
    FIELD_LIST,
    FIELD_MAP,
    FIELD_LINES /* list of {sku, quantity, price, [name]} */,
};

enum { CATALOGUE_BYTES_MAX = 1 << 20, CATALOGUE_TYPES_MAX = 4096, CATALOGUE_FIELDS_MAX = 64 };

struct catalogue_field {
    const char *name;
    enum field_type type;
    bool required;
    bool personal;
    const char *reference;     // "order", "quote", ...: the field refers to one; NULL: to nothing
    const char *const *values; // NULL-terminated: the only texts allowed; NULL: any
};

enum { NEED_CRM = 1, NEED_ERP = 2, NEED_SCM = 4 };
enum { DIRECTION_MAY_INBOUND = 1, DIRECTION_MAY_OUTBOUND = 2, DIRECTION_MAY_DECIDED = 4 };

struct catalogue_type {
    const char *name;
    // DIRECTION_MAY_*; a type with one direction gives it to events that name none
    unsigned directions;
    const char *const *channels; // informative; NULL-terminated, empty: any
    const struct catalogue_field *fields;
    size_t n_fields;
    const char *const *one_of; // NULL-terminated groups "a|b": at least one of them is required
    unsigned need;             // NEED_*
};

struct catalogue;

// The built-in rows, then those of extra_path (NULL: none). 0; -EINVAL after *ret_error (malloc'ed,
// the caller's) names file, line and what is wrong.
int catalogue_load(const char *extra_path, struct catalogue **ret, char **ret_error);
struct catalogue *catalogue_free(struct catalogue *catalogue);
// Borrowed, valid as long as the catalogue; NULL where the type is unknown.
const struct catalogue_type *catalogue_find(const struct catalogue *catalogue, const char *name);
// All rows in the order of the files.
const struct catalogue_type *catalogue_rows(const struct catalogue *catalogue, size_t *ret_n);

// The same rows from text in memory, instead of the built-in ones; `name` stands for the file in
// errors. For tests and fuzzing.
int catalogue_parse(const char *text, size_t size, const char *name, struct catalogue **ret,
                    char **ret_error);

// Checks a body (already passed by body_check) against its type: a map, its required fields, the
// types of the known ones. Other fields are allowed, and a nil counts as not there. 0, or 1 and
// detail names the field and what was expected, never its value.
int catalogue_check(const struct catalogue_type *type, const void *data, size_t size, char *detail,
                    size_t detail_size);
// The same of a body whose members were read.
int catalogue_check_members(const struct catalogue_type *type, const struct body_members *members,
                            char *detail, size_t detail_size);
