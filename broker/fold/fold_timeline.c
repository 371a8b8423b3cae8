// SPDX-License-Identifier: Apache-2.0
// The last interactions in the customer's record; when they are TIMELINE_RECENT_MAX, the oldest
// TIMELINE_SPILL become one run of the timeline table. Counters per channel and type beside them.
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"

enum { RUN_BYTES_MAX = TIMELINE_RECENT_MAX * 4 * 12 + 96 };
enum { COUNTER_BYTES = 3 * sizeof(uint64_t) + 2 * sizeof(uint32_t) };

static int spill(struct fold_step *step) {
    struct fold_recent *recent = step->touched->recent;
    uint8_t packed[RUN_BYTES_MAX];
    size_t size = 0;
    uint64_t key[2] = {htobe64(step->event->customer), htobe64(fold_recent_first(recent))};
    int r = fold_recent_spill(recent, TIMELINE_SPILL, packed, sizeof(packed), &size);
    return r != 0 ? r : view_put(step->txn, VIEW_TIMELINE, key, sizeof(key), packed, size);
}

int fold_timeline(struct fold_step *step, uint32_t type, uint32_t channel) {
    const Touchbus__Event *event = step->event;
    struct fold_customer *touched = step->touched;
    if (touched->recent != NULL && touched->recent->n >= TIMELINE_RECENT_MAX) {
        int r = spill(step);
        if (r != 0) {
            return r;
        }
    }
    struct fold_interaction interaction = {
        .sequence = event->sequence,
        .time_us = event->has_time ? event->time_us : event->received_us,
        .type = type,
        .channel = channel,
    };
    return fold_recent_add(step->fold->arena, &touched->recent, &interaction);
}

// The columns lie in one piece.
static bool make_room(struct fold_step *step) {
    View__Customer *customer = step->customer;
    size_t n = customer->n_counter_type, room = n + n / 2 + 1;
    uint64_t *number = arena_alloc(step->fold->arena, room * COUNTER_BYTES);
    if (number == NULL) {
        return false;
    }
    int64_t *first_us = (int64_t *)(number + room), *last_us = first_us + room;
    uint32_t *type = (uint32_t *)(last_us + room), *channel = type + room;
#define MOVE(column)                                                                               \
    if (n > 0) {                                                                                   \
        memcpy(column, customer->counter_##column, n * sizeof(*(column)));                         \
    }                                                                                              \
    customer->counter_##column = column
    MOVE(number);
    MOVE(first_us);
    MOVE(last_us);
    MOVE(type);
    MOVE(channel);
#undef MOVE
    step->touched->room[ROOM_COUNTERS] = (uint16_t)room;
    return true;
}

static int counter_new(struct fold_step *step, uint32_t type, uint32_t channel) {
    View__Customer *customer = step->customer;
    size_t n = customer->n_counter_type;
    if (n >= step->touched->room[ROOM_COUNTERS] && !make_room(step)) {
        return -ENOMEM;
    }
    customer->counter_channel[n] = channel;
    customer->counter_type[n] = type;
    customer->counter_number[n] = 1;
    customer->counter_first_us[n] = customer->counter_last_us[n] = step->time_us;
    customer->n_counter_channel = customer->n_counter_type = customer->n_counter_number =
        customer->n_counter_first_us = customer->n_counter_last_us = n + 1;
    return 0;
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
