// SPDX-License-Identifier: Apache-2.0
// Orders and quotes with their lines. The rows keep the highest revision; of two placements the
// first counts.
#include <stdlib.h>
#include <string.h>

#include "connectors/crm/effects_private.h"
#include "connectors/dialect/order_document.h"
#include "schemas/base/cleanup.h"

// Where the row of the order or quote is this event's: one that came too late changes nothing.
static int write_lines(const struct effects_context *context, int clear, int insert, const char *id,
                       const struct order_lines *lines) {
    int64_t sequence = (int64_t)context->event->sequence;
    int code = context->sql->run(context->sql, clear, "si", id, sequence);
    for (size_t i = 0; i < lines->n_lines && code == 0; i++) {
        const struct order_line *line = &lines->lines[i];
        code = context->sql->run(context->sql, insert, "sisssssi", id, (int64_t)i + 1, line->sku,
                                 line->name, line->quantity, line->price, line->amount, sequence);
    }
    return code;
}

int effects_place_order(const struct effects_context *context) {
    const struct store_event *event = context->event;
    _cleanup_(cleanup_order) struct order *order = NULL;
    int r = order_parse(event->data, strlen(event->data), &order, context->why);
    if (r != 0) {
        return r < 0 ? EFFECTS_NO_MEMORY : EFFECTS_MISMATCH;
    }
    int code = context->sql->run(context->sql, SQL_ORDER_PLACED, "sissssi", order->order_id,
                                 (int64_t)event->customer, order->currency, order->lines.total,
                                 order->quote_id, effects_when(event), (int64_t)event->sequence);
    return code != 0 ? code
                     : write_lines(context, SQL_ORDER_LINES_CLEAR, SQL_ORDER_LINE, order->order_id,
                                   &order->lines);
}

int effects_change_order(const struct effects_context *context) {
    const struct store_event *event = context->event;
    _cleanup_(cleanup_order_change) struct order_change *change = NULL;
    int r = order_change_parse(event->data, strlen(event->data), &change, context->why);
    if (r != 0) {
        return r < 0 ? EFFECTS_NO_MEMORY : EFFECTS_MISMATCH;
    }
    int code = context->sql->run(context->sql, SQL_ORDER_CHANGED, "sisisis", change->order_id,
                                 (int64_t)event->customer, change->status, change->revision,
                                 effects_when(event), (int64_t)event->sequence,
                                 change->has_lines ? change->lines.total : NULL);
    return code != 0 || !change->has_lines
               ? code
               : write_lines(context, SQL_ORDER_LINES_CLEAR, SQL_ORDER_LINE, change->order_id,
                             &change->lines);
}

int effects_change_supply(const struct effects_context *context) {
    const char *order_id = effects_text(context, "order_id"), *eta = effects_text(context, "eta");
    return order_id == NULL || eta == NULL
               ? 0
               : context->sql->run(context->sql, SQL_ORDER_ETA, "ssi", order_id, eta,
                                   (int64_t)context->event->sequence);
}

int effects_issue_quote(const struct effects_context *context) {
    const struct store_event *event = context->event;
    const char *quote_id = effects_text(context, "quote_id");
    const json_t *revision = json_object_get(context->data, "revision");
    if (quote_id == NULL || !json_is_integer(revision)) {
        return effects_mismatch(context, "quote_id or revision is missing");
    }
    struct order_lines lines;
    int r = order_lines_parse(json_object_get(context->data, "lines"), &lines, context->why);
    if (r != 0) {
        return r < 0 ? EFFECTS_NO_MEMORY : EFFECTS_MISMATCH;
    }
    int code = context->sql->run(context->sql, SQL_QUOTE_ISSUED, "siisssi", quote_id,
                                 (int64_t)event->customer, (int64_t)json_integer_value(revision),
                                 effects_text(context, "currency"), lines.total,
                                 effects_text(context, "valid_until"), (int64_t)event->sequence);
    if (code == 0) {
        code = write_lines(context, SQL_QUOTE_LINES_CLEAR, SQL_QUOTE_LINE, quote_id, &lines);
    }
    order_lines_clear(&lines);
    return code;
}

int effects_close_quote(const struct effects_context *context) {
    const char *quote_id = effects_text(context, "quote_id");
    return quote_id == NULL ? effects_mismatch(context, "quote_id is missing")
                            : context->sql->run(context->sql, SQL_QUOTE_CLOSED, "sisi", quote_id,
                                                (int64_t)context->event->customer,
                                                effects_text(context, "outcome"),
                                                (int64_t)context->event->sequence);
}
