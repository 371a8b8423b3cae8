// SPDX-License-Identifier: Apache-2.0
// An LD_PRELOAD library that writes down, in order, what a process does to the files below one
// folder: writes, syncs, and the folder's own changes. A generator (disk.c) makes from it what a
// power cut could have left at any moment. It never really syncs: what the kernel does is not the
// question, only what it was asked.
//   CRASH_ROOT   the folder
//   CRASH_TRACE  the file written; TRACE.at holds its size, mapped by whoever wants to note when
//                something was seen: all that caused it lies before that offset
//   CRASH_SYNC_US=N     a sync takes that long, as a disk's would
//   CRASH_KILL_OP=N     SIGKILL in place of the N-th operation
//   CRASH_KILL_DSYNC=N  the N-th write to the log through a synchronous descriptor reaches the page
//                       cache only, then SIGKILL: what a kill within such a write leaves
//   CRASH_KILL_RENAME=N SIGKILL right behind the N-th renaming, before anybody can sync the folder
//   CRASH_FAIL_WRITE=N  from the N-th write on there is no space (ENOSPC)
//   CRASH_FAIL_SYNC=N   from the N-th sync or synchronous write on the disk fails (EIO)
// A record: operation u8, path length u16, second path's or data's length u32, offset u64, path,
// data. One lock makes the order of the records the order of the operations; a kill from outside
// could come between an operation and its record, so kills are made in here.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { RECORD_BYTES_MAX = 16 << 20, HEAD_BYTES = 15 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static int trace = -1;
static uint64_t written; // bytes of the trace
static _Atomic uint64_t *seen;
static long kill_op, kill_dsync, kill_rename, fail_write, fail_sync, sync_us;

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_rename)(const char *, const char *);
static int (*real_unlink)(const char *);
static int (*real_unlinkat)(int, const char *, int);
static int (*real_mkdir)(const char *, mode_t);
static int (*real_rmdir)(const char *);
static int (*real_open)(const char *, int, ...);

static long number(const char *name) {
    const char *text = getenv(name);
    return text != NULL ? strtol(text, NULL, 10) : 0;
}

