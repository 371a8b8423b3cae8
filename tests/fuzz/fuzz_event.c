// SPDX-License-Identifier: Apache-2.0
// A serialised Event: what gets through splits into halves that join to the same event, and has a
// CloudEvents form that reads back to the same.
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/cloudevents.h"
#include "schemas/envelope.h"
#include "tests/fuzz/fuzz.h"

enum { ARENA_BYTES_MAX = 8 << 20 };

struct bytes {
    const uint8_t *data;
    size_t size;
};

static struct bytes pack(const Touchbus__Event *event, struct arena *arena) {
    struct bytes result;
    REQUIRE(envelope_pack(&event->base, arena, &result.data, &result.size) == 0);
    return result;
}

static void check_halves(const Touchbus__Event *event, struct arena *arena) {
    struct bytes open;
    struct bytes sealed;
    REQUIRE(envelope_pack_open(event, arena, &open.data, &open.size) == 0);
    REQUIRE(envelope_pack_sealed(event, arena, &sealed.data, &sealed.size) == 0);
    uint8_t *joined = arena_alloc(arena, open.size + sealed.size);
    REQUIRE(joined != NULL);
    memcpy(joined, open.data, open.size);
    memcpy(joined + open.size, sealed.data, sealed.size);
    Touchbus__Event *whole = NULL;
    const char *why = NULL;
    REQUIRE(envelope_unpack_event(joined, open.size + sealed.size, false, arena, &whole, &why) ==
            0);
    struct bytes before = pack(event, arena);
    struct bytes after = pack(whole, arena);
    REQUIRE(before.size == after.size && memcmp(before.data, after.data, after.size) == 0);
}

// Only what has a form in CloudEvents comes back: stamps beyond it and unknown fields are taken off
// first. A type that is written as ours would be read as ours is one of a kind; it has no way back.
static void check_cloudevents(Touchbus__Event *event, struct arena *arena) {
    event->base.n_unknown_fields = 0;
    event->n_lanes = event->n_keys = event->n_references = 0;
    event->rank = 0;
    event->created = false;
    const char *again =
        cloudevents_type_inside(cloudevents_type_outside(event->type, arena), arena);
    if (strcmp(again, event->type) != 0) {
        return;
    }
    json_t *json = cloudevents_to_json(event);
    if (json == NULL) {
        return; // received_us at a time that RFC 3339 has no form for, and the like
    }
    Touchbus__Event *back = NULL;
    const char *why = NULL;
    int r = cloudevents_from_json(json, true, arena, &back, &why);
    json_decref(json);
    if (r == 0 && event->received_us == back->received_us) {
        struct bytes before = pack(event, arena);
        struct bytes after = pack(back, arena);
        REQUIRE(before.size == after.size && memcmp(before.data, after.data, after.size) == 0);
    } else {
        REQUIRE(event->received_us != 0 || strstr(why, "subject") != NULL ||
                strstr(why, "keys") != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_(cleanup_arena) struct arena *arena = arena_new(ARENA_BYTES_MAX);
    Touchbus__Event *event = NULL;
    const char *why = NULL;
    int from_client = envelope_unpack_event(data, size, true, arena, &event, &why);
    int stored = envelope_unpack_event(data, size, false, arena, &event, &why);
    REQUIRE(from_client != 0 || stored == 0);
    if (stored == 0) {
        check_halves(event, arena);
        check_cloudevents(event, arena);
    }
    return 0;
}
