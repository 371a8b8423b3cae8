// SPDX-License-Identifier: Apache-2.0
// What effects.c and effects_orders.c share: the event at hand, and a row's function of the table.
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "connectors/crm/effects.h"

struct effects_context {
    struct sql *sql;
    const struct store_event *event;
    const json_t *data;
    char *why;
};

// The event's data is not what its type promises: EFFECTS_MISMATCH, and what into why.
int effects_mismatch(const struct effects_context *context, const char *what);
// A text of its data, NULL where there is none.
const char *effects_text(const struct effects_context *context, const char *name);
// When it happened, as far as is known.
const char *effects_when(const struct store_event *event);

int effects_place_order(const struct effects_context *context);
int effects_change_order(const struct effects_context *context);
int effects_change_supply(const struct effects_context *context);
int effects_issue_quote(const struct effects_context *context);
int effects_close_quote(const struct effects_context *context);
