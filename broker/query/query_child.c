// SPDX-License-Identifier: Apache-2.0
// Verbs that run in a child process of this program: started in another time zone and at a lower
// priority, read line by line, killed where nobody wants its answer any more. Trimming is paused
// while one runs: retention must not take away what it is about to read.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/query/query_call.h"
#include "schemas/base/logging.h"

enum { CHILD_LINE_BYTES_MAX = 64 << 10, CHILD_ENVIRONMENT_MAX = 512 };

// The environment with another time zone: what a rebuild gives must not depend on it.
static void child_environment(char *ret[static CHILD_ENVIRONMENT_MAX], char *zone) {
    size_t n = 0;
    ret[n++] = zone;
    for (char **at = environ; *at != NULL && n < CHILD_ENVIRONMENT_MAX - 1; at++) {
        if (strncmp(*at, "TZ=", 3) != 0) {
            ret[n++] = *at;
        }
    }
    ret[n] = NULL;
}

static int spawn(struct call *call, int output, pid_t *ret) {
    char name[] = "touchbusd", state_option[] = "--state", zone[] = "TZ=Pacific/Chatham";
    char option[NAME_BYTES_MAX];
    snprintf(option, sizeof(option), "%s", call->verb->option);
    char *arguments[] = {name, option, state_option, call->query->broker->configuration.state,
                         NULL};
    char *environment[CHILD_ENVIRONMENT_MAX];
    child_environment(environment, zone);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigfillset(&defaults);
    if (posix_spawn_file_actions_init(&actions) != 0) {
        return -ENOMEM;
    }
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -ENOMEM;
    }
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int r = posix_spawn(ret, "/proc/self/exe", &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

void call_start_child(struct call *call) {
    struct query *query = call->query;
    if (query->n_children >= CALL_CHILDREN_MAX) {
        call_refuse(call, REASON_BUSY, "%d such jobs run already", CALL_CHILDREN_MAX);
        call_finish(call);
        return;
    }
    int ends[2];
    call->child.line = malloc(CHILD_LINE_BYTES_MAX);
    if (call->child.line == NULL || pipe2(ends, O_CLOEXEC) != 0) {
        call_judge(call, call->child.line == NULL ? -ENOMEM : -errno);
        return;
    }
    // Retention must not take away what the child is about to read.
    atomic_store(&query->broker->trim_paused, true);
    int r = spawn(call, ends[1], &call->child.pid);
    close(ends[1]);
    if (r == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
        r = -errno;
    }
    if (r != 0) {
        close(ends[0]);
        atomic_store(&query->broker->trim_paused, query->n_children > 0 || query->helping);
        call_judge(call, r);
        return;
    }
    setpriority(PRIO_PROCESS, (id_t)call->child.pid, NICE_LONG_WORK);
    call->child.output = ends[0];
    call->state = CALL_CHILD;
    query->n_children++;
}

static int take_line(struct call *call, const char *line, size_t size) {
    json_t *json = json_loadb(line, size, 0, NULL);
    if (json == NULL) {
        return -EBADMSG;
    }
    if (json_object_get(json, "phase") != NULL) {
        return call_part(call, json);
    }
    return call_answer(call, json);
}

static int take_lines(struct call *call) {
    struct call_child *child = &call->child;
    size_t began = 0;
    for (size_t i = 0; i < child->size; i++) {
        if (child->line[i] == '\n') {
            int r = take_line(call, child->line + began, i - began);
            if (r != 0) {
                return r;
            }
            began = i + 1;
        }
    }
    memmove(child->line, child->line + began, child->size - began);
    child->size -= began;
    return child->size == CHILD_LINE_BYTES_MAX ? -E2BIG : 0;
}

// Its output has ended, or it is not wanted any more.
static void end_child(struct call *call, int result) {
    struct query *query = call->query;
    if (result != 0) {
        kill(call->child.pid, SIGKILL);
    }
    int status = 0;
    waitpid(call->child.pid, &status, 0);
    close(call->child.output);
    call->child.output = -1;
    query->n_children--;
    atomic_store(&query->broker->trim_paused, query->n_children > 0 || query->helping);
    if (result == 0 && call->answer == NULL) {
        logging_error("query=%s child_status=%d answer=none", call->verb->name, status);
        call_refuse(call, REASON_INTERNAL, "the child process gave no answer");
    }
    bool go_on = result == 0 && call->code == REASON_OK && call->verb->then != NULL;
    call_judge(call, go_on ? call->verb->then(call) : result);
}

void call_read_child(struct call *call) {
    struct call_child *child = &call->child;
    ssize_t n = 0;
    int r = 0;
    if (call->state != CALL_ENDED && !atomic_load(&call->query->broker->stop)) {
        n = read(child->output, child->line + child->size, CHILD_LINE_BYTES_MAX - child->size);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        r = n < 0 ? -errno : 0;
        child->size += n > 0 ? (size_t)n : 0;
        r = r == 0 ? take_lines(call) : r;
    }
    bool unwanted = call->state == CALL_ENDED || atomic_load(&call->query->broker->stop);
    if (n <= 0 || r != 0 || unwanted) {
        end_child(call, unwanted ? -ECANCELED : r);
    }
}
