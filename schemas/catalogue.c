// SPDX-License-Identifier: Apache-2.0
// Reads catalogue rows: one line parser for the built-in text and the operator's file. A type is
// gathered in a draft of fixed size and copied into the catalogue's arena when the next one starts.
// Checking bodies against the rows is catalogue_check.c.
#include "schemas/catalogue.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/arena.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/utf8.h"
#include "schemas/limits.h"

extern const char catalogue_text[];
extern const size_t catalogue_text_size;

enum {
    ARENA_BYTES_MAX = 16 << 20,
    WORDS_MAX = 32, // on one line
    CHANNELS_MAX = WORDS_MAX,
    GROUPS_MAX = 8,
    VALUES_MAX = 32,
};

struct catalogue {
    struct arena *arena; // owns every text and array of the rows
    struct catalogue_type *rows;
    const struct catalogue_type **by_name;
    size_t n_rows;
};

struct draft {
    struct catalogue_type type;
    struct catalogue_field fields[CATALOGUE_FIELDS_MAX];
    const char *channels[CHANNELS_MAX + 1];
    const char *one_of[GROUPS_MAX + 1];
    size_t n_channels;
    size_t n_one_of;
};

struct reader {
    struct catalogue *catalogue;
    struct draft draft; // its name is NULL before the first type
    const char *file;
    int line;
    bool short_of_memory;
    char *error; // malloc'ed
};

