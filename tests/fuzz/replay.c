// SPDX-License-Identifier: Apache-2.0
// Runs the files of the folders it is given through a fuzz target once, whole and cut: how a build
// without libFuzzer holds what fuzzing has found.
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "tests/fuzz/fuzz.h"

enum { FILE_BYTES_MAX = 1 << 20, CUTS_MAX = 64 };

// Every input in an allocation of its own size, so that a sanitizer sees a byte read beyond.
static void run(const uint8_t *bytes, size_t size) {
    _cleanup_free_ uint8_t *copy = malloc(size > 0 ? size : 1);
    REQUIRE(copy != NULL);
    memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
}

static void run_file(const char *path) {
    _cleanup_free_ uint8_t *bytes = malloc(FILE_BYTES_MAX);
    FILE *file = fopen(path, "re");
    REQUIRE(file != NULL && bytes != NULL);
    size_t size = fread(bytes, 1, FILE_BYTES_MAX, file);
    fclose(file);
    run(bytes, size);
    for (size_t i = 1; i <= CUTS_MAX; i++) {
        run(bytes, size * i / (CUTS_MAX + 1));
    }
}

int main(int argc, char **argv) {
    int n_files = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        if (folder == NULL) {
            fprintf(stderr, "%s: %s\n", argv[i], strerror(errno));
            return 1;
        }
        for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
            char path[4096];
            snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
            if (entry->d_type == DT_REG) {
                run_file(path);
                n_files++;
            }
        }
        closedir(folder);
    }
    printf("%d files\n", n_files);
    return n_files > 0 ? 0 : 1;
}
