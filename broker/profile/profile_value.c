// SPDX-License-Identifier: Apache-2.0
// What a customer is worth. The fold keeps each leaf's sum of the orders that count, a currency; a
// merged customer's orders unite by id, so an order that stands in two leaves is not counted twice.
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/worth.h"
#include "broker/profile/profile.h"
#include "schemas/base/money.h"

// 1: there are more than are united.
static int unite(const struct profile *profile, const char *currency, int64_t *ret_micro,
                 uint64_t *ret_orders) {
    View__Item **orders;
    size_t n;
    int64_t sum = 0;
    uint64_t placed = 0;
    int r = profile_items(profile, ITEM_ORDER, ORDERS_UNITED_MAX, &orders, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        const char *of = NULL;
        int64_t micro = worth_of_order(orders[i], profile->arena, &of);
        money_add(&sum, of != NULL && strcmp(of, currency) == 0 ? micro : 0);
        placed += profile_member(orders[i], "placed") != NULL;
    }
    if (r == 0 && n < ORDERS_UNITED_MAX) {
        *ret_micro = sum;
        *ret_orders = placed;
        return 0;
    }
    return r != 0 ? r : 1;
}

int profile_value(const struct profile *profile, const char *currency, int64_t *ret_micro,
                  uint64_t *ret_orders) {
    int r = profile->n_leaves > 1 ? unite(profile, currency, ret_micro, ret_orders) : 1;
    if (r != 1) {
        return r;
    }
    *ret_micro = 0;
    *ret_orders = 0;
    for (size_t i = 0; i < profile->n_leaves; i++) {
        money_add(ret_micro, worth_in(profile->leaves[i].record, currency));
        *ret_orders += profile->leaves[i].record->orders;
    }
    return 0;
}
