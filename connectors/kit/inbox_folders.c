// SPDX-License-Identifier: Apache-2.0
// Files of the inbox, and nothing but files. Symbolic links and pipes are never opened for reading.
#include "connectors/kit/inbox_folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "connectors/kit/files.h"
#include "connectors/kit/inbox.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum { SHORT_HASH_CHARACTERS = 8, REASON_MODE = 0640 };

// ---- opening

static int open_folder(const char *path, int *ret_fd) {
    int r = files_make_folder(path);
    int fd = r < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = r < 0 ? r : fd < 0 ? -errno : 0;
    if (r < 0) {
        logging_error("folder=%s error=\"%s\"", path, strerror(-r));
        return r;
    }
    *ret_fd = fd;
    return 0;
}

static int open_beside(const char *folder, const char *name, int *ret_fd) {
    const char *slash = strrchr(folder, '/');
    int parent = slash != NULL ? (int)(slash - folder) + 1 : 0;
    char path[PATH_MAX];
    int size = snprintf(path, sizeof(path), "%.*s%s", parent, folder, name);
    return size < 0 || (size_t)size >= sizeof(path) ? -ENAMETOOLONG : open_folder(path, ret_fd);
}

int inbox_folders_open(const char *path, struct inbox_folders *ret) {
    *ret = (struct inbox_folders){-1, -1, -1};
    int r = open_folder(path, &ret->inbox_fd);
    r = r < 0 ? r : open_beside(path, "done", &ret->done_fd);
    return r < 0 ? r : open_beside(path, "failed", &ret->failed_fd);
}

void inbox_folders_close(struct inbox_folders *folders) {
    cleanup_close(&folders->inbox_fd);
    cleanup_close(&folders->done_fd);
    cleanup_close(&folders->failed_fd);
}

// ---- looking

static bool may_be_taken(const struct dirent *entry) {
    static const char *const unfinished[] = {".tmp", ".part", ".new"};
    size_t size = strlen(entry->d_name);
    for (size_t i = 0; i < sizeof(unfinished) / sizeof(unfinished[0]); i++) {
        size_t end = strlen(unfinished[i]);
        if (size >= end && strcmp(entry->d_name + size - end, unfinished[i]) == 0) {
            return false;
        }
    }
    return entry->d_name[0] != '.' && (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN);
}

size_t inbox_folders_scan(const struct inbox_folders *folders,
                          bool (*is_taken)(const void *user, const char *name), const void *user,
                          char names[][INBOX_NAME_BYTES], size_t n_max) {
    int fd = openat(folders->inbox_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        cleanup_close(&fd);
        return 0;
    }
    size_t n_names = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        size_t at = n_names;
        while (at > 0 && strcmp(entry->d_name, names[at - 1]) < 0) {
            at--;
        }
        if (at == n_max || !may_be_taken(entry) || is_taken(user, entry->d_name)) {
            continue;
        }
        n_names += n_names < n_max;
        memmove(names[at + 1], names[at], (n_names - at - 1) * INBOX_NAME_BYTES);
        snprintf(names[at], INBOX_NAME_BYTES, "%s", entry->d_name);
    }
    closedir(folder);
    return n_names;
}

// ---- reading

static bool is_young(const struct stat *status) {
    int64_t changed_us = (int64_t)status->st_mtim.tv_sec * CLOCK_US_PER_S +
                         status->st_mtim.tv_nsec / (CLOCK_US_PER_S / 1000);
    int64_t age_us = clock_now_us() - changed_us;
    return age_us >= 0 && age_us < INBOX_SETTLE_MS * CLOCK_US_PER_MS;
}

static void hash_content(const char *name, struct inbox_content *content) {
    XXH128_hash_t hash = XXH3_128bits(content->bytes, content->size);
    snprintf(content->hash, sizeof(content->hash), "%016llx%016llx%016llx",
             (unsigned long long)XXH3_64bits(name, strlen(name)), (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}

int inbox_folders_read(const struct inbox_folders *folders, const char *name, size_t bytes_max,
                       struct inbox_content *ret, char *why) {
    struct inbox_content content = {.hash = "unread"};
    struct stat status;
    *ret = content;
    _cleanup_(cleanup_close) int fd =
        openat(folders->inbox_fd, name,
               O_RDONLY | O_CLOEXEC | O_NONBLOCK | (GUARD(inbox_links) ? O_NOFOLLOW : 0));
    if (fd < 0) {
        snprintf(why, INBOX_WHY_BYTES, "it cannot be opened: %s", strerror(errno));
        return errno == EACCES ? 1 : 2;
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return 2;
    }
    ret->is_young = content.is_young = is_young(&status);
    content.size = (size_t)status.st_size;
    if (GUARD(inbox_size) && content.size > bytes_max) {
        snprintf(why, INBOX_WHY_BYTES, "it is over %zu bytes", bytes_max);
        return 1;
    }
    content.bytes = malloc(content.size + 1);
    if (content.bytes == NULL || files_pread(fd, content.bytes, content.size, 0) != 0) {
        free(content.bytes);
        return 2;
    }
    hash_content(name, &content);
    *ret = content;
    return 0;
}

// ---- moving

static int move(const struct inbox_folders *folders, const char *name, const char *hash,
                int to_fd) {
    char other[INBOX_NAME_BYTES + SHORT_HASH_CHARACTERS + 1];
    int r = renameat2(folders->inbox_fd, name, to_fd, name, RENAME_NOREPLACE) == 0 ? 0 : -errno;
    if (r == -EEXIST || r == -EINVAL) {
        size_t end = strlen(hash); // the content's part of the hash
        snprintf(other, sizeof(other), "%.*s.%s", NAME_MAX - SHORT_HASH_CHARACTERS - 1, name,
                 hash + (end > SHORT_HASH_CHARACTERS ? end - SHORT_HASH_CHARACTERS : 0));
        r = renameat(folders->inbox_fd, name, to_fd, other) == 0 ? 0 : -errno;
    }
    if (r < 0) {
        logging_error("inbox_file=%s cannot be moved error=\"%s\"", name, strerror(-r));
    }
    return r;
}

int inbox_folders_done(const struct inbox_folders *folders, const char *name, const char *hash) {
    return move(folders, name, hash, folders->done_fd);
}

int inbox_folders_fail(const struct inbox_folders *folders, const char *name, const char *hash,
                       const char *why) {
    char reason[INBOX_NAME_BYTES], line[INBOX_WHY_BYTES + 1];
    snprintf(reason, sizeof(reason), "%.*s.reason", NAME_MAX - (int)strlen(".reason"), name);
    int size = snprintf(line, sizeof(line), "%s\n", why);
    _cleanup_(cleanup_close) int fd =
        openat(folders->failed_fd, reason, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC | O_NOFOLLOW,
               REASON_MODE);
    if (fd < 0 || files_pwrite(fd, line, (size_t)size, 0) < 0) {
        logging_error("inbox_file=%s its reason cannot be written", name);
    }
    logging_warning("inbox_file=%s failed=\"%s\"", name, why);
    return move(folders, name, hash, folders->failed_fd);
}
