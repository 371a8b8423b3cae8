// SPDX-License-Identifier: Apache-2.0
// A copy of what one read transaction sees, however long ago it began: LMDB's own copy always takes
// the newest commit, and a backup of several stores wants them all as of one moment. Row by row
// into a new file, in pieces that are synced one by one: a copy never leaves the disk with a
// gigabyte to write while the tick waits for its own sync.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "broker/stores/store.h"

enum {
    PIECE_BYTES = 4 << 20,
    ROW_BYTES_ABOUT = 32,
    WASH_PAGES = 2 * PIECE_BYTES / 4096, // more than a piece dirties
};
#define MAP_BYTES_MORE (UINT64_C(64) << 20)

struct copy {
    struct store *to;
    struct store_txn *txn; // NULL between two pieces
    uint64_t bytes, piece_bytes;
    store_piece piece;
    void *user;
};

static int end_piece(struct copy *copy) {
    struct store_txn *txn = copy->txn;
    copy->txn = NULL;
    copy->bytes += copy->piece_bytes;
    copy->piece_bytes = 0;
    int r = store_commit(txn);
    r = r == 0 ? store_sync(copy->to) : r;
    // They may be secrets: none shall lie in the unused rest of the next piece's pages.
    r = r == 0 ? store_wash(copy->to, 0, WASH_PAGES) : r;
    return r == 0 && copy->piece != NULL ? copy->piece(copy->user, copy->bytes) : r;
}

static int copy_row(struct copy *copy, unsigned table, const void *key, size_t key_size,
                    const void *value, size_t size) {
    int r = copy->txn == NULL ? store_begin(copy->to, true, &copy->txn) : 0;
    r = r == 0 ? store_append(copy->txn, table, key, key_size, value, size) : r;
    if (r != 0) {
        return r > 0 ? -EBADMSG : r; // rows out of order
    }
    copy->piece_bytes += key_size + size + ROW_BYTES_ABOUT;
    return copy->piece_bytes >= PIECE_BYTES ? end_piece(copy) : 0;
}

static int copy_table(struct copy *copy, struct store_txn *from, unsigned table) {
    struct store_cursor *cursor = NULL;
    int r = store_cursor_new(from, table, &cursor);
    if (r < 0) {
        return r;
    }
    const void *key = NULL, *value = NULL;
    size_t key_size = 0, size = 0;
    r = store_cursor_move(cursor, STORE_FIRST, NULL, 0, &key, &key_size, &value, &size);
    while (r == 0) {
        r = copy_row(copy, table, key, key_size, value, size);
        r = r == 0 ? store_cursor_move(cursor, STORE_NEXT, NULL, 0, &key, &key_size, &value, &size)
                   : r;
    }
    store_cursor_free(cursor);
    return r == 1 ? 0 : r;
}

static int copy_tables(struct copy *copy, struct store_txn *from, unsigned n_tables) {
    int r = 0;
    for (unsigned table = 0; r == 0 && table < n_tables; table++) {
        r = copy_table(copy, from, table);
    }
    if (copy->txn != NULL && r == 0) {
        r = end_piece(copy);
    }
    if (copy->txn != NULL) {
        store_abort(copy->txn);
    }
    return r;
}

int store_copy_pinned(struct store *store, struct store_txn *from, const char *dir,
                      store_piece piece, void *user) {
    char lock[PATH_MAX];
    if ((size_t)snprintf(lock, sizeof(lock), "%s/lock.mdb", dir) >= sizeof(lock)) {
        return -ENAMETOOLONG;
    }
    uint64_t used = 0, map = 0;
    store_file_bytes(store, &used, &map);
    struct store_options options = {.map_bytes = (size_t)(2 * used + MAP_BYTES_MORE),
                                    .no_sync = true};
    options.tables = store_tables(store, &options.n_tables);
    struct copy copy = {.piece = piece, .user = user};
    int r = store_open(dir, &options, &copy.to);
    if (r < 0) {
        return r;
    }
    r = copy_tables(&copy, from, options.n_tables);
    r = r == 0 ? store_sync(copy.to) : r;
    store_close(copy.to);
    if (r == 0 && unlink(lock) != 0) {
        r = -errno;
    }
    return r;
}
