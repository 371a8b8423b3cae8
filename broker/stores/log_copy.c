// SPDX-License-Identifier: Apache-2.0
// Copies of the log, and its incarnation: a copy is another log from its first opening on, since
// what it takes in afterwards has numbers that the first one gave to other events. A file `copied`
// beside the copy's data says which incarnation it has still to leave behind.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/stores/log_internal.h"

static const char copy_mark[] = "copied";

int log_get_id(struct store_txn *txn, const char *name, uint8_t *ret) {
    const void *value = NULL;
    size_t size = 0;
    int r = store_get(txn, LOG_META, name, strlen(name), &value, &size);
    if (r == 0 && size != INCARNATION_BYTES) {
        return -EBADMSG;
    }
    if (r == 0) {
        memcpy(ret, value, size);
    }
    return r;
}

void log_new_incarnation(uint8_t ret[static INCARNATION_BYTES]) {
    randombytes_buf(ret, INCARNATION_BYTES);
}

static int mark_path(const char *dir, char ret[static PATH_MAX]) {
    int n = snprintf(ret, PATH_MAX, "%s/%s", dir, copy_mark);
    return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int write_mark(const char *path, const uint8_t incarnation[static INCARNATION_BYTES]) {
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        return -errno;
    }
    ssize_t n = write(descriptor, incarnation, INCARNATION_BYTES);
    int r = n == INCARNATION_BYTES && fsync(descriptor) == 0 ? 0 : -errno;
    close(descriptor);
    return r == 0 ? store_sync_parent(path) : r;
}

// 0; 1: there is none.
static int read_mark(const char *path, uint8_t ret[static INCARNATION_BYTES]) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return errno == ENOENT ? 1 : -errno;
    }
    ssize_t n = read(descriptor, ret, INCARNATION_BYTES);
    int r = n < 0 ? -errno : 0;
    close(descriptor);
    return r == 0 && n != INCARNATION_BYTES ? -EBADMSG : r;
}

int log_get_parting(struct store_txn *txn, uint64_t *ret) {
    const void *value = NULL;
    size_t size = 0;
    int r = store_get(txn, LOG_META, LOG_KEY_PARTING, strlen(LOG_KEY_PARTING), &value, &size);
    if (r == 0 && size != sizeof(uint64_t)) {
        return -EBADMSG;
    }
    if (r == 0) {
        *ret = store_from_be64(value);
    }
    return r;
}

static int put_id(struct log_txn *txn, const char *name, const void *value, size_t size) {
    return log_put(txn, LOG_META, name, strlen(name), value, size);
}

// The incarnation that the log has, and where it ends.
static int read_now(struct log *log, uint8_t ret[static INCARNATION_BYTES], uint64_t *ret_next) {
    struct store_txn *reader = NULL;
    uint64_t first = 0;
    int r = store_begin(log->store, false, &reader);
    if (r < 0) {
        return r;
    }
    r = log_get_id(reader, LOG_KEY_INCARNATION, ret);
    r = r == 0 ? log_read_ends(reader, &first, ret_next) : r;
    store_abort(reader);
    return r > 0 ? -EBADMSG : r;
}

// Where the two part, what the log before holds from there on is not ours.
static int renew(struct log *log, const uint8_t before[static INCARNATION_BYTES], uint64_t next) {
    uint8_t incarnation[INCARNATION_BYTES], parting[8];
    struct log_txn *txn = NULL;
    log_new_incarnation(incarnation);
    store_be64(parting, next);
    int r = log_begin(log, &txn);
    r = r == 0 ? put_id(txn, LOG_KEY_BEFORE, before, INCARNATION_BYTES) : r;
    r = r == 0 ? put_id(txn, LOG_KEY_PARTING, parting, sizeof(parting)) : r;
    r = r == 0 ? put_id(txn, LOG_KEY_INCARNATION, incarnation, sizeof(incarnation)) : r;
    if (r < 0) {
        log_abort(txn);
        return r;
    }
    return log_commit(txn);
}

int log_renew_if_copied(struct log *log, const char *dir) {
    char path[PATH_MAX];
    uint8_t marked[INCARNATION_BYTES], now[INCARNATION_BYTES];
    uint64_t next = 0;
    int r = mark_path(dir, path);
    r = r == 0 ? read_mark(path, marked) : r;
    if (r != 0) {
        return r > 0 ? 0 : r;
    }
    r = read_now(log, now, &next);
    // Another one than the mark's: renewed by a start that was cut short before the mark went. The
    // base of the backup knows the mark's, so it must stay the one before.
    bool is_renewed = r == 0 && memcmp(marked, now, sizeof(now)) != 0;
    r = r == 0 && !is_renewed ? renew(log, marked, next) : r;
    if (r == 0 && unlink(path) != 0) {
        r = -errno;
    }
    return r == 0 ? store_sync_parent(path) : r;
}

int log_mark_copied(struct log *log, const char *dir) {
    char path[PATH_MAX];
    int r = mark_path(dir, path);
    return r == 0 ? write_mark(path, log->incarnation) : r;
}

int log_copy(struct log *log, const char *dir) {
    int r = store_copy(log->store, dir, true);
    return r == 0 ? log_mark_copied(log, dir) : r;
}

int log_renew(struct log *log) {
    int r = renew(log, log->incarnation, log_next(log));
    return r == 0 ? log_load(log) : r;
}
