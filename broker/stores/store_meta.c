// SPDX-License-Identifier: Apache-2.0
// LMDB's meta pages as bytes, for restore points and marks (restore.md says why this is right). The
// layout is that of LMDB data version 1 on a 64-bit machine, checked by magic and version at every
// use:
//   0 page number u64 | 10 flags u16 | 16 magic u32 | 20 version u32 | 24 address | 32 map size |
//   40 free-list root (page size u32 first) | 88 main root | 136 last page u64 | 144 txn id u64
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "broker/stores/store_internal.h"

#define META_MAGIC UINT32_C(0xBEEFC0DE)
enum {
    META_VERSION = 1,
    META_FLAG = 0x08, // P_META
    AT_FLAGS = 10,
    AT_MAGIC = 16,
    AT_VERSION = 20,
    AT_PAGE_BYTES = 40,
    AT_LAST_PAGE = 136,
    AT_TXN_ID = 144,
    META_END = 152,
    N_SLOTS = 2,
    PAGE_BYTES_MIN = 512,
    HEAD_BYTES = 512, // of a meta page: all that LMDB uses, in one sector
    AT_MARK = 2048,   // in the first page, which LMDB leaves alone there
};

_Static_assert(sizeof(void *) == 8, "the meta page's layout is the one of 64-bit machines");

static uint64_t get_u64(const uint8_t *page, size_t at) {
    uint64_t number;
    memcpy(&number, page + at, sizeof(number));
    return number;
}

static uint32_t get_u32(const uint8_t *page, size_t at) {
    uint32_t number;
    memcpy(&number, page + at, sizeof(number));
    return number;
}

static bool is_meta(const uint8_t *page, size_t size) {
    uint16_t flags = 0;
    if (size < META_END) {
        return false;
    }
    memcpy(&flags, page + AT_FLAGS, sizeof(flags));
    return (flags & META_FLAG) != 0 && get_u32(page, AT_MAGIC) == META_MAGIC &&
           get_u32(page, AT_VERSION) == META_VERSION;
}

int store_read_meta(struct store_txn *txn, uint8_t *page, size_t *ret_size) {
    size_t size = 0;
    int descriptor = store_environment(txn, &size);
    uint64_t txn_id = store_txn_id(txn);
    if (size < PAGE_BYTES_MIN || size > STORE_PAGE_BYTES_MAX) {
        return -EBADMSG;
    }
    // The file says page T & 1; a file restored from a restore point holds T in both.
    for (uint64_t i = 0; i < N_SLOTS; i++) {
        uint64_t slot = (txn_id + i) & 1;
        ssize_t n = pread(descriptor, page, size, (off_t)(slot * size));
        if (n < 0) {
            return -errno;
        }
        if ((size_t)n == size && is_meta(page, size) && get_u64(page, AT_TXN_ID) == txn_id) {
            *ret_size = size;
            return 0;
        }
    }
    return -EBADMSG;
}

// The newest commit that the file's own meta pages know; 0 where neither can be read.
static uint64_t newest_commit(int descriptor, size_t size) {
    uint64_t newest = 0;
    for (size_t slot = 0; slot < N_SLOTS; slot++) {
        uint8_t head[META_END];
        ssize_t n = pread(descriptor, head, sizeof(head), (off_t)(slot * size));
        if (n == (ssize_t)sizeof(head) && is_meta(head, sizeof(head)) &&
            get_u64(head, AT_TXN_ID) > newest) {
            newest = get_u64(head, AT_TXN_ID);
        }
    }
    return newest;
}

static const char *unfit(int descriptor, const uint8_t *page, size_t size, uint64_t txn_id) {
    struct stat status;
    if (size > STORE_PAGE_BYTES_MAX || !is_meta(page, size) ||
        get_u32(page, AT_PAGE_BYTES) != size || get_u64(page, AT_TXN_ID) != txn_id) {
        return "the restore point's meta page is not of its commit";
    }
    uint64_t last = get_u64(page, AT_LAST_PAGE);
    if (fstat(descriptor, &status) != 0 || last >= (uint64_t)status.st_size / size) {
        return "the file is shorter than its restore point";
    }
    if (newest_commit(descriptor, size) < txn_id) {
        return "the file is older than its restore point";
    }
    return NULL;
}

static int write_synced(int descriptor, const void *bytes, size_t size, off_t at) {
    ssize_t n = pwrite(descriptor, bytes, size, at);
    if (n < 0 || fsync(descriptor) != 0) {
        return -errno;
    }
    return (size_t)n == size ? 0 : -EIO;
}

// One slot after the other, each synced: a power cut in between leaves one that is whole. Their
// heads only: a mark stays.
static int write_slots(int descriptor, const uint8_t *page, size_t size) {
    uint8_t head[HEAD_BYTES];
    int r = 0;
    memcpy(head, page, sizeof(head));
    for (uint64_t slot = 0; r == 0 && slot < N_SLOTS; slot++) {
        memcpy(head, &slot, sizeof(slot)); // its page number
        r = write_synced(descriptor, head, sizeof(head), (off_t)(slot * size));
    }
    return r;
}

