// SPDX-License-Identifier: Apache-2.0
// Reads catalogue rows: one line parser for the built-in text and the operator's file. A type is
// gathered in a draft of fixed size and copied into the catalogue's arena when the next one starts.
#include "schemas/catalogue_read.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/base/utf8.h"
#include "schemas/limits.h"

int catalogue_fail(struct catalogue_reader *reader, const char *format, ...) {
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    int length = reader->line == 0
                     ? asprintf(&reader->error, "%s: %s", reader->file, text)
                     : asprintf(&reader->error, "%s:%d: %s", reader->file, reader->line, text);
    if (length < 0) {
        reader->error = NULL;
    }
    return -EINVAL;
}

// Copies into the catalogue. Never NULL: where memory is short the whole line is refused at its
// end.
static const void *keep_bytes(struct catalogue_reader *reader, const void *bytes, size_t size) {
    static const char *const nothing[] = {NULL};
    const void *copy = arena_copy(reader->catalogue->arena, bytes, size);
    reader->short_of_memory = reader->short_of_memory || copy == NULL;
    return copy == NULL ? nothing : copy;
}

static const char *keep(struct catalogue_reader *reader, const char *text) {
    return keep_bytes(reader, text, strlen(text) + 1);
}

// A bit or a value for each of a fixed set of words.
struct word {
    const char *text;
    unsigned value;
};

static const struct word direction_words[] = {{"in", DIRECTION_MAY_INBOUND},
                                              {"out", DIRECTION_MAY_OUTBOUND},
                                              {"decided", DIRECTION_MAY_DECIDED},
                                              {NULL, 0}};
static const struct word need_words[] = {
    {"crm", NEED_CRM}, {"erp", NEED_ERP}, {"scm", NEED_SCM}, {NULL, 0}};
static const struct word type_words[] = {{"any", FIELD_ANY},
                                         {"text", FIELD_TEXT},
                                         {"integer", FIELD_INTEGER},
                                         {"number", FIELD_NUMBER},
                                         {"bool", FIELD_BOOL},
                                         {"decimal", FIELD_DECIMAL},
                                         {"time", FIELD_TIME},
                                         {"list", FIELD_LIST},
                                         {"map", FIELD_MAP},
                                         {"lines", FIELD_LINES},
                                         {NULL, 0}};

static const struct word *find_word(const struct word *words, const char *text) {
    while (words->text != NULL && strcmp(words->text, text) != 0) {
        words++;
    }
    return words->text == NULL ? NULL : words;
}

static int read_bits(struct catalogue_reader *reader, const struct word *words, char **texts,
                     size_t n, unsigned *bits) {
    for (size_t i = 0; i < n; i++) {
        const struct word *word = find_word(words, texts[i]);
        if (word == NULL) {
            return catalogue_fail(reader, "unknown word '%s'", texts[i]);
        }
        *bits |= word->value;
    }
    return 0;
}

// "a|b|c" -> a NULL-terminated array in the arena.
static int read_values(struct catalogue_reader *reader, char *text, const char *const **ret) {
    const char *values[CATALOGUE_VALUES_MAX + 1] = {NULL};
    size_t n = 0;
    char *at = text;
    for (char *value; (value = strsep(&at, "|")) != NULL;) {
        if (n == CATALOGUE_VALUES_MAX || *value == '\0') {
            return catalogue_fail(reader, "too many values, or an empty one");
        }
        values[n++] = keep(reader, value);
    }
    *ret = keep_bytes(reader, values, (n + 1) * sizeof(values[0]));
    return 0;
}

static int read_field_word(struct catalogue_reader *reader, struct catalogue_field *field,
                           char *word) {
    if (strcmp(word, "required") == 0) {
        field->required = true;
    } else if (strcmp(word, "personal") == 0) {
        field->personal = true;
    } else if (strncmp(word, "reference=", strlen("reference=")) == 0) {
        field->reference = keep(reader, word + strlen("reference="));
    } else if (strncmp(word, "values=", strlen("values=")) == 0 && field->type == FIELD_TEXT) {
        return read_values(reader, word + strlen("values="), &field->values);
    } else {
        return catalogue_fail(reader, "unknown word '%s' behind field %s", word, field->name);
    }
    return 0;
}

static const struct catalogue_field *draft_field(const struct catalogue_draft *draft,
                                                 const char *name, size_t length) {
    for (size_t i = 0; i < draft->type.n_fields; i++) {
        const char *other = draft->fields[i].name;
        assert(other != NULL);
        if (strlen(other) == length && memcmp(other, name, length) == 0) {
            return &draft->fields[i];
        }
    }
    return NULL;
}

static int line_direction(struct catalogue_reader *reader, char **words, size_t n) {
    return read_bits(reader, direction_words, words, n, &reader->draft.type.directions);
}

static int line_need(struct catalogue_reader *reader, char **words, size_t n) {
    return read_bits(reader, need_words, words, n, &reader->draft.type.need);
}

static int line_channel(struct catalogue_reader *reader, char **words, size_t n) {
    struct catalogue_draft *draft = &reader->draft;
    for (size_t i = 0; i < n; i++) {
        if (draft->n_channels == CATALOGUE_CHANNELS_MAX) {
            return catalogue_fail(reader, "too many channels");
        }
        draft->channels[draft->n_channels++] = keep(reader, words[i]);
    }
    return 0;
}

