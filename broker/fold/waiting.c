// SPDX-License-Identifier: Apache-2.0
// See waiting.h: keys, and rows as they are read.
#include "broker/fold/waiting.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

void waiting_key(char what, const uint8_t lookup[static LOOKUP_BYTES],
                 uint8_t ret[static WAITING_KEY_BYTES]) {
    ret[0] = (uint8_t)what;
    memcpy(ret + 1, lookup, LOOKUP_BYTES);
}

void waiting_place(char what, uint64_t sequence, uint8_t ret[static WAITING_PLACE_BYTES]) {
    sequence = htobe64(sequence);
    ret[0] = (uint8_t)what;
    memcpy(ret + 1, &sequence, sizeof(sequence));
}

static int get(struct view_txn *txn, struct arena *arena, char what, const uint8_t *lookup,
               const ProtobufCMessageDescriptor *descriptor, void **ret) {
    uint8_t key[WAITING_KEY_BYTES];
    const void *value;
    size_t size;
    waiting_key(what, lookup, key);
    int r = view_get(txn, VIEW_WAITING, key, sizeof(key), &value, &size);
    if (r != 0) {
        return r;
    }
    *ret = protobuf_c_message_unpack(descriptor, arena_allocator(arena), size, value);
    return *ret == NULL ? -EBADMSG : 0;
}

int waiting_get(struct view_txn *txn, struct arena *arena,
                const uint8_t lookup[static LOOKUP_BYTES], View__Waiting **ret) {
    void *row;
    int r = get(txn, arena, 'l', lookup, &view__waiting__descriptor, &row);
    if (r == 0) {
        *ret = row;
    }
    return r;
}

int waiting_get_held(struct view_txn *txn, struct arena *arena,
                     const uint8_t lookup[static LOOKUP_BYTES], View__Held **ret) {
    void *row;
    int r = get(txn, arena, 'a', lookup, &view__held__descriptor, &row);
    if (r == 0) {
        *ret = row;
    }
    return r;
}
