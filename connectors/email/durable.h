// SPDX-License-Identifier: Apache-2.0
// Small files in the connector's folder that are there whole or not at all, also after a crash:
// written aside, synced, renamed, and the folder synced.
#pragma once

#include <stddef.h>

enum { DURABLE_BYTES_MAX = 16 << 20 };

// Makes a folder (0700) inside another and opens it. The descriptor or a negative errno.
int durable_folder(int folder_fd, const char *name);
int durable_write(int folder_fd, const char *name, const void *bytes, size_t size);
// 0 and *ret, which the caller frees and which ends with NUL; -ENOENT; -EFBIG; another.
int durable_read(int folder_fd, const char *name, char **ret, size_t *ret_size);
int durable_remove(int folder_fd, const char *name); // 0 also where there is none
// Calls back for each name that does not begin with a dot, until it does not return 0; gives that.
int durable_each(int folder_fd, int (*each)(void *user, const char *name), void *user);
void cleanup_fd(int *fd); // negative: none
