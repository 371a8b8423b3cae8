// SPDX-License-Identifier: Apache-2.0
// Reading a view of layers that lie on each other: a transaction's own changes, those of the one
// before it, the ticks that are shown and not yet written, the newest first, and a snapshot of the
// store. A layer below may hold what one above says or not; they say the same, so it makes no
// difference.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/stores/view_internal.h"
#include "schemas/base/guards.h"

struct pending *view_changes_new(void) {
    return pending_new(VIEW_N_TABLES, VIEW_CHANGES_BYTES_MAX);
}

int view_begin_ahead(struct view *view, struct pending *changes, struct pending *before,
                     struct view_txn **ret) {
    int r = view_begin(view, false, ret);
    if (r == 0) {
        (*ret)->changes = changes;
        (*ret)->before = before;
        (*ret)->is_layered = true;
        if (before != NULL && view->behind != NULL) {
            pending_hold(before);
        }
    }
    return r;
}

int view_write_changes(struct view_txn *txn, struct pending *changes) {
    return pending_apply(&changes, 1, txn->txn);
}

// ---- one row

static const struct pending_row *shown_row(const struct view_held *held, uint64_t hash,
                                           enum view_table table, const void *key,
                                           size_t key_size) {
    if (held->batch == NULL || !pending_may_have(held->batch->filter, hash)) {
        return NULL;
    }
    const struct pending_row *row = NULL;
    for (unsigned i = held->n; row == NULL && i-- > 0;) {
        row = pending_get_hashed(held->batch->layers[i], hash, table, key, key_size);
    }
    return row;
}

int view_ahead_get(const struct view_txn *txn, enum view_table table, const void *key,
                   size_t key_size, const void **ret, size_t *ret_size) {
    uint64_t hash = pending_hash(table, key, key_size);
    const struct pending_row *row =
        txn->changes != NULL ? pending_get_hashed(txn->changes, hash, table, key, key_size) : NULL;
    if (GUARD(changes_before) && row == NULL && txn->before != NULL) {
        row = pending_get_hashed(txn->before, hash, table, key, key_size);
    }
    for (unsigned i = 0; row == NULL && i < BEHIND_BATCHES; i++) {
        row = shown_row(&txn->held[i], hash, table, key, key_size);
    }
    if (row == NULL) {
        return store_get(txn->txn, table, key, key_size, ret, ret_size);
    }
    *ret = row->value;
    *ret_size = row->size;
    return row->value == NULL ? 1 : 0;
}

int view_ahead_put(struct view_txn *txn, enum view_table table, const void *key, size_t key_size,
                   const void *value, size_t size) {
    if (key_size == 0 || key_size > STORE_KEY_BYTES_MAX) {
        return -EINVAL; // as the store would say when it is too late
    }
    return pending_put(txn->changes, table, key, key_size, value, size);
}

int view_ahead_put_new(struct view_txn *txn, enum view_table table, const void *key,
                       size_t key_size, const void *value, size_t size, const void **ret,
                       size_t *ret_size) {
    int r = view_ahead_get(txn, table, key, key_size, ret, ret_size);
    if (r == 0) {
        return 1;
    }
    return r < 0 ? r : view_ahead_put(txn, table, key, key_size, value, size);
}

int view_ahead_delete(struct view_txn *txn, enum view_table table, const void *key,
                      size_t key_size) {
    const void *value;
    size_t size;
    int r = view_ahead_get(txn, table, key, key_size, &value, &size);
    return r != 0 ? r : pending_delete(txn->changes, table, key, key_size);
}

// ---- scans: the layers merged by key

// Changes of the transaction and of the one before it, of every tick that is held, and the store.
enum { LAYERS_MAX = 3 + BEHIND_BATCHES * BEHIND_LAYERS_MAX };

struct layer {
    const struct pending *pending; // NULL: the store's, by cursor
    const struct pending_row *row; // where it stands; NULL: at its end
};

// The uppermost first. Those that have nothing to say in the range are left out.
struct merge {
    struct layer layers[LAYERS_MAX];
    unsigned n;
    unsigned table;
    bool reverse;
    const void *prefix;
    size_t prefix_size;
    struct store_cursor *cursor;
    struct pending_row at; // where the store's cursor stands
};

static const struct pending_row *settle_cursor(struct merge *merge, int r) {
    return r == 0 ? &merge->at : NULL;
}

static bool is_within(const struct merge *merge, const struct pending_row *row) {
    return row != NULL &&
           store_has_prefix(row->key, row->key_size, merge->prefix, merge->prefix_size);
}

static void add_layer(struct merge *merge, const struct store_range *range,
                      const struct pending *pending) {
    if (pending == NULL) {
        return;
    }
    const struct pending_row *row =
        merge->reverse ? pending_below(pending, merge->table, range->begin, range->size)
                       : pending_from(pending, merge->table, range->begin, range->size);
    if (is_within(merge, row)) {
        merge->layers[merge->n++] = (struct layer){.pending = pending, .row = row};
    }
}

