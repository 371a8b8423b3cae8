// SPDX-License-Identifier: Apache-2.0
// What an outbox no longer keeps: of a person who was erased, and of what nobody has spoken of for
// long. Names are looked at, contents are not. The link that finds a record goes last, so that what
// was cut off is found again.
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connectors/kit/files.h"
#include "connectors/kit/outbox_private.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"

static int remove_name(int folder_fd, const char *name) {
    return unlinkat(folder_fd, name, 0) == 0 || errno == ENOENT ? 0 : -errno;
}

// ---- a person

static void free_names(char **names, size_t n) {
    for (size_t i = 0; names != NULL && i < n; i++) {
        free(names[i]);
    }
    free(names);
}

// The names behind @OWNER@; the caller frees them. 0; a negative errno.
static int names_of(const struct outbox *outbox, const char *owner, char ***ret, size_t *ret_n) {
    char prefix[OUTBOX_OWNER_BYTES + 3];
    int length = snprintf(prefix, sizeof(prefix), "@%s@", owner);
    size_t n = 0, n_allocated = 0;
    char **list = NULL;
    DIR *names = files_open_names(outbox->records_fd);
    if (names == NULL) {
        return -errno;
    }
    int r = 0;
    for (struct dirent *entry; r == 0 && (entry = readdir(names)) != NULL;) {
        if (strncmp(entry->d_name, prefix, (size_t)length) != 0) {
            continue;
        }
        if (n == n_allocated) {
            size_t wanted = n_allocated == 0 ? 16 : 2 * n_allocated;
            char **grown = reallocarray(list, wanted, sizeof(*list));
            r = grown == NULL ? -ENOMEM : 0;
            list = grown != NULL ? grown : list;
            n_allocated = grown != NULL ? wanted : n_allocated;
        }
        char *name = r == 0 ? strdup(entry->d_name + length) : NULL;
        r = name == NULL ? -ENOMEM : 0;
        if (r == 0) {
            list[n++] = name;
        }
    }
    closedir(names);
    if (r < 0) {
        free_names(list, n);
        return r;
    }
    *ret = list;
    *ret_n = n;
    return 0;
}

static int compare(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Whether a document, or what was left of writing it, is of one of the names: o-17.json is of
// o-17.json, o-17.acme.order.xml and .o-17.json.new.
static bool is_of(const char *document, char *const *names, size_t n_names) {
    char stem[NAME_MAX + 1];
    const char *begin = document[0] == '.' ? document + 1 : document;
    snprintf(stem, sizeof(stem), "%.*s.json", (int)strcspn(begin, "."), begin);
    const char *key = stem;
    return n_names > 0 && bsearch(&key, names, n_names, sizeof(*names), compare) != NULL;
}

static int remove_documents(int folder_fd, char *const *names, size_t n_names) {
    DIR *documents = files_open_names(folder_fd);
    if (documents == NULL) {
        return -errno;
    }
    int r = 0;
    for (struct dirent *entry; r == 0 && (entry = readdir(documents)) != NULL;) {
        bool goes = is_of(entry->d_name, names, n_names) && GUARD(outbox_documents);
        r = goes ? remove_name(folder_fd, entry->d_name) : 0;
    }
    closedir(documents);
    return r == 0 && fsync(folder_fd) != 0 ? -errno : r;
}

static int remove_links(const struct outbox *outbox, const char *owner, char *const *names,
                        size_t n_names) {
    int r = 0;
    for (size_t i = 0; i < n_names && r == 0; i++) {
        char link[NAME_MAX + OUTBOX_OWNER_BYTES + 3];
        snprintf(link, sizeof(link), "@%s@%s", owner, names[i]);
        r = remove_name(outbox->records_fd, link);
    }
    return r == 0 && fsync(outbox->records_fd) != 0 ? -errno : r;
}

static void tell(const struct outbox *outbox, const char *name,
                 void (*on_record)(void *user, const void *bytes, size_t size), void *user) {
    _cleanup_free_ void *bytes = NULL;
    size_t size = 0;
    if (outbox_read_record(outbox, name, &bytes, &size) == 0) {
        on_record(user, bytes, size);
    }
}

int outbox_each(struct outbox *outbox, const char *owner,
                void (*on_record)(void *user, const void *bytes, size_t size), void *user) {
    char **names = NULL;
    size_t n = 0;
    int r = names_of(outbox, owner, &names, &n);
    for (size_t i = 0; names != NULL && i < n; i++) {
        tell(outbox, names[i], on_record, user);
    }
    free_names(names, n);
    return r;
}

int outbox_erase(struct outbox *outbox, const char *owner) {
    assert(outbox->n_records == 0);
    char **names = NULL;
    size_t n = 0;
    int r = names_of(outbox, owner, &names, &n);
    if (r == 0 && names != NULL) {
        qsort(names, n, sizeof(*names), compare);
        r = remove_documents(outbox->documents_fd, names, n);
        // The records, and what was left of writing one.
        r = r == 0 && GUARD(outbox_records) ? remove_documents(outbox->records_fd, names, n) : r;
        r = r == 0 ? remove_links(outbox, owner, names, n) : r;
    }
    free_names(names, n);
    return r;
}

// ---- long ago

static bool is_old(int folder_fd, const char *name, int64_t before_us) {
    struct stat status;
    return fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
           (int64_t)status.st_mtim.tv_sec * CLOCK_US_PER_S < before_us;
}

// A link whose record is gone.
static bool is_dangling(int folder_fd, const char *name) {
    struct stat status;
    const char *record = strchr(name + 1, '@');
    return record != NULL && fstatat(folder_fd, record + 1, &status, AT_SYMLINK_NOFOLLOW) != 0 &&
           errno == ENOENT;
}

int outbox_expire(struct outbox *outbox, int64_t age_us) {
    int64_t before_us = clock_now_us() - age_us;
    DIR *names = files_open_names(outbox->records_fd);
    if (names == NULL) {
        return -errno;
    }
    int r = 0;
    for (struct dirent *entry; r == 0 && (entry = readdir(names)) != NULL;) {
        bool goes = entry->d_name[0] == '@' ? is_dangling(outbox->records_fd, entry->d_name)
                                            : is_old(outbox->records_fd, entry->d_name, before_us);
        r = goes ? remove_name(outbox->records_fd, entry->d_name) : 0;
    }
    closedir(names);
    return r;
}
