// SPDX-License-Identifier: Apache-2.0
// Work on stores without a broker: touchbusd does it as a child of this tool, since only it knows
// them, and says how far it is in JSON lines.
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "schemas/base/cleanup.h"
#include "tools/touchbus/tool.h"

enum { ARGUMENTS_MAX = 16, LINE_BYTES_MAX = 1 << 20 };

static void take_problem(const struct tool *tool, const json_t *line) {
    if (tool->json) {
        output_line(line);
        return;
    }
    const json_t *first = json_object_get(line, "first");
    const char *file = json_string_value(json_object_get(line, "file"));
    const char *what = json_string_value(json_object_get(line, "problem"));
    if (first == NULL) {
        tool_complain("%s: %s", file != NULL ? file : "", what);
    } else {
        tool_complain("%s: %s: sequences %lld to %lld", file != NULL ? file : "", what,
                      (long long)json_integer_value(first),
                      (long long)json_integer_value(json_object_get(line, "next")) - 1);
    }
}

// An answer is kept; everything else is shown.
static void take_line(struct tool *tool, const char *text, json_t **answer) {
    json_t *line = json_loads(text, 0, NULL);
    const char *phase = json_string_value(json_object_get(line, "phase"));
    if (phase != NULL) {
        progress_show(phase, (uint64_t)json_integer_value(json_object_get(line, "done")),
                      (uint64_t)json_integer_value(json_object_get(line, "total")));
    } else if (json_object_get(line, "problem") != NULL) {
        take_problem(tool, line);
    } else if (line != NULL) {
        json_decref(*answer);
        *answer = json_incref(line);
    }
    json_decref(line);
}

static int take_lines(struct tool *tool, int output, json_t **answer) {
    FILE *file = fdopen(output, "r");
    _cleanup_free_ char *line = malloc(LINE_BYTES_MAX);
    if (file == NULL || line == NULL) {
        return -ENOMEM;
    }
    while (fgets(line, LINE_BYTES_MAX, file) != NULL) {
        take_line(tool, line, answer);
    }
    fclose(file);
    progress_end();
    return 0;
}

// The arguments of spawn are not const, and it does not write to them.
static char *const *as_argv(const char *const *arguments) {
    union {
        const char *const *in;
        char *const *out;
    } bytes = {.in = arguments};
    return bytes.out;
}

static int spawn(const char *const *arguments, pid_t *ret, int *ret_output) {
    int ends[2];
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -errno;
    }
    int r = posix_spawn_file_actions_init(&actions);
    if (r == 0) {
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        fflush(NULL);
        r = posix_spawnp(ret, arguments[0], &actions, NULL, as_argv(arguments), environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    close(ends[1]);
    if (r != 0) {
        close(ends[0]);
        return -r;
    }
    *ret_output = ends[0];
    return 0;
}

static int run(struct tool *tool, const char *const *arguments, json_t **answer, int *ret_status) {
    pid_t pid = 0;
    int output = -1, status = 0;
    int r = spawn(arguments, &pid, &output);
    if (r != 0) {
        return r;
    }
    r = take_lines(tool, output, answer);
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : TOOL_NO;
    return r;
}

int tool_offline(struct tool *tool, const char *task, const char *const *arguments, json_t **ret) {
    _cleanup_free_ char *path = program_path("touchbusd");
    const char *line[ARGUMENTS_MAX] = {path, task};
    size_t n = 2;
    for (; arguments[n - 2] != NULL && n < ARGUMENTS_MAX - 1; n++) {
        line[n] = arguments[n - 2];
    }
    json_t *answer = NULL;
    int status = TOOL_NO, r = path != NULL ? run(tool, line, &answer, &status) : -ENOMEM;
    const char *error = json_string_value(json_object_get(answer, "error"));
    if (r != 0) {
        tool_complain("touchbusd: %s", strerror(-r));
        status = TOOL_NO;
    } else if (error != NULL) {
        tool_refused(tool, "refused", error, "");
        json_decref(answer);
        answer = NULL;
    }
    *ret = answer;
    return status == 0 ? TOOL_DONE : status == TOOL_USAGE ? TOOL_USAGE : TOOL_NO;
}
