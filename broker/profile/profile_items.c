// SPDX-License-Identifier: Apache-2.0
// A customer's things that have an id. Leaves keep a thing under the same lookup, so that one is
// found in all of them without opening any other; members are joined one by one. What changed last
// is picked by what stands open in front of each row.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/fold/register.h"
#include "broker/profile/profile_internal.h"
#include "schemas/base/guards.h"

enum { ROWS_SCANNED_MAX = 20000, ROW_PREFIX_BYTES = sizeof(uint64_t) + 1 };

// ---- which rows

// Those of one leaf that changed last.
struct pick {
    struct profile_row *rows; // max of them
    size_t n, max, oldest, n_scanned, n_scanned_max;
};

static void find_oldest(struct pick *pick) {
    pick->oldest = 0;
    for (size_t i = 1; i < pick->n; i++) {
        if (pick->rows[i].order < pick->rows[pick->oldest].order) {
            pick->oldest = i;
        }
    }
}

static int pick_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct pick *pick = user;
    struct profile_row row;
    if (key_size != ITEM_KEY_BYTES || size < sizeof(row.order)) {
        return -EBADMSG;
    }
    memcpy(&row.order, value, sizeof(row.order));
    row.order = be64toh(row.order);
    memcpy(row.lookup, (const uint8_t *)key + ROW_PREFIX_BYTES, LOOKUP_BYTES);
    bool is_full = pick->n == pick->max;
    if (!is_full || row.order > pick->rows[pick->oldest].order) {
        pick->rows[is_full ? pick->oldest : pick->n++] = row;
        if (pick->n == pick->max) {
            find_oldest(pick);
        }
    }
    return ++pick->n_scanned >= pick->n_scanned_max;
}

static void row_prefix(uint64_t customer, enum item_kind kind,
                       uint8_t ret[static ROW_PREFIX_BYTES]) {
    customer = htobe64(customer);
    memcpy(ret, &customer, sizeof(customer));
    ret[sizeof(customer)] = (uint8_t)kind;
}

void profile_row_key(uint64_t customer, enum item_kind kind,
                     const uint8_t lookup[static LOOKUP_BYTES],
                     uint8_t ret[static ITEM_KEY_BYTES]) {
    row_prefix(customer, kind, ret);
    memcpy(ret + ROW_PREFIX_BYTES, lookup, LOOKUP_BYTES);
}

static int compare_lookups(const void *a, const void *b) {
    const struct profile_row *left = a, *right = b;
    int order = memcmp(left->lookup, right->lookup, LOOKUP_BYTES);
    return order != 0                   ? order
           : left->order < right->order ? 1
           : left->order > right->order ? -1
                                        : 0;
}

static int compare_orders(const void *a, const void *b) {
    const struct profile_row *left = a, *right = b;
    return left->order < right->order   ? 1
           : left->order > right->order ? -1
                                        : memcmp(left->lookup, right->lookup, LOOKUP_BYTES);
}

size_t profile_sort_rows(struct profile_row *rows, size_t n) {
    size_t n_kept = 0;
    qsort(rows, n, sizeof(*rows), compare_lookups);
    for (size_t i = 0; i < n; i++) {
        if (n_kept == 0 || memcmp(rows[n_kept - 1].lookup, rows[i].lookup, LOOKUP_BYTES) != 0) {
            rows[n_kept++] = rows[i];
        }
    }
    qsort(rows, n_kept, sizeof(*rows), compare_orders);
    return n_kept;
}

// Those of one leaf that changed last, at most max of them.
static int leaf_rows(const struct profile *profile, size_t leaf, enum item_kind kind, size_t max,
                     struct profile_row *ret, size_t *ret_n) {
    uint8_t prefix[ROW_PREFIX_BYTES];
    struct pick pick = {
        .rows = ret, .max = max, .n_scanned_max = ROWS_SCANNED_MAX / profile->n_leaves};
    if (profile_index_has_changes(kind)) {
        return profile_index_changes(profile, leaf, kind, max, ret, ret_n);
    }
    row_prefix(profile->leaves[leaf].number, kind, prefix);
    int r = view_scan(profile->txn, VIEW_ITEMS, prefix, sizeof(prefix), false, pick_row, &pick);
    *ret_n = pick.n;
    return r < 0 ? r : 0;
}

