// SPDX-License-Identifier: Apache-2.0
// Two renames, and one for each connector's folder: a spool in it holds what nobody else has, and a
// customer file knows by the log's incarnation that it is another log.
#include "broker/backup/place.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/stores/store.h"

enum { TIME_BYTES = 32, ENTRIES_MAX = 10000 };

// Of the broker: broker/README.md, "The state folder".
static bool is_brokers(const char *name) {
    static const char *const names[] = {
        ".",    "..",      "log",     "log.lock", "keys",         "base",      "view",
        "lock", "readers", "ballast", "publish",  "rebuild-view", "subscribe", "query"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return strncmp(name, "verify-", strlen("verify-")) == 0;
}

static int move_entry(const char *from, const char *to, const char *name) {
    char from_path[PATH_MAX], to_path[PATH_MAX];
    if ((size_t)snprintf(from_path, sizeof(from_path), "%s/%s", from, name) >= PATH_MAX ||
        (size_t)snprintf(to_path, sizeof(to_path), "%s/%s", to, name) >= PATH_MAX) {
        return -ENAMETOOLONG;
    }
    return rename(from_path, to_path) == 0 ? 0 : -errno;
}

static int move_others(const char *from, const char *to) {
    DIR *list = opendir(from);
    if (list == NULL) {
        return -errno;
    }
    int r = 0;
    const struct dirent *entry = NULL;
    for (int n = 0; r == 0 && (entry = readdir(list)) != NULL; n++) {
        r = n == ENTRIES_MAX            ? -E2BIG
            : is_brokers(entry->d_name) ? 0
                                        : move_entry(from, to, entry->d_name);
    }
    closedir(list);
    return r;
}

static int name_aside(const char *state, char ret[static PATH_MAX]) {
    char text[TIME_BYTES];
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &parts);
    int n = snprintf(ret, PATH_MAX, "%s.before-%s", state, text);
    return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int place_state(const char *part, const char *state, char ret_replaced[static PATH_MAX]) {
    char aside[PATH_MAX] = "";
    bool is_there = access(state, F_OK) == 0;
    int r = is_there ? name_aside(state, aside) : 0;
    ret_replaced[0] = '\0';
    if (r == 0 && is_there && rename(state, aside) != 0) {
        r = -errno;
    }
    if (r < 0) {
        return r;
    }
    r = rename(part, state) == 0 ? 0 : -errno;
    if (r < 0 && is_there && rename(aside, state) == 0) {
        return r;
    }
    memcpy(ret_replaced, aside, sizeof(aside));
    r = r == 0 && is_there ? move_others(aside, state) : r;
    return r == 0 ? store_sync_parent(state) : r;
}