static int line_field(struct catalogue_reader *reader, char **words, size_t n) {
    struct catalogue_draft *draft = &reader->draft;
    const struct word *type = n < 2 ? NULL : find_word(type_words, words[1]);
    if (type == NULL) {
        return catalogue_fail(reader, "expected 'field NAME TYPE ...' with a known type");
    }
    if (draft->type.n_fields == CATALOGUE_FIELDS_MAX) {
        return catalogue_fail(reader, "too many fields");
    }
    if (strlen(words[0]) > NAME_BYTES_MAX || draft_field(draft, words[0], strlen(words[0]))) {
        return catalogue_fail(reader, "field '%.64s' is there twice, or its name is too long",
                              words[0]);
    }
    struct catalogue_field field = {.name = keep(reader, words[0]),
                                    .type = (enum field_type)type->value};
    for (size_t i = 2; i < n; i++) {
        int r = read_field_word(reader, &field, words[i]);
        if (r != 0) {
            return r;
        }
    }
    draft->fields[draft->type.n_fields++] = field;
    return 0;
}

static int line_one_of(struct catalogue_reader *reader, char **words, size_t n) {
    struct catalogue_draft *draft = &reader->draft;
    for (size_t i = 0; i < n; i++) {
        if (draft->n_one_of == CATALOGUE_GROUPS_MAX) {
            return catalogue_fail(reader, "too many one_of groups");
        }
        const char *at = words[i];
        for (bool last = false; !last;) {
            size_t length = strcspn(at, "|");
            if (draft_field(draft, at, length) == NULL) {
                return catalogue_fail(reader, "one_of names '%.*s', which is no field above",
                                      (int)(length > NAME_BYTES_MAX ? NAME_BYTES_MAX : length), at);
            }
            last = at[length] == '\0';
            at += length + 1;
        }
        draft->one_of[draft->n_one_of++] = keep(reader, words[i]);
    }
    return 0;
}

// Moves the draft into the catalogue, as its newest row.
static int finish_type(struct catalogue_reader *reader) {
    struct catalogue *catalogue = reader->catalogue;
    struct catalogue_draft *draft = &reader->draft;
    if (draft->type.name == NULL) {
        return 0;
    }
    if (draft->type.directions == 0) {
        return catalogue_fail(reader, "type %s has no direction", draft->type.name);
    }
    draft->type.fields =
        keep_bytes(reader, draft->fields, draft->type.n_fields * sizeof(draft->fields[0]));
    draft->type.channels =
        keep_bytes(reader, draft->channels, (draft->n_channels + 1) * sizeof(draft->channels[0]));
    draft->type.one_of =
        keep_bytes(reader, draft->one_of, (draft->n_one_of + 1) * sizeof(draft->one_of[0]));
    if (reader->short_of_memory) {
        return catalogue_fail(reader, "the catalogue is too large");
    }
    catalogue->rows[catalogue->n_rows++] = draft->type;
    *draft = (struct catalogue_draft){0};
    return 0;
}

static int line_type(struct catalogue_reader *reader, char **words, size_t n) {
    struct catalogue *catalogue = reader->catalogue;
    if (n != 1 || strlen(words[0]) > ID_BYTES_MAX) {
        return catalogue_fail(reader, "expected 'type NAME'");
    }
    for (size_t i = 0; i < catalogue->n_rows; i++) {
        if (strcmp(catalogue->rows[i].name, words[0]) == 0) {
            return catalogue_fail(reader, "type %s is there already", words[0]);
        }
    }
    if (catalogue->n_rows == CATALOGUE_TYPES_MAX) {
        return catalogue_fail(reader, "too many types");
    }
    reader->draft.type.name = keep(reader, words[0]);
    return 0;
}

static int read_line(struct catalogue_reader *reader, char *line) {
    static const struct {
        const char *keyword;
        int (*read)(struct catalogue_reader *reader, char **words, size_t n);
    } lines[] = {
        {"type", line_type}, {"direction", line_direction}, {"channel", line_channel},
        {"need", line_need}, {"field", line_field},         {"one_of", line_one_of},
    };
    char *words[CATALOGUE_WORDS_MAX];
    size_t n = 0;
    char *at = line;
    for (char *word; (word = strsep(&at, " \t\r")) != NULL;) {
        if (*word == '\0') {
            continue;
        }
        if (*word == '#') {
            break;
        }
        if (n == CATALOGUE_WORDS_MAX) {
            return catalogue_fail(reader, "too many words");
        }
        words[n++] = word;
    }
    if (n == 0) {
        return 0;
    }
    bool is_type = strcmp(words[0], "type") == 0;
    if (is_type && finish_type(reader) != 0) {
        return -EINVAL;
    }
    if (!is_type && reader->draft.type.name == NULL) {
        return catalogue_fail(reader, "expected 'type NAME' first");
    }
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (strcmp(lines[i].keyword, words[0]) == 0) {
            return lines[i].read(reader, words + 1, n - 1);
        }
    }
    return catalogue_fail(reader, "unknown word '%s'", words[0]);
}

int catalogue_read_text(struct catalogue_reader *reader, const char *file, const char *text,
                        size_t size) {
    reader->file = file;
    reader->line = 0;
    if (size > CATALOGUE_BYTES_MAX || !utf8_check(text, size)) {
        return catalogue_fail(reader, "too large, or not UTF-8 text");
    }
    _cleanup_free_ char *copy = strndup(text, size);
    char *at = copy;
    for (char *line; copy != NULL && (line = strsep(&at, "\n")) != NULL;) {
        reader->line++;
        if (read_line(reader, line) != 0) {
            return -EINVAL;
        }
        if (reader->short_of_memory) {
            return catalogue_fail(reader, "the catalogue is too large");
        }
    }
    return copy == NULL ? catalogue_fail(reader, "out of memory") : finish_type(reader);
}
