// SPDX-License-Identifier: Apache-2.0
// A frame as FUZZ_MESSAGE: what gets through is what protobuf-c makes of it, byte for byte when it
// is packed, by us as by protobuf-c, and packs the same from then on. What the scan alone refuses,
// and nothing else but a version, does not get through.
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/envelope.h"
#include "schemas/envelope_scan.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"
#include "tests/fuzz/fuzz.h"

enum { ARENA_BYTES_MAX = 8 << 20 };

static void compare(const ProtobufCMessage *ours, const uint8_t *data, size_t size,
                    struct arena *arena) {
    const ProtobufCMessage *theirs =
        protobuf_c_message_unpack(&FUZZ_MESSAGE, arena_allocator(arena), size, data);
    REQUIRE(theirs != NULL);
    size_t n = protobuf_c_message_get_packed_size(theirs);
    uint8_t *bytes = arena_alloc(arena, n);
    REQUIRE(bytes != NULL && protobuf_c_message_pack(theirs, bytes) == n);
    const uint8_t *packed;
    size_t packed_size;
    REQUIRE(envelope_pack(ours, arena, &packed, &packed_size) == 0);
    REQUIRE(packed_size == n && memcmp(packed, bytes, n) == 0);
    REQUIRE(protobuf_c_message_get_packed_size(ours) == n);
    REQUIRE(protobuf_c_message_pack(ours, bytes) == n && memcmp(packed, bytes, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_(cleanup_arena) struct arena *arena = arena_new(ARENA_BYTES_MAX);
    ProtobufCMessage *message = NULL;
    const char *why = NULL;
    int r = envelope_unpack(&FUZZ_MESSAGE, data, size, arena, &message, &why);
    REQUIRE((r == 0) == (message != NULL));
    REQUIRE((r == 0) == (why == NULL));
    const char *scan_why = NULL;
    uint64_t controls;
    int scanned = envelope_scan(&FUZZ_MESSAGE, data, size, &controls, &scan_why);
    REQUIRE(scanned == r || r == REASON_BAD_VERSION || size > FRAME_BYTES_MAX);
    if (r != 0) {
        return 0;
    }
    compare(message, data, size, arena);
    const uint8_t *once;
    const uint8_t *twice;
    size_t once_size;
    size_t twice_size;
    REQUIRE(envelope_pack(message, arena, &once, &once_size) == 0);
    REQUIRE(envelope_unpack(&FUZZ_MESSAGE, once, once_size, arena, &message, &why) == 0);
    REQUIRE(envelope_pack(message, arena, &twice, &twice_size) == 0);
    REQUIRE(once_size == twice_size && memcmp(once, twice, once_size) == 0);
    return 0;
}
