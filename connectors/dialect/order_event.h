// SPDX-License-Identifier: Apache-2.0
// What a delivered event says about the order in it: the facts of order_document.h, and its data.
#pragma once

#include "connectors/client/touchbus.h"
#include "connectors/dialect/order_document.h"

enum { ORDER_INCARNATION_BYTES = 16, ORDER_INCARNATION_TEXT_BYTES = 33 };

// Owns what facts and data point to, besides what is the event's: keep the event as long.
struct order_event {
    struct order_facts facts;
    char *data; // JSON text
    size_t data_size;
    char incarnation[ORDER_INCARNATION_TEXT_BYTES];
};

// with_keys: the customer's keys go into the facts. 0; 1: the event has no data; -ENOMEM. The
// caller clears *ret after a 0.
int order_event_read(const touchbus_event *event, const uint8_t *incarnation, bool with_keys,
                     struct order_event *ret);
void order_event_clear(struct order_event *order_event);
