// SPDX-License-Identifier: Apache-2.0
// See folder.h. Locks are left out: a copy is nobody's.
#include "tests/faults/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct folder_files *reading; // nftw hands nothing through
static size_t root_size;

void folder_make(char *ret, size_t size) {
    snprintf(ret, size, "%s/touchbus-faults-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FOLDER_REQUIRE(mkdtemp(ret) != NULL);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw) {
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

void folder_remove(const char *folder) {
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int read_one(const char *path, const struct stat *status, int type, struct FTW *ftw) {
    const char *name = path + ftw->base;
    if (type != FTW_F || strcmp(name, "lock.mdb") == 0) {
        return 0;
    }
    FOLDER_REQUIRE(reading->n_files < FOLDER_FILES_MAX);
    struct folder_file *file = &reading->files[reading->n_files++];
    snprintf(file->path, sizeof(file->path), "%s", path + root_size + 1);
    file->size = (size_t)status->st_size;
    file->bytes = malloc(file->size + 1);
    FILE *from = fopen(path, "re");
    FOLDER_REQUIRE(from != NULL && file->bytes != NULL &&
                   fread(file->bytes, 1, file->size, from) == file->size);
    fclose(from);
    return 0;
}

struct folder_files *folder_read(const char *folder) {
    reading = calloc(1, sizeof(*reading));
    FOLDER_REQUIRE(reading != NULL);
    root_size = strlen(folder);
    FOLDER_REQUIRE(nftw(folder, read_one, 16, FTW_PHYS) == 0);
    return reading;
}

void folder_files_free(struct folder_files *files) {
    for (size_t i = 0; i < files->n_files; i++) {
        free(files->files[i].bytes);
    }
    free(files);
}

void folder_write(const struct folder_files *files, const char *folder) {
    folder_remove(folder);
    FOLDER_REQUIRE(mkdir(folder, 0700) == 0);
    for (size_t i = 0; i < files->n_files; i++) {
        const struct folder_file *file = &files->files[i];
        char path[2 * FOLDER_PATH_BYTES];
        snprintf(path, sizeof(path), "%s/%s", folder, file->path);
        char *slash = strrchr(path, '/');
        *slash = '\0';
        FOLDER_REQUIRE(mkdir(path, 0700) == 0 || errno == EEXIST);
        *slash = '/';
        FILE *to = fopen(path, "we");
        FOLDER_REQUIRE(to != NULL && fwrite(file->bytes, 1, file->size, to) == file->size &&
                       fclose(to) == 0);
    }
}

const struct folder_file *folder_find(const struct folder_files *files, const char *path) {
    for (size_t i = 0; i < files->n_files; i++) {
        if (strcmp(files->files[i].path, path) == 0) {
            return &files->files[i];
        }
    }
    FOLDER_REQUIRE(path == NULL); // no file of that path
    return NULL;
}

void folder_flip(const char *folder, const char *path, size_t offset, int bit) {
    char whole[2 * FOLDER_PATH_BYTES];
    uint8_t byte = 0;
    snprintf(whole, sizeof(whole), "%s/%s", folder, path);
    int fd = open(whole, O_RDWR | O_CLOEXEC);
    FOLDER_REQUIRE(fd >= 0 && pread(fd, &byte, 1, (off_t)offset) == 1);
    byte ^= (uint8_t)(1 << bit);
    FOLDER_REQUIRE(pwrite(fd, &byte, 1, (off_t)offset) == 1 && close(fd) == 0);
}
