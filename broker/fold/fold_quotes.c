// SPDX-License-Identifier: Apache-2.0
// Quotes, by customer and quote_id: the highest revision issued, and how it was closed. A revision
// above the one that was closed opens it again.
#include <errno.h>

#include "broker/fold/fold_internal.h"

static int quote_get(struct fold_step *step, View__Quote **ret) {
    char *id = fold_data_text(step, "quote_id");
    *ret = NULL;
    if (id == NULL) {
        return 0;
    }
    ProtobufCMessage *row;
    int r = fold_row_get(step, VIEW_QUOTES, id, &view__quote__descriptor, &row);
    if (r != 0) {
        return r;
    }
    View__Quote *quote = (View__Quote *)row;
    if (quote == NULL) {
        quote = arena_alloc(step->fold->arena, sizeof(*quote));
        if (quote == NULL) {
            return -ENOMEM;
        }
        view__quote__init(quote);
        quote->quote_id = id;
    }
    *ret = quote;
    return 0;
}

static int quote_put(struct fold_step *step, View__Quote *quote) {
    quote->changed_sequence = step->event->sequence;
    return fold_row_put(step, VIEW_QUOTES, quote->quote_id, &quote->base);
}

static char none[] = "";

static void take_text(struct fold_step *step, const char *name, char **field) {
    char *text = fold_data_text(step, name);
    *field = text != NULL ? text : none;
}

int fold_quote_issued(struct fold_step *step) {
    View__Quote *quote;
    uint64_t revision = 0;
    int r = quote_get(step, &quote);
    if (r != 0 || quote == NULL || !fold_data_unsigned(step, "revision", &revision) ||
        (quote->issued_sequence != 0 && revision <= quote->revision)) {
        return r;
    }
    quote->outcome = quote->issued_sequence != 0 ? none : quote->outcome;
    quote->revision = revision;
    quote->issued_sequence = step->event->sequence;
    take_text(step, "currency", &quote->currency);
    take_text(step, "valid_until", &quote->valid_until);
    quote->lines = (ProtobufCBinaryData){0};
    fold_data_raw(step, "lines", FOLD_LINES_BYTES_MAX, &quote->lines);
    quote->channel = arena_strdup(step->fold->arena, step->event->channel);
    return quote->channel == NULL ? -ENOMEM : quote_put(step, quote);
}

int fold_quote_closed(struct fold_step *step) {
    View__Quote *quote;
    int r = quote_get(step, &quote);
    char *outcome = fold_data_text(step, "outcome");
    if (r != 0 || quote == NULL || outcome == NULL) {
        return r;
    }
    quote->outcome = outcome;
    return quote_put(step, quote);
}
