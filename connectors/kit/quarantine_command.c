// SPDX-License-Identifier: Apache-2.0
// --quarantine: what an operator does with items that were put aside. It works beside the running
// connector, which looks again how long the file is before it adds to it.
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connectors/kit/files.h"
#include "connectors/kit/quarantine.h"
#include "schemas/base/cleanup.h"

static const char *text_of(const json_t *row, const char *member) {
    const char *text = json_string_value(json_object_get(row, member));
    return text != NULL ? text : "?";
}

// Row, when, size, why, whose id: nothing of the item itself.
static int list(FILE *file) {
    _cleanup_free_ char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    for (size_t n = 1; (size = getline(&line, &capacity, file)) > 0; n++) {
        json_t *row = json_loadb(line, (size_t)size, 0, NULL);
        size_t base64 = json_string_length(json_object_get(row, "item"));
        printf("%zu  %s  %zu bytes  %s  %s\n", n, text_of(row, "time"), base64 / 4 * 3,
               text_of(row, "reason"), text_of(row, "id"));
        json_decref(row);
    }
    return 0;
}

static int show(FILE *file) {
    char buffer[1 << 16];
    for (size_t n; (n = fread(buffer, 1, sizeof(buffer), file)) > 0;) {
        if (fwrite(buffer, 1, n, stdout) != n) {
            return -EIO;
        }
    }
    return 0;
}

static const struct command {
    const char *name;
    int (*print)(FILE *file); // NULL: removes
} commands[] = {{"ls", list}, {"show", show}, {"drop", NULL}};

static const struct command *find(const char *name) {
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

bool quarantine_command_known(const char *command) {
    return find(command) != NULL;
}

static int drop(const char *folder) {
    struct quarantine *quarantine = NULL;
    uint64_t size;
    int r = quarantine_open(folder, &quarantine);
    r = r == 0 ? quarantine_hold(quarantine, &size) : r;
    if (r == 0) {
        if (ftruncate(quarantine->fd, 0) != 0 || fsync(quarantine->fd) != 0) {
            r = -errno;
        }
        quarantine_release(quarantine);
    }
    quarantine_close(quarantine);
    return r;
}

int quarantine_command(const char *command, const char *state, const char *name) {
    const struct command *found = find(command);
    _cleanup_free_ char *folder = NULL;
    _cleanup_free_ char *path = NULL;
    if (asprintf(&folder, "%s/%s", state, name) < 0 ||
        asprintf(&path, "%s/" QUARANTINE_NAME, folder) < 0) {
        return -ENOMEM;
    }
    int r = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        r = errno == ENOENT ? 0 : -errno; // nothing was ever put aside
    } else {
        r = found->print != NULL ? found->print(file) : drop(folder);
        fclose(file);
    }
    if (fflush(stdout) != 0) {
        r = -EIO;
    }
    if (r != 0) {
        fprintf(stderr, "touchbus-kit: %s: %s\n", path, strerror(-r));
    }
    return r;
}
