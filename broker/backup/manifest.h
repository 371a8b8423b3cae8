// SPDX-License-Identifier: Apache-2.0
// The manifest of a backup: what it holds and the checksum of every file, its own among them.
// Written last: a folder without one is no backup.
#pragma once

#include <jansson.h>
#include <stdint.h>

enum { MANIFEST_FORMAT = 1, MANIFEST_FILES_MAX = 1000, MANIFEST_HASH_BYTES = 65 };
#define MANIFEST_NAME "manifest.json"

// Told of hashing: bytes so far and in all.
typedef void (*manifest_tell)(void *user, uint64_t done, uint64_t total);

// Adds "files", every file of dir and of its folders with size and hash, and "checksum" to
// manifest; writes dir/manifest.json, synced, by renaming. tell may be NULL.
int manifest_write(const char *dir, json_t *manifest, manifest_tell tell, void *user);
// 0 and the manifest, whose own checksum fits; 1 and *ret_why (static text): missing or damaged, or
// of another format.
int manifest_read(const char *dir, json_t **ret, const char **ret_why);
// Calls problem for each file that is missing, too much, or another than the manifest says, with a
// text of static life. Returns how many, or a negative errno.
int manifest_check_files(const char *dir, const json_t *manifest,
                         void (*problem)(void *user, const char *path, const char *what),
                         manifest_tell tell, void *user);
// The hash (BLAKE2b-256, hex) that the manifest has for a file; NULL where it has none.
const char *manifest_hash(const json_t *manifest, const char *path);
// The hash of size bytes at once, and of a whole file.
void manifest_hash_bytes(const void *bytes, size_t size, char ret[static MANIFEST_HASH_BYTES]);
