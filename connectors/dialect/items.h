// SPDX-License-Identifier: Apache-2.0
// What a dialect makes of one request's body: a list of items, each an event or, with why not, the
// bytes it came as. One bad item never spoils the others.
#pragma once

#include <stddef.h>

#include "connectors/client/touchbus.h"

struct item {
    touchbus_event *event; // NULL: it cannot be one
    const char *why;       // then: static text, names and lengths only
    char *id;              // the sender's id of it, "" where it has none
    const char *raw;       // borrowed from the body
    size_t raw_size;
};

struct items {
    struct item *list;
    size_t n;
    size_t n_allocated;
};

// Adds a slot for an item that came as raw; NULL beyond ITEMS_MAX or where memory is short.
struct item *items_add(struct items *items, const char *raw, size_t raw_size);
// Notes the sender's id of an item. -ENOMEM.
int item_set_id(struct item *item, const char *id);
void items_clear(struct items *items);

enum { ITEMS_MAX = 16384 };
