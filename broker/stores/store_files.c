// SPDX-License-Identifier: Apache-2.0
// The plain files around the stores: locks, folders that appear all at once, and their removal.
// Locks belong to the open file (F_OFD_SETLK): another part of the process that opens and closes
// the same file does not drop them, and a kill releases them.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/stores/store_internal.h"

enum { FILE_MODE = 0600, FOLDER_ENTRIES_MAX = 10000 };

int store_sync_folder(const char *dir) {
    int descriptor = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return -errno;
    }
    int r = fsync(descriptor) == 0 ? 0 : -errno;
    close(descriptor);
    return r;
}

int store_sync_parent(const char *path) {
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return store_sync_folder(".");
    }
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    if (length >= sizeof(parent)) {
        return -ENAMETOOLONG;
    }
    memcpy(parent, path, length);
    parent[length] = '\0';
    return store_sync_folder(parent);
}

int store_publish_folder(const char *aside, const char *dir) {
    int r = store_sync_folder(aside);
    if (r == 0 && rename(aside, dir) != 0) {
        r = -errno;
    }
    return r == 0 ? store_sync_parent(dir) : r;
}

int store_lock(const char *path, bool exclusive, int *ret_descriptor) {
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (descriptor < 0) {
        return -errno;
    }
    struct flock lock = {.l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    if (fcntl(descriptor, F_OFD_SETLK, &lock) != 0) {
        int r = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
        close(descriptor);
        return r;
    }
    *ret_descriptor = descriptor;
    return 0;
}

bool store_is_locked(const char *path) {
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) {
        return false;
    }
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    bool locked = fcntl(descriptor, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(descriptor);
    return locked;
}

// Unlinks the files of an open folder and reports the subfolders it met through remove_inner.
static int empty_folder(int folder, int (*remove_inner)(int folder, const char *name)) {
    int copy = dup(folder);
    DIR *list = copy < 0 ? NULL : fdopendir(copy);
    if (list == NULL) {
        int r = -errno;
        if (copy >= 0) {
            close(copy);
        }
        return r;
    }
    int r = 0;
    struct dirent *entry = NULL;
    for (int n = 0; r == 0 && n < FOLDER_ENTRIES_MAX && (entry = readdir(list)) != NULL; n++) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (unlinkat(folder, entry->d_name, 0) == 0) {
            continue;
        }
        r = errno == EISDIR && remove_inner != NULL ? remove_inner(folder, entry->d_name) : -errno;
    }
    closedir(list);
    return r;
}

static int remove_leaf(int folder, const char *name) {
    int inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inner < 0) {
        return -errno;
    }
    int r = empty_folder(inner, NULL);
    close(inner);
    return r == 0 && unlinkat(folder, name, AT_REMOVEDIR) != 0 ? -errno : r;
}

int store_remove_folder(const char *dir) {
    int folder = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    int r = empty_folder(folder, remove_leaf);
    close(folder);
    return r == 0 && rmdir(dir) != 0 ? -errno : r;
}
