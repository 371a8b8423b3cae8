// SPDX-License-Identifier: Apache-2.0
// What a customer is worth. The fold keeps each leaf's sum of the orders that count, a currency; a
// merged customer's sums are added, and of an order that stands in several leaves the joined one
// counts, in place of what each counted. Looking for such orders costs the orders of all leaves but
// the one with the most.
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/worth.h"
#include "broker/profile/profile_internal.h"
#include "schemas/base/guards.h"
#include "schemas/base/money.h"

struct value {
    const struct profile *profile;
    const char *currency;
    int64_t micro;
    uint64_t orders;
};

static void add_sums(struct value *value) {
    const struct profile *profile = value->profile;
    for (size_t i = 0; i < profile->n_leaves; i++) {
        money_add(&value->micro, worth_in(profile->leaves[i].record, value->currency));
        value->orders += profile->leaves[i].record->orders;
    }
}

// sign: 1, or -1 to take it off.
static void count(struct value *value, const View__Item *order, int sign) {
    const char *of = NULL;
    int64_t micro = worth_of_order(order, value->profile->arena, &of);
    if (of != NULL && strcmp(of, value->currency) == 0) {
        money_add(&value->micro, sign * micro);
    }
    if (profile_member(order, "placed") != NULL) {
        value->orders += (uint64_t)sign;
    }
}

// ---- orders of several leaves

struct own {
    uint8_t (*lookups)[LOOKUP_BYTES]; // ORDERS_UNITED_MAX of them
    size_t n;
};

static int add_own(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    (void)value, (void)size;
    struct own *own = user;
    if (key_size != ITEM_KEY_BYTES) {
        return -EBADMSG;
    }
    if (own->n == ORDERS_UNITED_MAX) {
        return 1;
    }
    memcpy(own->lookups[own->n++], (const uint8_t *)key + ITEM_KEY_BYTES - LOOKUP_BYTES,
           LOOKUP_BYTES);
    return 0;
}

static bool has(const struct profile *profile, size_t leaf, const uint8_t *lookup) {
    uint8_t key[ITEM_KEY_BYTES];
    const void *value;
    size_t size;
    profile_row_key(profile->leaves[leaf].number, ITEM_ORDER, lookup, key);
    return view_get(profile->txn, VIEW_ITEMS, key, sizeof(key), &value, &size) == 0;
}

// Every leaf's own is taken off, the joined one counts.
static int unite(struct value *value, const uint8_t *lookup) {
    const struct profile *profile = value->profile;
    View__Item *order;
    int r = 0;
    for (size_t i = 0; r == 0 && i < profile->n_leaves; i++) {
        const struct profile alone = profile_leaf_alone(profile, i);
        r = profile_item_at(&alone, ITEM_ORDER, lookup, &order);
        if (r == 0 && order != NULL) {
            count(value, order, -1);
        }
    }
    r = r != 0 ? r : profile_item_at(profile, ITEM_ORDER, lookup, &order);
    if (r == 0 && order != NULL) {
        count(value, order, 1);
    }
    return r;
}

// Of two leaves that both have it, the one that comes first here unites it; the leaf with the most
// is none of them.
static int unite_if_shared(struct value *value, size_t leaf, size_t most, const uint8_t *lookup) {
    const struct profile *profile = value->profile;
    bool is_shared = false;
    for (size_t i = 0; i < profile->n_leaves; i++) {
        bool is_known = i != leaf && has(profile, i, lookup);
        if (is_known && i < leaf && i != most) {
            return 0;
        }
        is_shared |= is_known;
    }
    return is_shared && GUARD(orders_unite) ? unite(value, lookup) : 0;
}

static size_t leaf_with_most(const struct profile *profile) {
    size_t most = 0;
    for (size_t i = 1; i < profile->n_leaves; i++) {
        most = profile->leaves[i].record->orders > profile->leaves[most].record->orders ? i : most;
    }
    return most;
}

// 1: there are more than are looked at.
static int find_own(const struct profile *profile, size_t leaf, struct own *own) {
    uint8_t key[ITEM_KEY_BYTES], none[LOOKUP_BYTES] = {0};
    profile_row_key(profile->leaves[leaf].number, ITEM_ORDER, none, key);
    return view_scan(profile->txn, VIEW_ITEMS, key, sizeof(key) - LOOKUP_BYTES, false, add_own,
                     own);
}

// 1: there are more than are looked at.
static int unite_all(struct value *value) {
    const struct profile *profile = value->profile;
    size_t most = leaf_with_most(profile);
    struct own own = {.lookups =
                          arena_alloc(profile->arena, ORDERS_UNITED_MAX * sizeof(*own.lookups))};
    uint64_t others = value->orders - profile->leaves[most].record->orders;
    int r = own.lookups == NULL ? -ENOMEM : others > ORDERS_UNITED_MAX;
    for (size_t i = 0, first = 0; r == 0 && i < profile->n_leaves; i++, first = own.n) {
        r = i == most ? 0 : find_own(profile, i, &own);
        for (size_t k = first; r == 0 && k < own.n; k++) {
            r = unite_if_shared(value, i, most, own.lookups[k]);
        }
    }
    return r;
}

int profile_value(const struct profile *profile, const char *currency, int64_t *ret_micro,
                  uint64_t *ret_orders) {
    struct value sums = {.profile = profile, .currency = currency};
    add_sums(&sums);
    struct value value = sums;
    int r = profile->n_leaves > 1 ? unite_all(&value) : 0;
    if (r == 1) {
        value = sums;
    }
    *ret_micro = value.micro;
    *ret_orders = value.orders;
    return r < 0 ? r : 0;
}
