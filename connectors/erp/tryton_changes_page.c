// SPDX-License-Identifier: Apache-2.0
// A page of changes on its way to the broker. It stands in the memory until each of its events is
// acknowledged (or refused, and put into quarantine); then it goes, and the cursor moves, in one
// transaction.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/erp/tryton_changes_private.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/logging.h"
#include "schemas/reasons.h"

void changes_count(const struct tryton_changes *changes, size_t counter, uint64_t n) {
    kit_count(changes->options.kit, changes->options.first_counter + counter, n);
}

static touchbus_event *make_event(const struct tryton_changes *changes, const json_t *json) {
    const char *time = json_string_value(json_object_get(json, "time"));
    touchbus_event *event =
        touchbus_event_new(json_string_value(json_object_get(json, "type")), changes->source,
                           json_string_value(json_object_get(json, "id")));
    _cleanup_free_ char *data = json_dumps(json_object_get(json, "data"), JSON_COMPACT);
    if (event == NULL || data == NULL || touchbus_event_set(event, "channel", "erp") < 0 ||
        touchbus_event_set(event, "direction", "decided") < 0 ||
        touchbus_event_set(event, "time", time) < 0 ||
        touchbus_event_set_data_json(event, data, strlen(data)) < 0) {
        return touchbus_event_free(event);
    }
    return event;
}

// False: it could not be put aside, and comes again.
static bool set_aside(struct tryton_changes *changes, const json_t *json, const char *reason) {
    _cleanup_free_ char *text = json_dumps(json, JSON_COMPACT);
    const char *id = json_string_value(json_object_get(json, "id"));
    struct kit_quarantined item = {.id = id != NULL ? id : "",
                                   .reason = reason,
                                   .item = text != NULL ? text : "",
                                   .item_size = text != NULL ? strlen(text) : 0};
    changes_count(changes, CHANGES_REFUSED, 1);
    return kit_quarantine(changes->options.kit, &item, 1) == 0;
}

// All of the page is with the broker: the feed goes on, or ends with its cursor.
int changes_finish_page(struct tryton_changes *changes) {
    bool is_last = changes->since_us >= 0 && changes->after_id == 0; // not what a crash left
    int64_t cursor_us = tryton_memory_cursor(changes->memory, changes->feed);
    bool is_new = is_last && changes->cursor_us > cursor_us;
    bool was_empty = json_array_size(changes->pending) == 0;
    enum tryton_feed feed = changes->feed;
    json_decref(changes->pending);
    free(changes->items);
    changes->pending = NULL;
    changes->items = NULL;
    changes->n_published = changes->n_settled = 0;
    if (changes->must_repeat) {
        changes->must_repeat = false;
        return tryton_memory_pending(changes->memory, &changes->pending);
    }
    if (is_last) {
        changes_next_feed(changes);
    }
    return was_empty && !is_new ? 0
                                : tryton_memory_acked(changes->memory, feed,
                                                      is_new ? changes->cursor_us : cursor_us);
}

static int settle_one(struct tryton_changes *changes, bool is_safe) {
    changes->must_repeat |= !is_safe;
    changes->n_settled++;
    return changes->n_settled == json_array_size(changes->pending) ? changes_finish_page(changes)
                                                                   : 0;
}

// 0: all of it is on its way; KIT_FULL.
int changes_publish(struct tryton_changes *changes) {
    size_t n = json_array_size(changes->pending);
    if (changes->items == NULL) {
        changes->items = calloc(n, sizeof(*changes->items));
    }
    if (changes->items == NULL) {
        return -ENOMEM;
    }
    int r = 0;
    while (r == 0 && changes->items != NULL && changes->n_published < n) {
        size_t i = changes->n_published;
        changes->items[i] = json_array_get(changes->pending, i);
        touchbus_event *event = make_event(changes, changes->items[i]);
        r = event == NULL ? 0 : kit_publish(changes->options.kit, event, &changes->items[i]);
        if (r != 0) {
            touchbus_event_free(event);
            return r;
        }
        changes->n_published++;
        if (event == NULL) { // over a limit of the wire: it never will be one
            r = settle_one(changes, set_aside(changes, changes->items[i], "over a limit"));
        }
    }
    return r;
}

bool tryton_changes_settled(struct tryton_changes *changes, void *item, const struct kit_ack *ack) {
    uintptr_t at = (uintptr_t)item, first = (uintptr_t)changes->items;
    size_t n = json_array_size(changes->pending);
    if (changes->items == NULL || at < first || at >= first + n * sizeof(*changes->items)) {
        return false;
    }
    bool is_taken = ack->code <= REASON_QUARANTINED;
    if (!is_taken) {
        logging_warning("tryton_change=refused reason=%s", ack->reason);
    }
    // A disk that fails here fails again in collect, which says so.
    settle_one(changes, is_taken || set_aside(changes, *(json_t **)item, ack->reason));
    return true;
}
