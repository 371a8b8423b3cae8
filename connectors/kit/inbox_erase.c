// SPDX-License-Identifier: Apache-2.0
// What an inbox no longer keeps in done and failed. Which file speaks of somebody is told by its
// bytes, whatever its format: an id as a word of its own; one that is nothing but digits, as a
// quantity is too, as a whole value between quotes or tags.
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connectors/kit/files.h"
#include "connectors/kit/inbox_folders.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

static bool is_number(const char *text) {
    return text[strspn(text, "0123456789")] == '\0';
}

static bool is_word(const char *begin, const char *at, size_t size, const char *end) {
    return (at == begin || !isalnum((unsigned char)at[-1])) &&
           (at + size == end || !isalnum((unsigned char)at[size]));
}

static bool is_value(const char *begin, const char *at, size_t size, const char *end) {
    return at > begin && strchr("\"'>", at[-1]) != NULL && at + size < end &&
           strchr("\"'<", at[size]) != NULL;
}

static bool speaks_of(const char *bytes, size_t size, const char *text) {
    size_t length = strlen(text);
    bool whole = is_number(text);
    const char *at = bytes, *end = bytes + size;
    while (length > 0 && (at = memmem(at, (size_t)(end - at), text, length)) != NULL) {
        if (whole ? is_value(bytes, at, length, end) : is_word(bytes, at, length, end)) {
            return true;
        }
        at++;
    }
    return false;
}

// 1: it speaks of one of them; 0; negative errno.
static int judge(int folder_fd, const char *name, const char *const *texts, size_t n_texts) {
    struct stat status;
    _cleanup_(cleanup_close) int fd =
        openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0) {
        return errno == ENOENT || errno == ELOOP ? 0 : -errno;
    }
    if (!S_ISREG(status.st_mode)) {
        return 0;
    }
    size_t size = (size_t)status.st_size;
    void *bytes = size == 0 ? NULL : mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) {
        return -errno;
    }
    bool found = false;
    for (size_t i = 0; i < n_texts && !found; i++) {
        found = (!is_number(texts[i]) && speaks_of(name, strlen(name), texts[i])) ||
                (bytes != NULL && speaks_of(bytes, size, texts[i]));
    }
    if (bytes != NULL) {
        munmap(bytes, size);
    }
    return found && GUARD(inbox_kept) ? 1 : 0;
}

static int erase_in(int folder_fd, const char *const *texts, size_t n_texts, size_t *n_removed) {
    DIR *folder = files_open_names(folder_fd);
    if (folder == NULL) {
        return -errno;
    }
    int r = 0;
    for (struct dirent *entry; r >= 0 && (entry = readdir(folder)) != NULL;) {
        r = judge(folder_fd, entry->d_name, texts, n_texts);
        if (r == 1 && unlinkat(folder_fd, entry->d_name, 0) == 0) {
            ++*n_removed;
        } else if (r == 1) {
            r = -errno;
        }
    }
    closedir(folder);
    return r >= 0 && fsync(folder_fd) != 0 ? -errno : r < 0 ? r : 0;
}

int inbox_folders_erase(const struct inbox_folders *folders, const char *const *texts,
                        size_t n_texts) {
    size_t n_done = 0, n_failed = 0;
    if (n_texts == 0) {
        return 0;
    }
    int r = erase_in(folders->done_fd, texts, n_texts, &n_done);
    r = r == 0 ? erase_in(folders->failed_fd, texts, n_texts, &n_failed) : r;
    if (n_done + n_failed > 0) { // a failed file may have held somebody else's report as well
        logging_warning("erasure=removed done_files=%zu failed_files=%zu", n_done, n_failed);
    }
    return r;
}

int inbox_folders_expire(const struct inbox_folders *folders, int64_t age_us) {
    int64_t before_us = clock_now_us() - age_us;
    DIR *folder = files_open_names(folders->done_fd);
    if (folder == NULL) {
        return -errno;
    }
    int r = 0;
    for (struct dirent *entry; r == 0 && (entry = readdir(folder)) != NULL;) {
        struct stat status;
        if (fstatat(folders->done_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(status.st_mode) &&
            (int64_t)status.st_mtim.tv_sec * CLOCK_US_PER_S < before_us) {
            r = unlinkat(folders->done_fd, entry->d_name, 0) == 0 ? 0 : -errno;
        }
    }
    closedir(folder);
    return r;
}
