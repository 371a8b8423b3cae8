// SPDX-License-Identifier: Apache-2.0
// The making of events.h. The order's data is packed once and only its number is written anew.
#include "tools/bench/events.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"

enum {
    ID_AND_SOURCE_BYTES = 47, // what a publisher adds: "0123456789abcdef-123456", "/bench-12345-12"
    NUMBER_DIGITS = 12,
    DATA_BYTES_MAX = 512,
    ORDER_EVERY = 6,
    MEAN_OF = 600, // events measured
};
#define NUMBER_MARK "000000000000" // NUMBER_DIGITS of it stand where the order's number goes

struct kind {
    const char *type, *channel, *data;
};

// What is made once a customer.
static const struct kind kinds[] = {
    {"page.viewed", "web",
     "{\"url\":\"https://shop.example/garden/tools/spades?page=2\",\"referrer\":"
     "\"https://search.example/?q=garden+spade\",\"title\":\"Spades, forks and hoes for heavy "
     "soil\",\"seconds\":31}"},
    {"product.viewed", "web",
     "{\"sku\":\"SP-2210-ASH\",\"name\":\"Digging spade, ash handle\",\"price\":\"34.95\","
     "\"currency\":\"EUR\",\"list\":\"garden tools, by "
     "popularity\",\"position\":4,\"stock\":17,\"brand\":\"Example & Daughters\"}"},
    {"cart.changed", "web",
     "{\"cart_id\":\"cart-77\",\"currency\":\"EUR\",\"lines\":[{\"sku\":\"SP-2210-ASH\","
     "\"quantity\":1,\"price\":\"34.95\"},{\"sku\":\"GL-9\",\"quantity\":2,\"price\":\"4.50\","
     "\"name\":\"Gloves\"}]}"},
    {"need.selected", "web",
     "{\"term\":\"digging heavy clay soil\",\"path\":\"garden/soil/clay\",\"alternatives\":"
     "\"double digging, raised bed, broadfork\",\"found\":23,\"page\":1,\"sort\":\"popularity, "
     "descending\",\"device\":\"phone\"}"},
    {"feedback.given", "web",
     "{\"score\":8,\"scale\":10,\"ref\":\"visit\",\"text\":\"Found what I was looking for, but the"
     " filter for handle length is missing\",\"locale\":\"nl-NL\"}"},
};
static const struct kind order = {
    "order.placed", "web",
    "{\"order_id\":\"" NUMBER_MARK "\",\"currency\":\"EUR\",\"total\":\"43.95\",\"lines\":["
    "{\"sku\":\"SP-2210-ASH\",\"quantity\":1,\"price\":\"34.95\"},"
    "{\"sku\":\"GL-9\",\"quantity\":2,\"price\":\"4.50\",\"name\":\"Gloves\"}]}"};
enum { N_KINDS = sizeof(kinds) / sizeof(*kinds) };

struct events {
    uint64_t n_made;
    uint64_t first_order; // orders of another run have other numbers
    touchbus_event *fresh;
    uint8_t order_data[DATA_BYTES_MAX];
    size_t order_size;
    uint8_t *order_number; // within order_data
    uint32_t n_customers;
    touchbus_event *ready[]; // one a customer
};

void events_key(uint32_t customer, char *buffer, size_t size) {
    snprintf(buffer, size, "user_id=bench-%06" PRIu32, customer);
}

static touchbus_event *make(const struct kind *kind, uint32_t customer) {
    char user[32], email[64];
    events_key(customer, user, sizeof(user));
    snprintf(email, sizeof(email), "customer.%06" PRIu32 "@bench.example", customer);
    touchbus_event *event = touchbus_event_new(kind->type, NULL, NULL);
    if (event == NULL || touchbus_event_set(event, "channel", kind->channel) != 0 ||
        touchbus_event_set_time(event, clock_now_us()) != 0 ||
        touchbus_event_add_identity(event, "user_id", user + strlen("user_id="), false) != 0 ||
        touchbus_event_add_identity(event, "email", email, false) != 0) {
        return touchbus_event_free(event);
    }
    return event;
}

// The same event as bytes only: an unpacked one takes fifty times the memory.
static touchbus_event *make_ready(const struct kind *kind, uint32_t customer) {
    touchbus_event *event = make(kind, customer), *small = NULL;
    _cleanup_free_ void *bytes = NULL;
    size_t size;
    if (event == NULL || touchbus_event_set_data_json(event, kind->data, strlen(kind->data)) != 0 ||
        touchbus_event_serialize(event, &bytes, &size) != 0 ||
        touchbus_event_parse(bytes, size, &small) != 0) {
        small = NULL;
    }
    touchbus_event_free(event);
    return small;
}

static int prepare_order(struct events *events) {
    touchbus_event *event = make(&order, 0);
    int r =
        event == NULL ? -1 : touchbus_event_set_data_json(event, order.data, strlen(order.data));
    if (r == 0) {
        const void *data = touchbus_event_data(event, &events->order_size);
        assert(events->order_size <= DATA_BYTES_MAX);
        memcpy(events->order_data, data, events->order_size);
        events->order_number =
            memmem(events->order_data, events->order_size, NUMBER_MARK, NUMBER_DIGITS);
        assert(events->order_number != NULL);
    }
    touchbus_event_free(event);
    return r;
}

struct events *events_new(uint32_t n_customers) {
    struct events *events = calloc(1, sizeof(*events) + n_customers * sizeof(void *));
    if (events == NULL) {
        return NULL;
    }
    events->n_customers = n_customers;
    events->first_order = (uint64_t)(clock_now_us() / CLOCK_US_PER_MS % 1000000) * 1000000;
    bool complete = prepare_order(events) == 0;
    for (uint32_t i = 0; complete && i < n_customers; i++) {
        events->ready[i] = make_ready(&kinds[i % N_KINDS], i);
        complete = events->ready[i] != NULL;
    }
    return complete ? events : events_free(events);
}

struct events *events_free(struct events *events) {
    if (events != NULL) {
        for (uint32_t i = 0; i < events->n_customers; i++) {
            touchbus_event_free(events->ready[i]);
        }
        touchbus_event_free(events->fresh);
        free(events);
    }
    return NULL;
}

static const touchbus_event *next_order(struct events *events, uint32_t customer) {
    char number[NUMBER_DIGITS + 1];
    snprintf(number, sizeof(number), "%0*" PRIu64, NUMBER_DIGITS,
             (events->first_order + events->n_made) % UINT64_C(1000000000000));
    memcpy(events->order_number, number, NUMBER_DIGITS);
    touchbus_event_free(events->fresh);
    events->fresh = make(&order, customer);
    if (events->fresh != NULL &&
        touchbus_event_set_data(events->fresh, events->order_data, events->order_size) != 0) {
        events->fresh = touchbus_event_free(events->fresh);
    }
    return events->fresh;
}

const touchbus_event *events_next(struct events *events, uint32_t customer) {
    assert(customer < events->n_customers);
    events->n_made++;
    return events->n_made % ORDER_EVERY == 0 ? next_order(events, customer)
                                             : events->ready[customer];
}

double events_bytes_mean(struct events *events) {
    size_t total = 0, n = 0;
    for (uint32_t i = 0; i < MEAN_OF; i++) {
        const touchbus_event *event = events_next(events, i % events->n_customers);
        void *bytes;
        size_t size;
        if (event != NULL && touchbus_event_serialize(event, &bytes, &size) == 0) {
            total += size + ID_AND_SOURCE_BYTES;
            n++;
            free(bytes);
        }
    }
    return n == 0 ? 0 : (double)total / (double)n;
}
