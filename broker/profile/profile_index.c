// SPDX-License-Identifier: Apache-2.0
// Items by VIEW_INDEX, so that finding a customer's open ones costs what is open, not what ever
// was. A leaf's rows say what that leaf knows: with several leaves they are candidates, and the
// joined item decides. Where more rows stand there than are looked at, the caller is told so.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/profile/profile_internal.h"
#include "schemas/base/guards.h"

enum { ORDER_KEY_BYTES = ITEM_INDEX_PART_BYTES + sizeof(uint64_t) };

// Which rows of a part: those from an order on, those of this very order, or the last ones.
enum direction { FROM_ORDER, OF_ORDER, FROM_THE_END };

struct candidates {
    struct profile_row *rows;
    size_t n, n_max; // n_max: what the scan at hand may bring n to
    bool is_cut;
};

static int add_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    (void)value, (void)size;
    struct candidates *candidates = user;
    if (key_size != ITEM_INDEX_KEY_BYTES) {
        return -EBADMSG;
    }
    if (candidates->n == candidates->n_max) {
        candidates->is_cut = true;
        return 1;
    }
    struct profile_row *row = &candidates->rows[candidates->n++];
    row->order = item_index_order(key);
    memcpy(row->lookup, (const uint8_t *)key + ITEM_INDEX_KEY_BYTES - LOOKUP_BYTES, LOOKUP_BYTES);
    return 0;
}

struct scan {
    enum item_kind kind;
    enum item_index_part part;
    enum direction direction;
    uint64_t order;
    size_t max; // rows of one leaf
};

// Adds at most scan->max rows of the leaf.
static int scan_leaf(const struct profile *profile, size_t leaf, const struct scan *scan,
                     struct candidates *candidates) {
    uint8_t key[ORDER_KEY_BYTES];
    uint64_t order = htobe64(scan->order);
    size_t prefix_size = scan->direction == OF_ORDER ? ORDER_KEY_BYTES : ITEM_INDEX_PART_BYTES;
    struct profile_row *rows =
        arena_alloc(profile->arena, (candidates->n + scan->max) * sizeof(*rows) + 1);
    if (rows == NULL) {
        return -ENOMEM;
    }
    if (candidates->n > 0) {
        memcpy(rows, candidates->rows, candidates->n * sizeof(*rows));
    }
    candidates->rows = rows;
    candidates->n_max = candidates->n + scan->max;
    item_index_part_key(profile->leaves[leaf].number, scan->kind, scan->part, key);
    memcpy(key + ITEM_INDEX_PART_BYTES, &order, sizeof(order));
    int r = scan->direction == FROM_THE_END
                ? view_scan(profile->txn, VIEW_INDEX, key, prefix_size, true, add_row, candidates)
                : view_scan_from(profile->txn, VIEW_INDEX, key, prefix_size, key, sizeof(key),
                                 false, add_row, candidates);
    return r < 0 ? r : 0;
}

// ---- what changed last, for profile_items

bool profile_index_has_changes(enum item_kind kind) {
    return GUARD(index_changes) && kind == ITEM_CASE;
}

int profile_index_changes(const struct profile *profile, size_t leaf, enum item_kind kind,
                          size_t max, struct profile_row *ret, size_t *ret_n) {
    struct scan scan = {.kind = kind, .part = INDEX_OPEN, .direction = FROM_THE_END, .max = max};
    struct candidates rows = {.n = 0};
    int r = scan_leaf(profile, leaf, &scan, &rows);
    scan.part = INDEX_CLOSED;
    r = r != 0 ? r : scan_leaf(profile, leaf, &scan, &rows);
    if (r != 0) {
        return r;
    }
    size_t n = profile_sort_rows(rows.rows, rows.n);
    *ret_n = n < max ? n : max;
    if (*ret_n > 0) {
        memcpy(ret, rows.rows, *ret_n * sizeof(*ret));
    }
    return 0;
}

// ---- what is open

// Whether a leaf other than this one has the item.
static bool is_in_another(const struct profile *profile, size_t leaf, enum item_kind kind,
                          const struct profile_row *row) {
    uint8_t key[ITEM_KEY_BYTES];
    const void *value;
    size_t size;
    for (size_t i = 0; i < profile->n_leaves; i++) {
        profile_row_key(profile->leaves[i].number, kind, row->lookup, key);
        if (i != leaf && view_get(profile->txn, VIEW_ITEMS, key, sizeof(key), &value, &size) == 0) {
            return true;
        }
    }
    return false;
}

