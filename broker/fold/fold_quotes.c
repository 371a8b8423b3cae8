// SPDX-License-Identifier: Apache-2.0
// What a quote names as superseded is closed, by the time of the quote that names it, so that one
// revision is open for all channels whichever of the two came first. Issued again later, it is open
// again.
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"
#include "schemas/limits.h"

// msgpack
static uint8_t closed[] = "\xa6"
                          "closed";
static uint8_t superseded[] = "\xaa"
                              "superseded";

static int set_text(struct fold_step *step, struct fold_item *item, const char *name,
                    const char *id, uint8_t *text, size_t size) {
    View__Attribute written;
    view__attribute__init(&written);
    written.name = arena_strdup(step->fold->scratch, name);
    // Behind what issues it and before what closes it, where times are equal.
    written.id = arena_printf(step->fold->scratch, "1s %s", id);
    written.sequence = step->event->sequence;
    written.time_us = step->time_us;
    written.value = (ProtobufCBinaryData){.data = text, .len = size};
    return written.name == NULL || written.id == NULL ? -ENOMEM
                                                      : fold_item_set(step, item, &written);
}

static int close_one(struct fold_step *step, const char *quote_id, const struct body_value *name) {
    struct fold_item item;
    if (name->kind != BODY_TEXT || name->text_size == 0 || name->text_size > ID_BYTES_MAX ||
        memchr(name->text, '\0', name->text_size) != NULL) {
        return 0;
    }
    char *id = arena_printf(step->fold->scratch, "%.*s", (int)name->text_size, name->text);
    if (id == NULL || strcmp(id, quote_id) == 0) {
        return id == NULL ? -ENOMEM : 0;
    }
    int r = fold_item_get(step, ITEM_QUOTE, id, &item);
    const char *by = step->event->id;
    r = r != 0 ? r : set_text(step, &item, "state", by, closed, sizeof(closed) - 1);
    r = r != 0 ? r : set_text(step, &item, "outcome", by, superseded, sizeof(superseded) - 1);
    r = r != 0 ? r : fold_item_put(step, &item);
    return r < 0 ? r : 0;
}

int fold_superseded(struct fold_step *step) {
    const char *quote_id = fold_data_text(step, "quote_id");
    struct body_value supersedes, name;
    size_t position = 0;
    if (step->customer == NULL || quote_id == NULL ||
        !fold_data_find(step, "supersedes", &supersedes)) {
        return 0;
    }
    if (supersedes.kind != BODY_LIST) {
        return close_one(step, quote_id, &supersedes);
    }
    int r = 0;
    for (size_t n = 0;
         r == 0 && n < SUPERSEDED_MAX && body_next(&supersedes, &position, NULL, &name); n++) {
        r = close_one(step, quote_id, &name);
    }
    return r;
}
