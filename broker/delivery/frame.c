// SPDX-License-Identifier: Apache-2.0
// The Delivery by hand. Room is kept in front for what can only be written at the end (the lengths
// around the events), so nothing is moved: the message ZeroMQ gets begins wherever that header
// does.
#include "broker/delivery/frame.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    FRAME_BYTES_MIN = 16 << 10,
    FRAME_HEAD_BYTES = 64, // version, incarnation, tag and length of the delivery
    VARINT_BYTES_MAX = 10,
    FRAME_TAIL_BYTES = 8 * VARINT_BYTES_MAX, // tags and numbers around what is appended
    WIRE_VARINT = 0,
    WIRE_BYTES = 2,
    BROKER_MESSAGE_VERSION = 1,
    BROKER_MESSAGE_INCARNATION = 2,
    BROKER_MESSAGE_DELIVERY = 4,
    DELIVERY_EVENTS = 1,
    DELIVERY_ATTEMPTS = 2,
    DELIVERY_HEAD = 3,
    DELIVERY_FAILURES = 4,
};

struct outlets {
    atomic_size_t unsent, n_references;
    atomic_bool waiting;
    int descriptor;
};

struct outlet {
    struct outlets *outlets;
    atomic_size_t unsent, n_references;
};

// In front of the buffer's bytes, for the thread of ZeroMQ that lets go of it.
struct buffer_owner {
    struct outlet *outlet;
    size_t bytes;
};

// ---- counting

int outlets_new(struct outlets **ret) {
    struct outlets *outlets = calloc(1, sizeof *outlets);
    if (!outlets)
        return -ENOMEM;
    outlets->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (outlets->descriptor < 0) {
        free(outlets);
        return -errno;
    }
    atomic_init(&outlets->n_references, 1);
    *ret = outlets;
    return 0;
}

void outlets_leave(struct outlets *outlets) {
    if (!outlets || atomic_fetch_sub(&outlets->n_references, 1) > 1)
        return;
    close(outlets->descriptor);
    free(outlets);
}

int outlets_descriptor(const struct outlets *outlets) {
    return outlets->descriptor;
}

void outlets_wait(struct outlets *outlets) {
    atomic_store(&outlets->waiting, true);
}

void outlets_rest(struct outlets *outlets) {
    uint64_t count;
    (void)!read(outlets->descriptor, &count, sizeof count);
}

size_t outlets_unsent(const struct outlets *outlets) {
    return atomic_load(&outlets->unsent);
}

struct outlet *outlet_new(struct outlets *outlets) {
    struct outlet *outlet = calloc(1, sizeof *outlet);
    if (!outlet)
        return NULL;
    outlet->outlets = outlets;
    atomic_init(&outlet->n_references, 1);
    atomic_fetch_add(&outlets->n_references, 1);
    return outlet;
}

void outlet_leave(struct outlet *outlet) {
    if (!outlet || atomic_fetch_sub(&outlet->n_references, 1) > 1)
        return;
    outlets_leave(outlet->outlets);
    free(outlet);
}

size_t outlet_unsent(const struct outlet *outlet) {
    return atomic_load(&outlet->unsent);
}

bool outlet_is_full(const struct outlet *outlet) {
    size_t unsent = outlet_unsent(outlet);
    return unsent >= PEER_UNSENT_BYTES_MAX ||
           (unsent > 0 && outlets_unsent(outlet->outlets) >= ALL_UNSENT_BYTES_MAX);
}

// On a thread of ZeroMQ.
static void buffer_release(void *data, void *hint) {
    (void)data;
    struct buffer_owner *owner = hint;
    struct outlets *outlets = owner->outlet->outlets;
    atomic_fetch_sub(&owner->outlet->unsent, owner->bytes);
    atomic_fetch_sub(&outlets->unsent, owner->bytes);
    if (atomic_exchange(&outlets->waiting, false)) {
        uint64_t one = 1;
        (void)!write(outlets->descriptor, &one, sizeof one);
    }
    outlet_leave(owner->outlet);
    free(owner);
}

// ---- writing

static size_t put_varint(uint8_t *to, uint64_t value) {
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        to[n++] = (uint8_t)(value | 0x80);
    to[n++] = (uint8_t)value;
    return n;
}

static size_t varint_size(uint64_t value) {
    size_t n = 1;
    for (; value >= 0x80; value >>= 7)
        n++;
    return n;
}

static size_t put_tag(uint8_t *to, unsigned field, unsigned wire) {
    return put_varint(to, field << 3 | wire);
}

static int frame_reserve(struct frame *frame, size_t bytes) {
    const size_t head = sizeof(struct buffer_owner) + FRAME_HEAD_BYTES;
    size_t needed = (frame->buffer ? frame->used : head) + bytes;
    if (frame->buffer && needed <= frame->capacity)
        return 0;
    size_t capacity = frame->buffer ? frame->capacity : frame->capacity_next;
    if (capacity < FRAME_BYTES_MIN)
        capacity = FRAME_BYTES_MIN;
    while (capacity < needed)
        capacity *= 2;
    uint8_t *buffer = realloc(frame->buffer, capacity);
    if (!buffer)
        return -ENOMEM;
    if (!frame->buffer)
        frame->used = head;
    frame->buffer = buffer;
    frame->capacity = capacity;
    return 0;
}