// The max that changed last in each leaf.
static int collect_rows(const struct profile *profile, enum item_kind kind, size_t max,
                        struct profile_row **ret, size_t *ret_n) {
    struct profile_row *rows =
        arena_alloc(profile->arena, profile->n_leaves * max * sizeof(*rows) + 1);
    size_t n = 0;
    if (rows == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < profile->n_leaves; i++) {
        size_t n_leaf = 0;
        int r = leaf_rows(profile, i, kind, max, rows + n, &n_leaf);
        if (r != 0) {
            return r;
        }
        n += n_leaf;
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}

// What changed last over all leaves is among what changed last in one of them.
static int pick_rows(const struct profile *profile, enum item_kind kind, size_t max,
                     struct profile_row **ret, size_t *ret_n) {
    int r = collect_rows(profile, kind, max, ret, ret_n);
    if (r == 0) {
        *ret_n = profile_sort_rows(*ret, *ret_n);
        *ret_n = *ret_n < max ? *ret_n : max;
    }
    return r;
}

// ---- one item

static View__Attribute *find_member(const View__Item *item, const char *name) {
    for (size_t i = 0; i < item->n_members; i++) {
        if (strcmp(item->members[i]->name, name) == 0) {
            return item->members[i];
        }
    }
    return NULL;
}

// *ret NULL where the leaf has none, or its key is destroyed.
static int open_row(const struct profile *profile, uint64_t leaf, enum item_kind kind,
                    const uint8_t lookup[static LOOKUP_BYTES], View__Item **ret) {
    uint8_t key[ITEM_KEY_BYTES];
    const void *value;
    size_t size, plain_size = 0;
    profile_row_key(leaf, kind, lookup, key);
    *ret = NULL;
    int r = view_get(profile->txn, VIEW_ITEMS, key, sizeof(key), &value, &size);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    if (size < sizeof(uint64_t)) {
        return -EBADMSG;
    }
    size -= sizeof(uint64_t);
    uint8_t *plain = arena_alloc(profile->arena, size + 1);
    if (plain == NULL) {
        return -ENOMEM;
    }
    r = view_unseal(profile->txn, VIEW_ITEMS, key, sizeof(key),
                    (const uint8_t *)value + sizeof(uint64_t), size, plain, &plain_size);
    if (r != 0 || plain_size == 0) {
        return r;
    }
    *ret = item_unpack(arena_allocator(profile->arena), plain_size, plain);
    return *ret != NULL ? 0 : -EBADMSG;
}

static int join_item(const struct profile *profile, View__Item *item, const View__Item *other) {
    View__Attribute **members =
        arena_calloc(profile->arena, item->n_members + other->n_members + 1, sizeof(*members));
    if (members == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < item->n_members; i++) {
        View__Attribute *against = find_member(other, item->members[i]->name);
        members[i] =
            against != NULL && GUARD(join_members) && register_beats(against, item->members[i])
                ? against
                : item->members[i];
    }
    size_t n = item->n_members;
    for (size_t i = 0; i < other->n_members; i++) {
        if (find_member(item, other->members[i]->name) == NULL) {
            members[n++] = other->members[i];
        }
    }
    item->members = members;
    item->n_members = n;
    if (other->first_sequence < item->first_sequence) {
        item->first_sequence = other->first_sequence;
    }
    if (other->changed_sequence > item->changed_sequence) {
        item->changed_sequence = other->changed_sequence;
    }
    item->first_us = other->first_us < item->first_us ? other->first_us : item->first_us;
    item->changed_us = other->changed_us > item->changed_us ? other->changed_us : item->changed_us;
    return 0;
}

int profile_item_at(const struct profile *profile, enum item_kind kind,
                    const uint8_t lookup[static LOOKUP_BYTES], View__Item **ret) {
    View__Item *joined = NULL;
    int r = 0;
    for (size_t i = 0; r == 0 && i < profile->n_leaves; i++) {
        View__Item *item;
        r = open_row(profile, profile->leaves[i].number, kind, lookup, &item);
        if (r == 0 && item != NULL && joined != NULL) {
            r = join_item(profile, joined, item);
        } else if (r == 0 && item != NULL) {
            joined = item;
        }
    }
    *ret = joined;
    return r;
}

int profile_items(const struct profile *profile, enum item_kind kind, size_t max, View__Item ***ret,
                  size_t *ret_n) {
    struct profile_row *rows;
    size_t n_rows, n = 0;
    int r = pick_rows(profile, kind, max, &rows, &n_rows);
    View__Item **items = r == 0 ? arena_calloc(profile->arena, n_rows + 1, sizeof(*items)) : NULL;
    if (items == NULL) {
        return r != 0 ? r : -ENOMEM;
    }
    for (size_t i = 0; r == 0 && i < n_rows; i++) {
        r = profile_item_at(profile, kind, rows[i].lookup, &items[n]);
        n += r == 0 && items[n] != NULL;
    }
    *ret = items;
    *ret_n = n;
    return r;
}

int profile_item(const struct profile *profile, enum item_kind kind, const char *id,
                 View__Item **ret) {
    uint8_t key[ITEM_KEY_BYTES];
    *ret = NULL;
    return item_key(view_lookup_secret(profile->txn), profile->customer, kind, id, key)
               ? profile_item_at(profile, kind, key + ROW_PREFIX_BYTES, ret)
               : 0;
}

// ---- pages, for who reads all of them

struct page_rows {
    struct profile_page *page;
    uint8_t lookups[PROFILE_PAGE_ITEMS][LOOKUP_BYTES];
    size_t n, max;
};

static int page_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    (void)value;
    (void)size;
    struct page_rows *rows = user;
    if (key_size != ITEM_KEY_BYTES) {
        return -EBADMSG;
    }
    if (memcmp(key, rows->page->last, ITEM_KEY_BYTES) == 0) {
        return 0;
    }
    if (rows->n == rows->max) {
        return 1;
    }
    memcpy(rows->page->last, key, ITEM_KEY_BYTES);
    memcpy(rows->lookups[rows->n++], (const uint8_t *)key + ROW_PREFIX_BYTES, LOOKUP_BYTES);
    return 0;
}

