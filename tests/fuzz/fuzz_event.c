// SPDX-License-Identifier: Apache-2.0
// A serialised Event: what gets through splits into halves that join to the same event, and has a
// CloudEvents form that reads back to the same.
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
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

// Only what has a form in CloudEvents comes back: stamps beyond it and fields of a newer client are
// taken off first.
static void strip(Touchbus__Event *event) {
    event->base.n_unknown_fields = 0;
    for (size_t i = 0; i < event->n_identities; i++) {
        event->identities[i]->base.n_unknown_fields = 0;
    }
    for (size_t i = 0; i < event->n_extensions; i++) {
        event->extensions[i]->base.n_unknown_fields = 0;
    }
    event->n_lanes = event->n_keys = event->n_references = 0;
    event->rank = 0;
    event->key_lookups.len = event->reference_lookups.len = 0;
    event->created = event->erases = false;
    event->survivor = 0;
    event->stamp = NULL;
}

// A type inside that looks like one outside has no way back.
static void check_cloudevents(Touchbus__Event *event, struct arena *arena) {
    strip(event);
    if (event->received_us < CLOCK_US_MIN || event->received_us > CLOCK_US_MAX) {
        event->received_us = 0; // the broker's clock never gives what RFC 3339 cannot write
    }
    const char *again =
        cloudevents_type_inside(cloudevents_type_outside(event->type, arena), arena);
    if (strcmp(again, event->type) != 0) {
        return;
    }
    json_t *json = cloudevents_to_json(event);
    REQUIRE(json != NULL);
    Touchbus__Event *back = NULL;
    const char *why = NULL;
    int r = cloudevents_from_json(json, true, arena, &back, &why);
    REQUIRE(r == 0);
    json_t *again_json = cloudevents_to_json(back);
    REQUIRE(json_equal(json, again_json));
    json_decref(again_json);
    // msgpack has several spellings for a value: the JSON above stands for the data
    event->data.len = back->data.len = 0;
    struct bytes before = pack(event, arena);
    struct bytes after = pack(back, arena);
    REQUIRE(before.size == after.size && memcmp(before.data, after.data, after.size) == 0);
    json_decref(json);
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
