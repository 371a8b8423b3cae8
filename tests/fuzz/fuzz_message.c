// SPDX-License-Identifier: Apache-2.0
// A frame as FUZZ_MESSAGE: what gets through can be packed, and packs the same from then on.
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/envelope.h"
#include "tests/fuzz/fuzz.h"

enum { ARENA_BYTES_MAX = 8 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_(cleanup_arena) struct arena *arena = arena_new(ARENA_BYTES_MAX);
    ProtobufCMessage *message = NULL;
    const char *why = NULL;
    int r = envelope_unpack(&FUZZ_MESSAGE, data, size, arena, &message, &why);
    REQUIRE((r == 0) == (message != NULL));
    REQUIRE((r == 0) == (why == NULL));
    if (r != 0) {
        return 0;
    }
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