// Whether the item stood in a page of a leaf before this one.
static bool was_given(const struct profile *profile, size_t leaf, enum item_kind kind,
                      const uint8_t lookup[static LOOKUP_BYTES]) {
    uint8_t key[ITEM_KEY_BYTES];
    const void *value;
    size_t size;
    memcpy(key + ROW_PREFIX_BYTES, lookup, LOOKUP_BYTES);
    for (size_t i = 0; i < leaf; i++) {
        row_prefix(profile->leaves[i].number, kind, key);
        if (view_get(profile->txn, VIEW_ITEMS, key, sizeof(key), &value, &size) == 0) {
            return true;
        }
    }
    return false;
}

int profile_items_page(const struct profile *profile, enum item_kind kind,
                       struct profile_page *page, size_t max, View__Item ***ret, size_t *ret_n) {
    struct page_rows rows = {.page = page,
                             .max = max < PROFILE_PAGE_ITEMS ? max : PROFILE_PAGE_ITEMS};
    uint8_t prefix[ROW_PREFIX_BYTES];
    size_t leaf = page->leaf;
    *ret_n = 0;
    if (leaf >= profile->n_leaves) {
        return 0;
    }
    row_prefix(profile->leaves[leaf].number, kind, prefix);
    if (memcmp(page->last, prefix, sizeof(prefix)) != 0) { // a leaf's first page
        memset(page->last, 0, sizeof(page->last));
        memcpy(page->last, prefix, sizeof(prefix));
    }
    int r = view_scan_from(profile->txn, VIEW_ITEMS, prefix, sizeof(prefix), page->last,
                           sizeof(page->last), false, page_row, &rows);
    *ret = arena_calloc(profile->arena, rows.n + 1, sizeof(**ret));
    if (r < 0 || *ret == NULL) {
        return r < 0 ? r : -ENOMEM;
    }
    page->leaf += r == 0;
    r = 0;
    for (size_t i = 0; r == 0 && i < rows.n; i++) {
        if (!GUARD(page_once) || !was_given(profile, leaf, kind, rows.lookups[i])) {
            r = profile_item_at(profile, kind, rows.lookups[i], &(*ret)[*ret_n]);
            *ret_n += r == 0 && (*ret)[*ret_n] != NULL;
        }
    }
    return r != 0 ? r : page->leaf < profile->n_leaves;
}

// ---- members

const View__Attribute *profile_member(const View__Item *item, const char *name) {
    return find_member(item, name);
}

const char *profile_member_text(const struct profile *profile, const View__Item *item,
                                const char *name) {
    return profile_value_text(profile, find_member(item, name));
}

struct profile profile_leaf_alone(const struct profile *profile, size_t index) {
    struct profile alone = *profile;
    alone.customer = profile->leaves[index].number;
    alone.leaves[0] = profile->leaves[index];
    alone.n_leaves = 1;
    return alone;
}

int profile_privacy(const struct profile *profile, const char *kind, uint64_t *ret_sequence) {
    const struct profile first = profile_leaf_alone(profile, 0);
    View__Item *item;
    *ret_sequence = 0;
    int r = profile_item(GUARD(privacy_of_any_leaf) ? profile : &first, ITEM_PRIVACY, kind, &item);
    const char *state = r == 0 && item != NULL ? profile_member_text(profile, item, "state") : NULL;
    if (state != NULL && !item_is_lifted(state)) {
        *ret_sequence = profile_member(item, "state")->sequence;
    }
    return r;
}
