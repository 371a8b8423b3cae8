// SPDX-License-Identifier: Apache-2.0
// What a subscriber has to tell the broker about the events it was handed, collected into one
// Settle. No socket here.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "touchbus.pb-c.h"

enum {
    SETTLEMENT_DELIVERED_MAX = 2048,
    SETTLEMENT_FAILURES_MAX = 64, // each carries a text
};

struct settlement {
    size_t n_delivered, n_failures;
    uint32_t grant;
    int64_t since_us; // when the first of these was added
    uint64_t delivered[SETTLEMENT_DELIVERED_MAX];
    Touchbus__Failure failures[SETTLEMENT_FAILURES_MAX];
    Touchbus__Failure *failure_list[SETTLEMENT_FAILURES_MAX];
};

bool settlement_empty(const struct settlement *settlement);
// No room for one more of either kind: send it first.
bool settlement_full(const struct settlement *settlement);
size_t settlement_count(const struct settlement *settlement);
void settlement_add_delivered(struct settlement *settlement, uint64_t sequence, int64_t now_us);
// Copies detail (may be NULL), cut at DETAIL_BYTES_MAX. 0; -ENOMEM.
int settlement_add_failure(struct settlement *settlement, uint64_t sequence, bool reject,
                           const char *detail, int64_t now_us);
void settlement_grant(struct settlement *settlement, uint32_t n_events, int64_t now_us);
// The message, borrowing from the settlement until it changes.
void settlement_message(struct settlement *settlement, Touchbus__Settle *ret);
void settlement_clear(struct settlement *settlement);
