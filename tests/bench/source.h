// SPDX-License-Identifier: Apache-2.0
// The one source of events that every system under the benchmark is fed from: those of
// tools/bench/events.h, about 300 bytes with two identities, of customers drawn uniformly or by
// Zipf's law. Plain ones are what a customer does on a site (page.viewed, product.viewed,
// need.selected); the mix has carts, feedback and, every sixth, an order besides. The same seed
// gives the same customers and the same bytes. Made from templates in which the digits are written
// anew, so that an event costs the load generator a copy.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SOURCE_CUSTOMERS_MAX = 1000000, SOURCE_KINDS = 6, SOURCE_KEY_BYTES = 32 };

struct source_options {
    uint32_t n_customers; // 1 to SOURCE_CUSTOMERS_MAX
    double zipf;          // exponent; 0: uniform
    uint64_t seed;        // below 1000, another one for each process that publishes to one server
    size_t n_bytes;       // of each event, with its id; 0: as they come, about 300
    bool mix;             // else plain
    bool with_id;         // the bytes carry id and source, as the log of touchbus has them
};

struct source;

// NULL where memory is short or an option is out of its bounds.
struct source *source_new(const struct source_options *options);
struct source *source_free(struct source *source); // takes NULL; returns NULL
uint32_t source_customer(struct source *source);   // the next draw
// The next event, of this customer. Borrowed until the next call.
const uint8_t *source_event(struct source *source, uint32_t customer, size_t *ret_size);
// The customer's name, as KIND=VALUE.
void source_key(uint32_t customer, char key[static SOURCE_KEY_BYTES]);
