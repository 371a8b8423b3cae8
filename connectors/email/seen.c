// SPDX-License-Identifier: Apache-2.0
// A file of keys, and the same keys in an open table in memory. A torn last key is cut off.
#include "connectors/email/seen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connectors/email/durable.h"
#include "schemas/base/cleanup.h"

enum { SLOTS_MIN = 1024, SPARE_KEYS_MAX = SEEN_MAX };

struct key {
    uint8_t bytes[SEEN_KEY_BYTES]; // all zero: free
};

struct seen {
    int fd;
    struct key *slots;
    size_t n_slots, n; // a power of two, at least twice n
    off_t size;        // of the file
    bool dirty;
};

static int digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_key(const char *id, struct key *ret) {
    for (size_t i = 0; i < SEEN_KEY_BYTES; i++) {
        int high = digit(id[2 * i]), low = high < 0 ? -1 : digit(id[2 * i + 1]);
        if (low < 0) {
            return false;
        }
        ret->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool is_free(const struct key *key) {
    static const struct key none;
    return memcmp(key, &none, sizeof(none)) == 0;
}

static struct key *find(const struct seen *seen, const struct key *key) {
    uint64_t hash;
    memcpy(&hash, key->bytes, sizeof(hash));
    size_t at = hash & (seen->n_slots - 1);
    while (!is_free(&seen->slots[at]) && memcmp(&seen->slots[at], key, sizeof(*key)) != 0) {
        at = (at + 1) & (seen->n_slots - 1);
    }
    return &seen->slots[at];
}

static void put(struct seen *seen, const struct key *key) {
    struct key *slot = find(seen, key);
    if (is_free(slot) && !is_free(key)) {
        *slot = *key;
        seen->n++;
    }
}

static int make_room(struct seen *seen, size_t n) {
    size_t n_slots = seen->n_slots > 0 ? seen->n_slots : SLOTS_MIN;
    while (n_slots < 2 * n) {
        n_slots *= 2;
    }
    if (n_slots == seen->n_slots) {
        return 0;
    }
    struct seen larger = {.slots = calloc(n_slots, sizeof(struct key)), .n_slots = n_slots};
    if (larger.slots == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < seen->n_slots; i++) {
        put(&larger, &seen->slots[i]);
    }
    free(seen->slots);
    seen->slots = larger.slots;
    seen->n_slots = n_slots;
    return 0;
}

static int load(struct seen *seen, size_t n_keys) {
    struct key keys[256];
    int r = make_room(seen, n_keys + 1);
    for (size_t done = 0; r == 0 && done < n_keys;) {
        size_t want = n_keys - done < 256 ? n_keys - done : 256;
        ssize_t n = pread(seen->fd, keys, want * sizeof(keys[0]), (off_t)(done * sizeof(keys[0])));
        if (n <= 0) {
            return n < 0 ? -errno : -EIO;
        }
        size_t n_read = (size_t)n / sizeof(keys[0]);
        for (size_t i = 0; i < n_read; i++) {
            put(seen, &keys[i]);
        }
        done += n_read;
    }
    return r;
}

// Only the newer half stays of a file that is full.
static int shorten(int folder_fd, size_t n_keys) {
    _cleanup_free_ char *bytes = NULL;
    _cleanup_(cleanup_fd) int fd = openat(folder_fd, "seen", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t size = n_keys / 2 * SEEN_KEY_BYTES, done = 0;
    bytes = fd < 0 ? NULL : malloc(size + 1);
    while (bytes != NULL && done < size) {
        ssize_t n = pread(fd, bytes + done, size - done,
                          (off_t)((n_keys - n_keys / 2) * SEEN_KEY_BYTES + done));
        if (n <= 0) {
            return n < 0 ? -errno : -EIO;
        }
        done += (size_t)n;
    }
    return bytes == NULL ? -ENOMEM : durable_write(folder_fd, "seen", bytes, size);
}

static int open_file(int folder_fd, struct seen *seen, size_t *ret_n) {
    struct stat status;
    seen->fd =
        openat(folder_fd, "seen", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (seen->fd < 0 || fstat(seen->fd, &status) != 0) {
        return -errno;
    }
    *ret_n = (size_t)status.st_size / SEEN_KEY_BYTES;
    off_t whole = (off_t)(*ret_n * SEEN_KEY_BYTES);
    seen->size = whole;
    return whole != status.st_size && ftruncate(seen->fd, whole) != 0 ? -errno : 0;
}

int seen_open(int folder_fd, struct seen **ret) {
    struct seen *seen = calloc(1, sizeof(*seen));
    size_t n_keys = 0;
    if (seen == NULL) {
        return -ENOMEM;
    }
    int r = open_file(folder_fd, seen, &n_keys);
    if (r == 0 && n_keys > SEEN_MAX) {
        r = shorten(folder_fd, n_keys);
        cleanup_fd(&seen->fd);
        r = r != 0 ? r : open_file(folder_fd, seen, &n_keys);
    }
    r = r != 0 ? r : load(seen, n_keys);
    if (r != 0) {
        seen_close(seen);
        return r;
    }
    *ret = seen;
    return 0;
}

struct seen *seen_close(struct seen *seen) {
    if (seen != NULL) {
        cleanup_fd(&seen->fd);
        free(seen->slots);
        free(seen);
    }
    return NULL;
}

bool seen_has(const struct seen *seen, const char *id) {
    struct key key;
    return read_key(id, &key) && !is_free(find(seen, &key));
}

int seen_add(struct seen *seen, const char *id) {
    struct key key;
    if (!read_key(id, &key) || !is_free(find(seen, &key)) || seen->n >= SEEN_MAX + SPARE_KEYS_MAX) {
        return 0;
    }
    int r = make_room(seen, seen->n + 1);
    if (r == 0 && write(seen->fd, &key, sizeof(key)) != sizeof(key)) {
        r = ftruncate(seen->fd, seen->size) != 0 ? -errno : -EIO;
    }
    if (r == 0) {
        put(seen, &key);
        seen->size += (off_t)sizeof(key);
        seen->dirty = true;
    }
    return r;
}

int seen_sync(struct seen *seen) {
    if (seen->dirty && fdatasync(seen->fd) != 0) {
        return -errno;
    }
    seen->dirty = false;
    return 0;
}
