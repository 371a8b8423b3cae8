// SPDX-License-Identifier: Apache-2.0
// Scans of a table by prefix, either way, over the store's cursors.
#include <stdint.h>
#include <string.h>

#include "broker/stores/store.h"

static bool has_prefix(const void *key, size_t key_size, const void *prefix, size_t prefix_size) {
    return prefix_size == 0 || (key_size >= prefix_size && memcmp(key, prefix, prefix_size) == 0);
}

// Puts the cursor on the last key below `behind`; without one on the last of all.
static int seek_below(struct store_cursor *cursor, const void *behind, size_t behind_size,
                      const void **key, size_t *key_size, const void **value, size_t *size) {
    int r = behind_size == 0 ? 1
                             : store_cursor_move(cursor, STORE_AT_OR_AFTER, behind, behind_size,
                                                 NULL, NULL, NULL, NULL);
    return r < 0 ? r
                 : store_cursor_move(cursor, r == 0 ? STORE_PREVIOUS : STORE_LAST, NULL, 0, key,
                                     key_size, value, size);
}

// Puts the cursor on the last key with the prefix: one step before the first key behind all of
// them, which is the prefix counted up by one.
static int seek_last(struct store_cursor *cursor, const void *prefix, size_t prefix_size,
                     const void **key, size_t *key_size, const void **value, size_t *size) {
    uint8_t behind[STORE_KEY_BYTES_MAX];
    if (prefix_size > 0) { // without one there may be no pointer
        memcpy(behind, prefix, prefix_size);
    }
    while (prefix_size > 0 && behind[prefix_size - 1] == UINT8_MAX) {
        prefix_size--;
    }
    if (prefix_size > 0) {
        behind[prefix_size - 1]++;
    }
    return seek_below(cursor, behind, prefix_size, key, key_size, value, size);
}

int store_scan(struct store_txn *txn, unsigned table, const void *prefix, size_t prefix_size,
               const void *from, size_t from_size, bool reverse, store_row row, void *user) {
    if (prefix_size > STORE_KEY_BYTES_MAX || from_size > STORE_KEY_BYTES_MAX) {
        return 0;
    }
    struct store_cursor *cursor = NULL;
    int r = store_cursor_new(txn, table, &cursor);
    if (r < 0) {
        return r;
    }
    const void *key = NULL, *value = NULL;
    size_t key_size = 0, size = 0;
    if (reverse && from != NULL && from_size > 0) {
        r = seek_below(cursor, from, from_size, &key, &key_size, &value, &size);
    } else if (reverse) {
        r = seek_last(cursor, prefix, prefix_size, &key, &key_size, &value, &size);
    } else {
        if (from == NULL || from_size == 0) {
            from = prefix;
            from_size = prefix_size;
        }
        r = store_cursor_move(cursor, from_size > 0 ? STORE_AT_OR_AFTER : STORE_FIRST, from,
                              from_size, &key, &key_size, &value, &size);
    }
    while (r == 0 && has_prefix(key, key_size, prefix, prefix_size)) {
        int answer = row(user, key, key_size, value, size);
        if (answer != 0) {
            store_cursor_free(cursor);
            return answer;
        }
        r = store_cursor_move(cursor, reverse ? STORE_PREVIOUS : STORE_NEXT, NULL, 0, &key,
                              &key_size, &value, &size);
    }
    store_cursor_free(cursor);
    return r < 0 ? r : 0;
}
