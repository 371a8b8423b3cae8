// SPDX-License-Identifier: Apache-2.0
// The delivery thread: subscriptions, their members, lanes and parked lanes. It reads the log up to
// broker->visible and never writes a store: cursors go to the tick as jobs.
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "broker/broker.h"

struct delivery;

// Loads subscriptions and parked lanes from the log; the thread's body until broker->stop.
int delivery_new(struct broker *broker, struct delivery **ret);
struct delivery *delivery_free(struct delivery *delivery);
void *delivery_run(void *delivery); // for pthread_create

// What operators ask, on the delivery thread (query posts a job). Each returns 0 or a reason code;
// *ret is a new JSON object (documented in tools/README.md), *ret_detail a text in it or static.
// What must be durable is handed to the tick before it returns.
struct delivery_argument {
    const char *name, *value;
};
int delivery_command(struct delivery *delivery, const char *verb,
                     const struct delivery_argument *arguments, size_t n_arguments, json_t **ret,
                     const char **ret_detail);

// The lowest sequence that some subscription still needs (its cursor + 1, or a parked lane's
// first); UINT64_MAX where none. Any thread.
uint64_t delivery_floor(struct delivery *delivery);
