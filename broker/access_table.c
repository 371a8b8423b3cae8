// SPDX-License-Identifier: Apache-2.0
// The table of certificates: every *.key of a folder with the rights of its role. Whole or not at
// all: one file that cannot be read, or that means two things, refuses the folder by name. Two
// certificates of one name are a rotation under way and both valid.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/access_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"

enum { KEY_SHOWN_CHARS = 8 }; // of a public key in logs and events

static const char suffix[] = ".key";

static bool ends_with(const char *text, const char *end) {
    size_t size = strlen(text), end_size = strlen(end);
    return size > end_size && strcmp(text + size - end_size, end) == 0;
}

static int is_certificate(const struct dirent *entry) {
    return entry->d_name[0] != '.' && ends_with(entry->d_name, suffix);
}

static int by_key(const void *a, const void *b) {
    return strcmp(((const struct grant *)a)->public_key, ((const struct grant *)b)->public_key);
}

static int by_name(const void *a, const void *b) {
    const struct grant *const *one = a, *const *other = b;
    return strcmp((*one)->name, (*other)->name);
}

// Who may write here lets anybody in, with any role. 0; a negative errno with a line in why.
static int check_writers(const char *path, char *why, size_t why_size) {
    struct stat status;
    if (stat(path, &status) != 0) {
        int error = errno;
        snprintf(why, why_size, "--clients: %s: %s", path, strerror(error));
        return -error;
    }
    if (GUARD(clients_mode) && (status.st_mode & S_IWOTH) != 0) {
        snprintf(why, why_size, "--clients: %s: anybody may write to it: chmod o-w it", path);
        return -EPERM;
    }
    return 0;
}

static int read_one(const char *folder, const char *file, const struct roles *roles,
                    struct grant *ret, char *why, size_t why_size) {
    _cleanup_free_ char *path = NULL;
    struct certificate certificate = {0};
    char said[CERTIFICATE_WHY_BYTES];
    if (asprintf(&path, "%s/%s", folder, file) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    int r = certificate_read(path, &certificate, said);
    if (r != 0) {
        snprintf(why, why_size, "%s", said);
        return r;
    }
    r = check_writers(path, why, why_size);
    if (r != 0) {
        certificate_clear(&certificate);
        return r;
    }
    bool is_secret = certificate.secret_key[0] != '\0';
    const struct role *role = roles_find(roles, certificate.role);
    const char *what = is_secret                     ? "it holds a secret key; put the public "
                                                       "certificate here"
                       : certificate.name[0] == '\0' ? "it has no name in its metadata"
                       : certificate.role[0] == '\0' ? "it has no role in its metadata"
                       : role == NULL                ? "there is no such role"
                                                     : NULL;
    if (what != NULL) {
        snprintf(why, why_size, "%s: name '%s', role '%s': %s", path, certificate.name,
                 certificate.role, what);
        certificate_clear(&certificate);
        return -EINVAL;
    }
    memcpy(ret->public_key, certificate.public_key, sizeof(ret->public_key));
    return role_grant(role, certificate.name, ret);
}

// Sorts, and refuses one key under two names. The names' order points into the grants' order.
static int order(struct access_table *table, const char *folder, char *why, size_t why_size) {
    qsort(table->grants, table->n, sizeof(*table->grants), by_key);
    for (size_t i = 0; i < table->n; i++) {
        table->grants[i].table = table;
        table->by_name[i] = &table->grants[i];
        if (i > 0 && by_key(&table->grants[i - 1], &table->grants[i]) == 0) {
            snprintf(why, why_size, "%s: '%s' and '%s' are certificates of one key, %.*s...",
                     folder, table->grants[i - 1].name, table->grants[i].name, KEY_SHOWN_CHARS,
                     table->grants[i].public_key);
            return -EEXIST;
        }
    }
    qsort(table->by_name, table->n, sizeof(*table->by_name), by_name);
    return 0;
}

static int fill(struct access_table *table, const char *folder, struct dirent *const *files,
                size_t n, const struct roles *roles, char *why, size_t why_size) {
    table->grants = calloc(n + 1, sizeof(*table->grants));
    table->by_name = calloc(n + 1, sizeof(*table->by_name));
    int r = table->grants == NULL || table->by_name == NULL ? -ENOMEM : 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        table->n++;
        r = read_one(folder, files[i]->d_name, roles, &table->grants[i], why, why_size);
    }
    return r != 0 ? r : order(table, folder, why, why_size);
}

