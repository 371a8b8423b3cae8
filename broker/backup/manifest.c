// SPDX-License-Identifier: Apache-2.0
// LMDB has no checksums, and blocks only theirs; so each file of a backup is hashed whole, and no
// flipped bit in it stays unseen, wherever it lies. The manifest's own bytes are canonical JSON
// (sorted, compact, a newline): what reads back to other bytes than are there was changed.
#include "broker/backup/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/stores/store.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"

enum { HASH_BYTES = 32, READ_BYTES = 1 << 20, MANIFEST_BYTES_MAX = 64 << 20 };

struct hashing {
    manifest_tell tell;
    void *user;
    uint64_t done, total;
};

static int join(const char *dir, const char *name, char ret[static PATH_MAX]) {
    int n = snprintf(ret, PATH_MAX, "%s/%s", dir, name);
    return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

void manifest_hash_bytes(const void *bytes, size_t size, char ret[static MANIFEST_HASH_BYTES]) {
    uint8_t hash[HASH_BYTES];
    crypto_generichash(hash, sizeof(hash), bytes, size, NULL, 0);
    sodium_bin2hex(ret, MANIFEST_HASH_BYTES, hash, sizeof(hash));
}

static int hash_open_file(int descriptor, struct hashing *hashing,
                          char ret[static MANIFEST_HASH_BYTES], uint64_t *ret_bytes) {
    _cleanup_free_ uint8_t *buffer = malloc(READ_BYTES);
    uint8_t hash[HASH_BYTES];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof(hash));
    uint64_t bytes = 0;
    ssize_t n = buffer != NULL ? 1 : -1;
    while (n > 0 && (n = read(descriptor, buffer, READ_BYTES)) > 0) {
        crypto_generichash_update(&state, buffer, (size_t)n);
        bytes += (uint64_t)n;
        hashing->done += (uint64_t)n;
        if (hashing->tell != NULL) {
            hashing->tell(hashing->user, hashing->done, hashing->total);
        }
    }
    if (n < 0) {
        return buffer == NULL ? -ENOMEM : -errno;
    }
    crypto_generichash_final(&state, hash, sizeof(hash));
    sodium_bin2hex(ret, MANIFEST_HASH_BYTES, hash, sizeof(hash));
    *ret_bytes = bytes;
    return 0;
}

static int hash_file(const char *path, struct hashing *hashing,
                     char ret[static MANIFEST_HASH_BYTES], uint64_t *ret_bytes) {
    int descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0) {
        return -errno;
    }
    int r = hash_open_file(descriptor, hashing, ret, ret_bytes);
    close(descriptor);
    return r;
}

// ---- the files of a folder

// lock.mdb is LMDB's table of readers: whoever opens a store makes it anew.
static bool is_listed(const char *name) {
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "lock.mdb") != 0 &&
           strcmp(name, MANIFEST_NAME) != 0;
}

