// SPDX-License-Identifier: Apache-2.0
// A msgpack body: the walkers end on any bytes; a checked one becomes JSON, and that JSON a body
// which gives the same JSON again.
#include "schemas/base/cleanup.h"
#include "schemas/body.h"
#include "tests/fuzz/fuzz.h"

static void walk(const uint8_t *data, size_t size) {
    struct body_value value;
    struct body_value name;
    struct body_value member;
    size_t position = 0;
    body_find(data, size, "order_id", &value);
    if (!body_read(data, size, &value)) {
        return;
    }
    REQUIRE(value.raw_size <= size);
    for (size_t n = 0; body_next(&value, &position, &name, &member); n++) {
        REQUIRE(position <= value.raw_size && n < size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    walk(data, size);
    json_t *once = NULL;
    json_t *twice = NULL;
    const char *why = NULL;
    int checked = body_check(data, size, false, &why);
    REQUIRE((checked == 0) == (why == NULL));
    REQUIRE(body_to_json(data, size, &once) == checked);
    if (checked != 0) {
        return 0;
    }
    _cleanup_free_ void *bytes = NULL;
    size_t bytes_size;
    REQUIRE(body_from_json(once, &bytes, &bytes_size) == 0);
    REQUIRE(body_to_json(bytes, bytes_size, &twice) == 0);
    REQUIRE(json_equal(once, twice));
    json_decref(once);
    json_decref(twice);
    return 0;
}
