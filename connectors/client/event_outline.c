// SPDX-License-Identifier: Apache-2.0
// What an event's bytes say without unpacking them: a walk over the outermost fields, a few
// nanoseconds each. It looks into none of them and takes memory for nothing.
#include "connectors/client/event.h"

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LENGTH = 2, WIRE_32 = 5 };

static bool read_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static void note_lane(struct event_outline *outline, uint64_t lane) {
    if (outline->n_lanes++ == 0) {
        outline->lane = lane;
    }
}

static void note_lanes(struct event_outline *outline, uint64_t value, const uint8_t *bytes,
                       size_t size) {
    if (bytes == NULL) {
        note_lane(outline, value);
        return;
    }
    const uint8_t *end = bytes + size;
    while (bytes < end && read_varint(&bytes, end, &value)) {
        note_lane(outline, value);
    }
}

static void outline_note(struct event_outline *outline, uint64_t field, uint64_t value,
                         const uint8_t *bytes, size_t size) {
    switch (field) {
    case 1:
        outline->has_id = size > 0;
        break;
    case 2:
        outline->has_source = size > 0;
        break;
    case 3:
        outline->has_type = size > 0;
        break;
    case 9:
        outline->sequence = value;
        outline->stamped = true;
        break;
    case 14: // lanes, packed or not
        note_lanes(outline, value, bytes, size);
        outline->stamped = true;
        break;
    case 10: // received_us, zigzag
        outline->received_us = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
        outline->stamped = true;
        break;
    case 11: // customer
    case 15: // rank
    case 24: // keys
    case 25: // references
    case 40: // created
    case 41: // key_lookups
    case 42: // reference_lookups
    case 43: // erases
    case 44: // redacted
    case 45: // survivor
    case 46: // stamp
        outline->stamped = true;
        break;
    default:
        break;
    }
}

// Walks the outermost fields, without looking into any.
bool event_outline_read(const void *data, size_t size, struct event_outline *ret) {
    struct event_outline outline = {0};
    const uint8_t *at = data;
    const uint8_t *end = at + size;
    while (at < end) {
        uint64_t tag, value = 0;
        const uint8_t *bytes = NULL;
        size_t skip = 0;
        if (!read_varint(&at, end, &tag)) {
            return false;
        }
        unsigned wire_type = tag & 7;
        if (wire_type == WIRE_VARINT || wire_type == WIRE_LENGTH) {
            if (!read_varint(&at, end, &value)) {
                return false;
            }
            if (wire_type == WIRE_LENGTH) {
                bytes = at;
                skip = (size_t)value;
            }
        } else if (wire_type == WIRE_64 || wire_type == WIRE_32) {
            skip = wire_type == WIRE_64 ? 8 : 4;
        } else {
            return false;
        }
        if (skip > (size_t)(end - at)) {
            return false;
        }
        outline_note(&outline, tag >> 3, value, bytes, bytes != NULL ? skip : 0);
        at += skip;
    }
    *ret = outline;
    return true;
}