// Adds the names in dir/under (under may be "") to files, and those of folders in it to folders.
static int list_folder(const char *dir, const char *under, json_t *files, json_t *folders) {
    char path[PATH_MAX];
    int r = join(dir, under, path);
    DIR *list = r == 0 ? opendir(path) : NULL;
    if (list == NULL) {
        return r == 0 ? -errno : r;
    }
    const struct dirent *entry = NULL;
    while (r == 0 && (entry = readdir(list)) != NULL) {
        if (!is_listed(entry->d_name)) {
            continue;
        }
        struct stat status;
        char name[PATH_MAX];
        r = *under != '\0' ? join(under, entry->d_name, name) : 0;
        const char *named = *under != '\0' ? name : entry->d_name;
        if (r == 0 && fstatat(dirfd(list), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
            r = -errno;
        } else if (r == 0 && S_ISDIR(status.st_mode) && folders != NULL) {
            r = json_array_append_new(folders, json_string(named)) != 0 ? -ENOMEM : 0;
        } else if (r == 0) {
            r = json_object_set_new(files, named, json_integer(status.st_size)) != 0 ? -ENOMEM : 0;
        }
        r = r == 0 && json_object_size(files) > MANIFEST_FILES_MAX ? -E2BIG : r;
    }
    closedir(list);
    return r;
}

static void drop_json(json_t **json) {
    json_decref(*json);
}

// A map of every file under dir, one level of folders deep, to its size.
static int list_files(const char *dir, json_t **ret) {
    _cleanup_(drop_json) json_t *folders = json_array();
    _cleanup_(drop_json) json_t *files = json_object();
    int r = folders == NULL || files == NULL ? -ENOMEM : list_folder(dir, "", files, folders);
    for (size_t i = 0; r == 0 && i < json_array_size(folders); i++) {
        r = list_folder(dir, json_string_value(json_array_get(folders, i)), files, NULL);
    }
    if (r == 0) {
        *ret = STEAL(files);
    }
    return r;
}

static uint64_t sum_sizes(json_t *sizes) {
    const char *path = NULL;
    json_t *size = NULL;
    uint64_t sum = 0;
    json_object_foreach(sizes, path, size) {
        sum += (uint64_t)json_integer_value(size);
    }
    return sum;
}

static int hash_files(const char *dir, struct hashing *hashing, json_t *ret) {
    json_t *size = NULL;
    const char *name = NULL;
    _cleanup_(drop_json) json_t *sizes = NULL;
    int r = list_files(dir, &sizes);
    hashing->total = sum_sizes(sizes);
    json_object_foreach(sizes, name, size) {
        char path[PATH_MAX], hash[MANIFEST_HASH_BYTES];
        uint64_t bytes = 0;
        r = r == 0 ? join(dir, name, path) : r;
        r = r == 0 ? hash_file(path, hashing, hash, &bytes) : r;
        json_t *file =
            r == 0 ? json_pack("{s:I, s:s}", "bytes", (json_int_t)bytes, "hash", hash) : NULL;
        if (r == 0 && json_object_set_new(ret, name, file) != 0) {
            r = -ENOMEM;
        }
    }
    return r;
}

// ---- writing

static char *canonical(const json_t *manifest) {
    return json_dumps(manifest, JSON_SORT_KEYS | JSON_INDENT(1));
}

static int write_text(const char *path, const char *text) {
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        return -errno;
    }
    int r = dprintf(descriptor, "%s\n", text) < 0 || fsync(descriptor) != 0 ? -errno : 0;
    close(descriptor);
    return r;
}

int manifest_write(const char *dir, json_t *manifest, manifest_tell tell, void *user) {
    char path[PATH_MAX], aside[PATH_MAX], checksum[MANIFEST_HASH_BYTES];
    struct hashing hashing = {.tell = tell, .user = user};
    json_t *files = json_object();
    int r = json_object_set_new(manifest, "files", files) != 0 ? -ENOMEM : 0;
    r = r == 0 && json_object_set_new(manifest, "format", json_integer(MANIFEST_FORMAT)) != 0
            ? -ENOMEM
            : r;
    r = r == 0 ? hash_files(dir, &hashing, files) : r;
    r = r == 0 ? join(dir, MANIFEST_NAME, path) : r;
    r = r == 0 ? join(dir, MANIFEST_NAME ".new", aside) : r;
    if (r != 0) {
        return r;
    }
    _cleanup_free_ char *unsigned_text = canonical(manifest);
    if (unsigned_text == NULL) {
        return -ENOMEM;
    }
    manifest_hash_bytes(unsigned_text, strlen(unsigned_text), checksum);
    json_object_set_new(manifest, "checksum", json_string(checksum));
    _cleanup_free_ char *text = canonical(manifest);
    r = text != NULL ? write_text(aside, text) : -ENOMEM;
    r = r == 0 && rename(aside, path) != 0 ? -errno : r;
    return r == 0 ? store_sync_parent(path) : r;
}

// ---- reading

