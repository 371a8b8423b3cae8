// SPDX-License-Identifier: Apache-2.0
// Scans of a table by prefix, either way, over the store's cursors.
#include <stdint.h>
#include <string.h>

#include "broker/stores/store.h"

bool store_has_prefix(const void *key, size_t key_size, const void *prefix, size_t prefix_size) {
    return prefix_size == 0 || (key_size >= prefix_size && memcmp(key, prefix, prefix_size) == 0);
}

size_t store_behind(const void *prefix, size_t prefix_size,
                    uint8_t ret[static STORE_KEY_BYTES_MAX]) {
    if (prefix_size > 0) { // without one there may be no pointer
        memcpy(ret, prefix, prefix_size);
    }
    while (prefix_size > 0 && ret[prefix_size - 1] == UINT8_MAX) {
        prefix_size--;
    }
    if (prefix_size > 0) {
        ret[prefix_size - 1]++;
    }
    return prefix_size;
}

int store_cursor_below(struct store_cursor *cursor, const void *key, size_t key_size,
                       const void **ret_key, size_t *ret_key_size, const void **ret_value,
                       size_t *ret_size) {
    int r = key_size == 0 ? 1
                          : store_cursor_move(cursor, STORE_AT_OR_AFTER, key, key_size, NULL, NULL,
                                              NULL, NULL);
    return r < 0 ? r
                 : store_cursor_move(cursor, r == 0 ? STORE_PREVIOUS : STORE_LAST, NULL, 0, ret_key,
                                     ret_key_size, ret_value, ret_size);
}

struct store_range store_range_of(const void *prefix, size_t prefix_size, const void *from,
                                  size_t from_size, bool reverse) {
    struct store_range range = {.size = 0};
    if (from != NULL && from_size > 0) {
        memcpy(range.begin, from, from_size);
        range.size = from_size;
    } else if (reverse) {
        range.size = store_behind(prefix, prefix_size, range.begin);
    } else if (prefix_size > 0) {
        memcpy(range.begin, prefix, prefix_size);
        range.size = prefix_size;
    }
    return range;
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
    struct store_range range = store_range_of(prefix, prefix_size, from, from_size, reverse);
    r = reverse
            ? store_cursor_below(cursor, range.begin, range.size, &key, &key_size, &value, &size)
            : store_cursor_move(cursor, range.size > 0 ? STORE_AT_OR_AFTER : STORE_FIRST,
                                range.begin, range.size, &key, &key_size, &value, &size);
    while (r == 0 && store_has_prefix(key, key_size, prefix, prefix_size)) {
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
