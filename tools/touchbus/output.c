// SPDX-License-Identifier: Apache-2.0
// Printing: JSON lines for scripts, tables and indented objects for people. What came from outside
// never reaches a terminal with its control characters.
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "tools/touchbus/tool.h"

enum {
    COLUMNS_MAX = 16,
    WIDTH_ROWS = 200, // the rows that decide the widths
    CELL_WIDTH_MAX = 60,
    NAME_WIDTH_MIN = 18,
};

void tool_complain(const char *format, ...) {
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    progress_end();
    fputs("touchbus: ", stderr);
    output_text(stderr, text);
    fputc('\n', stderr);
}

void tool_complain_json(const char *what, bool unreadable, const json_error_t *error) {
    if (unreadable) {
        tool_complain("%s: no JSON from line %d, column %d on", what, error->line, error->column);
    } else {
        tool_complain("%s: wants a JSON object", what);
    }
}

int tool_refused(const struct tool *tool, const char *reason, const char *detail,
                 const char *hint) {
    if (tool->json) {
        json_t *json =
            json_pack("{s:s, s:s, s:s}", "error", reason, "detail", detail, "hint", hint);
        _cleanup_free_ char *text = json_dumps(json, JSON_COMPACT);
        progress_end();
        fprintf(stderr, "%s\n", text != NULL ? text : "{}");
        json_decref(json);
    } else {
        tool_complain("%s%s%s%s%s", reason, detail[0] != '\0' ? ": " : "", detail,
                      hint[0] != '\0' ? "; " : "", hint);
    }
    return strcmp(reason, "unavailable") == 0 ? TOOL_AWAY : TOOL_NO;
}

void output_line(const json_t *object) {
    if (json_dumpf(object, stdout, JSON_COMPACT) == 0) {
        putchar('\n');
    }
}

void output_text(FILE *file, const char *text) {
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        // C0, DEL, and C1 in its UTF-8 form (0xC2 0x80 to 0x9F).
        bool is_c1 = byte == 0xc2 && (unsigned char)at[1] >= 0x80 && (unsigned char)at[1] < 0xa0;
        fputc(byte < 0x20 || byte == 0x7f || is_c1 ? '?' : byte, file);
        at += is_c1;
    }
}

bool output_flush(void) {
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return true;
    }
    tool_complain("cannot write: %s", strerror(errno));
    clearerr(stdout);
    return false;
}

// ---- cells

// A value as one cell's text; the caller frees.
static char *cell_text(const json_t *value) {
    if (value == NULL || json_is_null(value)) {
        return strdup("-");
    }
    if (json_is_string(value)) {
        return strdup(json_string_value(value)[0] != '\0' ? json_string_value(value) : "-");
    }
    if (json_is_boolean(value)) {
        return strdup(json_is_true(value) ? "yes" : "no");
    }
    if (json_is_array(value) && json_array_size(value) == 0) {
        return strdup("-");
    }
    return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
}