static int read_text(const char *path, char **ret) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (descriptor < 0) {
        return -errno;
    }
    int r = fstat(descriptor, &status) != 0 ? -errno : 0;
    size_t size = r == 0 ? (size_t)status.st_size : 0;
    char *text = r == 0 && size <= MANIFEST_BYTES_MAX ? malloc(size + 1) : NULL;
    ssize_t n = text != NULL ? read(descriptor, text, size) : -1;
    close(descriptor);
    if (n < 0 || (size_t)n != size) {
        free(text);
        return r != 0 ? r : -EIO;
    }
    text[size] = '\0';
    *ret = text;
    return strlen(text) == size ? 0 : -EBADMSG;
}

// Whether text is what this manifest is written as, and its checksum that of the rest.
static bool is_sound(json_t *manifest, const char *text) {
    char found[MANIFEST_HASH_BYTES];
    _cleanup_free_ char *whole = canonical(manifest);
    size_t size = whole != NULL ? strlen(whole) : 0;
    _cleanup_(drop_json) json_t *checksum = json_incref(json_object_get(manifest, "checksum"));
    json_object_del(manifest, "checksum");
    _cleanup_free_ char *rest = canonical(manifest);
    if (whole == NULL || rest == NULL || !json_is_string(checksum) ||
        strncmp(text, whole, size) != 0 || strcmp(text + size, "\n") != 0) {
        return false;
    }
    manifest_hash_bytes(rest, strlen(rest), found);
    return strcmp(found, json_string_value(checksum)) == 0;
}

int manifest_read(const char *dir, json_t **ret, const char **ret_why) {
    char path[PATH_MAX];
    _cleanup_free_ char *text = NULL;
    int r = join(dir, MANIFEST_NAME, path);
    r = r == 0 ? read_text(path, &text) : r;
    if (r != 0) {
        *ret_why = r == -ENOENT ? "there is no " MANIFEST_NAME
                                  ": no backup, or one that was cut off"
                                : MANIFEST_NAME " cannot be read";
        return 1;
    }
    _cleanup_(drop_json) json_t *manifest = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (manifest == NULL || (GUARD(manifest_checksum) && !is_sound(manifest, text))) {
        *ret_why = MANIFEST_NAME " is damaged";
        return 1;
    }
    if (json_integer_value(json_object_get(manifest, "format")) != MANIFEST_FORMAT) {
        *ret_why = "made by a touchbusd of another backup format";
        return 1;
    }
    *ret = STEAL(manifest);
    return 0;
}

const char *manifest_hash(const json_t *manifest, const char *path) {
    return json_string_value(
        json_object_get(json_object_get(json_object_get(manifest, "files"), path), "hash"));
}

static const char *judge_file(const char *dir, const char *name, const json_t *file,
                              struct hashing *hashing) {
    char path[PATH_MAX], hash[MANIFEST_HASH_BYTES];
    uint64_t bytes = 0;
    int r = join(dir, name, path);
    r = r == 0 ? hash_file(path, hashing, hash, &bytes) : r;
    const char *expected = json_string_value(json_object_get(file, "hash"));
    if (r != 0) {
        return r == -ENOENT ? "missing" : "cannot be read";
    }
    if ((json_int_t)bytes != json_integer_value(json_object_get(file, "bytes"))) {
        return "its size is not the manifest's";
    }
    bool differs = expected == NULL || strcmp(hash, expected) != 0;
    return GUARD(file_checksum) && differs ? "its checksum does not fit" : NULL;
}

int manifest_check_files(const char *dir, const json_t *manifest,
                         void (*problem)(void *user, const char *path, const char *what),
                         manifest_tell tell, void *user) {
    struct hashing hashing = {.tell = tell, .user = user};
    _cleanup_(drop_json) json_t *there = NULL;
    int r = list_files(dir, &there);
    if (r < 0) {
        return r;
    }
    int n = 0;
    json_t *files = json_object_get(manifest, "files"), *file = NULL;
    const char *name = NULL;
    hashing.total = sum_sizes(there);
    json_object_foreach(files, name, file) {
        const char *what = judge_file(dir, name, file, &hashing);
        if (what != NULL) {
            problem(user, name, what);
            n++;
        }
    }
    json_object_foreach(there, name, file) {
        if (json_object_get(files, name) == NULL) {
            problem(user, name, "not in the manifest");
            n++;
        }
    }
    return n;
}
