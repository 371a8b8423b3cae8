// SPDX-License-Identifier: Apache-2.0
// Messages in and out of the wire. In: scanned into the arena, then the version or an event's own
// rules. Out: packed into the arena; an event also in halves, by its fields' numbers. What is
// refused leaves nothing behind but used arena.
#include "schemas/envelope.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/pack.h"
#include "schemas/body.h"
#include "schemas/cloudevents_names.h"
#include "schemas/envelope_scan.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

// What is packed without being measured first.
enum { PACK_ROOM_BYTES = 64 << 10 };

static int unpack(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t size,
                  size_t size_max, struct arena *arena, ProtobufCMessage **ret,
                  uint64_t *ret_controls, const char **ret_why) {
    if (GUARD(frame_size) && size > size_max) {
        *ret_why = "over the size limit";
        return REASON_TOO_LARGE;
    }
    return envelope_read(descriptor, data, size, arena, ret, ret_controls, ret_why);
}

// Every message of the wire that stands alone in a frame has its version as field 1, by this name.
static bool version_fits(const ProtobufCMessage *message) {
    const ProtobufCFieldDescriptor *field = &message->descriptor->fields[0];
    if (message->descriptor->n_fields == 0 || strcmp(field->name, "version") != 0) {
        return true;
    }
    uint32_t version;
    memcpy(&version, (const char *)message + field->offset, sizeof(version));
    return version == WIRE_VERSION;
}

int envelope_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t size,
                    struct arena *arena, ProtobufCMessage **ret, const char **ret_why) {
    ProtobufCMessage *message;
    uint64_t ignored;
    int r = unpack(descriptor, data, size, FRAME_BYTES_MAX, arena, &message, &ignored, ret_why);
    if (r != 0) {
        return r;
    }
    if (GUARD(wire_version) && !version_fits(message)) {
        *ret_why = "the wire version is not known here";
        return REASON_BAD_VERSION;
    }
    *ret = message;
    return 0;
}

// Names of channels, kinds and the like: they stand in filters, options and tables. A bit for each
// character that may stand.
typedef const uint64_t characters[4];
static characters of_words = {0x03ff000000000000, 0x07fffffe00000000};  // [a-z0-9]
static characters of_dotted = {0x03ff600000000000, 0x07fffffe80000000}; // [a-z0-9_.-]

static bool is_name(const char *text, characters of) {
    const uint8_t *at = (const uint8_t *)text;
    while ((of[*at / 64] >> *at % 64 & 1) != 0) {
        at++;
    }
    return *at == '\0';
}

// `controls` as envelope_scan tells them.
static const char *check_texts(const Touchbus__Event *event, uint64_t controls) {
    static const char *const rows[] = {
        [1] = "id is missing or holds control characters",
        [2] = "source is missing or holds control characters",
        [3] = "type is missing or holds control characters",
        [6] = "dataschema holds control characters",
        [13] = "traceparent holds control characters",
        [16] = "subject holds control characters",
        [18] = "actor holds control characters",
        [19] = "case_id holds control characters",
        [20] = "cost holds control characters",
        [21] = "datacontenttype holds control characters",
    };
    uint64_t flaws = GUARD(control_characters) ? controls : 0;
    flaws |= (uint64_t)(event->id[0] == '\0') << 1 | (uint64_t)(event->source[0] == '\0') << 2 |
             (uint64_t)(event->type[0] == '\0') << 3;
    for (size_t i = 0; flaws != 0 && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if ((flaws >> i & 1) != 0 && rows[i] != NULL) {
            return rows[i];
        }
    }
    return NULL;
}

static const char *check_identities(Touchbus__Identity *const *identities, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (identities[i]->kind[0] == '\0' || !is_name(identities[i]->kind, of_dotted)) {
            return "an identity's kind is not of [a-z0-9_.-]";
        }
    }
    return NULL;
}

static const char *check_extensions(const Touchbus__Event *event) {
    for (size_t i = 0; i < event->n_extensions; i++) {
        const Touchbus__Extension *extension = event->extensions[i];
        if (extension->name[0] == '\0' || !is_name(extension->name, of_words)) {
            return "an extension's name is not of [a-z0-9]";
        }
        if (cloudevents_is_attribute(extension->name)) {
            return "an extension has the name of an attribute";
        }
        if (extension->value_case == TOUCHBUS__EXTENSION__VALUE__NOT_SET) {
            return "an extension has no value";
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(event->extensions[k]->name, extension->name) == 0) {
                return "an extension stands twice";
            }
        }
    }
    return NULL;
}

static const char *check_event(const Touchbus__Event *event, uint64_t controls) {
    const char *why = check_texts(event, controls);
    if (why == NULL) {
        why = check_identities(event->identities, event->n_identities);
    }
    if (why == NULL) {
        why = check_extensions(event);
    }
    if (why != NULL) {
        return why;
    }
    if (!is_name(event->channel, of_dotted)) {
        return "channel is not of [a-z0-9_.-]";
    }
    if (event->direction > TOUCHBUS__DIRECTION__DECIDED) {
        return "an unknown direction";
    }
    if (event->has_time ? event->time_us < CLOCK_US_MIN || event->time_us > CLOCK_US_MAX
                        : event->time_us != 0) {
        return "time_us is out of range, or stands without has_time";
    }
    body_check(event->data.data, event->data.len, false, &why);
    return why;
}

static bool is_stamped(const Touchbus__Event *event) {
    return event->sequence != 0 || event->received_us != 0 || event->customer != 0 ||
           event->n_lanes != 0 || event->rank != 0 || event->n_keys != 0 ||
           event->n_references != 0 || event->created || event->key_lookups.len != 0 ||
           event->reference_lookups.len != 0 || event->erases || event->redacted ||
           event->survivor != 0 || event->stamp != NULL;
}

