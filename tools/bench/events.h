// SPDX-License-Identifier: Apache-2.0
// The events of the benchmark: six types of the catalogue, about 300 bytes on the wire, two
// identities each. Most are made once a customer and published again and again (the publisher gives
// each its own id), so that making them costs the two cores next to nothing; orders and messages
// are made anew, since each refers to something of its own.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connectors/client/touchbus.h"

struct events;

// NULL where memory is short.
struct events *events_new(uint32_t n_customers);
struct events *events_free(struct events *events); // takes NULL; returns NULL
// The next event of this customer (from 0). Borrowed until the next call. NULL where memory is
// short.
const touchbus_event *events_next(struct events *events, uint32_t customer);
// Serialised bytes of an event on average, with the id and source a publisher gives it.
double events_bytes_mean(struct events *events);
// The value of the customer's user_id, as KIND=VALUE for a query.
void events_key(uint32_t customer, char *buffer, size_t size);