// dlsym gives an object pointer; C has no cast from it to a function's.
#define FIND(name)                                                                                 \
    do {                                                                                           \
        void *found_ = dlsym(RTLD_NEXT, #name);                                                    \
        memcpy(&real_##name, &found_, sizeof(found_));                                             \
    } while (0)

// A killed life may have left half a record at the trace's end: the operation itself was done, so
// that cannot be mended. It does not happen, since kills are ours.
static uint64_t count_trace(void) {
    struct stat status;
    if (fstat(trace, &status) != 0) {
        abort();
    }
    return (uint64_t)status.st_size;
}

static void share_offset(const char *file) {
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s.at", file);
    int descriptor = real_open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0 || real_ftruncate(descriptor, sizeof(*seen)) != 0) {
        abort();
    }
    void *memory = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (memory == MAP_FAILED) {
        abort();
    }
    seen = memory;
    written = count_trace();
    atomic_store(seen, written);
}

__attribute__((constructor)) static void start(void) {
    FIND(pwrite);
    FIND(write);
    FIND(writev);
    FIND(fsync);
    FIND(fdatasync);
    FIND(ftruncate);
    FIND(rename);
    FIND(unlink);
    FIND(unlinkat);
    FIND(mkdir);
    FIND(rmdir);
    FIND(open);
    const char *folder = getenv("CRASH_ROOT"), *file = getenv("CRASH_TRACE");
    if (folder != NULL && file != NULL) {
        snprintf(root, sizeof(root), "%s", folder);
        kill_op = number("CRASH_KILL_OP");
        kill_dsync = number("CRASH_KILL_DSYNC");
        kill_rename = number("CRASH_KILL_RENAME");
        fail_write = number("CRASH_FAIL_WRITE");
        fail_sync = number("CRASH_FAIL_SYNC");
        sync_us = number("CRASH_SYNC_US");
        trace = real_open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (trace < 0) {
            abort();
        }
        share_offset(file);
    }
}

// The path below root, or NULL for what is not recorded.
static const char *below(const char *path) {
    size_t length = strlen(root);
    if (trace < 0 || strncmp(path, root, length) != 0 ||
        (path[length] != '/' && path[length] != '\0')) {
        return NULL;
    }
    return path[length] == '/' ? path + length + 1 : "";
}

static const char *below_descriptor(int descriptor, char path[static PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
    ssize_t n = trace < 0 ? -1 : readlink(link, path, PATH_MAX - 1);
    if (n < 0) {
        return NULL;
    }
    path[n] = '\0';
    return below(path);
}

static void record(char operation, const char *path, uint64_t offset, const void *data,
                   size_t size) {
    static uint8_t bytes[RECORD_BYTES_MAX];
    uint16_t path_size = (uint16_t)strlen(path);
    uint32_t data_size = (uint32_t)size;
    if (HEAD_BYTES + path_size + size > sizeof(bytes)) {
        abort();
    }
    bytes[0] = (uint8_t)operation;
    memcpy(bytes + 1, &path_size, sizeof(path_size));
    memcpy(bytes + 3, &data_size, sizeof(data_size));
    memcpy(bytes + 7, &offset, sizeof(offset));
    for (size_t i = 0; i < path_size; i++) {
        bytes[HEAD_BYTES + i] = (uint8_t)path[i];
    }
    if (size > 0) {
        memcpy(bytes + HEAD_BYTES + path_size, data, size);
    }
    size_t all = HEAD_BYTES + path_size + size;
    if (real_write(trace, bytes, all) != (ssize_t)all) {
        abort();
    }
    written += all;
    atomic_store(seen, written);
}

// Outside the lock: other threads go on meanwhile.
static void wait_for_disk(void) {
    if (sync_us > 0) {
        nanosleep(&(struct timespec){.tv_nsec = sync_us * 1000}, NULL);
    }
}

static void enter(void) {
    pthread_mutex_lock(&lock);
    if (kill_op > 0 && --kill_op == 0) {
        kill(getpid(), SIGKILL);
    }
}

// Counts down to 1 and stays there: what has begun to fail goes on failing.
static bool fails(long *count, int error) {
    if (*count == 0 || (*count > 1 && --*count > 1)) {
        return false;
    }
    errno = error;
    return true;
}

static void leave(void) {
    int kept = errno;
    pthread_mutex_unlock(&lock);
    errno = kept;
}

static bool is_synchronous(int descriptor) {
    return (fcntl(descriptor, F_GETFL) & O_DSYNC) != 0;
}

static void kill_in_write(int descriptor, const char *path, const void *data, size_t size,
                          off_t offset) {
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
    int plain = real_open(link, O_WRONLY | O_CLOEXEC);
    if (plain < 0 || real_pwrite(plain, data, size, offset) != (ssize_t)size) {
        abort();
    }
    record('w', path, (uint64_t)offset, data, size);
    kill(getpid(), SIGKILL);
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset) {
    char buffer[PATH_MAX];
    const char *path = below_descriptor(descriptor, buffer);
    if (path == NULL) {
        return real_pwrite(descriptor, data, size, offset);
    }
    bool synchronous = is_synchronous(descriptor);
    if (synchronous) {
        wait_for_disk();
    }
    enter();
    bool counts = synchronous && strncmp(path, "log/", 4) == 0;
    if (counts && kill_dsync > 0 && --kill_dsync == 0) {
        kill_in_write(descriptor, path, data, size, offset);
    }
    bool failed = synchronous ? fails(&fail_sync, EIO) : fails(&fail_write, ENOSPC);
    ssize_t n = failed ? -1 : real_pwrite(descriptor, data, size, offset);
    if (n > 0) {
        record(synchronous ? 'W' : 'w', path, (uint64_t)offset, data, (size_t)n);
    }
    leave();
    return n;
}

ssize_t write(int descriptor, const void *data, size_t size) {
    char buffer[PATH_MAX];
    const char *path = below_descriptor(descriptor, buffer);
    if (path == NULL) {
        return real_write(descriptor, data, size);
    }
    enter();
    off_t offset = lseek(descriptor, 0, SEEK_CUR);
    ssize_t n = fails(&fail_write, ENOSPC) ? -1 : real_write(descriptor, data, size);
    if (n > 0) {
        record('w', path, (uint64_t)offset, data, (size_t)n);
    }
    leave();
    return n;
}

ssize_t writev(int descriptor, const struct iovec *parts, int n_parts) {
    char buffer[PATH_MAX];
    const char *path = below_descriptor(descriptor, buffer);
    if (path == NULL) {
        return real_writev(descriptor, parts, n_parts);
    }
    enter();
    off_t offset = lseek(descriptor, 0, SEEK_CUR);
    ssize_t n = fails(&fail_write, ENOSPC) ? -1 : real_writev(descriptor, parts, n_parts);
    ssize_t left = n;
    for (int i = 0; i < n_parts && left > 0; i++) {
        size_t size = (ssize_t)parts[i].iov_len < left ? parts[i].iov_len : (size_t)left;
        record('w', path, (uint64_t)offset, parts[i].iov_base, size);
        offset += (off_t)size;
        left -= (ssize_t)size;
    }
    leave();
    return n;
}

static int sync_with(int (*real)(int), int descriptor) {
    char buffer[PATH_MAX];
    const char *path = below_descriptor(descriptor, buffer);
    if (path == NULL) {
        return real(descriptor);
    }
    wait_for_disk();
    enter();
    struct stat status;
    int r = fails(&fail_sync, EIO) ? -1 : fstat(descriptor, &status);
    if (r == 0) {
        record(S_ISDIR(status.st_mode) ? 'D' : 's', path, 0, NULL, 0);
    }
    leave();
    return r;
}

int fsync(int descriptor) {
    return sync_with(real_fsync, descriptor);
}

int fdatasync(int descriptor) {
    return sync_with(real_fdatasync, descriptor);
}

int ftruncate(int descriptor, off_t size) {
    char buffer[PATH_MAX];
    const char *path = below_descriptor(descriptor, buffer);
    if (path == NULL) {
        return real_ftruncate(descriptor, size);
    }
    enter();
    int r = real_ftruncate(descriptor, size);
    if (r == 0) {
        record('t', path, (uint64_t)size, NULL, 0);
    }
    leave();
    return r;
}

int rename(const char *from, const char *to) {
    const char *source = below(from), *target = below(to);
    if (source == NULL || target == NULL) {
        return real_rename(from, to);
    }
    enter();
    int r = real_rename(from, to);
    if (r == 0) {
        record('r', source, 0, target, strlen(target));
        if (kill_rename > 0 && --kill_rename == 0) {
            kill(getpid(), SIGKILL);
        }
    }
    leave();
    return r;
}

static int remove_with(int (*real)(const char *), const char *path) {
    const char *name = below(path);
    if (name == NULL) {
        return real(path);
    }
    enter();
    int r = real(path);
    if (r == 0) {
        record('u', name, 0, NULL, 0);
    }
    leave();
    return r;
}

int unlink(const char *path) {
    return remove_with(real_unlink, path);
}

int rmdir(const char *path) {
    return remove_with(real_rmdir, path);
}

int unlinkat(int folder, const char *name, int flags) {
    char buffer[PATH_MAX], path[2 * PATH_MAX];
    const char *below_root = below_descriptor(folder, buffer);
    if (below_root == NULL) {
        return real_unlinkat(folder, name, flags);
    }
    snprintf(path, sizeof(path), "%s%s%s", below_root, *below_root != '\0' ? "/" : "", name);
    enter();
    int r = real_unlinkat(folder, name, flags);
    if (r == 0) {
        record('u', path, 0, NULL, 0);
    }
    leave();
    return r;
}

int mkdir(const char *path, mode_t mode) {
    const char *name = below(path);
    if (name == NULL) {
        return real_mkdir(path, mode);
    }
    enter();
    int r = real_mkdir(path, mode);
    if (r == 0) {
        record('m', name, 0, NULL, 0);
    }
    leave();
    return r;
}

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    const char *name = below(path);
    if (name == NULL || (flags & (O_CREAT | O_TRUNC)) == 0) {
        return real_open(path, flags, mode);
    }
    enter();
    struct stat status;
    bool is_new = stat(path, &status) != 0;
    int descriptor = real_open(path, flags, mode);
    if (descriptor >= 0 && is_new) {
        record('c', name, 0, NULL, 0);
    } else if (descriptor >= 0 && (flags & O_TRUNC) != 0) {
        record('t', name, 0, NULL, 0);
    }
    leave();
    return descriptor;
}
