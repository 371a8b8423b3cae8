// SPDX-License-Identifier: Apache-2.0
// CloudEvents JSON: what is read passes the envelope, is written, and reads back to the same event.
// Also the keys attribute on its own.
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/cloudevents.h"
#include "schemas/envelope.h"
#include "tests/fuzz/fuzz.h"

enum { ARENA_BYTES_MAX = 8 << 20 };

static void check_event(const Touchbus__Event *event, struct arena *arena) {
    const uint8_t *once;
    const uint8_t *twice;
    size_t once_size;
    size_t twice_size;
    Touchbus__Event *back = NULL;
    const char *why = NULL;
    REQUIRE(envelope_pack(&event->base, arena, &once, &once_size) == 0);
    REQUIRE(envelope_unpack_event(once, once_size, false, arena, &back, &why) == 0);
    json_t *json = cloudevents_to_json(event);
    REQUIRE(json != NULL);
    REQUIRE(cloudevents_from_json(json, true, arena, &back, &why) == 0);
    json_decref(json);
    REQUIRE(envelope_pack(&back->base, arena, &twice, &twice_size) == 0);
    REQUIRE(once_size == twice_size && memcmp(once, twice, once_size) == 0);
}

static void check_keys(const uint8_t *data, size_t size, struct arena *arena) {
    char *text = arena_alloc(arena, size + 1);
    Touchbus__Identity **list = NULL;
    size_t n = 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (cloudevents_parse_keys(text, arena, &list, &n) == 0) {
        char *once = cloudevents_format_keys(list, n, arena);
        REQUIRE(once != NULL && cloudevents_parse_keys(once, arena, &list, &n) == 0);
        REQUIRE(strcmp(cloudevents_format_keys(list, n, arena), once) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_(cleanup_arena) struct arena *arena = arena_new(ARENA_BYTES_MAX);
    check_keys(data, size, arena);
    json_t *json = json_loadb((const char *)data, size, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    if (json == NULL) {
        return 0;
    }
    for (int stamped = 0; stamped < 2; stamped++) {
        Touchbus__Event *event = NULL;
        const char *why = NULL;
        int r = cloudevents_from_json(json, stamped == 1, arena, &event, &why);
        REQUIRE((r == 0) == (why == NULL));
        if (r == 0) {
            check_event(event, arena);
        }
    }
    json_decref(json);
    return 0;
}
