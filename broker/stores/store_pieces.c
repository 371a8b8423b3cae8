// SPDX-License-Identifier: Apache-2.0
// LMDB's writes in pieces. A crash can leave any part of a large write as it is, in pages of the
// file; so nothing that LMDB relies on is one but its meta page, which is smaller than a piece.
#include "broker/stores/store_pieces.h"

#include <unistd.h>

#include "schemas/base/guards.h"
#include "schemas/base/scheduling.h"

static bool in_pieces(void) {
    return GUARD(write_pieces) && scheduling_yields_wanted();
}

enum { AT_POSITION = -1 }; // where the file stands: write(2)

static ssize_t write_all(int fd, const char *bytes, size_t size, off_t at) {
    size_t done = 0;
    do {
        size_t left = size - done;
        size_t piece = left > STORE_PIECE_BYTES && in_pieces() ? STORE_PIECE_BYTES : left;
        scheduling_yield_point();
        ssize_t r = at == AT_POSITION ? write(fd, bytes + done, piece)
                                      : pwrite(fd, bytes + done, piece, at + (off_t)done);
        if (r <= 0) {
            return done > 0 ? (ssize_t)done : r;
        }
        done += (size_t)r;
    } while (done < size);
    return (ssize_t)done;
}

ssize_t store_lmdb_pwrite(int fd, const void *bytes, size_t size, off_t at) {
    return write_all(fd, bytes, size, at);
}

// How many of the parts one piece takes, at least one.
static int parts_of_piece(const struct iovec *parts, int n, size_t *ret_size) {
    int taken = 1;
    size_t size = parts[0].iov_len;
    while (taken < n && size + parts[taken].iov_len <= STORE_PIECE_BYTES) {
        size += parts[taken++].iov_len;
    }
    *ret_size = size;
    return taken;
}

ssize_t store_lmdb_writev(int fd, const struct iovec *parts, int n) {
    if (!in_pieces()) {
        return writev(fd, parts, n);
    }
    ssize_t done = 0;
    for (int i = 0; i < n;) {
        size_t size;
        int taken = parts_of_piece(&parts[i], n - i, &size);
        scheduling_yield_point();
        ssize_t r = taken == 1 ? write_all(fd, parts[i].iov_base, size, AT_POSITION)
                               : writev(fd, &parts[i], taken);
        if (r < 0) {
            return done > 0 ? done : r;
        }
        done += r;
        if ((size_t)r < size) {
            return done;
        }
        i += taken;
    }
    return done;
}
