// SPDX-License-Identifier: Apache-2.0
// libyaml makes a tree of nodes that know their lines; this file lays it over the rows. A section
// keeps what the text does not name, a list is replaced whole. Nothing of the text is taken on
// trust: a key without a row, a value out of its range or given twice is an error with its line.
#include "broker/policy/policy_read.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "broker/policy/policy_value.h"
#include "broker/policy/policy_words.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/utf8.h"

enum { ROWS_MAX = 32, NAMES_BYTES_MAX = 400 };

struct reading {
    yaml_document_t document;
    const char *name;
    char **ret_error;
    char path[POLICY_PATH_BYTES];
    size_t n_values;
};

// ---- saying what is wrong

// Always -EINVAL.
__attribute__((format(printf, 3, 4))) static int complain(struct reading *reading, yaml_mark_t mark,
                                                          const char *format, ...) {
    char *text = NULL;
    va_list ap;
    va_start(ap, format);
    int r = vasprintf(&text, format, ap);
    va_end(ap);
    if (r < 0) {
        return -ENOMEM;
    }
    r = asprintf(reading->ret_error, "%s:%zu:%zu: %s%s%s", reading->name, mark.line + 1,
                 mark.column + 1, reading->path, *reading->path != '\0' ? ": " : "", text);
    free(text);
    if (r < 0) {
        *reading->ret_error = NULL;
        return -ENOMEM;
    }
    return -EINVAL;
}

static size_t enter(struct reading *reading, const char *format, const char *name, size_t index) {
    size_t length = strlen(reading->path);
    char *at = reading->path + length;
    size_t room = sizeof(reading->path) - length;
    if (name == NULL) {
        snprintf(at, room, "[%zu]", index);
    } else {
        snprintf(at, room, "%s%s", length > 0 ? format : "", name);
    }
    return length;
}

static void leave(struct reading *reading, size_t length) {
    reading->path[length] = '\0';
}

// The names that a table knows, for the message.
static void names_of(const struct policy_table *table, char buffer[static NAMES_BYTES_MAX]) {
    size_t length = 0;
    for (size_t i = 0; i < table->n_rows && length < NAMES_BYTES_MAX - 1; i++) {
        int n = snprintf(buffer + length, NAMES_BYTES_MAX - length, "%s%s", i > 0 ? ", " : "",
                         table->rows[i].name);
        length += n > 0 ? (size_t)n : 0;
    }
}

// ---- values

static yaml_node_t *node_at(struct reading *reading, int index) {
    yaml_node_t *node = yaml_document_get_node(&reading->document, index);
    assert(node != NULL);
    return node;
}

