// SPDX-License-Identifier: Apache-2.0
// Values enter a configuration in three layers, each by the same function: defaults, the file, the
// command line. The command line is read first, for --config, and applied last. Every value passes
// set_row, so that a file and a command line agree on what is valid.
#include "schemas/base/options.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"

// getopt_long's values: rows from ROW_BASE on, so that they meet neither short names nor '?'.
enum { ROW_BASE = 256, VALUE_HELP = ROW_BASE + OPTION_ROWS_MAX, VALUE_VERSION, VALUE_CONFIG };

enum layer { LAYER_NONE, LAYER_DEFAULT, LAYER_FILE, LAYER_COMMAND_LINE };

// One parse: where values go, who set each row so far, and where in the input we are.
struct parse {
    const struct option_page *page;
    char *conf;
    enum layer layers[OPTION_ROWS_MAX];
    char where[OPTION_VALUE_BYTES_MAX + 32]; // "program: --" or "path:line: ", before a row's name
};

__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...) {
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

static int set_number(struct parse *parse, const struct option_row *row, const char *text) {
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
        return complain("%s%s: '%s' is not %s", parse->where, row->name, text,
                        kinds[row->type].expected);
    }
    if ((row->min != 0 || row->max != 0) && (number < row->min || number > row->max)) {
        const char *unit = row->type == OPTION_DURATION ? " us"
                           : row->type == OPTION_BYTES  ? " bytes"
                                                        : "";
        return complain("%s%s: '%s' is out of range (%lld to %lld%s)", parse->where, row->name,
                        text, (long long)row->min, (long long)row->max, unit);
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

static int set_list(struct parse *parse, const struct option_row *row, const char *text,
                    bool first_of_layer) {
    struct option_list list;
    memcpy(&list, parse->conf + row->offset, sizeof(list));
    if (first_of_layer) {
        list_clear(&list);
    }
    int r = list_add(&list, text);
    memcpy(parse->conf + row->offset, &list, sizeof(list));
    return r == 0 ? 0 : complain("%s%s: too many values", parse->where, row->name);
}

static int set_string(struct parse *parse, const struct option_row *row, const char *text) {
    char *old;
    char *copy = strdup(text);
    if (copy == NULL) {
        return complain("%s%s: out of memory", parse->where, row->name);
    }
    memcpy(&old, parse->conf + row->offset, sizeof(old));
    free(old);
    memcpy(parse->conf + row->offset, &copy, sizeof(copy));
    return 0;
}

static int set_bool(struct parse *parse, const struct option_row *row, const char *text) {
    bool value = strcmp(text, "true") == 0;
    if (!value && strcmp(text, "false") != 0) {
        return complain("%s%s: '%s' is neither true nor false", parse->where, row->name, text);
    }
    memcpy(parse->conf + row->offset, &value, sizeof(value));
    return 0;
}

static int set_row(struct parse *parse, size_t index, const char *text, enum layer layer) {
    const struct option_row *row = &parse->page->rows[index];
    bool first_of_layer = parse->layers[index] != layer;
    parse->layers[index] = layer;
    if (strlen(text) > OPTION_VALUE_BYTES_MAX) {
        return complain("%s%s: the value is too long", parse->where, row->name);
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

static char *trim(char *text) {
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1])) {
        text[--length] = '\0';
    }
    return text;
}

static int find_row(const struct option_page *page, const char *name, size_t *ret) {
    for (size_t i = 0; i < page->n_rows; i++) {
        if (strcmp(page->rows[i].name, name) == 0) {
            *ret = i;
            return 0;
        }
    }
    return -ENOENT;
}

static int set_line(struct parse *parse, char *line, bool readable_by_others) {
    char *name = trim(line);
    if (*name == '\0' || *name == '#') {
        return 0;
    }
    char *equals = strchr(name, '=');
    if (equals == NULL) {
        return complain("%sexpected 'name = value'", parse->where);
    }
    *equals = '\0';
    name = trim(name);
    size_t index;
    if (find_row(parse->page, name, &index) != 0) {
        return complain("%sunknown option '%s'", parse->where, name);
    }
    const struct option_row *row = &parse->page->rows[index];
    if (row->secret && readable_by_others) {
        return complain("%s%s is secret, but others may read this file: chmod go-rwx it",
                        parse->where, name);
    }
    if (parse->layers[index] == LAYER_FILE && row->type != OPTION_LIST) {
        return complain("%s%s is set twice", parse->where, name);
    }
    return set_row(parse, index, trim(equals + 1), LAYER_FILE);
}

static int set_lines(struct parse *parse, const char *path, FILE *file, bool readable_by_others) {
    _cleanup_free_ char *line = NULL;
    size_t allocated = 0;
    size_t bytes = 0;
    ssize_t length;
    for (int number = 1; (length = getline(&line, &allocated, file)) >= 0; number++) {
        snprintf(parse->where, sizeof(parse->where), "%s:%d: ", path, number);
        bytes += (size_t)length;
        if (bytes > OPTION_FILE_BYTES_MAX) {
            return complain("%sthe file is larger than %d bytes", parse->where,
                            OPTION_FILE_BYTES_MAX);
        }
        if (strlen(line) != (size_t)length) {
            return complain("%sthe line holds a NUL byte", parse->where);
        }
        if (set_line(parse, line, readable_by_others) != 0) {
            return -EINVAL;
        }
    }
    return ferror(file) ? complain("%s: %s", path, strerror(errno)) : 0;
}

static int set_file(struct parse *parse, const char *path) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return complain("%s: %s", path, strerror(errno));
    }
    struct stat status;
    int r;
    if (fstat(fileno(file), &status) != 0 || S_ISDIR(status.st_mode)) {
        r = complain("%s: not a file", path);
    } else {
        r = set_lines(parse, path, file, (status.st_mode & (S_IRWXG | S_IRWXO)) != 0);
    }
    fclose(file);
    return r;
}

