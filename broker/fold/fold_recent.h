// SPDX-License-Identifier: Apache-2.0
// The last interactions in a customer's record, as it is kept: packed (fold_recent.c). The decoded
// record beside it (View__Customer) has none. What the numbers mean: view.proto.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "broker/fold/fold.h"
#include "schemas/base/arena.h"

// Columns of the same length, in the order of View__Customer's fields and of View__Run's.
enum fold_recent_column {
    RECENT_SEQUENCE,
    RECENT_TIME,
    RECENT_TYPE,
    RECENT_CHANNEL,
    RECENT_N,
};
// The columns' fields, and behind them the newest interaction's sequence and time.
enum {
    RECENT_FIELD_FIRST = 20,
    RECENT_FIELD_LAST_SEQUENCE = RECENT_FIELD_FIRST + RECENT_N,
    RECENT_FIELD_LAST_US,
    RECENT_FIELD_LAST = RECENT_FIELD_LAST_US,
};

struct fold_recent {
    uint64_t last_sequence; // the newest interaction's
    int64_t last_us;
    uint16_t n;               // interactions
    uint16_t sizes[RECENT_N]; // of the columns
    uint16_t room;            // for all of them
    uint8_t columns[];        // varints, the oldest interaction's first
};

size_t fold_recent_bytes(const struct fold_recent *recent); // of the columns
// Takes them out of a customer's row: *ret_begin to *ret_end of it is theirs, what stands before
// and behind is the record without them. *ret is NULL where there are none. 0, -EBADMSG where it is
// not what the fold writes, or -ENOMEM.
int fold_recent_load(struct arena *arena, const uint8_t *row, size_t size, struct fold_recent **ret,
                     size_t *ret_begin, size_t *ret_end);
// One more; *recent (NULL: there are none) moves to more room in the arena where it needs it. 0,
// -EBADMSG where its sequence is not beyond the last one's, or -ENOMEM.
int fold_recent_add(struct arena *arena, struct fold_recent **recent,
                    const struct fold_interaction *interaction);
// Packs the oldest n as a View__Run and lets go of them; there are as many. -E2BIG: not within
// size_max.
int fold_recent_spill(struct fold_recent *recent, size_t n, uint8_t *ret, size_t size_max,
                      size_t *ret_size);
// The sequence of the oldest one; there is one.
uint64_t fold_recent_first(const struct fold_recent *recent);
// Writes the fields of a customer's record so that they end before `at`, and not before `begin`;
// returns where they begin. NULL: they do not fit. recent may be NULL.
uint8_t *fold_recent_pack(const struct fold_recent *recent, uint8_t *begin, uint8_t *at);
// The oldest ones, decoded, n_max at most. recent may be NULL.
size_t fold_recent_read(const struct fold_recent *recent, struct fold_interaction *ret,
                        size_t n_max);
