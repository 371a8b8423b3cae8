// SPDX-License-Identifier: Apache-2.0
// The story of the sample day: a fixed seed makes the same customers and the same events each time,
// so that playing it twice publishes nothing twice. Pure: no clock, no I/O.
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum story_endpoint { STORY_SEGMENT /* POST /v1/batch */, STORY_CLOUDEVENTS /* POST /events */ };

struct story_event {
    int64_t time_us;
    uint32_t order; // of making: breaks ties in time
    enum story_endpoint endpoint;
    json_t *json; // one Segment call, or one CloudEvent
};

struct story {
    struct story_event *events; // by time
    size_t n_events, n_allocated;
    size_t n_customers, n_orders;
};

enum { STORY_CUSTOMERS_MAX = 100000 };

// 0 or -ENOMEM. Free it with story_free, also after an error.
int story_make(uint64_t seed, size_t n_customers, struct story *ret);
void story_free(struct story *story);
