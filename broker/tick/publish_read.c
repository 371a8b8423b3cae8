// SPDX-License-Identifier: Apache-2.0
// One frame is one PublishRequest. The envelope judges the message, this file what the envelope
// does not know of it. The two peeks read bytes that nobody has judged yet: they never leave the
// frame.
#include "broker/tick/publish_read.h"

#include <errno.h>
#include <string.h>

#include "schemas/base/guards.h"
#include "schemas/base/utf8.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

// What the envelope's scan does not know about a request.
static int check_request(const Touchbus__PublishRequest *message, const char **ret_why) {
    size_t size = strlen(message->producer);
    if (GUARD(producer_name) &&
        (size > NAME_BYTES_MAX || !utf8_check_printable(message->producer, size))) {
        *ret_why = "producer is too long or holds control characters";
        return REASON_BAD_ARGUMENT;
    }
    if (size > 0 && message->n_events > 0 && GUARD(number_range) &&
        (message->number == 0 || message->number > INT64_MAX - REQUEST_EVENTS_MAX)) {
        *ret_why = "number is out of range";
        return REASON_BAD_ARGUMENT;
    }
    return 0;
}

// A varint's value at *at; 0 and *at at end where there is none.
static uint64_t peek_varint(const uint8_t **at, const uint8_t *end) {
    uint64_t value = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return value;
        }
    }
    *at = end;
    return 0;
}

uint64_t publish_peek(const uint8_t *data, size_t size) {
    enum { TAG_VERSION = 1 << 3, TAG_REQUEST = 2 << 3 };
    const uint8_t *at = data;
    const uint8_t *end = data + size;
    if (at < end && *at++ == TAG_VERSION) {
        peek_varint(&at, end);
        if (at < end && *at++ == TAG_REQUEST) {
            return peek_varint(&at, end);
        }
    }
    return 0;
}

int publish_read(struct request *request, zmq_msg_t *body, unsigned n_frames, struct arena *arena) {
    const char *why = "";
    int code = REASON_BAD_FRAME;
    touchbus__publish_reply__init(&request->reply);
    request->bytes = zmq_msg_size(body);
    if (GUARD(frame_count) && n_frames != 1) {
        why = "a request is one frame";
    } else {
        ProtobufCMessage *message = NULL;
        code = envelope_unpack(&touchbus__publish_request__descriptor, zmq_msg_data(body),
                               zmq_msg_size(body), arena, &message, &why);
        request->message = (const Touchbus__PublishRequest *)message;
        request->reply.request = publish_peek(zmq_msg_data(body), zmq_msg_size(body));
    }
    if (code == 0) {
        request->reply.request = request->message->request;
        request->reply.number = request->message->number;
        code = check_request(request->message, &why);
    }
    if (code != 0) {
        request->reply.code = (uint32_t)code;
        request->reply.detail = arena_strdup(arena, why);
    }
    return request->reply.detail == NULL ? -ENOMEM : code;
}

uint32_t publish_count(const uint8_t *data, size_t size) {
    enum { TAG_EVENTS = 6 << 3 | 2, VARINT = 0, FIXED_64 = 1, BYTES = 2, FIXED_32 = 5 };
    const uint8_t *at = data;
    const uint8_t *end = data + size;
    uint32_t n = 0;
    while (at < end) {
        uint64_t tag = peek_varint(&at, end);
        uint64_t skip = 0;
        switch (tag & 7) {
        case VARINT:
            peek_varint(&at, end);
            break;
        case BYTES:
            skip = peek_varint(&at, end);
            break;
        case FIXED_64:
            skip = sizeof(uint64_t);
            break;
        case FIXED_32:
            skip = sizeof(uint32_t);
            break;
        default:
            return n;
        }
        n += tag == TAG_EVENTS;
        if (skip > (uint64_t)(end - at)) {
            return n;
        }
        at += skip;
    }
    return n;
}
