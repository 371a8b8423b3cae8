// SPDX-License-Identifier: Apache-2.0
// Orders, by customer and order_id. Any of their events may come first: what is not known yet stays
// empty. Of two changes the higher revision wins, of two placements the first.
#include <errno.h>
#include <string.h>

#include "broker/fold/fold_internal.h"

// The order that the event's order_id names, a new one where there is none. *ret NULL where the
// event names none.
static int order_get(struct fold_step *step, View__Order **ret) {
    char *id = fold_data_text(step, "order_id");
    *ret = NULL;
    if (id == NULL) {
        return 0;
    }
    ProtobufCMessage *row;
    int r = fold_row_get(step, VIEW_ORDERS, id, &view__order__descriptor, &row);
    if (r != 0) {
        return r;
    }
    View__Order *order = (View__Order *)row;
    if (order == NULL) {
        order = arena_alloc(step->fold->arena, sizeof(*order));
        if (order == NULL) {
            return -ENOMEM;
        }
        view__order__init(order);
        order->order_id = id;
    }
    *ret = order;
    return 0;
}

static int order_put(struct fold_step *step, View__Order *order) {
    order->changed_sequence = step->event->sequence;
    order->changed_us = step->time_us;
    return fold_row_put(step, VIEW_ORDERS, order->order_id, &order->base);
}

// Takes a text member over where the event has it.
static void take_text(struct fold_step *step, const char *name, char **field) {
    char *text = fold_data_text(step, name);
    *field = text != NULL ? text : *field;
}

static char placed[] = "placed";

int fold_order_placed(struct fold_step *step) {
    View__Order *order;
    int r = order_get(step, &order);
    if (r != 0 || order == NULL || order->placed_sequence != 0) {
        return r;
    }
    take_text(step, "currency", &order->currency);
    take_text(step, "quote_id", &order->quote_id);
    fold_data_raw(step, "lines", FOLD_LINES_BYTES_MAX, &order->lines);
    order->status = *order->status == '\0' ? placed : order->status;
    order->placed_sequence = step->event->sequence;
    order->placed_us = step->time_us;
    return order_put(step, order);
}

int fold_order_changed(struct fold_step *step) {
    View__Order *order;
    uint64_t revision = 0;
    int r = order_get(step, &order);
    if (r != 0 || order == NULL || !fold_data_unsigned(step, "revision", &revision) ||
        revision < order->revision) {
        return r;
    }
    order->revision = revision;
    take_text(step, "status", &order->status);
    take_text(step, "currency", &order->currency);
    fold_data_raw(step, "lines", FOLD_LINES_BYTES_MAX, &order->lines);
    return order_put(step, order);
}

static int order_set_text(struct fold_step *step, const char *name, size_t offset) {
    View__Order *order;
    int r = order_get(step, &order);
    char *text = fold_data_text(step, name);
    if (r != 0 || order == NULL || text == NULL) {
        return r;
    }
    memcpy((char *)order + offset, &text, sizeof(text));
    return order_put(step, order);
}

int fold_supply_changed(struct fold_step *step) {
    return order_set_text(step, "eta", offsetof(View__Order, eta));
}

int fold_delivery_completed(struct fold_step *step) {
    return order_set_text(step, "outcome", offsetof(View__Order, delivery_outcome));
}

int fold_return_requested(struct fold_step *step) {
    return order_set_text(step, "reason", offsetof(View__Order, return_reason));
}
