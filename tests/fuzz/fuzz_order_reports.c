// SPDX-License-Identifier: Apache-2.0
// A file of the ERP: a list of events, each with its type and data, or a reason.
#include <string.h>

#include "connectors/dialect/order_document.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char why[ORDER_WHY_BYTES] = "";
    json_t *events = NULL;
    if (order_reports_read(data, size, &events, why) != 0) {
        REQUIRE(events == NULL && why[0] != '\0');
        return 0;
    }
    size_t index;
    json_t *event;
    REQUIRE(json_array_size(events) > 0);
    json_array_foreach(events, index, event) {
        REQUIRE(json_is_string(json_object_get(event, "type")));
        REQUIRE(json_is_object(json_object_get(event, "data")));
    }
    json_decref(events);
    return 0;
}
