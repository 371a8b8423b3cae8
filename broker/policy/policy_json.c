// SPDX-License-Identifier: Apache-2.0
// The rows, read backwards: members become JSON. The calls nest as the tables do, POLICY_DEPTH at
// most.
#include "broker/policy/policy_json.h"

#include <stdint.h>
#include <string.h>

#include "broker/policy/policy_rows.h"

static json_t *struct_json(const struct policy_table *table, const void *object);

static json_t *scalar_json(const struct policy_row *row, const void *object) {
    char buffer[POLICY_SCALAR_BYTES];
    const void *member = policy_look(object, row->offset);
    const char *text = policy_scalar(row, object, buffer);
    if (text == NULL) {
        return NULL;
    }
    switch (row->type) {
    case POLICY_NUMBER:
        return json_integer(*(const unsigned *)member);
    case POLICY_SIGNED:
        return json_integer(*(const int *)member);
    case POLICY_FLAG:
        return json_boolean(*(const bool *)member);
    case POLICY_REAL:
        return json_real(*(const double *)member);
    case POLICY_REAL_OR_NOT:
        return json_real(**(double *const *)member);
    case POLICY_TEXT:
    case POLICY_TEXT_OR_NOT:
    case POLICY_MONEY:
    case POLICY_DURATION:
    case POLICY_CLOCK:
    case POLICY_TIME:
    case POLICY_NAMES:
    case POLICY_TEXTS:
    case POLICY_SECTION:
    case POLICY_LIST:
        break;
    }
    return json_string(text);
}

static json_t *names_json(char *const *names, unsigned n) {
    json_t *list = json_array();
    for (unsigned i = 0; i < n; i++) {
        json_array_append_new(list, json_string(names[i]));
    }
    return list;
}

static json_t *texts_json(const struct policy_text *texts, unsigned n) {
    json_t *map = json_object();
    for (unsigned i = 0; i < n; i++) {
        const char *language = *texts[i].language != '\0' ? texts[i].language : "any";
        json_object_set_new(map, language, json_string(texts[i].text));
    }
    return map;
}

static json_t *list_json(const struct policy_table *table, const char *entries, unsigned n) {
    json_t *list = json_array();
    for (unsigned i = 0; i < n; i++) {
        json_array_append_new(list, struct_json(table, entries + i * table->bytes));
    }
    return list;
}

static json_t *row_json(const struct policy_row *row, const void *object) {
    const void *member = policy_look(object, row->offset);
    unsigned n = *(const unsigned *)policy_look(object, row->count_offset);
    switch (row->type) {
    case POLICY_NAMES:
        return names_json(*(char *const *const *)member, n);
    case POLICY_TEXTS:
        return texts_json(*(struct policy_text *const *)member, n);
    case POLICY_LIST:
        return list_json(row->rows, *(char *const *)member, n);
    case POLICY_SECTION:
        return struct_json(row->rows, member);
    case POLICY_TEXT:
    case POLICY_TEXT_OR_NOT:
    case POLICY_NUMBER:
    case POLICY_SIGNED:
    case POLICY_REAL:
    case POLICY_REAL_OR_NOT:
    case POLICY_FLAG:
    case POLICY_MONEY:
    case POLICY_DURATION:
    case POLICY_CLOCK:
    case POLICY_TIME:
        break;
    }
    return scalar_json(row, object);
}

static json_t *struct_json(const struct policy_table *table, const void *object) {
    json_t *map = json_object();
    for (size_t i = 0; i < table->n_rows; i++) {
        json_t *value = row_json(&table->rows[i], object);
        if (value != NULL) {
            json_object_set_new(map, table->rows[i].name, value);
        }
    }
    return map;
}

json_t *policy_to_json(const struct policy *policy) {
    return struct_json(&policy_table, policy);
}

char *policy_print(const struct policy *policy) {
    json_t *root = policy_to_json(policy);
    char *text = root == NULL ? NULL : json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}
