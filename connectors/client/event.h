// SPDX-License-Identifier: Apache-2.0
// Events inside the library. An event is its wire bytes, its unpacked message, or both: a delivered
// one is unpacked only when somebody looks inside, a built one is packed only when it is sent, and
// a change forgets the bytes.
#pragma once

#include <jansson.h>

#include "connectors/client/touchbus.h"
#include "schemas/base/arena.h"
#include "touchbus.pb-c.h"

// Attributes that are formatted when they are read, each into a text of its own.
enum {
    EVENT_TEXT_TIME,
    EVENT_TEXT_SEQUENCE,
    EVENT_TEXT_RECEIVED,
    EVENT_TEXT_CUSTOMER,
    EVENT_TEXT_CAUSE,
    EVENT_TEXT_SCORES,
    N_EVENT_TEXTS
};

// What the bytes say without unpacking them.
struct event_outline {
    uint64_t sequence;
    uint64_t lane; // the first one
    size_t n_lanes;
    int64_t received_us;
    bool has_id, has_source, has_type;
    bool stamped; // carries any field that only the broker may set
};

struct touchbus_event {
    touchbus_event *self; // how a reader that takes a const event fills in what it unpacks
    struct arena *arena;  // everything of message; NULL while there is none
    Touchbus__Event *message;
    const uint8_t *packed; // NULL after a change
    size_t packed_size;
    uint8_t *packed_owned; // packed, where it is not tail
    struct event_outline outline;
    const char *texts[N_EVENT_TEXTS];
    const char **extension_texts;
    uint32_t attempt;
    uint32_t generation; // of the subscriber's connection it came by
    uint8_t tail[];      // the bytes of a delivered or parsed event
};

// False where the bytes are no message.
bool event_outline_read(const void *data, size_t size, struct event_outline *ret);
// A copy of the bytes of one event from the broker; unpacked later. 0; -EBADMSG; -ENOMEM.
int event_from_bytes(const void *bytes, size_t size, touchbus_event **ret);
// The lanes it belongs to, borrowed until it changes. False where the bytes are no event or memory
// is short.
bool event_lanes(const touchbus_event *event, const uint64_t **ret, size_t *ret_n);
// The message, unpacked where needed. NULL where the bytes are no event or memory is short.
Touchbus__Event *event_message(const touchbus_event *event);
// Wraps a message that lives in the arena; takes the arena, also where it fails. NULL: no memory.
touchbus_event *event_from_message(struct arena *arena, Touchbus__Event *message);
// Packs where needed; afterwards packed and outline are valid until the next change. 0; -ENOMEM;
// -EINVAL where the bytes were no event.
int event_pack(const touchbus_event *event);
// Forgets bytes and texts before a change. NULL where there is no message to change.
Touchbus__Event *event_change(touchbus_event *event);
// Compact JSON text, the caller frees; NULL where memory is short.
char *event_json_text(const json_t *json);
// What a publisher sends: without stamps, with this id and source where the event has none.
// *ret is malloc'ed. 0; -EINVAL without a type; -E2BIG over EVENT_BYTES_MAX; -ENOMEM.
int event_pack_to_publish(const touchbus_event *event, const char *id, const char *source,
                          uint8_t **ret, size_t *ret_size);
// Text from a caller: UTF-8 without control characters, 1 to bytes_max bytes. 0; -EINVAL; -E2BIG.
int event_check_text(const char *text, size_t bytes_max);
// The same for a channel or a kind of identity: 1 to NAME_BYTES_MAX of [a-z0-9_.-].
int event_check_name(const char *text);
