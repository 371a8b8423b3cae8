// SPDX-License-Identifier: Apache-2.0
// What changed, for the log: two policies as JSON side by side, entries of lists found by
// their names, so that one more channel is one line and not all of them.
#include "broker/policy/policy_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/policy/policy_rows.h"
#include "schemas/base/cleanup.h"

struct changes {
    json_t *rows;
    size_t n;
};

// A value as text, cut between two characters; a scalar as it stands in the file.
static json_t *value_text(const json_t *value) {
    if (value == NULL) {
        return json_null();
    }
    _cleanup_free_ char *dumped =
        json_is_string(value)
            ? strdup(json_string_value(value))
            : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (dumped == NULL) {
        return NULL;
    }
    size_t size = strlen(dumped);
    if (size > POLICY_CHANGE_TEXT_BYTES_MAX) {
        size = POLICY_CHANGE_TEXT_BYTES_MAX;
        while (size > 0 && ((unsigned char)dumped[size] & 0xC0) == 0x80) {
            size--;
        }
    }
    return json_stringn(dumped, size);
}

static void add(struct changes *changes, const char *path, const json_t *before,
                const json_t *after) {
    changes->n++;
    if (changes->n > POLICY_CHANGES_MAX) {
        return;
    }
    json_t *row = json_pack("{s:s%, s:s, s:o, s:o}", "section", path, strcspn(path, ".["), "path",
                            path, "old", value_text(before), "new", value_text(after));
    if (row != NULL) {
        json_array_append_new(changes->rows, row);
    }
}

static void join(char buffer[static POLICY_PATH_BYTES], const char *format, const char *path,
                 const char *name) {
    if (*path == '\0') {
        snprintf(buffer, POLICY_PATH_BYTES, "%s", name);
    } else {
        snprintf(buffer, POLICY_PATH_BYTES, "%s%c%s%s", path, *format, name,
                 *format == '[' ? "]" : "");
    }
}

static bool is_called(const json_t *entry, const char *key, const char *name) {
    return entry != NULL && strcmp(json_string_value(json_object_get(entry, key)), name) == 0;
}

// Looked for at its old place first: most reloads move nothing, and the tick waits meanwhile.
static const json_t *entry_of(const json_t *list, const char *key, const char *name, size_t place) {
    size_t i;
    json_t *entry;
    if (is_called(json_array_get(list, place), key, name)) {
        return json_array_get(list, place);
    }
    json_array_foreach(list, i, entry) {
        if (is_called(entry, key, name)) {
            return entry;
        }
    }
    return NULL;
}

static void compare_struct(struct changes *changes, const struct policy_table *table,
                           const char *path, const json_t *before, const json_t *after);

// The names of a list in their order, which counts where the first that fits is taken.
static json_t *order_of(const json_t *list, const char *key, const json_t *other) {
    json_t *names = json_array();
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry) {
        json_t *name = json_object_get(entry, key);
        if (entry_of(other, key, json_string_value(name), i) != NULL) {
            json_array_append(names, name);
        }
    }
    return names;
}

static void compare_list(struct changes *changes, const struct policy_table *table,
                         const char *path, const json_t *before, const json_t *after) {
    char own[POLICY_PATH_BYTES];
    size_t i;
    json_t *entry;
    json_array_foreach(before, i, entry) {
        const char *name = json_string_value(json_object_get(entry, table->key));
        const json_t *other = entry_of(after, table->key, name, i);
        join(own, "[", path, name);
        if (other == NULL) {
            add(changes, own, entry, NULL);
        } else {
            compare_struct(changes, table, own, entry, other);
        }
    }
    json_array_foreach(after, i, entry) {
        const char *name = json_string_value(json_object_get(entry, table->key));
        if (entry_of(before, table->key, name, i) == NULL) {
            join(own, "[", path, name);
            add(changes, own, NULL, entry);
        }
    }
    json_t *old_order = order_of(before, table->key, after);
    json_t *new_order = order_of(after, table->key, before);
    if (!json_equal(old_order, new_order)) {
        add(changes, path, old_order, new_order);
    }
    json_decref(old_order);
    json_decref(new_order);
}

// Whether a list's entries go by their names: another version's may not.
static bool has_names(const json_t *list, const char *key) {
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry) {
        if (!json_is_string(json_object_get(entry, key))) {
            return false;
        }
    }
    return json_is_array(list);
}

static void compare_row(struct changes *changes, const struct policy_row *row, const char *path,
                        const json_t *before, const json_t *after) {
    if (row->type == POLICY_SECTION && json_is_object(before) && json_is_object(after)) {
        compare_struct(changes, row->rows, path, before, after);
    } else if (row->type == POLICY_LIST && row->rows->key != NULL &&
               has_names(before, row->rows->key) && has_names(after, row->rows->key)) {
        compare_list(changes, row->rows, path, before, after);
    } else {
        add(changes, path, before, after);
    }
}

static void compare_struct(struct changes *changes, const struct policy_table *table,
                           const char *path, const json_t *before, const json_t *after) {
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct policy_row *row = &table->rows[i];
        const json_t *old = json_object_get(before, row->name);
        const json_t *new = json_object_get(after, row->name);
        char own[POLICY_PATH_BYTES];
        if (old != new && !json_equal(old, new)) {
            join(own, ".", path, row->name);
            compare_row(changes, row, own, old, new);
        }
    }
}

static json_t *changes_new(json_t *before, json_t *after, size_t *ret_n) {
    struct changes changes = {.rows = json_array()};
    if (before != NULL && after != NULL) {
        compare_struct(&changes, &policy_table, "", before, after);
    }
    json_decref(before);
    json_decref(after);
    *ret_n = changes.n;
    return changes.rows;
}

json_t *policy_changes(const struct policy *before, const struct policy *after, size_t *ret_n) {
    return changes_new(policy_to_json(before), policy_to_json(after), ret_n);
}

json_t *policy_changes_of(const char *before, const char *after, size_t *ret_n) {
    return changes_new(json_loads(before, 0, NULL), json_loads(after, 0, NULL), ret_n);
}
