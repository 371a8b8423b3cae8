// SPDX-License-Identifier: Apache-2.0
// A folder of small files, kept in memory and put back for every round of a campaign. On memory
// where there is a file system for that. Anything that fails ends the process.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FOLDER_REQUIRE(claim)                                                                      \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stdout, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim);             \
            exit(EXIT_FAILURE);                                                                    \
        }                                                                                          \
    } while (0)

enum { FOLDER_FILES_MAX = 64, FOLDER_PATH_BYTES = 128 };

struct folder_file {
    char path[FOLDER_PATH_BYTES]; // below the folder
    uint8_t *bytes;
    size_t size;
};

struct folder_files {
    struct folder_file files[FOLDER_FILES_MAX];
    size_t n_files;
};

void folder_make(char *ret, size_t size); // a new one
void folder_remove(const char *folder);
struct folder_files *folder_read(const char *folder);
void folder_files_free(struct folder_files *files);
// Makes the folder hold these files and nothing else.
void folder_write(const struct folder_files *files, const char *folder);
const struct folder_file *folder_find(const struct folder_files *files, const char *path);
void folder_flip(const char *folder, const char *path, size_t offset, int bit);