static void add_held(struct merge *merge, const struct store_range *range,
                     const struct view_held *held) {
    bool is_hashed = merge->prefix_size >= PENDING_PREFIX_BYTES;
    uint64_t hash = is_hashed ? pending_hash(merge->table, merge->prefix, PENDING_PREFIX_BYTES) : 0;
    bool may_have =
        held->batch != NULL && (!is_hashed || pending_may_have(held->batch->filter, hash));
    for (unsigned i = may_have ? held->n : 0; i-- > 0;) {
        const struct pending *layer = held->batch->layers[i];
        if (!is_hashed || pending_has_seen(layer, hash)) {
            add_layer(merge, range, layer);
        }
    }
}

static int add_store(struct merge *merge, const struct store_range *range) {
    struct pending_row *at = &merge->at;
    int r = merge->reverse
                ? store_cursor_below(merge->cursor, range->begin, range->size, &at->key,
                                     &at->key_size, &at->value, &at->size)
                : store_cursor_move(merge->cursor,
                                    range->size > 0 ? STORE_AT_OR_AFTER : STORE_FIRST, range->begin,
                                    range->size, &at->key, &at->key_size, &at->value, &at->size);
    if (r == 0 && is_within(merge, at)) {
        merge->layers[merge->n++] = (struct layer){.row = at};
    }
    return r < 0 ? r : 0;
}

static int go_on(struct merge *merge, struct layer *layer) {
    const struct pending_row *row = layer->row;
    int r = 0;
    if (layer->pending == NULL) {
        struct pending_row *at = &merge->at;
        r = store_cursor_move(merge->cursor, merge->reverse ? STORE_PREVIOUS : STORE_NEXT, NULL, 0,
                              &at->key, &at->key_size, &at->value, &at->size);
        layer->row = settle_cursor(merge, r);
    } else {
        layer->row = merge->reverse
                         ? pending_below(layer->pending, merge->table, row->key, row->key_size)
                         : pending_next(row);
    }
    if (!is_within(merge, layer->row)) {
        layer->row = NULL;
    }
    return r < 0 ? r : 0;
}

static int compare_keys(const struct pending_row *a, const struct pending_row *b) {
    size_t size = a->key_size < b->key_size ? a->key_size : b->key_size;
    int order = memcmp(a->key, b->key, size);
    return order != 0 ? order : (a->key_size > b->key_size) - (a->key_size < b->key_size);
}

// The uppermost of those whose row comes next; NULL: none has one.
static const struct layer *next_layer(const struct merge *merge) {
    const struct layer *best = NULL;
    for (unsigned i = 0; i < merge->n; i++) {
        const struct layer *layer = &merge->layers[i];
        int order = best == NULL ? -1 : compare_keys(layer->row, best->row);
        best = (merge->reverse && best != NULL ? order > 0 : order < 0) ? layer : best;
    }
    return best;
}

// Every layer that stands on the key goes on; those that have come to their end are left out.
static int pass(struct merge *merge, const struct pending_row *row) {
    uint8_t key[STORE_KEY_BYTES_MAX];
    struct pending_row passed = {.key = key, .key_size = row->key_size};
    memcpy(key, row->key, row->key_size); // the cursor's own is gone when it moves
    int r = 0;
    unsigned n = 0;
    for (unsigned i = 0; r == 0 && i < merge->n; i++) {
        struct layer *layer = &merge->layers[i];
        if (compare_keys(layer->row, &passed) == 0) {
            r = go_on(merge, layer);
        }
        if (layer->row != NULL) {
            merge->layers[n++] = *layer;
        }
    }
    merge->n = n;
    return r;
}

static int merge_rows(struct merge *merge, store_row row, void *user) {
    const struct layer *next;
    int r = 0;
    while (r == 0 && (next = next_layer(merge)) != NULL) {
        const struct pending_row *at = next->row;
        r = at->value != NULL ? row(user, at->key, at->key_size, at->value, at->size) : 0;
        r = r != 0 ? r : pass(merge, at);
    }
    return r;
}

int view_ahead_scan(const struct view_txn *txn, enum view_table table, const void *prefix,
                    size_t prefix_size, const void *from, size_t from_size, bool reverse,
                    store_row row, void *user) {
    if (prefix_size > STORE_KEY_BYTES_MAX || from_size > STORE_KEY_BYTES_MAX) {
        return 0;
    }
    struct merge merge = {
        .table = table, .reverse = reverse, .prefix = prefix, .prefix_size = prefix_size};
    struct store_range range = store_range_of(prefix, prefix_size, from, from_size, reverse);
    int r = store_cursor_new(txn->txn, table, &merge.cursor);
    if (r != 0) {
        return r;
    }
    add_layer(&merge, &range, txn->changes);
    add_layer(&merge, &range, txn->before);
    for (unsigned i = 0; i < BEHIND_BATCHES; i++) {
        add_held(&merge, &range, &txn->held[i]);
    }
    r = add_store(&merge, &range);
    r = r != 0 ? r : merge_rows(&merge, row, user);
    store_cursor_free(merge.cursor);
    return r;
}