static bool is_nothing(const yaml_node_t *node) {
    const char *text = (const char *)node->data.scalar.value;
    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (*text == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

// A scalar's text, borrowed from the document. 0 or -EINVAL.
static int read_text(struct reading *reading, const yaml_node_t *node, const char **ret) {
    if (++reading->n_values > POLICY_VALUES_MAX) {
        return complain(reading, node->start_mark, "more than %d values in all", POLICY_VALUES_MAX);
    }
    if (node->type != YAML_SCALAR_NODE) {
        return complain(reading, node->start_mark, "expected one value, not a list or a map");
    }
    const char *text = (const char *)node->data.scalar.value;
    size_t size = node->data.scalar.length;
    if (!utf8_check(text, size)) {
        return complain(reading, node->start_mark, "not text in UTF-8");
    }
    if (size > POLICY_TEXT_BYTES_MAX) {
        return complain(reading, node->start_mark, "longer than %d bytes", POLICY_TEXT_BYTES_MAX);
    }
    *ret = is_nothing(node) ? "" : text;
    return 0;
}

static int read_scalar(struct reading *reading, const struct policy_row *row, void *object,
                       const yaml_node_t *node) {
    const char *text = "";
    char why[POLICY_WHY_BYTES];
    int r = read_text(reading, node, &text);
    if (r != 0) {
        return r;
    }
    r = policy_set(row, object, text, why);
    return r == -EINVAL ? complain(reading, node->start_mark, "%s", why) : r;
}

// ---- lists. Each entry is counted before it is filled, so that what is wrong frees it too.

// Room for the entries of a sequence; *ret_n 0 where there are none. Replaces what was there.
static int make_room(struct reading *reading, const struct policy_row *row, void *object,
                     const yaml_node_t *node, size_t n, size_t bytes) {
    if (n > POLICY_ENTRIES_MAX) {
        return complain(reading, node->start_mark, "more than %d entries", POLICY_ENTRIES_MAX);
    }
    policy_clear_row(row, object);
    void *entries = n == 0 ? NULL : calloc(n, bytes);
    memcpy(policy_member(object, row->offset), &entries, sizeof(entries));
    return n > 0 && entries == NULL ? -ENOMEM : 0;
}

static void *entry_at(const struct policy_row *row, void *object, size_t index, size_t bytes) {
    char *entries;
    memcpy(&entries, policy_member(object, row->offset), sizeof(entries));
    return entries + index * bytes;
}

static void count(const struct policy_row *row, void *object, size_t n) {
    *(unsigned *)policy_member(object, row->count_offset) = (unsigned)n;
}

static int items_of(struct reading *reading, const yaml_node_t *node, size_t *ret) {
    if (is_nothing(node)) {
        *ret = 0;
        return 0;
    }
    if (node->type != YAML_SEQUENCE_NODE) {
        return complain(reading, node->start_mark, "expected a list");
    }
    *ret = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    return 0;
}

static int read_names(struct reading *reading, const struct policy_row *row, void *object,
                      const yaml_node_t *node) {
    size_t n = 0;
    int r = items_of(reading, node, &n);
    r = r != 0 ? r : make_room(reading, row, object, node, n, sizeof(char *));
    for (size_t i = 0; r == 0 && i < n; i++) {
        const yaml_node_t *item = node_at(reading, node->data.sequence.items.start[i]);
        const char *text = "";
        size_t length = enter(reading, "", NULL, i);
        r = read_text(reading, item, &text);
        if (r == 0 && *text == '\0') {
            r = complain(reading, item->start_mark, "expected a name");
        } else if (r == 0 && row->words != NULL && !row->words->holds(text)) {
            r = complain(reading, item->start_mark, "'%s' is not %s", text, row->words->expected);
        } else if (r == 0) {
            char *copy = strdup(text);
            *(char **)entry_at(row, object, i, sizeof(char *)) = copy;
            count(row, object, i + 1);
            r = copy == NULL ? -ENOMEM : 0;
        }
        leave(reading, length);
    }
    return r;
}

static int add_text(struct policy_text *entry, const char *language, const char *text) {
    entry->language = strdup(language);
    entry->text = strdup(text);
    return entry->language == NULL || entry->text == NULL ? -ENOMEM : 0;
}

static bool has_language(const struct policy_text *texts, size_t n, const char *language) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(texts[i].language, language) == 0) {
            return true;
        }
    }
    return false;
}

static int read_language(struct reading *reading, const yaml_node_t *node,
                         const struct policy_text *before, size_t n, const char **ret) {
    int r = read_text(reading, node, ret);
    if (r != 0) {
        return r;
    }
    if (strcmp(*ret, "any") != 0 && !policy_language.holds(*ret)) {
        return complain(reading, node->start_mark, "'%s' is not %s", *ret,
                        policy_language.expected);
    }
    *ret = strcmp(*ret, "any") == 0 ? "" : *ret;
    return has_language(before, n, *ret)
               ? complain(reading, node->start_mark, "the language is given twice")
               : 0;
}

