// SPDX-License-Identifier: Apache-2.0
// The other programs of touchbus, found beside this one, and run.
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/touchbus/tool.h"

enum { PATH_BYTES_MAX = 4096 };

char *program_path(const char *name) {
    char self[PATH_BYTES_MAX], *path = NULL;
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;
    if (strchr(name, '/') == NULL && slash != NULL) {
        *slash = '\0';
        if (asprintf(&path, "%s/%s", self, name) < 0) {
            return NULL;
        }
        if (access(path, X_OK) == 0) {
            return path;
        }
        free(path);
    }
    return strdup(name);
}

int program_run(char *const arguments[]) {
    pid_t pid;
    fflush(NULL);
    int r = posix_spawnp(&pid, arguments[0], NULL, NULL, arguments, environ);
    if (r != 0) {
        return -r;
    }
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : TOOL_NO;
}