static int set_defaults(struct parse *parse) {
    const struct option_page *page = parse->page;
    snprintf(parse->where, sizeof(parse->where), "%s: default of --", page->program);
    for (size_t i = 0; i < page->n_rows; i++) {
        if (page->rows[i].default_text != NULL &&
            set_row(parse, i, page->rows[i].default_text, LAYER_DEFAULT) != 0) {
            return -EINVAL;
        }
    }
    return 0;
}

// The tables getopt_long wants, made from the rows.
struct getopt_tables {
    struct option longs[OPTION_ROWS_MAX + 4];
    char shorts[2 * OPTION_ROWS_MAX + 8];
};

static void tables_fill(struct getopt_tables *tables, const struct option_page *page) {
    static const struct option own[] = {{"help", no_argument, NULL, VALUE_HELP},
                                        {"version", no_argument, NULL, VALUE_VERSION},
                                        {"config", required_argument, NULL, VALUE_CONFIG},
                                        {NULL, 0, NULL, 0}};
    assert(page->n_rows <= OPTION_ROWS_MAX);
    char *at = tables->shorts;
    if (page->stop_at_operand) {
        *at++ = '+';
    }
    *at++ = ':';
    for (size_t i = 0; i < page->n_rows; i++) {
        const struct option_row *row = &page->rows[i];
        int argument = row->type == OPTION_BOOL ? optional_argument : required_argument;
        tables->longs[i] = (struct option){row->name, argument, NULL, ROW_BASE + (int)i};
        if (row->short_name != 0) {
            *at++ = row->short_name;
            if (row->type != OPTION_BOOL) {
                *at++ = ':';
            }
        }
    }
    *at = '\0';
    memcpy(tables->longs + page->n_rows, own, sizeof(own));
}

// The row that getopt_long's value names, by its long or short name; n_rows where it names none.
static size_t row_of_value(const struct option_page *page, int value) {
    if (value >= ROW_BASE) {
        return (size_t)(value - ROW_BASE) < page->n_rows ? (size_t)(value - ROW_BASE)
                                                         : page->n_rows;
    }
    size_t i = 0;
    while (i < page->n_rows && page->rows[i].short_name != value) {
        i++;
    }
    return i;
}

static int usage_error(const struct option_page *page, int value, char **argv) {
    const char *argument = argv[optind - 1];
    if (value == ':') {
        return complain("%s: option '%s' needs a value; see '%s --help'", page->program, argument,
                        page->program);
    }
    if (optopt > 0 && optopt < ROW_BASE) {
        return complain("%s: unknown option '-%c'; see '%s --help'", page->program, optopt,
                        page->program);
    }
    return complain("%s: unknown option '%s'; see '%s --help'", page->program, argument,
                    page->program);
}

// Reads argv once. apply false: looks for --help, --version and --config only.
static int walk_command_line(struct parse *parse, int argc, char **argv, bool apply,
                             const char **ret_config) {
    const struct option_page *page = parse->page;
    struct getopt_tables tables;
    tables_fill(&tables, page);
    snprintf(parse->where, sizeof(parse->where), "%s: --", page->program);
    opterr = 0;
    optind = 0; // makes getopt start anew
    int value;
    while ((value = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1) {
        size_t index = row_of_value(page, value);
        if (value == '?' || value == ':') {
            return usage_error(page, value, argv);
        }
        if (value == VALUE_HELP) {
            options_help(page);
            return OPTIONS_DONE;
        }
        if (value == VALUE_VERSION) {
            printf("%s %s\n", page->program, TOUCHBUS_VERSION);
            return OPTIONS_DONE;
        }
        if (value == VALUE_CONFIG) {
            *ret_config = optarg;
        } else if (apply) {
            assert(index < page->n_rows);
            const char *text = optarg != NULL ? optarg : "true";
            if (set_row(parse, index, text, LAYER_COMMAND_LINE) != 0) {
                return -EINVAL;
            }
        }
    }
    return 0;
}

static int parse_layers(struct parse *parse, int argc, char **argv, int *ret_positional) {
    const char *config = NULL;
    int r = walk_command_line(parse, argc, argv, false, &config);
    if (r != 0) {
        return r;
    }
    if (set_defaults(parse) != 0 || (config != NULL && set_file(parse, config) != 0) ||
        walk_command_line(parse, argc, argv, true, &config) != 0) {
        return -EINVAL;
    }
    if (ret_positional == NULL && optind < argc) {
        return complain("%s: unexpected argument '%s'; see '%s --help'", parse->page->program,
                        argv[optind], parse->page->program);
    }
    if (ret_positional != NULL) {
        *ret_positional = optind;
    }
    return 0;
}

int options_parse(const struct option_page *page, void *conf, int argc, char **argv,
                  int *ret_positional) {
    struct parse parse = {.page = page, .conf = conf};
    int r = parse_layers(&parse, argc, argv, ret_positional);
    if (r != 0) {
        options_clear(page, conf);
    }
    return r;
}
