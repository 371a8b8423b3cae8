// SPDX-License-Identifier: Apache-2.0
// A document of a supplier: events that each name their order, or a reason.
#include <string.h>

#include "connectors/dialect/ubl.h"
#include "schemas/base/clock.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char why[UBL_WHY_BYTES] = "";
    json_t *events = NULL;
    if (ubl_read_supply(data, size, &events, why) != 0) {
        REQUIRE(events == NULL && why[0] != '\0');
        return 0;
    }
    size_t index;
    json_t *event;
    REQUIRE(json_array_size(events) > 0 && json_array_size(events) <= UBL_ORDERS_MAX);
    json_array_foreach(events, index, event) {
        const json_t *body = json_object_get(event, "data");
        const json_t *eta = json_object_get(body, "eta");
        int64_t ignored;
        REQUIRE(json_string_length(json_object_get(body, "order_id")) > 0);
        REQUIRE(eta == NULL || clock_parse_rfc3339(json_string_value(eta), &ignored) == 0);
    }
    json_decref(events);
    return 0;
}
