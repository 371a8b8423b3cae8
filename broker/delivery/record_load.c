// SPDX-License-Identifier: Apache-2.0
// Subscriptions and their parked lanes, from the log at start.
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/delivery/delivery_internal.h"
#include "delivery.pb-c.h"
#include "schemas/base/logging.h"

static int load_ranges(const Delivery__SubscriptionRecord *record, struct settled_range **ret) {
    struct settled_range *ranges = calloc(record->n_ranges / 2 + 1, sizeof *ranges);
    if (!ranges)
        return -ENOMEM;
    uint64_t before = record->cursor;
    for (size_t i = 0; i < record->n_ranges / 2; i++) {
        ranges[i].first = before + record->ranges[2 * i];
        ranges[i].last = ranges[i].first + record->ranges[2 * i + 1];
        before = ranges[i].last;
    }
    *ret = ranges;
    return 0;
}

static int load_again(struct named *named, const Delivery__Again *again) {
    if (!again)
        return 0;
    int r = filter_copy(again->types, again->n_types, again->channels, again->n_channels,
                        again->customer, &named->again_filter);
    if (r < 0)
        return r;
    named->again = true;
    named->again_until = again->until;
    named->again_rate = again->rate;
    named->subscription->again_looked = again->done;
    return 0;
}

static int load_record(struct delivery *delivery, const char *name,
                       const Delivery__SubscriptionRecord *record) {
    struct filter filter = {0};
    struct settled_range *ranges = NULL;
    int r = filter_copy(record->types, record->n_types, record->channels, record->n_channels,
                        record->customer, &filter);
    struct named *named = r == 0 ? named_new(delivery, name, &filter) : NULL;
    if (!named)
        return -ENOMEM;
    r = load_ranges(record, &ranges);
    if (r == 0)
        r = subscription_make(delivery, record->cursor, ranges, record->n_ranges / 2,
                              &named->subscription);
    free(ranges);
    if (r < 0)
        return r;
    named->created_us = record->created_us;
    snprintf(named->owner, sizeof named->owner, "%s", record->owner);
    named->subscription->paused = record->paused;
    named->creating = false;
    return load_again(named, record->again);
}

static int load_subscription(void *user, const void *key, size_t key_size, const void *value,
                             size_t size) {
    struct delivery *delivery = user;
    char name[NAME_BYTES_MAX + 1] = "";
    Delivery__SubscriptionRecord *record = NULL;
    if (key_size <= NAME_BYTES_MAX)
        record = delivery__subscription_record__unpack(NULL, size, value);
    if (!record) {
        logging_error("event=subscription-record-damaged");
        return -EBADMSG;
    }
    memcpy(name, key, key_size);
    int r = load_record(delivery, name, record);
    delivery__subscription_record__free_unpacked(record, NULL);
    return r;
}

static int load_row(struct subscription *subscription, uint64_t lane,
                    const Delivery__ParkedRecord *record) {
    struct parked row = {
        .lane = lane,
        .state = record->released ? PARKED_RELEASED : PARKED_WAITING,
        .first = record->first,
        .last = record->last,
        .waiting = record->waiting,
        .behind = record->behind,
        .since_us = record->since_us - record_wall_ahead_us(),
        .failures = record->failures,
        .rejected = record->rejected,
        .scan = record->scan,
        .n_extra = record->n_extra,
    };
    size_t size = strnlen(record->detail, DETAIL_BYTES_MAX);
    memcpy(row.detail, record->detail, size);
    uint64_t *extra = calloc(record->n_extra + 1, sizeof *extra);
    if (!extra)
        return -ENOMEM;
    if (record->n_extra)
        memcpy(extra, record->extra, record->n_extra * sizeof *extra);
    return parking_load(subscription, &row, extra);
}

static int load_parked(void *user, const void *key, size_t key_size, const void *value,
                       size_t size) {
    struct delivery *delivery = user;
    const char *name = key;
    size_t name_size = strnlen(name, key_size);
    uint64_t lane;
    struct named *named =
        name_size + 1 + sizeof lane == key_size ? named_find(delivery, name) : NULL;
    Delivery__ParkedRecord *record =
        named ? delivery__parked_record__unpack(NULL, size, value) : NULL;
    if (!record) {
        logging_error("event=parked-record-damaged");
        return -EBADMSG;
    }
    memcpy(&lane, (const uint8_t *)key + name_size + 1, sizeof lane);
    int r = load_row(named->subscription, be64toh(lane), record);
    delivery__parked_record__free_unpacked(record, NULL);
    return r;
}

int record_load(struct delivery *delivery) {
    struct log_reader *reader;
    int r = log_reader_new(delivery->broker->log, &reader);
    if (r < 0)
        return r;
    r = log_reader_begin(reader);
    if (r == 0) {
        r = log_reader_scan(reader, LOG_SUBSCRIPTIONS, NULL, 0, NULL, 0, load_subscription,
                            delivery);
        if (r >= 0)
            r = log_reader_scan(reader, LOG_PARKED, NULL, 0, NULL, 0, load_parked, delivery);
        log_reader_end(reader);
    }
    log_reader_free(reader);
    for (struct named *named = delivery->named; named && r >= 0; named = named->next)
        named->floor = subscription_floor(named->subscription);
    return r < 0 ? r : 0;
}
