// SPDX-License-Identifier: Apache-2.0
// From the envelope to the facts of an order document: the event's own time, else its receipt.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/dialect/order_event.h"

static json_t *keys_of(const touchbus_event *event) {
    json_t *keys = json_array();
    const char *kind, *value;
    for (size_t i = 0; touchbus_event_key(event, i, &kind, &value); i++) {
        json_array_append_new(keys, json_pack("{s:s, s:s}", "kind", kind, "value", value));
    }
    return keys;
}

int order_event_read(const touchbus_event *event, const uint8_t *incarnation, bool with_keys,
                     struct order_event *ret) {
    char *data = touchbus_event_data_json(event);
    if (data == NULL) {
        return 1;
    }
    const char *time = touchbus_event_get(event, "time");
    *ret = (struct order_event){
        .facts = {.sequence = touchbus_event_sequence(event),
                  .time = time != NULL ? time : touchbus_event_get(event, "received"),
                  .customer = touchbus_event_get(event, "customer"),
                  .channel = touchbus_event_get(event, "channel"),
                  .keys = with_keys ? keys_of(event) : NULL},
        .data = data,
        .data_size = strlen(data),
    };
    for (size_t i = 0; i < ORDER_INCARNATION_BYTES; i++) {
        snprintf(ret->incarnation + 2 * i, 3, "%02x", incarnation[i]);
    }
    ret->facts.incarnation = ret->incarnation;
    return 0;
}

void order_event_clear(struct order_event *order_event) {
    json_decref(order_event->facts.keys);
    free(order_event->data);
    *order_event = (struct order_event){0};
}
