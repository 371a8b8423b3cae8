// SPDX-License-Identifier: Apache-2.0
// The fold of logged events, one bounded transaction a step. The fold's own state (interned names)
// lives from step to step and goes with a transaction that is given up.
#include "broker/stores/rebuild.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold.h"
#include "schemas/base/arena.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/logging.h"
#include "touchbus.pb-c.h"

struct rebuild {
    struct keys *keys;
    struct view *target;
    struct log_reader *log;
    struct keys_reader *secrets;
    struct arena *arena; // one event
    struct fold *fold;   // NULL before the first step and after a failed one
};

int rebuild_new(struct log *log, struct keys *keys, struct view *target, struct rebuild **ret) {
    struct rebuild *rebuild = calloc(1, sizeof(*rebuild));
    if (rebuild == NULL) {
        return -ENOMEM;
    }
    rebuild->keys = keys;
    rebuild->target = target;
    rebuild->arena = arena_new(TICK_ARENA_BYTES_MAX);
    int r = rebuild->arena != NULL ? log_reader_new(log, &rebuild->log) : -ENOMEM;
    if (r == 0) {
        r = keys_reader_new(keys, &rebuild->secrets);
    }
    if (r < 0) {
        rebuild_free(rebuild);
        return r;
    }
    *ret = rebuild;
    return 0;
}

struct rebuild *rebuild_free(struct rebuild *rebuild) {
    if (rebuild != NULL) {
        fold_free(rebuild->fold);
        log_reader_free(rebuild->log);
        keys_reader_free(rebuild->secrets);
        arena_free(rebuild->arena);
        free(rebuild);
    }
    return NULL;
}

static int say_damaged(uint64_t first, uint64_t last, const char *what) {
    logging_error("log=damaged first=%" PRIu64 " last=%" PRIu64
                  " what=\"%s\" hint=\"restore from a backup\"",
                  first, last, what);
    return -EBADMSG;
}

// The open half and the unsealed half one behind the other: protobuf merges them.
static int join_halves(struct rebuild *rebuild, const struct block_head *block,
                       const struct block_entry *entry, const uint8_t **ret, size_t *ret_size) {
    uint8_t *bytes = arena_alloc(rebuild->arena, entry->open_size + entry->sealed_size + 1);
    if (bytes == NULL) {
        return -ENOMEM;
    }
    memcpy(bytes, entry->open, entry->open_size);
    size_t size = entry->open_size;
    if (entry->sealed_size > 0) {
        if (entry->sealed_size < KEYS_SEAL_OVERHEAD) {
            return say_damaged(entry->sequence, entry->sequence, "the sealed half is cut");
        }
        int r = keys_unseal(rebuild->secrets, block_entry_key(entry), block->run, entry->sequence,
                            entry->sealed, entry->sealed_size, bytes + size);
        if (r == 0) {
            size += entry->sealed_size - KEYS_SEAL_OVERHEAD;
        } else if (r == 1 && entry->customer >= keys_made(rebuild->keys)) {
            return say_damaged(entry->sequence, entry->sequence, "the keys are older than the log");
        } else if (r == -EBADMSG) {
            return say_damaged(entry->sequence, entry->sequence, "its key does not open it");
        } else if (r < 0) {
            return r;
        }
    }
    *ret = bytes;
    *ret_size = size;
    return 0;
}

static int fold_entry(struct rebuild *rebuild, struct view_txn *txn, const struct block_head *block,
                      const struct block_entry *entry) {
    const uint8_t *bytes = NULL;
    size_t size = 0;
    arena_reset(rebuild->arena);
    int r = join_halves(rebuild, block, entry, &bytes, &size);
    if (r < 0) {
        return r;
    }
    Touchbus__Event *event = touchbus__event__unpack(arena_allocator(rebuild->arena), size, bytes);
    if (event == NULL || event->sequence != entry->sequence) {
        return say_damaged(entry->sequence, entry->sequence, "the event cannot be read");
    }
    return fold_apply(rebuild->fold, txn, event);
}

// Folds events applied + 1 to last out of one block, n_max at most; *applied moves.
static int fold_block(struct rebuild *rebuild, struct view_txn *txn, const struct block_head *block,
                      uint64_t last, unsigned *n_left, uint64_t *applied) {
    uint64_t index = *applied + 1 - block->first;
    for (; index < block->n_events && *applied<last && * n_left> 0; index++) {
        struct block_entry entry;
        int r = block_entry_get(block, (uint32_t)index, &entry);
        if (r < 0) {
            return say_damaged(block->first + index, block->first + index, "its entry");
        }
        r = fold_entry(rebuild, txn, block, &entry);
        if (r < 0) {
            return r;
        }
        *applied = entry.sequence;
        *n_left = fold_record_bytes(rebuild->fold) < FOLD_RECORD_BYTES_MAX ? *n_left - 1 : 0;
    }
    return 0;
}

static int fold_some(struct rebuild *rebuild, struct view_txn *txn, uint64_t last,
                     uint64_t *applied) {
    unsigned n_left = REBUILD_EVENTS_MAX;
    fold_count_anew(rebuild->fold);
    while (*applied < last && n_left > 0) {
        struct block_head block;
        int r = log_reader_block(rebuild->log, *applied + 1, &block);
        if (r == -EBADMSG) {
            return say_damaged(block.first, block.first + block.n_events - 1, "a block's checksum");
        }
        if (r < 0) {
            return r;
        }
        if (r == 1 || block.first > *applied + 1) {
            return -ENODATA;
        }
        r = fold_block(rebuild, txn, &block, last, &n_left, applied);
        if (r < 0) {
            return r;
        }
    }
    int r = fold_flush(rebuild->fold, txn);
    return r == 0 ? view_set_applied(txn, *applied) : r;
}

static int fold_slice(struct rebuild *rebuild, struct view_txn *txn, uint64_t last,
                      uint64_t *applied) {
    int r = log_reader_begin(rebuild->log);
    if (r < 0) {
        return r;
    }
    r = keys_reader_begin(rebuild->secrets);
    if (r == 0) {
        r = fold_some(rebuild, txn, last, applied);
        keys_reader_end(rebuild->secrets);
    }
    log_reader_end(rebuild->log);
    return r;
}

int rebuild_step(struct rebuild *rebuild, uint64_t last, uint64_t *ret_applied) {
    struct view_txn *txn = NULL;
    int r = view_begin(rebuild->target, true, &txn);
    if (r < 0) {
        return r;
    }
    view_use_keys(txn, rebuild->secrets);
    uint64_t applied = view_applied(txn);
    bool has_work = applied < last;
    if (has_work && rebuild->fold == NULL) {
        r = fold_new(txn, &rebuild->fold);
    }
    if (r == 0 && has_work) {
        r = fold_slice(rebuild, txn, last, &applied);
    }
    if (r < 0 || !has_work) {
        view_abort(txn);
    } else {
        r = view_commit(txn);
    }
    if (r < 0) {
        rebuild->fold = fold_free(rebuild->fold);
        return r;
    }
    *ret_applied = applied;
    return applied < last ? 1 : 0;
}
