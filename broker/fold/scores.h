// SPDX-License-Identifier: Apache-2.0
// The keys of VIEW_SCORES, which holds three sorts of rows: a Cell an (hour, channel, tier); a Cell
// a (channel, month), with its cost alone, against which budgets are held; and a Kept an order,
// case or message that a later event comes back to. Written by fold_score.c from Stamp.scores
// alone.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/stores/lookup.h"
#include "schemas/limits.h"

enum {
    SCORES_CELL_KEY_BYTES = 12,
    SCORES_KEPT_KEY_BYTES = 4 + 1 + LOOKUP_BYTES,
    SCORES_KEY_BYTES_MAX = 8 + ID_BYTES_MAX,
};
// Hours, first of all keys, are below it.
#define SCORES_HOURS_END UINT32_C(0xfffffffe)

// Hours since 1970 of a time; of one before that 0.
uint32_t scores_hour(int64_t time_us);
// Months since year 0 of an hour (12 * year + month - 1), in UTC.
uint32_t scores_month(uint32_t hour);
// The first hour of a month; before 1970: 0.
uint32_t scores_month_begins(uint32_t month);
void scores_cell_key(uint32_t hour, uint32_t channel, uint32_t tier,
                     uint8_t ret[static SCORES_CELL_KEY_BYTES]);
// Returns its size.
size_t scores_month_key(uint32_t month, const char *channel,
                        uint8_t ret[static SCORES_KEY_BYTES_MAX]);
void scores_kept_key(uint32_t item_kind, const uint8_t lookup[static LOOKUP_BYTES],
                     uint8_t ret[static SCORES_KEPT_KEY_BYTES]);
// The parts of a cell's key; false where it is another row's.
bool scores_cell_parse(const void *key, size_t size, uint32_t *ret_hour, uint32_t *ret_channel,
                       uint32_t *ret_tier);
