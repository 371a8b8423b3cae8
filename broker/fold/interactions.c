// SPDX-License-Identifier: Apache-2.0
// Differences of times are modulo 2^64: an event may say any time, and none is refused. Sequences
// ascend, as a customer's events stand in the log.
#include "broker/fold/interactions.h"

#include <errno.h>
#include <stdbool.h>

#include "schemas/base/guards.h"

struct columns {
    size_t n, n_time, n_type, n_channel;
    const uint64_t *sequence;
    const int64_t *time_us;
    const uint32_t *type, *channel;
    uint64_t last_sequence;
    int64_t last_us;
};

static bool agree(const struct columns *columns) {
    size_t n = columns->n;
    return n <= TIMELINE_RECENT_MAX && n == columns->n_time && n == columns->n_type &&
           n == columns->n_channel;
}

// The oldest one stands for itself.
static bool is_difference(const struct columns *columns, size_t i, uint64_t sequence) {
    uint64_t delta = columns->sequence[i];
    return i == 0 ? delta == 0 && columns->time_us[i] == 0 && sequence > 0
                  : delta > 0 && delta < sequence;
}

static int read_columns(const struct columns *columns, struct fold_interaction *ret,
                        size_t *ret_n) {
    uint64_t sequence = columns->last_sequence, time_us = (uint64_t)columns->last_us;
    if (GUARD(interactions_agree) && !agree(columns)) {
        return -EBADMSG;
    }
    for (size_t i = columns->n; i-- > 0;) {
        if (GUARD(interactions_ascend) && !is_difference(columns, i, sequence)) {
            return -EBADMSG;
        }
        ret[i] = (struct fold_interaction){.sequence = sequence,
                                           .time_us = (int64_t)time_us,
                                           .type = columns->type[i],
                                           .channel = columns->channel[i]};
        sequence -= columns->sequence[i];
        time_us -= (uint64_t)columns->time_us[i];
    }
    *ret_n = columns->n;
    return 0;
}

int interactions_of_record(const View__Customer *record,
                           struct fold_interaction ret[static TIMELINE_RECENT_MAX], size_t *ret_n) {
    const struct columns columns = {
        .n = record->n_recent_sequence_delta,
        .n_time = record->n_recent_time_delta_us,
        .n_type = record->n_recent_type,
        .n_channel = record->n_recent_channel,
        .sequence = record->recent_sequence_delta,
        .time_us = record->recent_time_delta_us,
        .type = record->recent_type,
        .channel = record->recent_channel,
        .last_sequence = record->recent_last_sequence,
        .last_us = record->recent_last_us,
    };
    return read_columns(&columns, ret, ret_n);
}

int interactions_of_run(const View__Run *run,
                        struct fold_interaction ret[static TIMELINE_RECENT_MAX], size_t *ret_n) {
    const struct columns columns = {
        .n = run->n_sequence_delta,
        .n_time = run->n_time_delta_us,
        .n_type = run->n_type,
        .n_channel = run->n_channel,
        .sequence = run->sequence_delta,
        .time_us = run->time_delta_us,
        .type = run->type,
        .channel = run->channel,
        .last_sequence = run->last_sequence,
        .last_us = run->last_us,
    };
    return read_columns(&columns, ret, ret_n);
}

int interactions_by_difference(uint64_t *sequence, int64_t *time_us, size_t n,
                               uint64_t *ret_last_sequence, int64_t *ret_last_us) {
    *ret_last_sequence = sequence[n - 1];
    *ret_last_us = time_us[n - 1];
    for (size_t i = n; i-- > 1;) {
        if (sequence[i] <= sequence[i - 1]) {
            return -EBADMSG;
        }
        sequence[i] -= sequence[i - 1];
        time_us[i] = (int64_t)((uint64_t)time_us[i] - (uint64_t)time_us[i - 1]);
    }
    sequence[0] = 0;
    time_us[0] = 0;
    return 0;
}