// Code points, which is what most terminals show a column each.
static int text_width(const char *text) {
    int width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

static void print_cell(const char *text, int width, bool is_last) {
    output_text(stdout, text);
    int fill = is_last ? 0 : width - text_width(text) + 2;
    printf("%*s", fill > 0 ? fill : (is_last ? 0 : 2), "");
}

// ---- tables

struct table {
    const char *names[COLUMNS_MAX], *headings[COLUMNS_MAX];
    int widths[COLUMNS_MAX];
    size_t n_columns;
    json_t *waiting; // rows that were not printed yet; NULL: the heading is out
};

struct table *table_new(const char *const *columns) {
    struct table *table = calloc(1, sizeof(*table));
    if (table == NULL) {
        return NULL;
    }
    for (; columns[2 * table->n_columns] != NULL && table->n_columns < COLUMNS_MAX;
         table->n_columns++) {
        table->names[table->n_columns] = columns[2 * table->n_columns];
        table->headings[table->n_columns] = columns[2 * table->n_columns + 1];
        table->widths[table->n_columns] = text_width(table->headings[table->n_columns]);
    }
    table->waiting = json_array();
    return table;
}

static void print_row(const struct table *table, const json_t *row) {
    for (size_t i = 0; i < table->n_columns; i++) {
        _cleanup_free_ char *text = cell_text(json_object_get(row, table->names[i]));
        print_cell(text != NULL ? text : "?", table->widths[i], i == table->n_columns - 1);
    }
    putchar('\n');
}

static void measure_row(struct table *table, const json_t *row) {
    for (size_t i = 0; i < table->n_columns; i++) {
        _cleanup_free_ char *text = cell_text(json_object_get(row, table->names[i]));
        int width = text != NULL ? text_width(text) : 0;
        width = width > CELL_WIDTH_MAX ? CELL_WIDTH_MAX : width;
        table->widths[i] = width > table->widths[i] ? width : table->widths[i];
    }
}

static void print_waiting(struct table *table) {
    size_t i;
    const json_t *row;
    json_array_foreach(table->waiting, i, row) {
        measure_row(table, row);
    }
    for (size_t column = 0; column < table->n_columns; column++) {
        print_cell(table->headings[column], table->widths[column], column == table->n_columns - 1);
    }
    putchar('\n');
    json_array_foreach(table->waiting, i, row) {
        print_row(table, row);
    }
    json_decref(STEAL(table->waiting));
}

void table_add(struct table *table, const json_t *row) {
    if (table->waiting == NULL) {
        print_row(table, row);
        return;
    }
    json_array_append_new(table->waiting, json_deep_copy(row));
    if (json_array_size(table->waiting) >= WIDTH_ROWS) {
        print_waiting(table);
    }
}

struct table *table_free(struct table *table) {
    if (table != NULL) {
        if (table->waiting != NULL) {
            print_waiting(table);
        }
        free(table);
    }
    return NULL;
}

// ---- objects: plain members first, then a section for each list or map. Two levels, the rest as
// compact JSON.

static bool is_section(const json_t *value) {
    return (json_is_array(value) && json_array_size(value) > 0 &&
            json_is_object(json_array_get(value, 0))) ||
           (json_is_object(value) && json_object_size(value) > 0);
}

static void print_members(const json_t *object, int indent) {
    int width = NAME_WIDTH_MIN;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        width = text_width(name) > width ? text_width(name) : width;
    }
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        if (indent == 0 && is_section(value)) {
            continue;
        }
        _cleanup_free_ char *text = cell_text(value);
        printf("%*s", indent, "");
        print_cell(name, width, false);
        output_text(stdout, text != NULL ? text : "?");
        putchar('\n');
    }
}

// A list of objects as a table with the first one's plain members.
static void print_list(const json_t *list) {
    const char *columns[2 * COLUMNS_MAX + 2] = {0};
    size_t n = 0;
    const char *name;
    json_t *value;
    json_object_foreach(json_array_get(list, 0), name, value) {
        if (n < COLUMNS_MAX && !json_is_object(value)) {
            columns[2 * n] = columns[2 * n + 1] = name;
            n++;
        }
    }
    struct table *table = table_new(columns);
    size_t i;
    const json_t *row;
    json_array_foreach(list, i, row) {
        table_add(table, row);
    }
    table_free(table);
}

// A map whose members are objects (attributes) as a table with the member's name in front.
static void print_map(const json_t *map) {
    json_t *rows = json_array();
    bool is_table = true;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, name, value) {
        is_table = is_table && json_is_object(value);
        json_t *row = json_pack("{s:s}", "name", name);
        json_object_update_missing(row, value);
        json_array_append_new(rows, row);
    }
    is_table ? print_list(rows) : print_members(map, 2);
    json_decref(rows);
}

void output_object(const json_t *object) {
    print_members(object, 0);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        if (is_section(value)) {
            printf("\n%s\n", name);
            json_is_array(value) ? print_list(value) : print_map(value);
        }
    }
}
