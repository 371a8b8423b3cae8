// SPDX-License-Identifier: Apache-2.0
// What an order is worth: its total, unless it was cancelled or came back. Kept a leaf and a
// currency in the customer's record, so that a customer with a million orders is as cheap as one
// with a hundred.
#pragma once

#include <stdint.h>

#include "schemas/base/arena.h"
#include "view.pb-c.h"

// What a leaf's orders that count come to in this currency.
int64_t worth_in(const View__Customer *record, const char *currency);
// In millionths of *ret_currency (in the arena; NULL: nothing is known of it, and it is worth 0).
int64_t worth_of_order(const View__Item *order, struct arena *arena, const char **ret_currency);
