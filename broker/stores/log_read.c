// SPDX-License-Identifier: Apache-2.0
// Reading the log: from a sequence, from a time, by key. Every block is checked against its
// checksum each time it is read (XXH3 costs a tenth of the copy), so that no flipped bit is ever
// delivered or folded.
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "broker/stores/log_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

// First sequence and head of the block the cursor has found. A damaged one is found out when it is
// read; here it would only hide where the log ends.
static int position(struct store_cursor *cursor, enum store_move move, uint64_t *ret_first,
                    uint64_t *ret_next) {
    const void *key = NULL, *value = NULL;
    size_t key_size = 0, size = 0;
    int r = store_cursor_move(cursor, move, NULL, 0, &key, &key_size, &value, &size);
    if (r != 0) {
        return r;
    }
    struct block_head head;
    if (key_size != sizeof(uint64_t) || block_open(value, size, false, &head) != 0 ||
        head.first != store_from_be64(key)) {
        logging_error("log=damaged block=last first=%" PRIu64,
                      key_size == sizeof(uint64_t) ? store_from_be64(key) : 0);
        return -EBADMSG;
    }
    *ret_first = head.first;
    *ret_next = head.first + head.n_events;
    return 0;
}

int log_read_ends(struct store_txn *txn, uint64_t *ret_first, uint64_t *ret_next) {
    struct store_cursor *cursor = NULL;
    int r = store_cursor_new(txn, LOG_BLOCKS, &cursor);
    if (r < 0) {
        return r;
    }
    uint64_t first = 1, next = 1, ignored = 0;
    const void *key = NULL;
    size_t key_size = 0;
    r = store_cursor_move(cursor, STORE_FIRST, NULL, 0, &key, &key_size, NULL, NULL);
    if (r == 0) {
        first = key_size == sizeof(uint64_t) ? store_from_be64(key) : 0;
        r = first == 0 ? -EBADMSG : position(cursor, STORE_LAST, &ignored, &next);
    }
    store_cursor_free(cursor);
    if (r < 0) {
        return r;
    }
    *ret_first = first;
    *ret_next = next;
    return 0;
}

int log_reader_new(struct log *log, struct log_reader **ret) {
    struct log_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return -ENOMEM;
    }
    reader->log = log;
    *ret = reader;
    return 0;
}

struct log_reader *log_reader_free(struct log_reader *reader) {
    if (reader != NULL) {
        store_abort(reader->txn);
        free(reader);
    }
    return NULL;
}

int log_reader_begin(struct log_reader *reader) {
    assert(reader->txn == NULL);
    return store_begin(reader->log->store, false, &reader->txn);
}

void log_reader_end(struct log_reader *reader) {
    store_abort(STEAL(reader->txn));
}

// The block that holds sequence, else the first behind it, as it lies in the table.
static int find_block(struct store_cursor *cursor, uint64_t sequence, uint64_t *ret_first,
                      const void **ret, size_t *ret_size) {
    uint8_t target[8];
    const void *key = NULL;
    size_t key_size = 0;
    store_be64(target, sequence < UINT64_MAX ? sequence + 1 : sequence);
    int r = store_cursor_move(cursor, STORE_AT_OR_AFTER, target, sizeof(target), &key, &key_size,
                              ret, ret_size);
    bool is_behind = r == 0; // a block that starts behind sequence
    uint64_t behind = is_behind ? store_from_be64(key) : 0;
    if (r < 0) {
        return r;
    }
    const void *value = NULL;
    size_t size = 0;
    r = store_cursor_move(cursor, is_behind ? STORE_PREVIOUS : STORE_LAST, NULL, 0, &key, &key_size,
                          &value, &size);
    if (r == 0) {
        // It holds everything up to the next one, or up to its own end where it is the last.
        struct block_head head;
        uint64_t first = store_from_be64(key);
        if (is_behind || block_open(value, size, false, &head) != 0 ||
            sequence < first + head.n_events) {
            *ret_first = first;
            *ret = value;
            *ret_size = size;
            return 0;
        }
        return 1;
    }
    *ret_first = behind;
    return r == 1 && is_behind ? 0 : r;
}

