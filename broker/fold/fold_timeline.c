// SPDX-License-Identifier: Apache-2.0
// The last interactions in the customer's record; when they are TIMELINE_RECENT_MAX, the oldest
// TIMELINE_SPILL become one run of the timeline table. Counters per channel and type beside them.
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"

enum { RUN_BYTES_MAX = TIMELINE_SPILL * 4 * 12 + 64 };

static int spill(struct fold_step *step) {
    View__Customer *customer = step->customer;
    View__Run run = VIEW__RUN__INIT;
    run.n_sequence = run.n_time_us = run.n_type = run.n_channel = TIMELINE_SPILL;
    run.sequence = customer->recent_sequence;
    run.time_us = customer->recent_time_us;
    run.type = customer->recent_type;
    run.channel = customer->recent_channel;
    uint8_t packed[RUN_BYTES_MAX];
    size_t size = view__run__get_packed_size(&run);
    if (size > sizeof(packed)) {
        return -E2BIG;
    }
    view__run__pack(&run, packed);
    uint64_t key[2] = {htobe64(step->event->customer), htobe64(run.sequence[0])};
    int r = view_put(step->txn, VIEW_TIMELINE, key, sizeof(key), packed, size);
    size_t left = customer->n_recent_sequence - TIMELINE_SPILL;
#define SHIFT(column)                                                                              \
    memmove(customer->column, customer->column + TIMELINE_SPILL,                                   \
            left * sizeof(*customer->column));                                                     \
    customer->n_##column = left
    SHIFT(recent_sequence);
    SHIFT(recent_time_us);
    SHIFT(recent_type);
    SHIFT(recent_channel);
#undef SHIFT
    return r;
}

// Appends to a column; false where memory is short.
#define APPEND(customer, arena, column, value)                                                     \
    (((customer)->column = fold_grow((arena), (customer)->column, (customer)->n_##column,          \
                                     sizeof(*(customer)->column))) != NULL &&                      \
     ((customer)->column[(customer)->n_##column++] = (value), true))

int fold_timeline(struct fold_step *step, uint32_t type, uint32_t channel) {
    View__Customer *customer = step->customer;
    struct arena *arena = step->fold->arena;
    const Touchbus__Event *event = step->event;
    if (customer->n_recent_sequence >= TIMELINE_RECENT_MAX) {
        int r = spill(step);
        if (r != 0) {
            return r;
        }
    }
    int64_t time_us = event->has_time ? event->time_us : event->received_us;
    bool fits = APPEND(customer, arena, recent_sequence, event->sequence) &&
                APPEND(customer, arena, recent_time_us, time_us) &&
                APPEND(customer, arena, recent_type, type) &&
                APPEND(customer, arena, recent_channel, channel);
    return fits ? 0 : -ENOMEM;
}

static int counter_new(struct fold_step *step, uint32_t type, uint32_t channel) {
    View__Customer *customer = step->customer;
    struct arena *arena = step->fold->arena;
    bool fits = APPEND(customer, arena, counter_channel, channel) &&
                APPEND(customer, arena, counter_type, type) &&
                APPEND(customer, arena, counter_number, 1) &&
                APPEND(customer, arena, counter_first_us, step->time_us) &&
                APPEND(customer, arena, counter_last_us, step->time_us);
    return fits ? 0 : -ENOMEM;
}

int fold_counters(struct fold_step *step, uint32_t type, uint32_t channel) {
    View__Customer *customer = step->customer;
    size_t i = 0;
    while (i < customer->n_counter_type &&
           (customer->counter_type[i] != type || customer->counter_channel[i] != channel)) {
        i++;
    }
    if (i == customer->n_counter_type) {
        if (i < CUSTOMER_COUNTERS_MAX) {
            return counter_new(step, type, channel);
        }
        customer->dropped++;
        return 0;
    }
    customer->counter_number[i]++;
    if (step->time_us < customer->counter_first_us[i]) {
        customer->counter_first_us[i] = step->time_us;
    }
    if (step->time_us > customer->counter_last_us[i]) {
        customer->counter_last_us[i] = step->time_us;
    }
    return 0;
}
