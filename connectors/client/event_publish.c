// SPDX-License-Identifier: Apache-2.0
// An event as a publisher sends it: its bytes, without what only the broker may stamp, and with the
// publisher's id and source appended where it has none.
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/client/event.h"
#include "schemas/base/cleanup.h"
#include "schemas/limits.h"

enum { TAG_ID = 1 << 3 | 2, TAG_SOURCE = 2 << 3 | 2 }; // field number and "a length follows"

static size_t append_text(uint8_t *at, uint8_t tag, const char *text, size_t length) {
    static_assert(ID_BYTES_MAX < 1 << 14, "the length fits two bytes");
    assert(length <= ID_BYTES_MAX);
    size_t n = 0;
    at[n++] = tag;
    if (length < 0x80) {
        at[n++] = (uint8_t)length;
    } else {
        at[n++] = (uint8_t)(length | 0x80);
        at[n++] = (uint8_t)(length >> 7);
    }
    memcpy(at + n, text, length);
    return n + length;
}

static int pack_without_stamps(const touchbus_event *event, touchbus_event **ret) {
    const Touchbus__Event *message = event_message(event);
    if (message == NULL) {
        return -EINVAL;
    }
    Touchbus__Event bare = *message;
    bare.sequence = bare.customer = bare.survivor = 0;
    bare.stamp = NULL;
    bare.received_us = 0;
    bare.rank = 0;
    bare.created = bare.erases = bare.redacted = false;
    bare.key_lookups = bare.reference_lookups = (ProtobufCBinaryData){0};
    bare.n_lanes = bare.n_keys = bare.n_references = 0;
    _cleanup_free_ uint8_t *bytes = malloc(touchbus__event__get_packed_size(&bare) + 1);
    if (bytes == NULL) {
        return -ENOMEM;
    }
    return event_from_bytes(bytes, touchbus__event__pack(&bare, bytes), ret);
}

int event_pack_to_publish(const touchbus_event *event, const char *id, const char *source,
                          uint8_t **ret, size_t *ret_size) {
    int r = event_pack(event);
    if (r != 0) {
        return r;
    }
    if (event->outline.stamped) {
        touchbus_event *bare;
        r = pack_without_stamps(event, &bare);
        if (r == 0) {
            r = event_pack_to_publish(bare, id, source, ret, ret_size);
            touchbus_event_free(bare);
        }
        return r;
    }
    if (!event->outline.has_type) {
        return -EINVAL;
    }
    size_t id_length = event->outline.has_id ? 0 : strlen(id);
    size_t source_length = event->outline.has_source ? 0 : strlen(source);
    size_t size_max = event->packed_size + id_length + source_length + 6; // and two headers of 3
    uint8_t *bytes = malloc(size_max);
    if (bytes == NULL) {
        return -ENOMEM;
    }
    size_t size = event->packed_size;
    memcpy(bytes, event->packed, size);
    if (id_length > 0) {
        size += append_text(bytes + size, TAG_ID, id, id_length);
    }
    if (source_length > 0) {
        size += append_text(bytes + size, TAG_SOURCE, source, source_length);
    }
    if (size > EVENT_BYTES_MAX) {
        free(bytes);
        return -E2BIG;
    }
    *ret = bytes;
    *ret_size = size;
    return 0;
}
