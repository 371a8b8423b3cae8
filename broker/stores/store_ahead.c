// SPDX-License-Identifier: Apache-2.0
// A store's file grows ahead of LMDB, a page a write. File systems with large folios (ext4 since
// Linux 6.16) keep what one write made in one piece of the page cache, and each later write of a
// page walks over all of its piece; LMDB writes 64 pages at once where a file grows, and single
// ones for ever after. Measured: 1.5 us a page where pages were made one by one, 2.4 where by 64,
// 4.6 where by 256. It never touches what LMDB may have written, and a failure is LMDB's to meet.
#include <stdint.h>
#include <unistd.h>

#include "broker/stores/store_internal.h"

enum {
    AHEAD_BYTES_MAX = 8 << 20, // more than nearly every tick's commit adds
    AHEAD_SHARE = 4,           // of the file, so that a small one stays small
    AT_ONCE_PAGES = 16,        // and twice what was added: it catches up, and holds up no commit
};

void store_grow_ahead(int descriptor, size_t page_bytes, uint64_t used, uint64_t map_bytes,
                      struct store_ahead *ahead) {
    static const uint8_t zeros[STORE_PAGE_BYTES_MAX];
    uint64_t room = used / AHEAD_SHARE < AHEAD_BYTES_MAX ? used / AHEAD_SHARE : AHEAD_BYTES_MAX;
    uint64_t end = used + room < map_bytes ? used + room : map_bytes;
    uint64_t added = used > ahead->used ? used - ahead->used : 0;
    ahead->used = used;
    ahead->end = ahead->end < used ? used : ahead->end;
    if (page_bytes > sizeof(zeros) || ahead->end >= used + room / 2) {
        return;
    }
    uint64_t at_once = ahead->end + 2 * added + AT_ONCE_PAGES * page_bytes;
    end = at_once < end ? at_once : end;
    for (; ahead->end + page_bytes <= end; ahead->end += page_bytes) {
        if (pwrite(descriptor, zeros, page_bytes, (off_t)ahead->end) != (ssize_t)page_bytes) {
            return;
        }
    }
}
