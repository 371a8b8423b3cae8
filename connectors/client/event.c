// SPDX-License-Identifier: Apache-2.0
// The life of an event: made, copied from bytes, unpacked on the first look, packed on the first
// send. Never talks to a socket.
#include "connectors/client/event.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/base/utf8.h"
#include "schemas/envelope.h"
#include "schemas/envelope_scan.h"
#include "schemas/limits.h"

enum {
    EVENT_ARENA_BYTES_MAX = 8 << 20,     // what one event may become unpacked
    EVENT_ARENA_BYTES_COMPACT = 1 << 20, // an event changed that often is packed and unpacked again
};

static touchbus_event *copy(const void *bytes, size_t size, const struct event_outline *outline) {
    touchbus_event *event = malloc(sizeof(*event) + size);
    if (event == NULL) {
        return NULL;
    }
    *event = (touchbus_event){.self = event, .attempt = 1, .outline = *outline};
    if (size > 0) {
        memcpy(event->tail, bytes, size);
    }
    event->packed = event->tail;
    event->packed_size = size;
    return event;
}

int event_from_bytes(const void *bytes, size_t size, touchbus_event **ret) {
    struct event_outline outline;
    if (!event_outline_read(bytes, size, &outline)) {
        return -EBADMSG;
    }
    *ret = copy(bytes, size, &outline);
    return *ret == NULL ? -ENOMEM : 0;
}

touchbus_event *event_from_message(struct arena *arena, Touchbus__Event *message) {
    touchbus_event *event = calloc(1, sizeof(*event));
    if (event == NULL) {
        arena_free(arena);
        return NULL;
    }
    event->self = event;
    event->attempt = 1;
    event->arena = arena;
    event->message = message;
    return event;
}

touchbus_event *touchbus_event_new(const char *type, const char *source, const char *id) {
    struct arena *arena = arena_new(EVENT_ARENA_BYTES_MAX);
    Touchbus__Event *message = arena == NULL ? NULL : arena_alloc(arena, sizeof(*message));
    if (message == NULL) {
        arena_free(arena);
        return NULL;
    }
    touchbus__event__init(message);
    touchbus_event *event = event_from_message(arena, message);
    const char *const values[][2] = {{"type", type}, {"source", source}, {"id", id}};
    for (size_t i = 0; event != NULL && i < sizeof(values) / sizeof(*values); i++) {
        if (values[i][1] != NULL && touchbus_event_set(event, values[i][0], values[i][1]) != 0) {
            event = touchbus_event_free(event);
        }
    }
    return event;
}

touchbus_event *touchbus_event_free(touchbus_event *event) {
    if (event != NULL) {
        arena_free(event->arena);
        free(event->packed_owned);
        free(event);
    }
    return NULL;
}

static int unpack(touchbus_event *event) {
    const char *why;
    ProtobufCMessage *message;
    _cleanup_(cleanup_arena) struct arena *arena = arena_new(EVENT_ARENA_BYTES_MAX);
    if (arena == NULL) {
        return -ENOMEM;
    }
    if (envelope_unpack(&touchbus__event__descriptor, event->packed, event->packed_size, arena,
                        &message, &why) != 0) {
        return -EBADMSG;
    }
    event->message = (Touchbus__Event *)message;
    event->arena = STEAL(arena);
    return 0;
}

Touchbus__Event *event_message(const touchbus_event *event) {
    touchbus_event *self = event->self;
    if (self->message == NULL && self->packed != NULL && unpack(self) != 0) {
        return NULL;
    }
    return self->message;
}

int event_pack(const touchbus_event *event) {
    touchbus_event *self = event->self;
    if (self->packed != NULL) {
        return 0;
    }
    assert(self->message != NULL);
    size_t size = touchbus__event__get_packed_size(self->message);
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL) {
        return -ENOMEM;
    }
    touchbus__event__pack(self->message, bytes);
    if (!event_outline_read(bytes, size, &self->outline)) {
        free(bytes);
        return -EINVAL;
    }
    self->packed = self->packed_owned = bytes;
    self->packed_size = size;
    return 0;
}

// An arena only grows: an event that is changed for ever moves into a fresh one now and then.
static void event_compact(touchbus_event *event) {
    _cleanup_(cleanup_arena) struct arena *arena = arena_new(EVENT_ARENA_BYTES_MAX);
    if (arena == NULL || event_pack(event) != 0) {
        return;
    }
    Touchbus__Event *message =
        touchbus__event__unpack(arena_allocator(arena), event->packed_size, event->packed);
    if (message != NULL) {
        arena_free(event->arena);
        event->arena = STEAL(arena);
        event->message = message;
    }
}

Touchbus__Event *event_change(touchbus_event *event) {
    if (event_message(event) == NULL) {
        return NULL;
    }
    if (arena_used(event->arena) > EVENT_ARENA_BYTES_COMPACT + event->packed_size) {
        event_compact(event);
    }
    free(event->packed_owned);
    event->packed = event->packed_owned = NULL;
    event->packed_size = 0;
    memset(event->texts, 0, sizeof(event->texts));
    event->extension_texts = NULL;
    return event->message;
}

int touchbus_event_serialize(const touchbus_event *event, void **ret, size_t *ret_size) {
    int r = event_pack(event);
    if (r != 0) {
        return r;
    }
    void *bytes = malloc(event->packed_size + 1);
    if (bytes == NULL) {
        return -ENOMEM;
    }
    memcpy(bytes, event->packed, event->packed_size);
    *ret = bytes;
    *ret_size = event->packed_size;
    return 0;
}

// The scan is always done; an event's own rules only where it is complete: a publisher fills in id
// and source later.
static int check(const void *bytes, size_t size, const struct event_outline *outline) {
    const char *why;
    if (!outline->has_id || !outline->has_source || !outline->has_type) {
        uint64_t controls;
        int r = envelope_scan(&touchbus__event__descriptor, bytes, size, &controls, &why);
        return r == 0 ? 0 : -EBADMSG;
    }
    _cleanup_(cleanup_arena) struct arena *arena = arena_new(EVENT_ARENA_BYTES_MAX);
    Touchbus__Event *message;
    if (arena == NULL) {
        return -ENOMEM;
    }
    return envelope_unpack_event(bytes, size, false, arena, &message, &why) == 0 ? 0 : -EBADMSG;
}

// It is unpacked again, to be kept, when somebody looks inside.
int touchbus_event_parse(const void *bytes, size_t size, touchbus_event **ret) {
    if (size > STORED_EVENT_BYTES_MAX) {
        return -E2BIG;
    }
    struct event_outline outline;
    if (!event_outline_read(bytes, size, &outline)) {
        return -EBADMSG;
    }
    int r = check(bytes, size, &outline);
    if (r != 0) {
        return r;
    }
    *ret = copy(bytes, size, &outline);
    return *ret == NULL ? -ENOMEM : 0;
}

int event_check_text(const char *text, size_t bytes_max) {
    size_t length = strnlen(text, bytes_max + 1);
    if (length > bytes_max) {
        return -E2BIG;
    }
    return length > 0 && utf8_check_printable(text, length) ? 0 : -EINVAL;
}

int event_check_name(const char *text) {
    int r = event_check_text(text, NAME_BYTES_MAX);
    if (r == 0 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-.") != strlen(text)) {
        r = -EINVAL;
    }
    return r;
}