int access_table_read(const char *folder, const struct roles *roles, struct access_table **ret,
                      char *why, size_t why_size) {
    struct dirent **files = NULL;
    int refused = check_writers(folder, why, why_size);
    if (refused != 0) {
        return refused;
    }
    int n = scandir(folder, &files, is_certificate, alphasort);
    if (n < 0) {
        int error = errno;
        snprintf(why, why_size, "--clients: %s: %s", folder, strerror(error));
        return -error;
    }
    struct access_table *table = calloc(1, sizeof(*table));
    int r = table == NULL ? -ENOMEM : 0;
    if (r == 0 && n > ACCESS_KEYS_MAX) {
        snprintf(why, why_size, "--clients: %s: more than %d certificates", folder,
                 ACCESS_KEYS_MAX);
        r = -EINVAL;
    }
    r = r != 0 ? r : fill(table, folder, files, (size_t)n, roles, why, why_size);
    for (int i = 0; i < n; i++) {
        free(files[i]);
    }
    free(files);
    if (r != 0) {
        access_table_free(table);
        return r;
    }
    table->n_holds = 1;
    *ret = table;
    return 0;
}

struct access_table *access_table_free(struct access_table *table) {
    if (table != NULL) {
        for (size_t i = 0; i < table->n; i++) {
            grant_clear(&table->grants[i]);
        }
        free(table->grants);
        free(table->by_name);
        free(table);
    }
    return NULL;
}

const struct grant *access_table_find(const struct access_table *table, const char *public_key) {
    size_t low = 0, high = table->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(table->grants[middle].public_key, public_key);
        if (order == 0) {
            return &table->grants[middle];
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return NULL;
}

bool access_table_has_name(const struct access_table *table, const char *name, size_t size) {
    size_t low = 0, high = table->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *text = table->by_name[middle]->name;
        int order = strncmp(text, name, size);
        order = order == 0 && text[size] != '\0' ? 1 : order;
        if (order == 0) {
            return true;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return false;
}

// ---- what a reload changed

static json_t *key_json(const struct grant *grant) {
    return json_pack("{s:s, s:s, s:s#}", "name", grant->name, "role", grant->role, "key",
                     grant->public_key, (size_t)KEY_SHOWN_CHARS);
}

static bool globs_equal(const struct globs *a, const struct globs *b) {
    bool equal = a->n == b->n;
    for (size_t i = 0; equal && i < a->n; i++) {
        equal = strcmp(a->patterns[i], b->patterns[i]) == 0;
    }
    return equal;
}

static bool rights_equal(const struct grant *a, const struct grant *b) {
    return strcmp(a->name, b->name) == 0 && strcmp(a->role, b->role) == 0 &&
           globs_equal(&a->publish, &b->publish) && globs_equal(&a->source, &b->source) &&
           globs_equal(&a->subscribe, &b->subscribe) && globs_equal(&a->receive, &b->receive) &&
           globs_equal(&a->read, &b->read) && a->quota == b->quota && a->merge == b->merge &&
           a->watch == b->watch && a->admin == b->admin;
}

json_t *access_table_changes(const struct access_table *old, const struct access_table *new) {
    json_t *added = json_array(), *removed = json_array(), *changed = json_array();
    for (size_t i = 0; i < new->n; i++) {
        const struct grant *before = access_table_find(old, new->grants[i].public_key);
        if (before == NULL) {
            json_array_append_new(added, key_json(&new->grants[i]));
        } else if (!rights_equal(before, &new->grants[i])) {
            json_array_append_new(changed, key_json(&new->grants[i]));
        }
    }
    for (size_t i = 0; i < old->n; i++) {
        if (access_table_find(new, old->grants[i].public_key) == NULL) {
            json_array_append_new(removed, key_json(&old->grants[i]));
        }
    }
    return json_pack("{s:o, s:o, s:o}", "added", added, "removed", removed, "changed", changed);
}