bool frame_is_full(const struct frame *frame) {
    return frame->n_events >= DELIVERY_EVENTS_MAX || frame->used >= FRAME_TARGET_BYTES;
}

uint8_t *frame_event(struct frame *frame, const void *open, size_t open_size, size_t plain_max) {
    assert(frame->n_events < DELIVERY_EVENTS_MAX);
    // What follows the last event is reserved with it, so that finishing cannot fail on memory.
    if (frame_reserve(frame, open_size + plain_max + FRAME_TAIL_BYTES +
                                 (frame->n_events + 1) * sizeof(uint64_t)) < 0)
        return NULL;
    uint8_t *to = frame->buffer + frame->used;
    to += put_tag(to, DELIVERY_EVENTS, WIRE_BYTES);
    to += put_varint(to, open_size + plain_max);
    memcpy(to, open, open_size);
    return to + open_size;
}

void frame_event_end(struct frame *frame, size_t open_size, size_t plain_max, size_t plain_size,
                     uint32_t attempt) {
    assert(plain_size <= plain_max);
    uint8_t *start = frame->buffer + frame->used;
    size_t size = open_size + plain_size;
    size_t tag = 1, length = varint_size(open_size + plain_max), shorter = varint_size(size);
    if (plain_size < plain_max) {
        if (shorter < length)
            memmove(start + tag + shorter, start + tag + length, size);
        put_varint(start + tag, size);
    }
    frame->used += tag + shorter + size;
    frame->attempts[frame->n_events++] = attempt;
    frame->tried |= attempt > 1;
}

static void put_attempts(struct frame *frame) {
    size_t size = 0;
    for (uint32_t i = 0; i < frame->n_events; i++)
        size += varint_size(frame->attempts[i]);
    uint8_t *to = frame->buffer + frame->used;
    to += put_tag(to, DELIVERY_ATTEMPTS, WIRE_BYTES);
    to += put_varint(to, size);
    for (uint32_t i = 0; i < frame->n_events; i++)
        to += put_varint(to, frame->attempts[i]);
    frame->used = (size_t)(to - frame->buffer);
}

int frame_finish(struct frame *frame, const uint8_t incarnation[static INCARNATION_BYTES],
                 uint64_t head, struct outlet *outlet, zmq_msg_t *ret) {
    assert(frame->n_events > 0);
    const size_t start = sizeof(struct buffer_owner) + FRAME_HEAD_BYTES;
    if (frame_reserve(frame, FRAME_TAIL_BYTES + frame->n_events * sizeof(uint64_t)) < 0)
        return -ENOMEM;
    if (frame->tried)
        put_attempts(frame);
    frame->used += put_tag(frame->buffer + frame->used, DELIVERY_HEAD, WIRE_VARINT);
    frame->used += put_varint(frame->buffer + frame->used, head);
    if (frame->failures) {
        frame->used += put_tag(frame->buffer + frame->used, DELIVERY_FAILURES, WIRE_VARINT);
        frame->used += put_varint(frame->buffer + frame->used, frame->failures);
    }

    uint8_t header[FRAME_HEAD_BYTES];
    size_t n = put_tag(header, BROKER_MESSAGE_VERSION, WIRE_VARINT);
    n += put_varint(header + n, WIRE_VERSION);
    n += put_tag(header + n, BROKER_MESSAGE_INCARNATION, WIRE_BYTES);
    n += put_varint(header + n, INCARNATION_BYTES);
    memcpy(header + n, incarnation, INCARNATION_BYTES);
    n += INCARNATION_BYTES;
    n += put_tag(header + n, BROKER_MESSAGE_DELIVERY, WIRE_BYTES);
    n += put_varint(header + n, frame->used - start);
    assert(n <= FRAME_HEAD_BYTES);

    frame->capacity_next =
        frame->used < frame->capacity / 2 ? frame->capacity / 2 : frame->capacity;
    if (frame->used < frame->capacity / 2) { // what waits in a queue should not hold more
        uint8_t *buffer = realloc(frame->buffer, frame->used);
        if (buffer) {
            frame->buffer = buffer;
            frame->capacity = frame->used;
        }
    }
    memcpy(frame->buffer + start - n, header, n);
    struct buffer_owner *owner = (struct buffer_owner *)(void *)frame->buffer;
    *owner = (struct buffer_owner){.outlet = outlet, .bytes = frame->capacity};
    if (zmq_msg_init_data(ret, frame->buffer + start - n, frame->used - start + n, buffer_release,
                          owner) != 0)
        return -ENOMEM;
    atomic_fetch_add(&outlet->n_references, 1);
    atomic_fetch_add(&outlet->unsent, owner->bytes);
    atomic_fetch_add(&outlet->outlets->unsent, owner->bytes);
    frame->buffer = NULL;
    frame->used = frame->capacity = 0;
    frame->n_events = 0;
    frame->tried = false;
    return 0;
}

void frame_clear(struct frame *frame) {
    free(frame->buffer);
    frame->buffer = NULL;
    frame->used = frame->capacity = 0;
    frame->n_events = 0;
    frame->tried = false;
}