static int end_of(struct store_txn *txn, uint64_t first, uint64_t *ret) {
    struct store_cursor *cursor = NULL;
    uint8_t target[8];
    const void *key = NULL;
    size_t key_size = 0;
    int r = store_cursor_new(txn, LOG_BLOCKS, &cursor);
    if (r < 0) {
        return r;
    }
    store_be64(target, first + 1);
    r = store_cursor_move(cursor, STORE_AT_OR_AFTER, target, sizeof(target), &key, &key_size, NULL,
                          NULL);
    if (r == 0) {
        *ret = store_from_be64(key);
    }
    store_cursor_free(cursor);
    return r;
}

static bool is_among(uint64_t first, const uint64_t *firsts, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (firsts[i] == first) {
            return true;
        }
    }
    return false;
}

int log_reader_block(struct log_reader *reader, uint64_t sequence, struct block_head *ret) {
    return log_reader_block_again(reader, sequence, NULL, 0, ret);
}

int log_reader_block_again(struct log_reader *reader, uint64_t sequence, const uint64_t *checked,
                           size_t n_checked, struct block_head *ret) {
    struct store_cursor *cursor = NULL;
    int r = store_cursor_new(reader->txn, LOG_BLOCKS, &cursor);
    if (r < 0) {
        return r;
    }
    const void *data = NULL;
    size_t size = 0;
    uint64_t first = 0;
    r = find_block(cursor, sequence, &first, &data, &size);
    store_cursor_free(cursor);
    if (r != 0) {
        return r;
    }
    struct block_head head = {.first = 0};
    bool check = !is_among(first, checked, n_checked);
    r = block_open(data, size, GUARD(log_checksum) && check, &head);
    if (r == 0 && head.first == first) {
        *ret = head;
        return 0;
    }
    // The table's keys say which sequences are gone; the last block's end only the log knows.
    uint64_t end = 0;
    r = end_of(reader->txn, first, &end);
    if (r < 0) {
        return r;
    }
    end = r == 0 ? end : log_next(reader->log);
    *ret =
        (struct block_head){.first = first, .n_events = end > first ? (uint32_t)(end - first) : 1};
    return -EBADMSG;
}

uint64_t log_reader_first(struct log_reader *reader) {
    uint64_t first = 1, next = 1;
    return log_read_ends(reader->txn, &first, &next) == 0 ? first : log_first(reader->log);
}

uint64_t log_reader_next(struct log_reader *reader) {
    uint64_t first = 1, next = 1;
    return log_read_ends(reader->txn, &first, &next) == 0 ? next : log_next(reader->log);
}

static int find_in_block(const struct block_head *block, int64_t time_us, uint64_t *ret) {
    uint32_t low = 0, high = block->n_events;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct block_entry entry;
        int r = block_entry_get(block, middle, &entry);
        if (r < 0) {
            return r;
        }
        if (entry.received_us < time_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret = block->first + low;
    return 0;
}

int log_reader_find_time(struct log_reader *reader, int64_t time_us, uint64_t *ret) {
    uint64_t low = log_reader_first(reader), high = log_reader_next(reader);
    while (low < high) {
        struct block_head block;
        int r = log_reader_block(reader, low + (high - low) / 2, &block);
        if (r != 0) {
            return r > 0 ? -EBADMSG : r; // between two of its own ends a log has no hole
        }
        if (block.received_last_us < time_us) {
            low = block.first + block.n_events;
        } else if (block.received_first_us >= time_us) {
            high = block.first;
        } else {
            return find_in_block(&block, time_us, ret);
        }
    }
    *ret = low;
    return 0;
}

int log_reader_get(struct log_reader *reader, enum log_table table, const void *key,
                   size_t key_size, const void **ret, size_t *ret_size) {
    assert(table < LOG_N_TABLES);
    return store_get(reader->txn, table, key, key_size, ret, ret_size);
}

int log_reader_scan(struct log_reader *reader, enum log_table table, const void *prefix,
                    size_t prefix_size, const void *from, size_t from_size,
                    int (*row)(void *user, const void *key, size_t key_size, const void *value,
                               size_t size),
                    void *user) {
    assert(table < LOG_N_TABLES);
    return store_scan(reader->txn, table, prefix, prefix_size, from, from_size, false, row, user);
}
