// SPDX-License-Identifier: Apache-2.0
// Interactions out of the columns in which records and runs of the timeline have them (view.proto):
// sequence and time by difference, told from the newest one backwards.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "broker/bounds.h"
#include "view.pb-c.h"

struct fold_interaction {
    uint64_t sequence;
    int64_t time_us;
    uint32_t type, channel; // interned
};

// The oldest first. 0, or -EBADMSG where the columns are not what the fold writes.
int interactions_of_record(const View__Customer *record,
                           struct fold_interaction ret[static TIMELINE_RECENT_MAX], size_t *ret_n);
int interactions_of_run(const View__Run *run,
                        struct fold_interaction ret[static TIMELINE_RECENT_MAX], size_t *ret_n);

// Makes differences of numbers, in place, the oldest first, and says what the newest were; n is not
// 0. -EBADMSG where the sequences do not ascend.
int interactions_by_difference(uint64_t *sequence, int64_t *time_us, size_t n,
                               uint64_t *ret_last_sequence, int64_t *ret_last_us);
