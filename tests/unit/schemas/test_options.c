// SPDX-License-Identifier: Apache-2.0
// The rules of options: layers, types, ranges, files named with their lines, reload.
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schemas/base/cleanup.h"
#include "schemas/base/options.h"
#include "tests/unit/schemas/cmocka_all.h"

struct conf {
    bool quiet;
    int64_t port;
    int64_t wait_us;
    int64_t size;
    char *state;
    struct option_list types;
    char *password;
};

static const struct option_row rows[] = {
    {.name = "quiet",
     .short_name = 'q',
     .type = OPTION_BOOL,
     .offset = offsetof(struct conf, quiet),
     .help = "Say less."},
    {.name = "port",
     .short_name = 'p',
     .type = OPTION_INTEGER,
     .offset = offsetof(struct conf, port),
     .default_text = "7400",
     .min = 1,
     .max = 65535,
     .argument = "N",
     .help = "Where to listen."},
    {.name = "wait",
     .type = OPTION_DURATION,
     .offset = offsetof(struct conf, wait_us),
     .default_text = "30s",
     .argument = "TIME",
     .help = "How long.",
     .reloadable = true},
    {.name = "size",
     .type = OPTION_BYTES,
     .offset = offsetof(struct conf, size),
     .default_text = "8M",
     .argument = "BYTES",
     .help = "How much."},
    {.name = "state",
     .type = OPTION_STRING,
     .offset = offsetof(struct conf, state),
     .argument = "DIR",
     .help = "Where."},
    {.name = "type",
     .type = OPTION_LIST,
     .offset = offsetof(struct conf, types),
     .argument = "GLOB",
     .help = "Which.",
     .reloadable = true},
    {.name = "password",
     .type = OPTION_STRING,
     .offset = offsetof(struct conf, password),
     .argument = "TEXT",
     .help = "Secret.",
     .secret = true},
};
static const struct option_page page = {
    .program = "demo",
    .synopsis = "--state DIR [options]",
    .description = "Shows options. Does nothing else.",
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(rows[0]),
    .after = "EXIT STATUS\n       0  done\n",
};

enum { ARGUMENTS_MAX = 16 };

// Writes a configuration file below the test's own folder and returns its path.
static char *write_file(const char *text, mode_t mode) {
    static char path[] = "/tmp/touchbus-options-XXXXXX";
    for (size_t i = sizeof(path) - 7; i < sizeof(path) - 1; i++) {
        path[i] = 'X';
    }
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(file, mode), 0);
    close(file);
    return path;
}

static char complaint[4096];
static char printed[8192];

// Takes what fd says during one call of parse.
static int parse(const struct option_page *with, struct conf *conf, int *ret_positional,
                 const char *arguments) {
    static char copy[1024];
    char *argv[ARGUMENTS_MAX] = {copy};
    int argc = 0;
    snprintf(copy, sizeof(copy), "%s", arguments);
    char *at = copy;
    for (char *word; argc < ARGUMENTS_MAX - 1 && (word = strsep(&at, " ")) != NULL;) {
        argv[argc++] = word;
    }
    int files[2] = {fileno(tmpfile()), fileno(tmpfile())};
    int kept[2] = {dup(STDOUT_FILENO), dup(STDERR_FILENO)};
    fflush(stdout);
    dup2(files[0], STDOUT_FILENO);
    dup2(files[1], STDERR_FILENO);
    int r = options_parse(with, conf, argc, argv, ret_positional);
    fflush(stdout);
    dup2(kept[0], STDOUT_FILENO);
    dup2(kept[1], STDERR_FILENO);
    close(kept[0]);
    close(kept[1]);
    ssize_t n_out = pread(files[0], printed, sizeof(printed) - 1, 0);
    ssize_t n_err = pread(files[1], complaint, sizeof(complaint) - 1, 0);
    printed[n_out < 0 ? 0 : n_out] = '\0';
    complaint[n_err < 0 ? 0 : n_err] = '\0';
    return r;
}

