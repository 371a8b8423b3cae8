// SPDX-License-Identifier: Apache-2.0
// An event's bytes as libtouchbus takes them from a spool or a delivery: what its outline says, and
// what a program then reads, agree with the whole message.
#include <stdlib.h>
#include <string.h>

#include "connectors/client/event.h"
#include "tests/fuzz/fuzz.h"

static void look(const touchbus_event *event) {
    static const char *const names[] = {"id",       "type",     "time",     "direction", "cause",
                                        "sequence", "received", "customer", "case",      "other"};
    uint64_t sequence = touchbus_event_sequence(event), lane = touchbus_event_lane(event);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *text = touchbus_event_get(event, names[i]);
        REQUIRE(text == NULL || strlen(text) < 1 << 20);
    }
    if (event->message != NULL) { // unpacked by now, where it could be
        REQUIRE(touchbus_event_sequence(event) == sequence);
        REQUIRE(touchbus_event_lane(event) == lane);
    }
    free(touchbus_event_to_json(event));
    free(touchbus_event_data_json(event));
}

static void publish(const touchbus_event *event) {
    uint8_t *bytes;
    size_t size;
    if (event_pack_to_publish(event, "id", "/source", &bytes, &size) == 0) {
        touchbus_event *sent;
        REQUIRE(event_from_bytes(bytes, size, &sent) == 0);
        REQUIRE(!sent->outline.stamped && sent->outline.has_id && sent->outline.has_source);
        touchbus_event_free(sent);
        free(bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    touchbus_event *event;
    if (event_from_bytes(data, size, &event) == 0) { // from the broker: nothing is looked at first
        publish(event);
        look(event);
        touchbus_event_free(event);
    }
    if (touchbus_event_parse(data, size, &event) == 0) {
        look(event);
        publish(event);
        touchbus_event_set(event, "subject", "changed");
        publish(event);
        touchbus_event_free(event);
    }
    return 0;
}
