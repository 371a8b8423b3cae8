// SPDX-License-Identifier: Apache-2.0
// The few file operations that the kit's stores share: whole reads and writes, and folders made
// durably. Private to the kit.
#pragma once

#include <dirent.h>
#include <stddef.h>
#include <stdint.h>

// All of it, or a negative errno.
int files_pwrite(int fd, const void *data, size_t size, uint64_t offset);
// All of it, or a negative errno; -ENODATA where the file ends before.
int files_pread(int fd, void *ret, size_t size, uint64_t offset);
// Makes path and its parents (0700) as needed.
int files_make_folder(const char *path);
// The names in a folder, from the first on, whoever else reads it; the caller closes it. NULL and
// errno.
DIR *files_open_names(int folder_fd);
void cleanup_close(int *fd); // negative: none
