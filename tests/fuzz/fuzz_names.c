// SPDX-License-Identifier: Apache-2.0
// Any bytes as an item that was put aside: whom it may be about is a bounded list of texts that an
// identity may be, and a text that stands in it alone is among them.
#include <string.h>

#include "connectors/kit/bounds.h"
#include "connectors/kit/quarantine.h"
#include "schemas/limits.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char mail[] = "\nfuzz@klant.example\n";
    struct names names = {0};
    names_find(data, size, &names);
    REQUIRE(names.n <= QUARANTINE_NAMES_MAX);
    for (size_t i = 0; i < names.n; i++) {
        size_t length = strlen(names.list[i].value);
        REQUIRE(length > 0 && length <= IDENTITY_VALUE_BYTES_MAX);
        REQUIRE(strlen(names.list[i].kind) > 0);
    }
    names_clear(&names);
    // A line of its own is found whatever stands before it, unless that was an event.
    char text[4096];
    if (size > sizeof(text) - sizeof(mail)) {
        return 0;
    }
    memcpy(text, data, size);
    memcpy(text + size, mail, sizeof(mail));
    names_find(text, size + sizeof(mail) - 1, &names);
    bool found = names.cut;
    for (size_t i = 0; i < names.n; i++) {
        found = found || strcmp(names.list[i].value, "fuzz@klant.example") == 0;
    }
    touchbus_event *event = NULL;
    bool is_event = touchbus_event_parse(text, size + sizeof(mail) - 1, &event) == 0;
    touchbus_event_free(event);
    REQUIRE(found || is_event);
    names_clear(&names);
    return 0;
}
