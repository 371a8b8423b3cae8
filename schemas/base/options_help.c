// SPDX-License-Identifier: Apache-2.0
// --help, laid out as a manual page on a terminal: NAME, SYNOPSIS, DESCRIPTION, OPTIONS, and what
// the page adds. Everything comes from the rows, so that it cannot differ from what is parsed.
#include <stdio.h>
#include <string.h>

#include "schemas/base/options.h"

enum { COLUMNS = 78, INDENT = 7, INDENT_TEXT = 11 };

// Wraps prose at COLUMNS; a newline in it starts a new line, two a new paragraph.
static void print_wrapped(const char *text, int indent) {
    int column = 0;
    for (const char *at = text; *at != '\0';) {
        if (*at == '\n') {
            putchar('\n');
            column = 0;
            at++;
            continue;
        }
        if (*at == ' ') {
            at++;
            continue;
        }
        int length = (int)strcspn(at, " \n");
        if (column > 0 && column + 1 + length > COLUMNS) {
            putchar('\n');
            column = 0;
        }
        if (column == 0) {
            printf("%*s", indent, "");
            column = indent;
        } else {
            putchar(' ');
            column++;
        }
        printf("%.*s", length, at);
        column += length;
        at += length;
    }
    putchar('\n');
}

static void print_row(const struct option_row *row) {
    const char *argument = row->argument != NULL ? row->argument : "VALUE";
    printf("%*s", INDENT, "");
    if (row->short_name != 0) {
        printf("-%c, ", row->short_name);
    }
    if (row->type == OPTION_BOOL) {
        printf("--%s\n", row->name);
    } else {
        printf("--%s=%s%s\n", row->name, argument, row->type == OPTION_LIST ? " ..." : "");
    }
    print_wrapped(row->help != NULL ? row->help : "", INDENT_TEXT);
    if (row->default_text != NULL) {
        printf("%*sDefault: %s.%s\n", INDENT_TEXT, "", row->default_text,
               row->reloadable ? " Reloaded on SIGHUP." : "");
    } else if (row->reloadable) {
        printf("%*sReloaded on SIGHUP.\n", INDENT_TEXT, "");
    }
    putchar('\n');
}

// Up to a full stop that ends a sentence: "UBL 2.1" is in the middle of one.
static int first_sentence(const char *text) {
    size_t length = strcspn(text, ".\n");
    while (text[length] == '.' && text[length + 1] != '\0' &&
           strchr(" \n", text[length + 1]) == NULL) {
        length += 1 + strcspn(text + length + 1, ".\n");
    }
    return (int)length;
}

void options_help(const struct option_page *page) {
    static const struct option_row own[] = {
        {.name = "config",
         .type = OPTION_STRING,
         .argument = "FILE",
         .help = "Read options from FILE: lines of 'name = value' with the names of this page, "
                 "lines that start with # are comments. The command line goes before the file."},
        {.name = "help", .type = OPTION_BOOL, .help = "Print this page and exit."},
        {.name = "version", .type = OPTION_BOOL, .help = "Print the version and exit."},
    };
    // The description's first sentence says what the program is: the NAME line of a manual page.
    const char *description = page->description != NULL ? page->description : "";
    int length = first_sentence(description);
    printf("NAME\n%*s%s - %.*s\n\n", INDENT, "", page->program, length, description);
    printf("SYNOPSIS\n%*s%s %s\n\n", INDENT, "", page->program,
           page->synopsis != NULL ? page->synopsis : "[options]");
    printf("DESCRIPTION\n");
    print_wrapped(description, INDENT);
    printf("\nOPTIONS\n");
    for (size_t i = 0; i < page->n_rows; i++) {
        print_row(&page->rows[i]);
    }
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        print_row(&own[i]);
    }
    if (page->after != NULL) {
        fputs(page->after, stdout);
        if (page->after[0] != '\0' && page->after[strlen(page->after) - 1] != '\n') {
            putchar('\n');
        }
    }
}