static void test_defaults_then_file_then_command_line(void **state) {
    (void)state;
    struct conf conf = {0};
    char arguments[256];
    int positional = 0;
    const char *path = write_file("# a comment\n port = 99 \nwait = 5s\ntype = a\ntype = b\n"
                                  "state = /a dir/with = and # kept\n",
                                  0644);
    snprintf(arguments, sizeof(arguments), "demo one --config %s -p 7 -q two", path);
    assert_int_equal(parse(&page, &conf, &positional, arguments), 0);
    unlink(path);
    assert_true(conf.quiet);
    assert_int_equal(conf.port, 7);
    assert_int_equal(conf.wait_us, 5000000);
    assert_int_equal(conf.size, 8 << 20);
    assert_string_equal(conf.state, "/a dir/with = and # kept");
    assert_int_equal(conf.types.n_values, 2);
    assert_string_equal(conf.types.values[1], "b");
    assert_int_equal(positional, 6);
    options_clear(&page, &conf);
    assert_null(conf.state);
}

static void test_a_later_layer_replaces_a_list(void **state) {
    (void)state;
    struct conf conf = {0};
    char arguments[256];
    const char *path = write_file("type = a\ntype = b\nquiet = true\n", 0644);
    snprintf(arguments, sizeof(arguments), "demo --config=%s --type=x --type y --quiet=false",
             path);
    assert_int_equal(parse(&page, &conf, NULL, arguments), 0);
    unlink(path);
    assert_int_equal(conf.types.n_values, 2);
    assert_string_equal(conf.types.values[0], "x");
    assert_false(conf.quiet);
    options_clear(&page, &conf);
}

static void test_wrong_options_are_named(void **state) {
    (void)state;
    static const struct {
        const char *arguments, *complaint;
    } wrong[] = {
        {"demo --nope", "demo: unknown option '--nope'"},
        {"demo -z", "demo: unknown option '-z'"},
        {"demo --port", "demo: option '--port' needs a value"},
        {"demo --port x", "demo: --port: 'x' is not a whole number"},
        {"demo --port 65536", "demo: --port: '65536' is out of range (1 to 65535)"},
        {"demo --wait 5", "demo: --wait: '5' is not a duration"},
        {"demo --size 8Q", "demo: --size: '8Q' is not a size"},
        {"demo --size 9999999999G", "demo: --size: '9999999999G' is not a size"},
        {"demo --quiet=maybe", "demo: --quiet: 'maybe' is neither true nor false"},
        {"demo operand", "demo: unexpected argument 'operand'"},
        {"demo --config /nonexistent/file", "/nonexistent/file: No such file"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct conf conf = {0};
        assert_int_equal(parse(&page, &conf, NULL, wrong[i].arguments), -EINVAL);
        assert_ptr_equal(strstr(complaint, wrong[i].complaint), complaint);
        assert_int_equal(strchr(complaint, '\n') + 1 - complaint, (ptrdiff_t)strlen(complaint));
        assert_null(conf.state);
    }
}

static void test_files_are_named_with_their_lines(void **state) {
    (void)state;
    static const struct {
        const char *text, *complaint;
        mode_t mode;
    } wrong[] = {
        {"\nport = 0\n", ":2: port: '0' is out of range", 0644},
        {"# x\n\nspeed = 5\n", ":3: unknown option 'speed'", 0644},
        {"port 5\n", ":1: expected 'name = value'", 0644},
        {"port = 5\nport = 6\n", ":2: port is set twice", 0644},
        {"password = x\n", ":1: password is secret, but others may read this file", 0640},
        {"config = x\n", ":1: unknown option 'config'", 0644},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct conf conf = {0};
        char arguments[256];
        char expected[256];
        const char *path = write_file(wrong[i].text, wrong[i].mode);
        snprintf(arguments, sizeof(arguments), "demo --config %s", path);
        snprintf(expected, sizeof(expected), "%s%s", path, wrong[i].complaint);
        assert_int_equal(parse(&page, &conf, NULL, arguments), -EINVAL);
        unlink(path);
        assert_ptr_equal(strstr(complaint, expected), complaint);
    }
}

static void test_a_secret_may_stand_in_a_private_file(void **state) {
    (void)state;
    struct conf conf = {0};
    char arguments[256];
    const char *path = write_file("password = x\n", 0600);
    snprintf(arguments, sizeof(arguments), "demo --config %s", path);
    assert_int_equal(parse(&page, &conf, NULL, arguments), 0);
    unlink(path);
    assert_string_equal(conf.password, "x");
    options_clear(&page, &conf);
}

static void test_help_shows_every_row(void **state) {
    (void)state;
    struct conf conf = {0};
    assert_int_equal(parse(&page, &conf, NULL, "demo --port 5 --help"), OPTIONS_DONE);
    static const char *const parts[] = {"NAME\n       demo - Shows options\n",
                                        "SYNOPSIS\n       demo --state DIR [options]\n",
                                        "DESCRIPTION\n",
                                        "OPTIONS\n",
                                        "-p, --port=N\n           Where to listen.\n",
                                        "           Default: 7400.\n",
                                        "--config=FILE",
                                        "EXIT STATUS\n       0  done\n"};
    const char *at = printed;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        at = strstr(at, parts[i]);
        assert_non_null(at);
    }
    for (size_t i = 0; i < page.n_rows; i++) {
        assert_non_null(strstr(printed, rows[i].name));
    }
    assert_int_equal(parse(&page, &conf, NULL, "demo --version"), OPTIONS_DONE);
    assert_ptr_equal(strstr(printed, "demo "), printed);
}