// A quote whose time one leaf knows and whose closing is undone by another's later word stands here
// as closed and there as expired.
static int add_closed(const struct profile *profile, size_t leaf, const struct scan *open,
                      struct candidates *candidates) {
    struct scan scan = *open;
    size_t n = candidates->n;
    scan.part = INDEX_CLOSED;
    int r = scan_leaf(profile, leaf, &scan, candidates);
    for (size_t i = n; r == 0 && i < candidates->n; i++) {
        if (is_in_another(profile, leaf, scan.kind, &candidates->rows[i])) {
            candidates->rows[n++] = candidates->rows[i];
        }
    }
    candidates->n = n;
    return r;
}

static int collect_open(const struct profile *profile, const struct scan *scan,
                        struct candidates *ret) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < profile->n_leaves; i++) {
        r = scan_leaf(profile, i, scan, ret);
        if (GUARD(index_joins) && r == 0 && profile->n_leaves > 1 &&
            scan->direction == FROM_ORDER) {
            r = add_closed(profile, i, scan, ret);
        }
    }
    ret->n = ret->n > 1 ? profile_sort_rows(ret->rows, ret->n) : ret->n;
    return r;
}

static int compare_changed(const void *a, const void *b) {
    const View__Item *const *left = a, *const *right = b;
    return (*left)->changed_sequence < (*right)->changed_sequence   ? 1
           : (*left)->changed_sequence > (*right)->changed_sequence ? -1
                                                                    : 0;
}

// Whether the joined item is.
static bool is_open(const struct profile *profile, const struct scan *scan,
                    const View__Item *item) {
    struct item_place place = item_index_place(view_lookup_secret(profile->txn), item);
    return place.part == INDEX_OPEN &&
           (scan->direction != FROM_ORDER || place.order >= scan->order);
}

static int open_items(const struct profile *profile, const struct scan *scan,
                      struct candidates *candidates, size_t max, View__Item **ret, size_t *ret_n) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < candidates->n; i++) {
        View__Item *item;
        r = profile_item_at(profile, scan->kind, candidates->rows[i].lookup, &item);
        if (r != 0 || item == NULL || !is_open(profile, scan, item)) {
            continue;
        }
        if (*ret_n == max) {
            candidates->is_cut = true;
            break;
        }
        ret[(*ret_n)++] = item;
    }
    return r;
}

int profile_open(const struct profile *profile, enum item_kind kind, int64_t now_us, size_t max,
                 View__Item ***ret, size_t *ret_n) {
    struct candidates candidates = {.n = 0};
    struct scan scan = {.kind = kind,
                        .part = INDEX_OPEN,
                        .direction = FROM_THE_END,
                        .max = profile->n_leaves > 1 ? INDEX_ROWS_MAX : max};
    if (kind == ITEM_QUOTE) {
        scan.direction = FROM_ORDER;
        scan.order = item_index_until(now_us) + 1;
    }
    int r = collect_open(profile, &scan, &candidates);
    *ret_n = 0;
    *ret = arena_calloc(profile->arena, max + 1, sizeof(**ret));
    if (r != 0 || *ret == NULL) {
        return r != 0 ? r : -ENOMEM;
    }
    r = open_items(profile, &scan, &candidates, max, *ret, ret_n);
    qsort(*ret, *ret_n, sizeof(**ret), compare_changed);
    return r != 0 ? r : candidates.is_cut && GUARD(index_cut);
}

// ---- consents

int profile_consents(const struct profile *profile, size_t leaf, const char *channel,
                     const char *purpose, size_t max, View__Item ***ret, size_t *ret_n) {
    const struct profile alone = profile_leaf_alone(profile, leaf);
    const struct scan scan = {
        .kind = ITEM_CONSENT,
        .part = INDEX_CONSENTS,
        .direction = OF_ORDER,
        .order = item_index_consent(view_lookup_secret(profile->txn), channel, purpose),
        .max = max};
    struct candidates candidates = {.n = 0};
    int r = scan_leaf(&alone, 0, &scan, &candidates);
    *ret_n = 0;
    *ret = arena_calloc(profile->arena, candidates.n + 1, sizeof(**ret));
    if (r != 0 || *ret == NULL) {
        return r != 0 ? r : -ENOMEM;
    }
    for (size_t i = 0; r == 0 && i < candidates.n; i++) {
        r = profile_item_at(&alone, ITEM_CONSENT, candidates.rows[i].lookup, &(*ret)[*ret_n]);
        *ret_n += r == 0 && (*ret)[*ret_n] != NULL;
    }
    return r != 0 ? r : candidates.is_cut && GUARD(index_cut);
}
