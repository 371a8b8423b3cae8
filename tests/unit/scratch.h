// SPDX-License-Identifier: Apache-2.0
// A folder of a test's own under /tmp, for files only: made by scratch_make, gone with all its
// files by scratch_remove. Include cmocka's header first.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SCRATCH_PATH_BYTES = 64 };

static inline void scratch_make(char ret_path[static SCRATCH_PATH_BYTES]) {
    snprintf(ret_path, SCRATCH_PATH_BYTES, "/tmp/touchbus-unit-XXXXXX");
    assert_non_null(mkdtemp(ret_path));
}

static inline void scratch_remove(const char *path) {
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        unlinkat(dirfd(folder), entry->d_name, 0);
    }
    closedir(folder);
    assert_int_equal(rmdir(path), 0);
}