// A map of languages, or one text for any.
static int read_texts(struct reading *reading, const struct policy_row *row, void *object,
                      const yaml_node_t *node) {
    const char *language = "";
    const char *text = "";
    if (node->type == YAML_SCALAR_NODE) {
        int r = read_text(reading, node, &text);
        r = r != 0 ? r : make_room(reading, row, object, node, 1, sizeof(struct policy_text));
        if (r != 0) {
            return r;
        }
        count(row, object, 1);
        return add_text(entry_at(row, object, 0, sizeof(struct policy_text)), "", text);
    }
    if (node->type != YAML_MAPPING_NODE) {
        return complain(reading, node->start_mark, "expected a text, or one a language");
    }
    yaml_node_pair_t *pairs = node->data.mapping.pairs.start;
    size_t n = (size_t)(node->data.mapping.pairs.top - pairs);
    int r = make_room(reading, row, object, node, n, sizeof(struct policy_text));
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct policy_text *entries = entry_at(row, object, 0, sizeof(struct policy_text));
        r = read_language(reading, node_at(reading, pairs[i].key), entries, i, &language);
        r = r != 0 ? r : read_text(reading, node_at(reading, pairs[i].value), &text);
        if (r == 0) {
            count(row, object, i + 1);
            r = add_text(&entries[i], language, text);
        }
    }
    return r;
}

// ---- structs. The calls nest as the tables do, POLICY_DEPTH at most.

static int read_struct(struct reading *reading, const struct policy_table *table, void *object,
                       const yaml_node_t *node);

static const char *key_of(const struct policy_row *key, const void *entry) {
    return *(char *const *)policy_look(entry, key->offset);
}

static int check_key(struct reading *reading, const struct policy_row *row, void *object,
                     size_t index, const yaml_node_t *node) {
    const struct policy_table *table = row->rows;
    if (table->key == NULL || !GUARD(policy_twice)) {
        return 0;
    }
    const struct policy_row *key = policy_row(table, table->key);
    const char *name = key_of(key, entry_at(row, object, index, table->bytes));
    for (size_t i = 0; i < index; i++) {
        if (strcmp(name, key_of(key, entry_at(row, object, i, table->bytes))) == 0) {
            return complain(reading, node->start_mark, "'%s' is given twice", name);
        }
    }
    return 0;
}

static int read_list(struct reading *reading, const struct policy_row *row, void *object,
                     const yaml_node_t *node) {
    size_t n = 0;
    int r = items_of(reading, node, &n);
    r = r != 0 ? r : make_room(reading, row, object, node, n, row->rows->bytes);
    for (size_t i = 0; r == 0 && i < n; i++) {
        const yaml_node_t *item = node_at(reading, node->data.sequence.items.start[i]);
        size_t length = enter(reading, "", NULL, i);
        count(row, object, i + 1);
        r = read_struct(reading, row->rows, entry_at(row, object, i, row->rows->bytes), item);
        r = r != 0 ? r : check_key(reading, row, object, i, item);
        leave(reading, length);
    }
    return r;
}

