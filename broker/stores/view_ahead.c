// SPDX-License-Identifier: Apache-2.0
// A transaction of the view ahead of its writing. Three layers lie on each other: its own changes,
// those of the transaction before it, and a snapshot of the store. The snapshot may hold the
// changes before or not; they say the same, so it makes no difference.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/stores/view_internal.h"
#include "schemas/base/guards.h"

struct pending *view_changes_new(void) {
    return pending_new(VIEW_N_TABLES, VIEW_CHANGES_BYTES_MAX);
}

int view_begin_ahead(struct view *view, struct pending *changes, const struct pending *before,
                     struct view_txn **ret) {
    int r = view_begin(view, false, ret);
    if (r == 0) {
        (*ret)->changes = changes;
        (*ret)->before = before;
    }
    return r;
}

int view_write_changes(struct view_txn *txn, const struct pending *changes) {
    return pending_apply(changes, txn->txn);
}

// ---- one row

int view_ahead_get(const struct view_txn *txn, enum view_table table, const void *key,
                   size_t key_size, const void **ret, size_t *ret_size) {
    const struct pending_row *row = pending_get(txn->changes, table, key, key_size);
    if (GUARD(changes_before) && row == NULL && txn->before != NULL) {
        row = pending_get(txn->before, table, key, key_size);
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

enum { OWN, BEFORE, STORE, N_LAYERS };

struct layer {
    const struct pending *pending; // NULL: the store's, by cursor
    struct store_cursor *cursor;
    unsigned table;
    struct pending_row at;
    const struct pending_row *row; // the pending one that `at` is
    bool is_there;
};

static int settle_cursor(struct layer *layer, int r) {
    layer->is_there = r == 0;
    return r < 0 ? r : 0;
}

static int layer_begin(struct layer *layer, const struct store_range *range, bool reverse) {
    if (layer->pending != NULL) {
        layer->row = reverse
                         ? pending_below(layer->pending, layer->table, range->begin, range->size)
                         : pending_from(layer->pending, layer->table, range->begin, range->size);
        layer->is_there = layer->row != NULL;
        return 0;
    }
    struct pending_row *at = &layer->at;
    int r = reverse
                ? store_cursor_below(layer->cursor, range->begin, range->size, &at->key,
                                     &at->key_size, &at->value, &at->size)
                : store_cursor_move(layer->cursor,
                                    range->size > 0 ? STORE_AT_OR_AFTER : STORE_FIRST, range->begin,
                                    range->size, &at->key, &at->key_size, &at->value, &at->size);
    return settle_cursor(layer, r);
}

static int layer_go_on(struct layer *layer, bool reverse) {
    if (layer->pending != NULL) {
        const struct pending_row *row = layer->row;
        layer->row = reverse ? pending_below(layer->pending, layer->table, row->key, row->key_size)
                             : pending_next(row);
        layer->is_there = layer->row != NULL;
        return 0;
    }
    struct pending_row *at = &layer->at;
    return settle_cursor(layer, store_cursor_move(layer->cursor,
                                                  reverse ? STORE_PREVIOUS : STORE_NEXT, NULL, 0,
                                                  &at->key, &at->key_size, &at->value, &at->size));
}

static const struct pending_row *row_of(const struct layer *layer) {
    return layer->pending != NULL ? layer->row : &layer->at;
}

static int compare_keys(const struct pending_row *a, const struct pending_row *b) {
    size_t size = a->key_size < b->key_size ? a->key_size : b->key_size;
    int order = memcmp(a->key, b->key, size);
    return order != 0 ? order : (a->key_size > b->key_size) - (a->key_size < b->key_size);
}

// The layer whose row comes next, the uppermost where several have it; N_LAYERS: none has one.
static unsigned next_layer(const struct layer layers[static N_LAYERS], bool reverse) {
    unsigned best = N_LAYERS;
    for (unsigned i = 0; i < N_LAYERS; i++) {
        if (!layers[i].is_there) {
            continue;
        }
        int order = best == N_LAYERS ? -1 : compare_keys(row_of(&layers[i]), row_of(&layers[best]));
        bool is_next = best == N_LAYERS || (reverse ? order > 0 : order < 0);
        best = is_next ? i : best;
    }
    return best;
}

// Every layer that stands on the key goes on.
static int pass(struct layer layers[static N_LAYERS], const struct pending_row *row, bool reverse) {
    uint8_t key[STORE_KEY_BYTES_MAX];
    struct pending_row passed = {.key = key, .key_size = row->key_size};
    memcpy(key, row->key, row->key_size); // the cursor's own is gone when it moves
    int r = 0;
    for (unsigned i = 0; r == 0 && i < N_LAYERS; i++) {
        if (layers[i].is_there && compare_keys(row_of(&layers[i]), &passed) == 0) {
            r = layer_go_on(&layers[i], reverse);
        }
    }
    return r;
}

static int merge(struct layer layers[static N_LAYERS], const void *prefix, size_t prefix_size,
                 bool reverse, store_row row, void *user) {
    unsigned next;
    int r = 0;
    while (r == 0 && (next = next_layer(layers, reverse)) < N_LAYERS) {
        const struct pending_row *at = row_of(&layers[next]);
        if (!store_has_prefix(at->key, at->key_size, prefix, prefix_size)) {
            return 0;
        }
        r = at->value != NULL ? row(user, at->key, at->key_size, at->value, at->size) : 0;
        r = r != 0 ? r : pass(layers, at, reverse);
    }
    return r;
}

int view_ahead_scan(const struct view_txn *txn, enum view_table table, const void *prefix,
                    size_t prefix_size, const void *from, size_t from_size, bool reverse,
                    store_row row, void *user) {
    if (prefix_size > STORE_KEY_BYTES_MAX || from_size > STORE_KEY_BYTES_MAX) {
        return 0;
    }
    struct layer layers[N_LAYERS] = {[OWN] = {.pending = txn->changes, .table = table},
                                     [BEFORE] = {.pending = txn->before, .table = table},
                                     [STORE] = {.table = table}};
    struct store_range range = store_range_of(prefix, prefix_size, from, from_size, reverse);
    int r = store_cursor_new(txn->txn, table, &layers[STORE].cursor);
    for (unsigned i = 0; r == 0 && i < N_LAYERS; i++) {
        bool is_a_layer = i == STORE || layers[i].pending != NULL;
        r = is_a_layer ? layer_begin(&layers[i], &range, reverse) : 0;
    }
    r = r != 0 ? r : merge(layers, prefix, prefix_size, reverse, row, user);
    store_cursor_free(layers[STORE].cursor);
    return r;
}
