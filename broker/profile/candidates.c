// SPDX-License-Identifier: Apache-2.0
// Whose a key may be that several customers came with: its owner and the others, who was there last
// first. It attaches to none of them until one is picked.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/profile/profile.h"

#define DAY_US (INT64_C(24) * 3600 * 1000000)

enum { RANKED_MAX = 256 }; // beyond, nobody is added

struct ranked {
    uint64_t customer, last_sequence;
};

struct ranking {
    struct view_txn *txn;
    struct arena *arena;
    struct ranked ranked[RANKED_MAX];
    size_t n;
};

static int read_record(const struct ranking *ranking, uint64_t number, View__Customer **ret) {
    uint64_t key = htobe64(number);
    const void *value;
    size_t size;
    int r = view_get(ranking->txn, VIEW_CUSTOMERS, &key, sizeof(key), &value, &size);
    if (r != 0) {
        return r;
    }
    *ret = view__customer__unpack(arena_allocator(ranking->arena), size, value);
    return *ret == NULL ? -EBADMSG : 0;
}

// The customer that the leaf is a part of, once; none where it was erased.
static int add(struct ranking *ranking, uint64_t leaf) {
    uint64_t customer = 0;
    View__Customer *record;
    int r = profile_survivor(ranking->txn, ranking->arena, leaf, &customer);
    for (size_t i = 0; r == 0 && i < ranking->n; i++) {
        r = ranking->ranked[i].customer == customer;
    }
    r = r != 0 ? r : ranking->n == RANKED_MAX;
    r = r != 0 ? r : read_record(ranking, customer, &record);
    if (r != 0 || record->erased_sequence != 0) {
        return r < 0 ? r : 0;
    }
    uint64_t last = record->last_sequence;
    for (size_t i = 0; r == 0 && i < record->n_leaves; i++) {
        View__Customer *below;
        r = read_record(ranking, record->leaves[i], &below);
        last = r == 0 && below->last_sequence > last ? below->last_sequence : last;
    }
    ranking->ranked[ranking->n++] = (struct ranked){customer, last};
    return r < 0 ? r : 0;
}

static int add_owner(struct ranking *ranking, const uint8_t *lookup) {
    const void *value;
    size_t size;
    uint64_t number;
    int r = view_get(ranking->txn, VIEW_LOOKUPS, lookup, LOOKUP_BYTES, &value, &size);
    if (r != 0 || size != sizeof(number)) {
        return r < 0 ? r : 0;
    }
    memcpy(&number, value, sizeof(number));
    return add(ranking, be64toh(number));
}

static int add_others(struct ranking *ranking, const uint8_t *lookup, int64_t since_us) {
    const void *value;
    size_t size;
    int r = view_get(ranking->txn, VIEW_CONTESTED, lookup, LOOKUP_BYTES, &value, &size);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    const View__Contested *row =
        view__contested__unpack(arena_allocator(ranking->arena), size, value);
    if (row == NULL || row->n_customer > CONTESTED_CUSTOMERS_MAX || row->n_day != row->n_customer) {
        return -EBADMSG;
    }
    for (size_t i = row->n_customer; r == 0 && i-- > 0;) {
        r = ((int64_t)row->day[i] + 1) * DAY_US > since_us ? add(ranking, row->customer[i]) : 0;
    }
    return r;
}

static int compare_ranked(const void *a, const void *b) {
    const struct ranked *left = a, *right = b;
    return left->last_sequence > right->last_sequence ? -1
                                                      : left->last_sequence < right->last_sequence;
}

int identity_candidates(struct view_txn *txn, struct arena *arena, const uint8_t *lookups, size_t n,
                        int64_t since_us, uint64_t ret[static CANDIDATES_MAX], size_t *ret_n) {
    struct ranking ranking = {.txn = txn, .arena = arena};
    *ret_n = 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = add_owner(&ranking, lookups + i * LOOKUP_BYTES);
        r = r != 0 ? r : add_others(&ranking, lookups + i * LOOKUP_BYTES, since_us);
    }
    if (r != 0) {
        return r;
    }
    qsort(ranking.ranked, ranking.n, sizeof(ranking.ranked[0]), compare_ranked);
    for (size_t i = 0; i < ranking.n && i < CANDIDATES_MAX; i++) {
        ret[(*ret_n)++] = ranking.ranked[i].customer;
    }
    return 0;
}