// ---- the mark

static int open_data(const char *dir, int flags) {
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s/data.mdb", dir) >= sizeof(path)) {
        return -ENAMETOOLONG;
    }
    int descriptor = open(path, flags | O_CLOEXEC);
    return descriptor < 0 ? -errno : descriptor;
}

int store_set_mark(const char *dir, const uint8_t mark[static STORE_MARK_BYTES]) {
    int descriptor = open_data(dir, O_RDWR);
    if (descriptor < 0) {
        return descriptor;
    }
    int r = write_synced(descriptor, mark, STORE_MARK_BYTES, AT_MARK);
    close(descriptor);
    return r;
}

int store_get_mark(const char *dir, uint8_t ret[static STORE_MARK_BYTES]) {
    static const uint8_t none[STORE_MARK_BYTES];
    int descriptor = open_data(dir, O_RDONLY);
    if (descriptor < 0) {
        return descriptor;
    }
    ssize_t n = pread(descriptor, ret, STORE_MARK_BYTES, AT_MARK);
    int r = n < 0 ? -errno : n == STORE_MARK_BYTES && memcmp(ret, none, sizeof(none)) != 0 ? 0 : 1;
    close(descriptor);
    return r;
}

// ---- copies

#define COPY_MAGIC UINT64_C(0x3250524256425400) // "\0TBVBRP2"

struct copy_mark {
    uint64_t magic;
    uint64_t checksum; // of both heads
};
_Static_assert(sizeof(struct copy_mark) == STORE_MARK_BYTES, "a mark like any other");

// Both heads, and how long a file with them is. 0, -EBADMSG where they are not LMDB's.
static int read_heads(int descriptor, uint8_t heads[static N_SLOTS * HEAD_BYTES],
                      uint64_t *ret_bytes) {
    size_t size = 0;
    uint64_t last = 0;
    for (size_t slot = 0; slot < N_SLOTS; slot++) {
        uint8_t *head = heads + slot * HEAD_BYTES;
        ssize_t n = pread(descriptor, head, HEAD_BYTES, (off_t)(slot * size));
        if (n < 0) {
            return -errno;
        }
        if (n != HEAD_BYTES || !is_meta(head, HEAD_BYTES)) {
            return -EBADMSG;
        }
        size = slot == 0 ? get_u32(head, AT_PAGE_BYTES) : size;
        last = get_u64(head, AT_LAST_PAGE) > last ? get_u64(head, AT_LAST_PAGE) : last;
    }
    if (size < AT_MARK + STORE_MARK_BYTES || size > STORE_PAGE_BYTES_MAX) {
        return -EBADMSG;
    }
    *ret_bytes = (last + 1) * size;
    return 0;
}

int store_seal_copy(int descriptor) {
    uint8_t heads[N_SLOTS * HEAD_BYTES];
    uint64_t bytes = 0;
    int r = read_heads(descriptor, heads, &bytes);
    if (r < 0) {
        return r;
    }
    struct copy_mark mark = {.magic = COPY_MAGIC, .checksum = XXH3_64bits(heads, sizeof(heads))};
    ssize_t n = pwrite(descriptor, &mark, sizeof(mark), AT_MARK);
    return n < 0 ? -errno : n == sizeof(mark) ? 0 : -EIO;
}

bool store_is_copy(int descriptor) {
    uint8_t heads[N_SLOTS * HEAD_BYTES];
    uint64_t bytes = 0;
    struct copy_mark mark;
    struct stat status;
    return pread(descriptor, &mark, sizeof(mark), AT_MARK) == sizeof(mark) &&
           mark.magic == COPY_MAGIC && read_heads(descriptor, heads, &bytes) == 0 &&
           mark.checksum == XXH3_64bits(heads, sizeof(heads)) && fstat(descriptor, &status) == 0 &&
           (uint64_t)status.st_size == bytes;
}

int store_write_meta(const char *dir, const uint8_t *page, size_t size, uint64_t txn_id,
                     const char **ret_why) {
    char data[PATH_MAX], lock[PATH_MAX];
    if ((size_t)snprintf(data, sizeof(data), "%s/data.mdb", dir) >= sizeof(data) ||
        (size_t)snprintf(lock, sizeof(lock), "%s/lock.mdb", dir) >= sizeof(lock)) {
        return -ENAMETOOLONG;
    }
    int descriptor = open(data, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) {
        *ret_why = "the file is missing";
        return errno == ENOENT ? 1 : -errno;
    }
    const char *why = unfit(descriptor, page, size, txn_id);
    int r = why == NULL ? write_slots(descriptor, page, size) : 1;
    close(descriptor);
    if (r == 1) {
        *ret_why = why;
    }
    // The table of readers speaks of commits that may no longer exist.
    if (r == 0 && unlink(lock) != 0 && errno != ENOENT) {
        r = -errno;
    }
    return r;
}
