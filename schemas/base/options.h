// SPDX-License-Identifier: Apache-2.0
// Options as rows: one table gives the command line (getopt_long), the configuration file (`name =
// value` lines, # comments, the same names) and --help with defaults. Precedence: command line,
// file, default.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_type {
    OPTION_BOOL,     // bool; a bare --name sets it, in a file true or false
    OPTION_INTEGER,  // int64_t
    OPTION_BYTES,    // int64_t; 64k, 8M, 2G
    OPTION_DURATION, // int64_t microseconds; 250ms, 30s, 7d
    OPTION_STRING,   // char *, owned by the configuration
    OPTION_LIST,     // struct option_list; may be given several times
};

struct option_list {
    char **values;
    size_t n_values;
};
enum {
    OPTION_LIST_MAX = 4096,
    OPTION_ROWS_MAX = 128,
    OPTION_VALUE_BYTES_MAX = 4096,
    OPTION_FILE_BYTES_MAX = 1 << 20,
};

struct option_row {
    const char *name; // long option and configuration key
    char short_name;  // 0: none
    enum option_type type;
    size_t offset; // of the member in the configuration struct
    const char
        *default_text;    // as it would be written in the file; NULL: unset (NULL, 0, false, empty)
    int64_t min, max;     // for the numeric types; both 0: no bound
    const char *argument; // what --help calls the value: DIR, N; NULL for a bool
    const char *help;
    bool reloadable; // may change on SIGHUP
    bool secret;     // a file that sets it must be readable by its owner only
};

struct option_page {
    const char *program;
    const char *synopsis;    // after the program's name, e.g. "--state DIR [options]"
    const char *description; // prose for --help
    const struct option_row *rows;
    size_t n_rows;
    const char *after;    // further sections of --help (exit codes, files, examples), may be NULL
    bool stop_at_operand; // options end at the first operand, for programs with subcommands
};

enum { OPTIONS_DONE = 1 }; // --help or --version was printed: exit 0

// Fills conf (zeroed by the caller) with defaults, then the file of --config, then the command
// line. A list's values of a later layer replace those of an earlier one. --help, --version and
// --config FILE are known by themselves. Returns 0; OPTIONS_DONE; -EINVAL after one clear line on
// stderr (a file's with path:line); conf then holds nothing. ret_positional: index of the first
// operand in argv, which getopt may have reordered; NULL: operands are refused.
int options_parse(const struct option_page *page, void *conf, int argc, char **argv,
                  int *ret_positional);
// For SIGHUP: parses the same argv and the file anew, and takes over what is reloadable; a changed
// row that is not is named in a warning and stays. 0; -EINVAL after one line on stderr, conf as it
// was.
int options_reload(const struct option_page *page, void *conf, int argc, char **argv);
// Frees strings and lists and zeroes the rows' members.
void options_clear(const struct option_page *page, void *conf);
// The text of --help on stdout, laid out as a manual page.
void options_help(const struct option_page *page);
