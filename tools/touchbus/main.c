// SPDX-License-Identifier: Apache-2.0
// touchbus: the one command line tool. Finds the command in the table, parses its options with the
// global ones beside them, runs it. Knows no command by name.
#include <assert.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "schemas/base/cleanup.h"
#include "schemas/base/core_dumps.h"
#include "tools/touchbus/tool.h"

enum { WORDS_MAX = 256, NAME_BYTES = 64 };

#define GLOBAL(MEMBER) offsetof(struct globals, MEMBER)

static const struct option_row global_rows[] = {
    {.name = "broker",
     .short_name = 'b',
     .type = OPTION_STRING,
     .offset = GLOBAL(broker),
     .argument = "HOST:PORT",
     .help = "The broker's publish endpoint. Without it TOUCHBUS_BROKER of the environment, else "
             "127.0.0.1:7400."},
    {.name = "key",
     .type = OPTION_STRING,
     .offset = GLOBAL(key),
     .argument = "FILE",
     .help = "Your own secret certificate (NAME.key_secret of 'touchbus keygen'), readable by you "
             "alone. Without it TOUCHBUS_KEY of the environment."},
    {.name = "broker-key",
     .type = OPTION_STRING,
     .offset = GLOBAL(broker_key),
     .argument = "FILE",
     .help = "The broker's public certificate. Without it TOUCHBUS_BROKER_KEY of the environment."},
    {.name = "json",
     .short_name = 'j',
     .type = OPTION_BOOL,
     .offset = GLOBAL(json),
     .help = "Print one JSON object a line, with the names of tools/README.md."},
    {.name = "output",
     .short_name = 'o',
     .type = OPTION_STRING,
     .offset = GLOBAL(output),
     .default_text = "table",
     .argument = "FORMAT",
     .help = "table for people, json as -j, raw for the data of events alone."},
    {.name = "yes",
     .short_name = 'y',
     .type = OPTION_BOOL,
     .offset = GLOBAL(yes),
     .help = "Do not ask before something is given up."},
    {.name = "timeout",
     .type = OPTION_DURATION,
     .offset = GLOBAL(timeout_us),
     .default_text = "5s",
     .min = 1000,
     .max = INT64_C(86400) * 1000000,
     .argument = "TIME",
     .help = "How long to wait for the broker."},
    {.name = "min-seq",
     .type = OPTION_INTEGER,
     .offset = GLOBAL(min_sequence),
     .default_text = "0",
     .min = 0,
     .max = INT64_MAX,
     .argument = "N",
     .help = "Answer no older than sequence N: the broker waits up to a second for it."},
};
enum { GLOBAL_ROWS = sizeof(global_rows) / sizeof(global_rows[0]) };

static const char exit_codes[] =
    "EXIT STATUS\n"
    "       0 done; 1 the answer is no (a refusal, not found, not equal); 2 wrong usage;\n"
    "       3 the broker is not there\n";

// ---- help

// The first sentence of a description, for the list of commands.
static void print_summary(FILE *file, const struct command *command) {
    fprintf(file, "       %-20s %.*s\n", command->name, (int)strcspn(command->description, ".\n"),
            command->description);
}

// The list of commands whose name begins with prefix ("" all), and the rest of a page.
static char *after_text(const char *prefix) {
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL) {
        return NULL;
    }
    size_t n;
    const struct command *const *commands = commands_rows(&n);
    fputs("COMMANDS\n", file);
    for (size_t i = 0; i < n; i++) {
        if (strncmp(commands[i]->name, prefix, strlen(prefix)) == 0) {
            print_summary(file, commands[i]);
        }
    }
    fprintf(file,
            "\n       touchbus COMMAND --help describes one.\n\n%s\nEXAMPLES\n"
            "       touchbus status\n"
            "       touchbus sub --type 'order.*' --since 1h -o json | head\n"
            "       touchbus pub page.viewed --identity user_id=u-42 --attr channel=web \\\n"
            "           --attr url=/offers\n"
            "       touchbus customer show email=ana@klant.example\n",
            exit_codes);
    fclose(file);
    return text;
}

static void fill_page(struct option_page *page) {
    *page = (struct option_page){
        .program = "touchbus",
        .synopsis = "[options] COMMAND [arguments]",
        .description = "The command line of touchbus. Publishes, subscribes, replays, and asks the "
                       "broker about its log, its customers and its subscriptions. Options may "
                       "stand before or behind the command.",
        .rows = global_rows,
        .n_rows = GLOBAL_ROWS,
        .stop_at_operand = true,
    };
}

// ---- finding the command

// How many words of argv name the command; 0: they do not.
static int match(const struct command *command, int argc, char **argv) {
    char name[NAME_BYTES];
    snprintf(name, sizeof(name), "%s", command->name);
    int n_words = 0;
    char *rest = name;
    for (char *word; (word = strsep(&rest, " ")) != NULL; n_words++) {
        if (n_words >= argc || strcmp(argv[n_words], word) != 0) {
            return 0;
        }
    }
    return n_words;
}