__attribute__((format(printf, 2, 3))) static int fail(struct reader *reader, const char *format,
                                                      ...) {
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
static const void *keep_bytes(struct reader *reader, const void *bytes, size_t size) {
    static const char *const nothing[] = {NULL};
    const void *copy = arena_copy(reader->catalogue->arena, bytes, size);
    reader->short_of_memory = reader->short_of_memory || copy == NULL;
    return copy == NULL ? nothing : copy;
}

static const char *keep(struct reader *reader, const char *text) {
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

static int read_bits(struct reader *reader, const struct word *words, char **texts, size_t n,
                     unsigned *bits) {
    for (size_t i = 0; i < n; i++) {
        const struct word *word = find_word(words, texts[i]);
        if (word == NULL) {
            return fail(reader, "unknown word '%s'", texts[i]);
        }
        *bits |= word->value;
    }
    return 0;
}

// "a|b|c" -> a NULL-terminated array in the arena.
static int read_values(struct reader *reader, char *text, const char *const **ret) {
    const char *values[VALUES_MAX + 1] = {NULL};
    size_t n = 0;
    char *at = text;
    for (char *value; (value = strsep(&at, "|")) != NULL;) {
        if (n == VALUES_MAX || *value == '\0') {
            return fail(reader, "too many values, or an empty one");
        }
        values[n++] = keep(reader, value);
    }
    *ret = keep_bytes(reader, values, (n + 1) * sizeof(values[0]));
    return 0;
}

static int read_field_word(struct reader *reader, struct catalogue_field *field, char *word) {
    if (strcmp(word, "required") == 0) {
        field->required = true;
    } else if (strcmp(word, "personal") == 0) {
        field->personal = true;
    } else if (strncmp(word, "reference=", strlen("reference=")) == 0) {
        field->reference = keep(reader, word + strlen("reference="));
    } else if (strncmp(word, "values=", strlen("values=")) == 0 && field->type == FIELD_TEXT) {
        return read_values(reader, word + strlen("values="), &field->values);
    } else {
        return fail(reader, "unknown word '%s' behind field %s", word, field->name);
    }
    return 0;
}

static const struct catalogue_field *draft_field(const struct draft *draft, const char *name,
                                                 size_t length) {
    for (size_t i = 0; i < draft->type.n_fields; i++) {
        const char *other = draft->fields[i].name;
        assert(other != NULL);
        if (strlen(other) == length && memcmp(other, name, length) == 0) {
            return &draft->fields[i];
        }
    }
    return NULL;
}

static int line_direction(struct reader *reader, char **words, size_t n) {
    return read_bits(reader, direction_words, words, n, &reader->draft.type.directions);
}

static int line_need(struct reader *reader, char **words, size_t n) {
    return read_bits(reader, need_words, words, n, &reader->draft.type.need);
}

static int line_channel(struct reader *reader, char **words, size_t n) {
    struct draft *draft = &reader->draft;
    for (size_t i = 0; i < n; i++) {
        if (draft->n_channels == CHANNELS_MAX) {
            return fail(reader, "too many channels");
        }
        draft->channels[draft->n_channels++] = keep(reader, words[i]);
    }
    return 0;
}

static int line_field(struct reader *reader, char **words, size_t n) {
    struct draft *draft = &reader->draft;
    const struct word *type = n < 2 ? NULL : find_word(type_words, words[1]);
    if (type == NULL) {
        return fail(reader, "expected 'field NAME TYPE ...' with a known type");
    }
    if (draft->type.n_fields == CATALOGUE_FIELDS_MAX) {
        return fail(reader, "too many fields");
    }
    if (strlen(words[0]) > NAME_BYTES_MAX || draft_field(draft, words[0], strlen(words[0]))) {
        return fail(reader, "field '%.64s' is there twice, or its name is too long", words[0]);
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

static int line_one_of(struct reader *reader, char **words, size_t n) {
    struct draft *draft = &reader->draft;
    for (size_t i = 0; i < n; i++) {
        if (draft->n_one_of == GROUPS_MAX) {
            return fail(reader, "too many one_of groups");
        }
        const char *at = words[i];
        for (bool last = false; !last;) {
            size_t length = strcspn(at, "|");
            if (draft_field(draft, at, length) == NULL) {
                return fail(reader, "one_of names '%.*s', which is no field above",
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
static int finish_type(struct reader *reader) {
    struct catalogue *catalogue = reader->catalogue;
    struct draft *draft = &reader->draft;
    if (draft->type.name == NULL) {
        return 0;
    }
    if (draft->type.directions == 0) {
        return fail(reader, "type %s has no direction", draft->type.name);
    }
    draft->type.fields =
        keep_bytes(reader, draft->fields, draft->type.n_fields * sizeof(draft->fields[0]));
    draft->type.channels =
        keep_bytes(reader, draft->channels, (draft->n_channels + 1) * sizeof(draft->channels[0]));
    draft->type.one_of =
        keep_bytes(reader, draft->one_of, (draft->n_one_of + 1) * sizeof(draft->one_of[0]));
    if (reader->short_of_memory) {
        return fail(reader, "the catalogue is too large");
    }
    catalogue->rows[catalogue->n_rows++] = draft->type;
    *draft = (struct draft){0};
    return 0;
}

static int line_type(struct reader *reader, char **words, size_t n) {
    struct catalogue *catalogue = reader->catalogue;
    if (n != 1 || strlen(words[0]) > ID_BYTES_MAX) {
        return fail(reader, "expected 'type NAME'");
    }
    for (size_t i = 0; i < catalogue->n_rows; i++) {
        if (strcmp(catalogue->rows[i].name, words[0]) == 0) {
            return fail(reader, "type %s is there already", words[0]);
        }
    }
    if (catalogue->n_rows == CATALOGUE_TYPES_MAX) {
        return fail(reader, "too many types");
    }
    reader->draft.type.name = keep(reader, words[0]);
    return 0;
}

static int read_line(struct reader *reader, char *line) {
    static const struct {
        const char *keyword;
        int (*read)(struct reader *reader, char **words, size_t n);
    } lines[] = {
        {"type", line_type}, {"direction", line_direction}, {"channel", line_channel},
        {"need", line_need}, {"field", line_field},         {"one_of", line_one_of},
    };
    char *words[WORDS_MAX];
    size_t n = 0;
    char *at = line;
    for (char *word; (word = strsep(&at, " \t\r")) != NULL;) {
        if (*word == '\0') {
            continue;
        }
        if (*word == '#') {
            break;
        }
        if (n == WORDS_MAX) {
            return fail(reader, "too many words");
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
        return fail(reader, "expected 'type NAME' first");
    }
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (strcmp(lines[i].keyword, words[0]) == 0) {
            return lines[i].read(reader, words + 1, n - 1);
        }
    }
    return fail(reader, "unknown word '%s'", words[0]);
}

static int read_text(struct reader *reader, const char *file, const char *text, size_t size) {
    reader->file = file;
    reader->line = 0;
    if (size > CATALOGUE_BYTES_MAX || !utf8_check(text, size)) {
        return fail(reader, "too large, or not UTF-8 text");
    }
    _cleanup_free_ char *copy = strndup(text, size);
    char *at = copy;
    for (char *line; copy != NULL && (line = strsep(&at, "\n")) != NULL;) {
        reader->line++;
        if (read_line(reader, line) != 0) {
            return -EINVAL;
        }
        if (reader->short_of_memory) {
            return fail(reader, "the catalogue is too large");
        }
    }
    return copy == NULL ? fail(reader, "out of memory") : finish_type(reader);
}

static int read_file(struct reader *reader, const char *path) {
    _cleanup_free_ char *text = malloc(CATALOGUE_BYTES_MAX + 1);
    FILE *file = fopen(path, "re");
    reader->file = path;
    reader->line = 0;
    if (file == NULL || text == NULL) {
        int error = errno;
        if (file != NULL) {
            fclose(file);
        }
        return fail(reader, "%s", strerror(error));
    }
    size_t size = fread(text, 1, CATALOGUE_BYTES_MAX + 1, file);
    int error = ferror(file) ? errno : 0;
    fclose(file);
    return error != 0 ? fail(reader, "%s", strerror(error)) : read_text(reader, path, text, size);
}

static int compare_rows(const void *a, const void *b) {
    const struct catalogue_type *const *left = a;
    const struct catalogue_type *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

static struct catalogue *catalogue_new(void) {
    struct catalogue *catalogue = calloc(1, sizeof(*catalogue));
    if (catalogue == NULL) {
        return NULL;
    }
    catalogue->arena = arena_new(ARENA_BYTES_MAX);
    catalogue->rows = calloc(CATALOGUE_TYPES_MAX, sizeof(*catalogue->rows));
    catalogue->by_name = calloc(CATALOGUE_TYPES_MAX, sizeof(*catalogue->by_name));
    if (catalogue->arena == NULL || catalogue->rows == NULL || catalogue->by_name == NULL) {
        return catalogue_free(catalogue);
    }
    return catalogue;
}

// Sorts and hands over, or frees and hands over the error.
static int finish(struct reader *reader, int r, struct catalogue **ret, char **ret_error) {
    struct catalogue *catalogue = reader->catalogue;
    if (r != 0) {
        catalogue_free(catalogue);
        *ret_error = reader->error;
        return -EINVAL;
    }
    for (size_t i = 0; i < catalogue->n_rows; i++) {
        catalogue->by_name[i] = &catalogue->rows[i];
    }
    qsort(catalogue->by_name, catalogue->n_rows, sizeof(*catalogue->by_name), compare_rows);
    *ret = catalogue;
    return 0;
}

int catalogue_parse(const char *text, size_t size, const char *name, struct catalogue **ret,
                    char **ret_error) {
    struct reader reader = {.catalogue = catalogue_new()};
    if (reader.catalogue == NULL) {
        *ret_error = strdup("out of memory");
        return -EINVAL;
    }
    return finish(&reader, read_text(&reader, name, text, size), ret, ret_error);
}

int catalogue_load(const char *extra_path, struct catalogue **ret, char **ret_error) {
    struct reader reader = {.catalogue = catalogue_new()};
    if (reader.catalogue == NULL) {
        *ret_error = strdup("out of memory");
        return -EINVAL;
    }
    int r = read_text(&reader, "built-in catalogue", catalogue_text, catalogue_text_size);
    if (r == 0 && extra_path != NULL) {
        r = read_file(&reader, extra_path);
    }
    return finish(&reader, r, ret, ret_error);
}

struct catalogue *catalogue_free(struct catalogue *catalogue) {
    if (catalogue == NULL) {
        return NULL;
    }
    arena_free(catalogue->arena);
    free(catalogue->rows);
    free(catalogue->by_name);
    free(catalogue);
    return NULL;
}

const struct catalogue_type *catalogue_find(const struct catalogue *catalogue, const char *name) {
    size_t low = 0;
    size_t high = catalogue->n_rows;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, catalogue->by_name[middle]->name);
        if (order == 0) {
            return catalogue->by_name[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

const struct catalogue_type *catalogue_rows(const struct catalogue *catalogue, size_t *ret_n) {
    *ret_n = catalogue->n_rows;
    return catalogue->rows;
}
