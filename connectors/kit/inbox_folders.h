// SPDX-License-Identifier: Apache-2.0
// The three folders of an inbox: looking, reading, moving. Private to inbox.c, which knows what is
// on its way.
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    INBOX_NAME_BYTES = NAME_MAX + 1,
    INBOX_HASH_BYTES = 49, // 16 digits of the name, 32 of the content, the end
};

struct inbox_folders {
    int inbox_fd, done_fd, failed_fd;
};

// Makes and opens path, and done and failed beside it. 0; negative errno after one logged line;
// close it either way.
int inbox_folders_open(const char *path, struct inbox_folders *ret);
void inbox_folders_close(struct inbox_folders *folders);

// The first names in order of files that may be taken, at most n_max. is_taken says what is on its
// way already.
size_t inbox_folders_scan(const struct inbox_folders *folders,
                          bool (*is_taken)(const void *user, const char *name), const void *user,
                          char names[][INBOX_NAME_BYTES], size_t n_max);

struct inbox_content {
    void *bytes; // the caller frees it
    size_t size;
    char hash[INBOX_HASH_BYTES];
    bool is_young; // changed within INBOX_SETTLE_MS
};
// 0 and *ret; 1 and why (INBOX_WHY_BYTES), with is_young set: it cannot be taken; 2: not a file, or
// not now.
int inbox_folders_read(const struct inbox_folders *folders, const char *name, size_t bytes_max,
                       struct inbox_content *ret, char *why);

// Moves a file; where its name is taken there, with its hash behind it. 0; negative errno after one
// logged line.
int inbox_folders_done(const struct inbox_folders *folders, const char *name, const char *hash);
// The same to failed, with why in NAME.reason.
int inbox_folders_fail(const struct inbox_folders *folders, const char *name, const char *hash,
                       const char *why);

// As inbox_erase and inbox_expire.
int inbox_folders_erase(const struct inbox_folders *folders, const char *const *texts,
                        size_t n_texts);
int inbox_folders_expire(const struct inbox_folders *folders, int64_t age_us);
