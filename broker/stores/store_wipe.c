// SPDX-License-Identifier: Apache-2.0
// Secrets must not outlive their deletion in what LMDB leaves behind. Two places: pages that a
// commit freed keep their bytes until they are used again, and the memory of written pages is used
// again as it is, so that its old content ends in the unused rest of another page. It never touches
// a page that some commit that can still be read may need.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/stores/store_internal.h"
#include "schemas/base/guards.h"

enum { PAGE_HEAD_BYTES = 16, PAGE_BYTES_MAX = STORE_PAGE_BYTES_MAX };

static const uint8_t zeros[PAGE_BYTES_MAX];

struct wipe {
    int descriptor;
    size_t page_bytes;
    unsigned n_left;
};

// 0; 1: n_left is used up; negative errno.
static int wipe_page(struct wipe *wipe, size_t page) {
    uint8_t bytes[PAGE_BYTES_MAX];
    off_t at = (off_t)(page * wipe->page_bytes);
    ssize_t n = pread(wipe->descriptor, bytes, wipe->page_bytes, at);
    if (n < 0) {
        return -errno;
    }
    if (n == 0 || memcmp(bytes, zeros, (size_t)n) == 0) {
        return 0; // behind the end: never written; or done before
    }
    if (wipe->n_left == 0) {
        return 1;
    }
    wipe->n_left--;
    ssize_t written = pwrite(wipe->descriptor, zeros, (size_t)n, at);
    return written == n ? 0 : written < 0 ? -errno : -EIO;
}

// The pages of one commit: their number, then each.
static int wipe_list(struct wipe *wipe, const void *list, size_t size) {
    size_t n_pages = 0, page = 0;
    if (size < sizeof(n_pages)) {
        return -EBADMSG;
    }
    memcpy(&n_pages, list, sizeof(n_pages));
    if (n_pages > size / sizeof(page) - 1) {
        return -EBADMSG;
    }
    int r = 0;
    for (size_t i = 1; r == 0 && i <= n_pages; i++) {
        memcpy(&page, (const uint8_t *)list + i * sizeof(page), sizeof(page));
        r = wipe_page(wipe, page);
    }
    return r;
}

static int wipe_below(struct wipe *wipe, struct store_txn *txn, uint64_t below) {
    struct store_cursor *cursor = NULL;
    const void *key = NULL, *value = NULL;
    size_t key_size = 0, size = 0;
    int r = store_cursor_free_pages(txn, &cursor);
    if (r != 0) {
        return r;
    }
    r = store_cursor_move(cursor, STORE_FIRST, NULL, 0, &key, &key_size, &value, &size);
    while (r == 0) {
        size_t commit = 0;
        if (key_size != sizeof(commit)) {
            r = -EBADMSG;
            break;
        }
        memcpy(&commit, key, sizeof(commit));
        if (GUARD(wipe_spares_commits) && commit >= below) {
            break;
        }
        r = wipe_list(wipe, value, size);
        if (r != 0) {
            break;
        }
        r = store_cursor_move(cursor, STORE_NEXT, NULL, 0, &key, &key_size, &value, &size);
        if (r == 1) { // the list's end
            r = 0;
            break;
        }
    }
    store_cursor_free(cursor);
    return r;
}

// With the writer's place taken: no page is used again while this looks.
static int wipe_alone(struct store *store, unsigned n_max, uint64_t *ret_below) {
    struct store_txn *txn = NULL;
    int r = store_begin(store, false, &txn);
    if (r != 0) {
        return r;
    }
    // LMDB's own rule for using pages again: freed before the oldest reader's commit and before the
    // last, so that the commit before the last stays whole too.
    uint64_t below = store_txn_id(txn), oldest = 0;
    if (store_reader_lag(store, &oldest) > 0 && oldest < below) {
        below = oldest;
    }
    struct wipe wipe = {.n_left = n_max};
    wipe.descriptor = store_environment(txn, &wipe.page_bytes);
    r = wipe.page_bytes <= PAGE_BYTES_MAX ? 0 : -EBADMSG;
    if (r == 0 && GUARD(wipe_free_pages)) {
        r = wipe_below(&wipe, txn, below);
    }
    store_abort(txn);
    *ret_below = below;
    return r;
}

int store_wipe_free(struct store *store, unsigned n_max, uint64_t *ret_below) {
    struct store_txn *writer = NULL;
    int r = store_begin(store, true, &writer);
    if (r != 0) {
        return r;
    }
    r = wipe_alone(store, n_max, ret_below);
    store_abort(writer);
    int synced = r >= 0 ? store_sync(store) : 0;
    return synced < 0 ? synced : r;
}

int store_wash(struct store *store, unsigned table, unsigned n_pages) {
    struct store_txn *txn = NULL;
    char key[32];
    size_t page_bytes = 0;
    int r = store_begin(store, true, &txn);
    if (r != 0) {
        return r;
    }
    store_environment(txn, &page_bytes);
    r = page_bytes <= PAGE_BYTES_MAX ? 0 : -EBADMSG;
    // Each value fills one page of its own from its head to its end.
    for (unsigned i = 0; r == 0 && GUARD(wash_pages) && i < n_pages; i++) {
        int n = snprintf(key, sizeof(key), "wash %u", i);
        r = store_put(txn, table, key, (size_t)n, zeros, page_bytes - PAGE_HEAD_BYTES);
    }
    store_abort(txn);
    return r;
}