static int check_rules(const Touchbus__Event *event, uint64_t controls, bool from_client,
                       const char **ret_why) {
    const char *why = check_event(event, controls);
    if (GUARD(client_stamps) && why == NULL && from_client && is_stamped(event)) {
        why = "an attribute that only the broker stamps is set";
    }
    if (why == NULL) {
        return 0;
    }
    *ret_why = why;
    return REASON_BAD_FRAME;
}

int envelope_unpack_event(const void *data, size_t size, bool from_client, struct arena *arena,
                          Touchbus__Event **ret, const char **ret_why) {
    ProtobufCMessage *message;
    uint64_t controls;
    int r = unpack(&touchbus__event__descriptor, data, size,
                   from_client ? EVENT_BYTES_MAX : STORED_EVENT_BYTES_MAX, arena, &message,
                   &controls, ret_why);
    if (r != 0) {
        return r;
    }
    Touchbus__Event *event = (Touchbus__Event *)message;
    r = check_rules(event, controls, from_client, ret_why);
    if (r == 0) {
        *ret = event;
    }
    return r;
}

int envelope_check_event(const Touchbus__Event *event, bool from_client, struct arena *arena,
                         const char **ret_why) {
    const uint8_t *bytes;
    size_t size;
    if (envelope_pack(&event->base, arena, &bytes, &size) != 0 ||
        size > (from_client ? EVENT_BYTES_MAX : STORED_EVENT_BYTES_MAX)) {
        *ret_why = "over the size limit";
        return REASON_TOO_LARGE;
    }
    uint64_t controls;
    int r = envelope_scan(&touchbus__event__descriptor, bytes, size, &controls, ret_why);
    return r != 0 ? r : check_rules(event, controls, from_client, ret_why);
}

enum half { WHOLE, OPEN_HALF, SEALED_HALF };

// The rule of touchbus.proto: 1 to 15 and 40 to 59 are open, 16 to 39 sealed. What a newer client
// added is nobody's to read.
static uint8_t *pack_half(const ProtobufCMessage *message, enum half half, uint8_t *begin,
                          uint8_t *end) {
    if (half == WHOLE) {
        return pack_before(message, begin, end);
    }
    uint8_t *at = end;
    if (half == OPEN_HALF) {
        at = pack_fields_before(message, 40, 59, begin, at);
        return at == NULL ? NULL : pack_fields_before(message, 1, 15, begin, at);
    }
    at = pack_unknown_before(message, begin, at);
    at = at == NULL ? NULL : pack_fields_before(message, 60, UINT32_MAX, begin, at);
    return at == NULL ? NULL : pack_fields_before(message, 16, 39, begin, at);
}

// At the back of the arena, where no size is needed ahead, `behind` bytes before its end; what
// finds no room there is measured. NULL: the arena is full.
static uint8_t *pack(const ProtobufCMessage *message, enum half half, size_t behind,
                     struct arena *arena, size_t *ret_size) {
    uint8_t *end;
    uint8_t *packed = NULL;
    uint8_t *begin = arena_back(arena, PACK_ROOM_BYTES, &end);
    if (begin != NULL) {
        bool fits = (size_t)(end - begin) >= behind;
        packed = fits ? pack_half(message, half, begin, end - behind) : NULL;
        arena_take_back(arena, begin, end, packed == NULL ? 0 : (size_t)(end - packed));
    }
    if (packed == NULL) {
        size_t size_max = protobuf_c_message_get_packed_size(message) + behind;
        begin = arena_alloc(arena, size_max);
        if (begin == NULL) {
            return NULL;
        }
        end = begin + size_max;
        packed = pack_half(message, half, begin, end - behind);
        assert(packed != NULL);
    }
    *ret_size = (size_t)(end - packed) - behind;
    return packed;
}

int envelope_pack(const ProtobufCMessage *message, struct arena *arena, const uint8_t **ret,
                  size_t *ret_size) {
    *ret = pack(message, WHOLE, 0, arena, ret_size);
    return *ret == NULL ? -ENOMEM : 0;
}

int envelope_pack_open(const Touchbus__Event *event, struct arena *arena, const uint8_t **ret,
                       size_t *ret_size) {
    *ret = pack(&event->base, OPEN_HALF, 0, arena, ret_size);
    return *ret == NULL ? -ENOMEM : 0;
}

int envelope_pack_sealed(const Touchbus__Event *event, struct arena *arena, const uint8_t **ret,
                         size_t *ret_size) {
    *ret = pack(&event->base, SEALED_HALF, 0, arena, ret_size);
    return *ret == NULL ? -ENOMEM : 0;
}

int envelope_pack_to_seal(const Touchbus__Event *event, size_t behind, struct arena *arena,
                          uint8_t **ret, size_t *ret_size) {
    *ret = pack(&event->base, SEALED_HALF, behind, arena, ret_size);
    return *ret == NULL ? -ENOMEM : 0;
}

// Greedy with one point to come back to: linear in practice, at worst pattern times text, both of
// which are bounded names.
bool envelope_glob(const char *pattern, const char *text) {
    const char *star = NULL;
    const char *resume = NULL;
    while (*text != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

int envelope_parse_customer(const char *text, uint64_t *ret) {
    uint64_t value = 0;
    if (text[0] != 'c' || text[1] < '1' || text[1] > '9') {
        return -EINVAL;
    }
    for (const char *at = text + 1; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value)) {
            return -EINVAL;
        }
    }
    *ret = value;
    return 0;
}

char *envelope_format_customer(uint64_t customer, char buffer[static 24]) {
    snprintf(buffer, 24, "c%llu", (unsigned long long)customer);
    return buffer;
}