static const struct command *find(int argc, char **argv, int *ret_words) {
    size_t n;
    const struct command *const *commands = commands_rows(&n);
    for (size_t i = 0; i < n; i++) {
        *ret_words = match(commands[i], argc, argv);
        if (*ret_words > 0) {
            return commands[i];
        }
    }
    return NULL;
}

// A word that only begins commands, such as "log": its list. Otherwise unknown.
static int unknown(const char *word) {
    char prefix[NAME_BYTES];
    snprintf(prefix, sizeof(prefix), "%s ", word);
    size_t n;
    const struct command *const *commands = commands_rows(&n);
    bool is_group = false;
    for (size_t i = 0; i < n; i++) {
        if (strncmp(commands[i]->name, prefix, strlen(prefix)) == 0) {
            if (!is_group) {
                fprintf(stderr, "touchbus: '%s' is one of:\n", word);
            }
            is_group = true;
            print_summary(stderr, commands[i]);
        }
    }
    if (!is_group) {
        tool_complain("no command '%s'; see 'touchbus --help'", word);
    }
    return TOOL_USAGE;
}

// ---- running it

static int run_command(const struct command *command, const struct globals *globals, void *conf,
                       int argc, char **argv) {
    static const char *const outputs[] = {"table", "json", "raw"};
    size_t output = 0;
    while (output < 3 && strcmp(globals->output, outputs[output]) != 0) {
        output++;
    }
    if (output == 3) {
        tool_complain("--output: '%s' is none of table, json, raw", globals->output);
        return TOOL_USAGE;
    }
    if (argc < command->n_operands_min ||
        (command->n_operands_max >= 0 && argc > command->n_operands_max)) {
        tool_complain("usage: touchbus %s %s", command->name, command->synopsis);
        return TOOL_USAGE;
    }
    struct tool tool = {
        .globals = globals, .command = command->name, .json = globals->json || output == 1};
    int status = command->run(&tool, conf, argc, argv);
    touchbus_client_free(tool.client);
    progress_end();
    return !output_flush() && status == TOOL_DONE ? TOOL_NO : status;
}

// Parses `words` (program, options before the command, what stands behind it) with the command's
// rows and the global ones.
static int start_command(const struct command *command, int argc, char **argv) {
    struct option_row rows[OPTION_ROWS_MAX];
    assert(command->n_rows + GLOBAL_ROWS <= OPTION_ROWS_MAX);
    if (command->n_rows > 0) {
        memcpy(rows, command->rows, command->n_rows * sizeof(rows[0]));
    }
    memcpy(rows + command->n_rows, global_rows, sizeof(global_rows));
    char program[NAME_BYTES];
    snprintf(program, sizeof(program), "touchbus %s", command->name);
    _cleanup_free_ char *after = NULL;
    if (asprintf(&after, "%s%s%s", exit_codes, command->after != NULL ? "\n" : "",
                 command->after != NULL ? command->after : "") < 0) {
        return TOOL_NO;
    }
    const struct option_page page = {.program = program,
                                     .synopsis = command->synopsis,
                                     .description = command->description,
                                     .rows = rows,
                                     .n_rows = command->n_rows + GLOBAL_ROWS,
                                     .after = after};
    void *conf = calloc(1, MAX(command->conf_size, sizeof(struct globals)));
    int operand = 0;
    int r = conf == NULL ? -ENOMEM : options_parse(&page, conf, argc, argv, &operand);
    int status = r == OPTIONS_DONE ? TOOL_DONE : TOOL_USAGE;
    if (r == 0) {
        status = run_command(command, conf, conf, argc - operand, argv + operand);
        options_clear(&page, conf);
    }
    free(conf);
    return status;
}

static int dispatch(int argc, char **argv, int first) {
    int n_words = 0;
    const struct command *command = find(argc - first, argv + first, &n_words);
    if (command == NULL) {
        return unknown(argv[first]);
    }
    char *words[WORDS_MAX + 1];
    int n = 0;
    if (argc - n_words > WORDS_MAX) {
        tool_complain("more than %d words", WORDS_MAX);
        return TOOL_USAGE;
    }
    for (int i = 0; i < argc; i++) {
        if (i < first || i >= first + n_words) {
            words[n++] = argv[i];
        }
    }
    words[n] = NULL;
    return command->raw != NULL ? command->raw(n, words) : start_command(command, n, words);
}

int main(int argc, char **argv) {
    core_dumps_forbid();
    setlocale(LC_CTYPE, "C.UTF-8");
    struct option_page page;
    struct globals globals = {0};
    fill_page(&page);
    _cleanup_free_ char *after = after_text("");
    page.after = after;
    int first = 0;
    int r = options_parse(&page, &globals, argc, argv, &first);
    if (r != 0) {
        return r == OPTIONS_DONE ? TOOL_DONE : TOOL_USAGE;
    }
    options_clear(&page, &globals);
    if (first >= argc) {
        tool_complain("which command? See 'touchbus --help'");
        return TOOL_USAGE;
    }
    return dispatch(argc, argv, first);
}
