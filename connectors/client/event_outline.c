// SPDX-License-Identifier: Apache-2.0
// What an event's bytes say without unpacking them: a walk over the outermost fields, a few
// nanoseconds each. It looks into none of them and takes memory for nothing.
#include "connectors/client/event.h"

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LENGTH = 2, WIRE_32 = 5 };

static bool read_long_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret) {
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

// One byte or two, as nearly all are.
static inline bool read_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret) {
    const uint8_t *own = *at;
    if (own < end && own[0] < 0x80) {
        *ret = own[0];
        *at = own + 1;
        return true;
    }
    if (end - own >= 2 && own[1] < 0x80) {
        *ret = (own[0] & 0x7fU) | (uint64_t)own[1] << 7;
        *at = own + 2;
        return true;
    }
    return read_long_varint(at, end, ret);
}

static void note_lane(struct event_outline *outline, uint64_t lane) {
    if (outline->n_lanes++ == 0) {
        outline->lane = lane;
    }
}

static void note_packed_lanes(struct event_outline *outline, const uint8_t *at, size_t size) {
    const uint8_t *end = at + size;
    uint64_t lane;
    while (at < end && read_varint(&at, end, &lane)) {
        note_lane(outline, lane);
    }
}

// Where `size_follows`, the value is how many bytes stand at `at`.
static void outline_note(struct event_outline *outline, uint64_t field, bool size_follows,
                         uint64_t value, const uint8_t *at) {
    bool has_text = size_follows && value > 0;
    switch (field) {
    case 1:
        outline->has_id = has_text;
        break;
    case 2:
        outline->has_source = has_text;
        break;
    case 3:
        outline->has_type = has_text;
        break;
    case 9:
        outline->sequence = value;
        outline->stamped = true;
        break;
    case 14: // lanes, packed or not
        if (size_follows) {
            note_packed_lanes(outline, at, (size_t)value);
        } else {
            note_lane(outline, value);
        }
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
        size_t skip = 0;
        if (!read_varint(&at, end, &tag)) {
            return false;
        }
        unsigned wire_type = tag & 7;
        if (wire_type == WIRE_VARINT || wire_type == WIRE_LENGTH) {
            if (!read_varint(&at, end, &value)) {
                return false;
            }
            skip = wire_type == WIRE_LENGTH ? (size_t)value : 0;
        } else if (wire_type == WIRE_64 || wire_type == WIRE_32) {
            skip = wire_type == WIRE_64 ? 8 : 4;
        } else {
            return false;
        }
        if (skip > (size_t)(end - at)) {
            return false;
        }
        outline_note(&outline, tag >> 3, wire_type == WIRE_LENGTH, value, at);
        at += skip;
    }
    *ret = outline;
    return true;
}
