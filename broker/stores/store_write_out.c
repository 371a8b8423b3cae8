// SPDX-License-Identifier: Apache-2.0
// What a sync will write is written out before it, a piece after the other, each waited for. One
// sync of all of it is a burst: what is written next stands in line behind it at the disk, and the
// kernel ends the writes of hundreds of pages at a stretch, on whatever processor it likes, which
// nobody else gets meanwhile. Never a sync itself.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/stores/store_internal.h"

enum {
    PIECE_BYTES_MIN = 256 << 10,
    PIECES_MAX = 16 << 10, // a look at one where nothing is dirty costs about a microsecond
};

int store_write_out(int descriptor) {
    struct stat status;
    if (fstat(descriptor, &status) != 0) {
        return -errno;
    }
    off_t piece = PIECE_BYTES_MIN;
    while (status.st_size / piece >= PIECES_MAX) {
        piece *= 2;
    }
    for (off_t at = 0; at < status.st_size; at += piece) {
        // An error of the disk is told once: here, and then not to the sync.
        if (sync_file_range(descriptor, at, piece,
                            SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                SYNC_FILE_RANGE_WAIT_AFTER) != 0) {
            return errno == ENOSYS || errno == EPERM ? 0 : -errno; // refused, not tried
        }
    }
    return 0;
}

int store_written(int descriptor) {
    if (sync_file_range(descriptor, 0, 1, SYNC_FILE_RANGE_WAIT_BEFORE) == 0) {
        return 0;
    }
    bool is_refused = errno == ENOSYS || errno == EPERM; // then a sync tells
    return is_refused && fdatasync(descriptor) == 0 ? 0 : -errno;
}
