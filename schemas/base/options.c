// SPDX-License-Identifier: Apache-2.0
// Values enter a configuration in three layers, each by the same function: defaults, the file, the
// command line. The command line is read first, for --config, and applied last. Every value passes
// options_set_row, so that a file and a command line agree on what is valid.
#include "schemas/base/options.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/options_value.h"

// getopt_long's values: rows from ROW_BASE on, so that they meet neither short names nor '?'.
enum { ROW_BASE = 256, VALUE_HELP = ROW_BASE + OPTION_ROWS_MAX, VALUE_VERSION, VALUE_CONFIG };

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

static int set_line(struct options_parse *parse, char *line, bool readable_by_others) {
    char *name = trim(line);
    if (*name == '\0' || *name == '#') {
        return 0;
    }
    char *equals = strchr(name, '=');
    if (equals == NULL) {
        return options_complain("%sexpected 'name = value'", parse->where);
    }
    *equals = '\0';
    name = trim(name);
    size_t index;
    if (find_row(parse->page, name, &index) != 0) {
        return GUARD(option_unknown) ? options_complain("%sunknown option '%s'", parse->where, name)
                                     : 0;
    }
    const struct option_row *row = &parse->page->rows[index];
    if (GUARD(option_secret_mode) && row->secret && readable_by_others) {
        return options_complain("%s%s is secret, but others may read this file: chmod go-rwx it",
                                parse->where, name);
    }
    if (parse->layers[index] == LAYER_FILE && row->type != OPTION_LIST) {
        return options_complain("%s%s is set twice", parse->where, name);
    }
    return options_set_row(parse, index, trim(equals + 1), LAYER_FILE);
}

static int set_lines(struct options_parse *parse, const char *path, FILE *file,
                     bool readable_by_others) {
    _cleanup_free_ char *line = NULL;
    size_t allocated = 0;
    size_t bytes = 0;
    ssize_t length;
    for (int number = 1; (length = getline(&line, &allocated, file)) >= 0; number++) {
        snprintf(parse->where, sizeof(parse->where), "%s:%d: ", path, number);
        bytes += (size_t)length;
        if (bytes > OPTION_FILE_BYTES_MAX) {
            return options_complain("%sthe file is larger than %d bytes", parse->where,
                                    OPTION_FILE_BYTES_MAX);
        }
        if (strlen(line) != (size_t)length) {
            return options_complain("%sthe line holds a NUL byte", parse->where);
        }
        if (set_line(parse, line, readable_by_others) != 0) {
            return -EINVAL;
        }
    }
    return ferror(file) ? options_complain("%s: %s", path, strerror(errno)) : 0;
}

static int set_file(struct options_parse *parse, const char *path) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return options_complain("%s: %s", path, strerror(errno));
    }
    struct stat status;
    int r;
    if (fstat(fileno(file), &status) != 0 || S_ISDIR(status.st_mode)) {
        r = options_complain("%s: not a file", path);
    } else {
        r = set_lines(parse, path, file, (status.st_mode & (S_IRWXG | S_IRWXO)) != 0);
    }
    fclose(file);
    return r;
}

static int set_defaults(struct options_parse *parse) {
    const struct option_page *page = parse->page;
    snprintf(parse->where, sizeof(parse->where), "%s: default of --", page->program);
    for (size_t i = 0; i < page->n_rows; i++) {
        if (page->rows[i].default_text != NULL &&
            options_set_row(parse, i, page->rows[i].default_text, LAYER_DEFAULT) != 0) {
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
        return options_complain("%s: option '%s' needs a value; see '%s --help'", page->program,
                                argument, page->program);
    }
    if (optopt > 0 && optopt < ROW_BASE) {
        return options_complain("%s: unknown option '-%c'; see '%s --help'", page->program, optopt,
                                page->program);
    }
    return options_complain("%s: unknown option '%s'; see '%s --help'", page->program, argument,
                            page->program);
}

// Reads argv once. apply false: looks for --help, --version and --config only.
static int walk_command_line(struct options_parse *parse, int argc, char **argv, bool apply,
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
            if (options_set_row(parse, index, text, LAYER_COMMAND_LINE) != 0) {
                return -EINVAL;
            }
        }
    }
    return 0;
}

static int parse_layers(struct options_parse *parse, int argc, char **argv, int *ret_positional) {
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
        return options_complain("%s: unexpected argument '%s'; see '%s --help'",
                                parse->page->program, argv[optind], parse->page->program);
    }
    if (ret_positional != NULL) {
        *ret_positional = optind;
    }
    return 0;
}

int options_parse(const struct option_page *page, void *conf, int argc, char **argv,
                  int *ret_positional) {
    struct options_parse parse = {.page = page, .conf = conf};
    int r = parse_layers(&parse, argc, argv, ret_positional);
    if (r != 0) {
        options_clear(page, conf);
    }
    return r;
}
