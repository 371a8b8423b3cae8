// SPDX-License-Identifier: Apache-2.0
// What the files of the command line tool share: the command's row, the global options, asking the
// broker, printing. Exit codes are those of enum tool_exit, everywhere.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "connectors/client/touchbus.h"
#include "schemas/base/options.h"

enum tool_exit {
    TOOL_DONE = 0,
    TOOL_NO = 1,         // the answer is no: a refusal, not found, not equal
    TOOL_USAGE = 2,      // wrong usage
    TOOL_AWAY = 3,       // the broker is not there
    TOOL_DEFERRED = 4,   // contact: not now, later
    TOOL_SUPPRESSED = 5, // contact: not at all
};

// First member of every command's configuration; the rows are main.c's.
struct globals {
    char *broker, *key, *broker_key;
    bool json;
    char *output; // "json", "raw", "table"
    bool yes;
    int64_t timeout_us;
    int64_t min_sequence;
};

struct tool {
    const struct globals *globals;
    const char *command; // e.g. "log info"
    bool json;           // -j or -o json: one JSON object a line
    touchbus_client *client;
};

struct command {
    const char *name; // one or two words
    const char *synopsis, *description, *after;
    const struct option_row *rows; // beside the global ones
    size_t n_rows;
    size_t conf_size;                   // of a struct that begins with struct globals
    int n_operands_min, n_operands_max; // -1: any number
    // Returns an exit code.
    int (*run)(struct tool *tool, const void *conf, int argc, char **argv);
    // Takes the words behind the name by itself, options and all (bench).
    int (*raw)(int argc, char **argv);
};

#define TOOL_OFFSET(TYPE, MEMBER) offsetof(struct TYPE, MEMBER)
#define TOOL_ROWS(ROWS) .rows = (ROWS), .n_rows = sizeof(ROWS) / sizeof((ROWS)[0])

// ---- commands.c
const struct command *const *commands_rows(size_t *ret_n);

// ---- ask.c
struct ask {
    const char *verb;
    const touchbus_argument *arguments;
    size_t n_arguments;
    const char *body; // JSON text or NULL
    bool is_long;     // no time-out once the broker is known to be there
    // Each part ahead of the answer, borrowed; NULL: parts are progress of long work.
    void (*on_part)(struct tool *tool, const json_t *part, void *user);
    void *user;
    bool may_be_forbidden; // TOOL_DONE without an answer, where the key's role has not the right
    bool with_refusal;     // an answer that carries both a refusal and a body is the caller's
};
// TOOL_DONE and the answer with `as_of` in it (*ret, the caller's); or, said on stderr, TOOL_NO,
// TOOL_USAGE or TOOL_AWAY. With with_refusal also TOOL_NO and *ret.
int tool_ask(struct tool *tool, const struct ask *ask, json_t **ret);
// tool_ask, then the answer printed as an object.
int tool_show(struct tool *tool, const struct ask *ask);
// The same for a verb whose one argument is `name`.
int tool_show_named(struct tool *tool, const char *verb, const char *name);
// tool_ask, then the answer's and the parts' `rows` printed as a table with these columns (name and
// heading, NULL-terminated), or one JSON object a line.
int tool_list(struct tool *tool, const struct ask *ask, const char *const *columns);
// A customer argument as the broker wants it: c42 is `customer`, KIND=VALUE is `key`. False, said
// on stderr: neither.
bool tool_customer_argument(const char *text, touchbus_argument *ret);
// The customer's number. TOOL_DONE, or said on stderr.
int tool_find_customer(struct tool *tool, const char *text, uint64_t *ret);
// That the broker is there and takes this key, whatever its role.
int tool_there(struct tool *tool);
// The last sequence, and that the broker is there.
int tool_head(struct tool *tool, uint64_t *ret);
int tool_timeout_ms(const struct tool *tool);
// Judges --key and --broker-key. TOOL_DONE, or said on stderr.
int tool_check_keys(const struct tool *tool);

// ---- output.c
// One line on stderr: "touchbus: ...".
void tool_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
// What is wrong with a JSON text, by its place: jansson's own words quote it.
void tool_complain_json(const char *what, bool unreadable, const json_error_t *error);
// A refusal: with -j one JSON object on stderr. Returns TOOL_NO, or TOOL_AWAY where the broker
// could not be asked.
int tool_refused(const struct tool *tool, const char *reason, const char *detail, const char *hint);
void output_line(const json_t *object);   // compact JSON and a newline
void output_object(const json_t *object); // for people
// The cells of a text for a terminal: control characters become '?'.
void output_text(FILE *file, const char *text);
struct table;
// columns as for tool_list. The first rows decide the widths.
struct table *table_new(const char *const *columns);
void table_add(struct table *table, const json_t *row);
struct table *table_free(struct table *table); // prints what is left
// Flushes stdout. False, said on stderr: what was printed did not get out.
bool output_flush(void);

// ---- progress.c: one line on stderr, only where that is a terminal
void progress_show(const char *what, uint64_t done, uint64_t total); // total 0: not known
void progress_end(void);

// ---- confirm.c
// Asks unless --yes. False, said on stderr: it was not confirmed; *ret is the exit code.
bool tool_confirm(const struct tool *tool, int *ret, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// ---- programs.c
// The path of a program of ours: beside this one, else its name for PATH.
char *program_path(const char *name);
// Runs it and returns its exit status, -errno where it could not be run.
int program_run(char *const arguments[]);

// ---- offline.c
// Has touchbusd do a task on stores that no broker serves ("backup", "verify-backup", "restore"),
// with these arguments (name, value, ...; NULL-terminated). Its progress is shown, its problems are
// printed, its answer is *ret (NULL where it has none). TOOL_DONE, or TOOL_NO, TOOL_USAGE, said on
// stderr.
int tool_offline(struct tool *tool, const char *task, const char *const *arguments, json_t **ret);