static void test_options_end_at_the_operand_where_told(void **state) {
    (void)state;
    struct option_page with_verbs = page;
    with_verbs.stop_at_operand = true;
    struct conf conf = {0};
    int positional = 0;
    assert_int_equal(parse(&with_verbs, &conf, &positional, "demo -p 5 verb --unknown"), 0);
    assert_int_equal(positional, 3);
    assert_int_equal(conf.port, 5);
    options_clear(&page, &conf);
}

static void write_again(const char *path, const char *text) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_reload_takes_what_is_reloadable_or_nothing(void **state) {
    (void)state;
    struct conf conf = {0};
    const char *path = write_file("port = 5\nwait = 5s\ntype = a\n", 0644);
    char program[] = "demo";
    char option[] = "--config";
    char *argv[] = {program, option, strdup(path), NULL};
    assert_int_equal(options_parse(&page, &conf, 3, argv, NULL), 0);
    write_again(path, "port = 6\nwait = 6s\ntype = b\ntype = c\n");
    assert_int_equal(options_reload(&page, &conf, 3, argv), 0);
    assert_int_equal(conf.port, 5);
    assert_int_equal(conf.wait_us, 6000000);
    assert_int_equal(conf.types.n_values, 2);
    write_again(path, "wait = 7s\nnonsense\n");
    assert_int_equal(options_reload(&page, &conf, 3, argv), -EINVAL);
    assert_int_equal(conf.wait_us, 6000000);
    assert_int_equal(conf.types.n_values, 2);
    unlink(path);
    free(argv[2]);
    options_clear(&page, &conf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_then_file_then_command_line),
        cmocka_unit_test(test_a_later_layer_replaces_a_list),
        cmocka_unit_test(test_wrong_options_are_named),
        cmocka_unit_test(test_files_are_named_with_their_lines),
        cmocka_unit_test(test_a_secret_may_stand_in_a_private_file),
        cmocka_unit_test(test_help_shows_every_row),
        cmocka_unit_test(test_options_end_at_the_operand_where_told),
        cmocka_unit_test(test_reload_takes_what_is_reloadable_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