static int read_value(struct reading *reading, const struct policy_row *row, void *object,
                      const yaml_node_t *node) {
    switch (row->type) {
    case POLICY_NAMES:
        return read_names(reading, row, object, node);
    case POLICY_TEXTS:
        return read_texts(reading, row, object, node);
    case POLICY_LIST:
        return read_list(reading, row, object, node);
    case POLICY_SECTION:
        return read_struct(reading, row->rows, policy_member(object, row->offset), node);
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
    return read_scalar(reading, row, object, node);
}

static int read_pair(struct reading *reading, const struct policy_table *table, void *object,
                     const yaml_node_pair_t *pair, bool seen[static ROWS_MAX]) {
    const yaml_node_t *key = node_at(reading, pair->key);
    const char *name = "";
    char names[NAMES_BYTES_MAX];
    int r = read_text(reading, key, &name);
    if (r != 0) {
        return r;
    }
    const struct policy_row *row = policy_row(table, name);
    if (row == NULL) {
        names_of(table, names);
        return GUARD(policy_unknown)
                   ? complain(reading, key->start_mark, "unknown name '%s'; expected one of %s",
                              name, names)
                   : 0;
    }
    bool *twice = &seen[row - table->rows];
    size_t length = enter(reading, ".", name, 0);
    r = *twice ? complain(reading, key->start_mark, "is given twice")
               : read_value(reading, row, object, node_at(reading, pair->value));
    *twice = true;
    leave(reading, length);
    return r;
}

// Texts are never NULL, and what an entry must have is there.
static int complete(struct reading *reading, const struct policy_table *table, void *object,
                    const yaml_node_t *node, const bool seen[static ROWS_MAX]) {
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct policy_row *row = &table->rows[i];
        char **text = policy_member(object, row->offset);
        if (row->required && !seen[i]) {
            return complain(reading, node->start_mark, "'%s' is missing", row->name);
        }
        if (row->type == POLICY_TEXT && *text == NULL) {
            *text = strdup(row->default_text != NULL ? row->default_text : "");
            if (*text == NULL) {
                return -ENOMEM;
            }
        }
    }
    return 0;
}

static int read_struct(struct reading *reading, const struct policy_table *table, void *object,
                       const yaml_node_t *node) {
    bool seen[ROWS_MAX] = {0};
    assert(table->n_rows <= ROWS_MAX);
    if (node->type != YAML_MAPPING_NODE && !is_nothing(node)) {
        return complain(reading, node->start_mark, "expected a map of names and values");
    }
    yaml_node_pair_t *pairs = is_nothing(node) ? NULL : node->data.mapping.pairs.start;
    size_t n = pairs == NULL ? 0 : (size_t)(node->data.mapping.pairs.top - pairs);
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = read_pair(reading, table, object, &pairs[i], seen);
    }
    return r != 0 ? r : complete(reading, table, object, node, seen);
}

// ---- documents

static int complain_parser(struct reading *reading, const yaml_parser_t *parser) {
    if (parser->error == YAML_MEMORY_ERROR) {
        return -ENOMEM;
    }
    yaml_mark_t mark = parser->problem_mark;
    return complain(reading, mark, "%s", parser->problem != NULL ? parser->problem : "not YAML");
}

// The document is there, its root may be NULL: an empty text.
static int read_root(struct reading *reading, struct policy *policy) {
    const yaml_node_t *root = yaml_document_get_root_node(&reading->document);
    return root == NULL ? 0 : read_struct(reading, &policy_table, policy, root);
}

static int read_documents(struct reading *reading, yaml_parser_t *parser, struct policy *policy) {
    if (!yaml_parser_load(parser, &reading->document)) {
        return complain_parser(reading, parser);
    }
    bool empty = yaml_document_get_root_node(&reading->document) == NULL;
    int r = read_root(reading, policy);
    yaml_document_delete(&reading->document);
    if (r != 0 || empty) {
        return r;
    }
    if (!yaml_parser_load(parser, &reading->document)) {
        return complain_parser(reading, parser);
    }
    const yaml_node_t *second = yaml_document_get_root_node(&reading->document);
    r = second == NULL ? 0 : complain(reading, second->start_mark, "a second document");
    yaml_document_delete(&reading->document);
    return r;
}

int policy_read(const char *text, size_t size, const char *name, struct policy *policy,
                char **ret_error) {
    yaml_parser_t parser;
    struct reading reading = {.name = name, .ret_error = ret_error};
    if (GUARD(policy_size) && size > POLICY_BYTES_MAX) {
        return complain(&reading, (yaml_mark_t){0}, "larger than %d bytes", POLICY_BYTES_MAX);
    }
    if (!yaml_parser_initialize(&parser)) {
        return -ENOMEM;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    int r = read_documents(&reading, &parser, policy);
    yaml_parser_delete(&parser);
    return r;
}
