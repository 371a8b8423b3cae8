// SPDX-License-Identifier: Apache-2.0
// The rules of the envelope: what the scan refuses, an event's own rules, its halves, globs.
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/envelope.h"
#include "schemas/envelope_scan.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"
#include "tests/unit/schemas/cmocka_all.h"

static struct arena *arena;

static int set_up(void **state) {
    (void)state;
    arena = arena_new(16 << 20);
    return arena == NULL;
}

static int tear_down(void **state) {
    (void)state;
    arena = arena_free(arena);
    return 0;
}

static int unpack(const ProtobufCMessageDescriptor *message, const void *bytes, size_t size,
                  const char **ret_why) {
    ProtobufCMessage *ignored = NULL;
    int r = envelope_unpack(message, bytes, size, arena, &ignored, ret_why);
    assert_true((r == 0) == (ignored != NULL));
    return r;
}

#define REFUSED(message, bytes, code, text)                                                        \
    do {                                                                                           \
        const char *why_ = NULL;                                                                   \
        assert_int_equal(                                                                          \
            unpack(&touchbus__##message##__descriptor, bytes, sizeof(bytes) - 1, &why_), code);    \
        assert_string_equal(why_, text);                                                           \
    } while (0)

static void test_malformed_frames_are_refused(void **state) {
    (void)state;
    REFUSED(query, "\x08", REASON_BAD_FRAME, "truncated");
    REFUSED(query, "\x08\x81", REASON_BAD_FRAME, "truncated");
    REFUSED(query,
            "\x1a\x05"
            "ab",
            REASON_BAD_FRAME, "a length beyond the end");
    REFUSED(query, "\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", REASON_BAD_FRAME,
            "a length beyond the end");
    REFUSED(query, "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", REASON_BAD_FRAME,
            "a varint is too long");
    REFUSED(query, "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", REASON_BAD_FRAME,
            "a varint is too long");
    REFUSED(query, "\x1a\x81\x80\x80\x80\x80\x00z", REASON_BAD_FRAME, "a length is too long");
    REFUSED(query, "\x7a\x80\x80\x80\x80\x80\x00", REASON_BAD_FRAME, "a length is too long");
    REFUSED(query, "\x02\x00", REASON_BAD_FRAME, "a field number out of range");
    REFUSED(query, "\xff\xff\xff\xff\x7f\x00", REASON_BAD_FRAME, "a field number out of range");
    REFUSED(query, "\x88\x87\x87\x87\x87\x00\x32", REASON_BAD_FRAME, "a field number out of range");
    REFUSED(query, "\x0a\x00", REASON_BAD_FRAME, "a field has the wrong wire type");
    REFUSED(query, "\x18\x01", REASON_BAD_FRAME, "a field has the wrong wire type");
    REFUSED(query, "\x08\x01\xf3\x01", REASON_BAD_FRAME, "an unknown wire type"); // a group
    REFUSED(query, "\x08\x80\x80\x80\x80\x10", REASON_BAD_FRAME,
            "a number is too wide for its field");
    REFUSED(query, "\x1a\x02\xc3\x28", REASON_BAD_FRAME, "text that is not UTF-8, or holds a NUL");
    REFUSED(query,
            "\x1a\x02"
            "a\0",
            REASON_BAD_FRAME, "text that is not UTF-8, or holds a NUL");
}

static void test_versions_are_checked_by_name(void **state) {
    (void)state;
    REFUSED(query, "\x08\x02\x10\x01", REASON_BAD_VERSION, "the wire version is not known here");
    REFUSED(query, "", REASON_BAD_VERSION, "the wire version is not known here");
    const char *why = NULL;
    assert_int_equal(unpack(&touchbus__query__descriptor, "\x08\x01", 2, &why), 0);
    assert_int_equal(unpack(&touchbus__filter__descriptor, "", 0, &why), 0);
}

static void test_a_singular_field_stands_once(void **state) {
    (void)state;
    REFUSED(query, "\x08\x01\x08\x01", REASON_BAD_FRAME, "a singular field stands twice");
    REFUSED(query,
            "\x08\x01\x1a\x01"
            "a\x1a\x01"
            "b",
            REASON_BAD_FRAME, "a singular field stands twice");
    // the merge bomb: a submessage that comes again and again
    REFUSED(subscriber_message, "\x08\x01\x12\x00\x12\x00", REASON_BAD_FRAME,
            "a singular field stands twice");
    // two members of one oneof
    REFUSED(subscriber_message, "\x08\x01\x20\x01\x28\x01", REASON_BAD_FRAME,
            "a singular field stands twice");
    REFUSED(start, "\x08\x01\x18\x05", REASON_BAD_FRAME, "a singular field stands twice");
}

static void test_unknown_fields_pass_where_well_formed(void **state) {
    (void)state;
    const char *why = NULL;
    char many[2 + 3 * (WIRE_UNKNOWN_MAX + 1)] = "\x08\x01";
    for (size_t i = 0; i <= WIRE_UNKNOWN_MAX; i++) {
        many[2 + 3 * i] = '\xf8'; // field 31
        many[3 + 3 * i] = 1;
        many[4 + 3 * i] = 5;
    }
    assert_int_equal(unpack(&touchbus__query__descriptor, many, sizeof(many) - 3, &why), 0);
    assert_int_equal(unpack(&touchbus__query__descriptor, many, sizeof(many), &why),
                     REASON_TOO_LARGE);
    static const char bytes[] = "\x08\x01\xf8\x01\x05\xfa\x01\x02xx\xfd\x01"
                                "abcd\xf9\x01"
                                "abcdefgh";
    assert_int_equal(unpack(&touchbus__query__descriptor, bytes, sizeof(bytes) - 1, &why), 0);
    REFUSED(query,
            "\x08\x01\xfd\x01"
            "abc",
            REASON_BAD_FRAME, "truncated");
}

static void test_amplification_is_refused_before_unpacking(void **state) {
    (void)state;
    // 1 MiB of empty submessages would unpack to 68 MiB
    size_t size = 2 + (1 << 20);
    _cleanup_free_ char *bytes = malloc(size);
    memcpy(bytes, "\x08\x01", 2);
    for (size_t i = 2; i < size; i += 2) {
        bytes[i] = 0x22; // Query.arguments
        bytes[i + 1] = 0;
    }
    const char *why = NULL;
    assert_int_equal(unpack(&touchbus__query__descriptor, bytes, size, &why), REASON_TOO_LARGE);
    assert_string_equal(why, "too many arguments");
    for (size_t i = 2; i < size; i += 2) {
        bytes[i] = 0x78; // unknown field 15
    }
    assert_int_equal(unpack(&touchbus__query__descriptor, bytes, size, &why), REASON_TOO_LARGE);
    assert_string_equal(why, "too many unknown fields");
    _cleanup_free_ char *events = malloc((size_t)2 * (REQUEST_EVENTS_MAX + 2));
    for (size_t i = 0; i < REQUEST_EVENTS_MAX + 2; i++) {
        memcpy(events + 2 * i, "\x32", 2); // PublishRequest.events, all empty
    }
    assert_int_equal(unpack(&touchbus__publish_request__descriptor, events,
                            (size_t)2 * (REQUEST_EVENTS_MAX + 2), &why),
                     REASON_TOO_LARGE);
    assert_string_equal(why, "events: too many or too long");
    // a packed field: one byte an element, eight in memory
    memcpy(bytes, "\x0a\x80\x80\x3f", 4); // Settle.delivered, 1,032,192 bytes
    memset(bytes + 4, 1, size - 4);
    assert_int_equal(unpack(&touchbus__settle__descriptor, bytes, 4 + 1032192, &why),
                     REASON_TOO_LARGE);
    assert_string_equal(why, "too many delivered");
    assert_int_equal(arena_used(arena), 0);
}

static void test_a_full_arena_is_a_refusal(void **state) {
    (void)state;
    _cleanup_(cleanup_arena) struct arena *small = arena_new(64);
    ProtobufCMessage *message = NULL;
    const char *why = NULL;
    assert_int_equal(
        envelope_unpack(&touchbus__query__descriptor, "\x08\x01", 2, small, &message, &why),
        REASON_TOO_LARGE);
    assert_string_equal(why, "it unpacks to more than is allowed");
    assert_null(message);
    const uint8_t *bytes;
    size_t size;
    Touchbus__Event event;
    touchbus__event__init(&event);
    char id[200];
    memset(id, 'a', sizeof(id));
    id[sizeof(id) - 1] = '\0';
    event.id = id;
    assert_int_equal(envelope_pack(&event.base, small, &bytes, &size), -ENOMEM);
}

static void test_limits_name_the_fields_they_are_for(void **state) {
    (void)state;
    size_t n;
    const struct message_limits *rows = envelope_limits(&n);
    for (size_t i = 0; i < n; i++) {
        for (uint32_t number = 0; number < rows[i].n_fields; number++) {
            if (rows[i].fields[number].name == NULL) {
                continue;
            }
            const ProtobufCFieldDescriptor *field =
                protobuf_c_message_descriptor_get_field(rows[i].message, number);
            assert_non_null(field);
            assert_string_equal(field->name, rows[i].fields[number].name);
        }
        // what the scan's bit mask and counters are made for
        assert_true(rows[i].message->n_fields <= 64);
    }
}

static void fill_event(Touchbus__Event *event) {
    static char id[] = "e-1";
    static char source[] = "urn:test";
    static char type[] = "order.placed";
    touchbus__event__init(event);
    event->id = id;
    event->source = source;
    event->type = type;
}

static int check(const Touchbus__Event *event, bool from_client, const char **ret_why) {
    const uint8_t *bytes;
    size_t size;
    Touchbus__Event *back = NULL;
    const char *why = "";
    const char *why_checked = "";
    assert_int_equal(envelope_pack(&event->base, arena, &bytes, &size), 0);
    int r = envelope_unpack_event(bytes, size, from_client, arena, &back, &why);
    assert_true((r == 0) == (back != NULL));
    // an event of our own making is judged alike
    assert_int_equal(envelope_check_event(event, from_client, arena, &why_checked), r);
    assert_string_equal(why, why_checked);
    *ret_why = why;
    return r;
}

#define EVENT_REFUSED(statement, code, text)                                                       \
    do {                                                                                           \
        Touchbus__Event event;                                                                     \
        const char *why_ = NULL;                                                                   \
        fill_event(&event);                                                                        \
        assert_int_equal(check(&event, true, &why_), 0);                                           \
        statement;                                                                                 \
        assert_int_equal(check(&event, true, &why_), code);                                        \
        assert_string_equal(why_, text);                                                           \
    } while (0)

static void test_an_event_has_its_own_rules(void **state) {
    (void)state;
    static char empty[] = "";
    static char control[] = "a\nb";
    static char upper[] = "Web";
    static char x[] = "x";
    EVENT_REFUSED(event.id = empty, REASON_BAD_FRAME, "id is missing or holds control characters");
    EVENT_REFUSED(event.source = empty, REASON_BAD_FRAME,
                  "source is missing or holds control characters");
    EVENT_REFUSED(event.type = control, REASON_BAD_FRAME,
                  "type is missing or holds control characters");
    EVENT_REFUSED(event.subject = control, REASON_BAD_FRAME, "subject holds control characters");
    EVENT_REFUSED(event.channel = upper, REASON_BAD_FRAME, "channel is not of [a-z0-9_.-]");
    EVENT_REFUSED(event.direction = (Touchbus__Direction)4, REASON_BAD_FRAME,
                  "an unknown direction");
    EVENT_REFUSED(event.time_us = 5, REASON_BAD_FRAME,
                  "time_us is out of range, or stands without has_time");
    EVENT_REFUSED((event.has_time = true, event.time_us = INT64_MAX), REASON_BAD_FRAME,
                  "time_us is out of range, or stands without has_time");
    static uint8_t bad_body[] = {0x81, 0xa1};
    EVENT_REFUSED((event.data.data = bad_body, event.data.len = 2), REASON_BAD_FRAME,
                  "a count beyond the end");
    Touchbus__Identity identity;
    touchbus__identity__init(&identity);
    Touchbus__Identity *identities[EVENT_IDENTITIES_MAX + 1];
    for (size_t i = 0; i < EVENT_IDENTITIES_MAX + 1; i++) {
        identities[i] = &identity;
    }
    identity.value = x;
    EVENT_REFUSED((event.identities = identities, event.n_identities = 1), REASON_BAD_FRAME,
                  "an identity's kind is not of [a-z0-9_.-]");
    identity.kind = x;
    EVENT_REFUSED((event.identities = identities, event.n_identities = EVENT_IDENTITIES_MAX + 1),
                  REASON_TOO_LARGE, "too many identities");
    Touchbus__Extension extension;
    touchbus__extension__init(&extension);
    Touchbus__Extension *extensions[2] = {&extension, &extension};
    extension.name = x;
    EVENT_REFUSED((event.extensions = extensions, event.n_extensions = 1), REASON_BAD_FRAME,
                  "an extension has no value");
    extension.value_case = TOUCHBUS__EXTENSION__VALUE_FLAG;
    EVENT_REFUSED((event.extensions = extensions, event.n_extensions = 2), REASON_BAD_FRAME,
                  "an extension stands twice");
    static char reserved[] = "keys";
    extension.name = reserved;
    EVENT_REFUSED((event.extensions = extensions, event.n_extensions = 1), REASON_BAD_FRAME,
                  "an extension has the name of an attribute");
}

static void set_text(Touchbus__Event *event, const char *name, char *text) {
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(&touchbus__event__descriptor, name);
    assert_non_null(field);
    memcpy((char *)event + field->offset, &text, sizeof(text));
}

static void test_attributes_hold_no_control_characters(void **state) {
    (void)state;
    static const char *const names[] = {"id",          "source",         "type",  "dataschema",
                                        "traceparent", "subject",        "actor", "case_id",
                                        "cost",        "datacontenttype"};
    static char texts[][32] = {"\n", "\x7f", "a text longer than a word\x1f", "a\xc2\x85"};
    static char x[] = "x";
    enum { N = sizeof(names) / sizeof(names[0]) };
    Touchbus__Event event;
    const char *why = NULL;
    for (size_t i = 0; i < N * sizeof(texts) / sizeof(texts[0]); i++) {
        fill_event(&event);
        for (size_t k = i % N; k < N; k++) { // the first one is named
            set_text(&event, names[k], texts[i / N]);
        }
        assert_int_equal(check(&event, true, &why), REASON_BAD_FRAME);
        assert_memory_equal(why, names[i % N], strlen(names[i % N]));
        assert_non_null(strstr(why, "holds control characters"));
    }
    fill_event(&event); // the texts inside are nobody's attributes
    Touchbus__Identity identity;
    touchbus__identity__init(&identity);
    Touchbus__Identity *identities[] = {&identity};
    identity.kind = x;
    identity.value = texts[0];
    event.identities = identities;
    event.n_identities = 1;
    assert_int_equal(check(&event, true, &why), 0);
}

static void test_lengths_are_limited_by_field(void **state) {
    (void)state;
    char text[ID_BYTES_MAX + 2];
    memset(text, 'a', sizeof(text));
    text[ID_BYTES_MAX + 1] = '\0';
    EVENT_REFUSED(event.id = text, REASON_TOO_LARGE, "id is too long");
    EVENT_REFUSED(event.subject = text, REASON_TOO_LARGE, "subject is too long");
    EVENT_REFUSED(event.channel = text, REASON_TOO_LARGE, "channel is too long");
    text[ID_BYTES_MAX] = '\0';
    Touchbus__Event event;
    const char *why = NULL;
    fill_event(&event);
    event.id = text;
    assert_int_equal(check(&event, true, &why), 0);
}

static void test_clients_do_not_stamp(void **state) {
    (void)state;
    static const char stamped[] = "an attribute that only the broker stamps is set";
    Touchbus__Reference reference;
    touchbus__reference__init(&reference);
    Touchbus__Reference *references[] = {&reference};
    Touchbus__Identity identity;
    touchbus__identity__init(&identity);
    Touchbus__Identity *keys[] = {&identity};
    uint64_t lanes[] = {1};
    EVENT_REFUSED(event.sequence = 1, REASON_BAD_FRAME, stamped);
    EVENT_REFUSED(event.received_us = 1, REASON_BAD_FRAME, stamped);
    EVENT_REFUSED(event.customer = 1, REASON_BAD_FRAME, stamped);
    EVENT_REFUSED(event.rank = 1, REASON_BAD_FRAME, stamped);
    EVENT_REFUSED(event.created = true, REASON_BAD_FRAME, stamped);
    EVENT_REFUSED(event.erases = true, REASON_BAD_FRAME, stamped);
    EVENT_REFUSED(event.redacted = true, REASON_BAD_FRAME, stamped);
    EVENT_REFUSED(event.survivor = 1, REASON_BAD_FRAME, stamped);
    Touchbus__Stamp stamp;
    touchbus__stamp__init(&stamp);
    EVENT_REFUSED(event.stamp = &stamp, REASON_BAD_FRAME, stamped);
    ProtobufCBinaryData lookups = {.len = 4, .data = (uint8_t *)keys};
    EVENT_REFUSED(event.key_lookups = lookups, REASON_BAD_FRAME, stamped);
    EVENT_REFUSED(event.reference_lookups = lookups, REASON_BAD_FRAME, stamped);
    EVENT_REFUSED((event.lanes = lanes, event.n_lanes = 1), REASON_BAD_FRAME, stamped);
    EVENT_REFUSED((event.keys = keys, event.n_keys = 1), REASON_BAD_FRAME, stamped);
    EVENT_REFUSED((event.references = references, event.n_references = 1), REASON_BAD_FRAME,
                  stamped);
    Touchbus__Event event;
    const char *why = NULL;
    fill_event(&event);
    event.sequence = 1;
    event.lanes = lanes;
    event.n_lanes = 1;
    assert_int_equal(check(&event, false, &why), 0);
}

static void test_an_event_over_its_size_is_refused(void **state) {
    (void)state;
    _cleanup_free_ uint8_t *data = calloc(1, EVENT_BYTES_MAX);
    data[0] = 0xc6; // bin of nearly 1 MiB: with the attributes it is over
    data[2] = 0x0f;
    data[3] = 0xff;
    data[4] = 0xf0;
    EVENT_REFUSED((event.data.data = data, event.data.len = 5 + 0x0ffff0), REASON_TOO_LARGE,
                  "over the size limit");
    _cleanup_free_ uint8_t *frame = calloc(1, FRAME_BYTES_MAX + 1);
    const char *why = NULL;
    assert_int_equal(unpack(&touchbus__query__descriptor, frame, FRAME_BYTES_MAX + 1, &why),
                     REASON_TOO_LARGE);
}

// Every field of an Event set: strings to their own names, numbers to 1.
static void fill_all(Touchbus__Event *event) {
    static char k[] = "k";
    static char x[] = "x";
    static char open[] = "open";
    static char sealed[] = "sealed";
    static uint8_t body[] = {0x80};
    static uint64_t lanes[] = {3, 5};
    static Touchbus__Identity identity;
    static Touchbus__Identity *identities[] = {&identity};
    static Touchbus__Reference reference;
    static Touchbus__Reference *references[] = {&reference};
    static Touchbus__Extension extension;
    static Touchbus__Extension *extensions[] = {&extension};
    static Touchbus__Stamp stamp;
    touchbus__identity__init(&identity);
    touchbus__reference__init(&reference);
    touchbus__extension__init(&extension);
    touchbus__stamp__init(&stamp);
    stamp.split = 5;
    identity.kind = identity.value = reference.kind = reference.id = k;
    extension.name = x;
    extension.value_case = TOUCHBUS__EXTENSION__VALUE_NUMBER;
    extension.number = -5;
    fill_event(event);
    event->has_time = event->created = event->erases = event->redacted = true;
    event->key_lookups = event->reference_lookups = (ProtobufCBinaryData){.len = 1, .data = body};
    event->time_us = event->received_us = -1;
    event->sequence = event->customer = event->cause = event->survivor = 7;
    event->stamp = &stamp;
    event->rank = 9;
    event->direction = TOUCHBUS__DIRECTION__OUTBOUND;
    event->dataschema = event->channel = event->traceparent = open;
    event->subject = event->actor = event->case_id = event->cost = event->datacontenttype = sealed;
    event->data = (ProtobufCBinaryData){.len = 1, .data = body};
    event->lanes = lanes;
    event->n_lanes = 2;
    event->identities = event->keys = identities;
    event->n_identities = event->n_keys = 1;
    event->references = references;
    event->n_references = 1;
    event->extensions = extensions;
    event->n_extensions = 1;
}

static void test_an_arena_that_ends_anywhere_is_a_refusal(void **state) {
    (void)state;
    Touchbus__Event event;
    const uint8_t *bytes;
    size_t size;
    size_t n_refused = 0;
    Touchbus__Event *back = NULL;
    fill_all(&event);
    assert_int_equal(envelope_pack(&event.base, arena, &bytes, &size), 0);
    for (size_t limit = 0; back == NULL; limit += 16) {
        struct arena *small = arena_new(limit);
        const char *why = NULL;
        int r = envelope_unpack_event(bytes, size, false, small, &back, &why);
        assert_true(r == 0 || r == REASON_TOO_LARGE);
        n_refused += r != 0;
        arena_free(small);
    }
    assert_true(n_refused > 20);
}

static bool is_set(const Touchbus__Event *event, const ProtobufCFieldDescriptor *field) {
    const char *member = (const char *)event + field->offset;
    uint64_t word = 0;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return *(const size_t *)(const void *)((const char *)event + field->quantifier_offset) > 0;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        return (*(char *const *)(const void *)member)[0] != '\0';
    }
    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        return ((const ProtobufCBinaryData *)(const void *)member)->len > 0;
    }
    bool is_64 = field->type == PROTOBUF_C_TYPE_SINT64 || field->type == PROTOBUF_C_TYPE_UINT64 ||
                 field->type == PROTOBUF_C_TYPE_MESSAGE;
    memcpy(&word, member, is_64 ? 8 : 4);
    return word != 0;
}

static void test_halves_split_by_number_and_join_again(void **state) {
    (void)state;
    Touchbus__Event event;
    fill_all(&event);
    const uint8_t *parts[3];
    size_t sizes[3];
    assert_int_equal(envelope_pack_open(&event, arena, &parts[0], &sizes[0]), 0);
    assert_int_equal(envelope_pack_sealed(&event, arena, &parts[1], &sizes[1]), 0);
    for (int half = 0; half < 2; half++) {
        Touchbus__Event *back =
            touchbus__event__unpack(arena_allocator(arena), sizes[half], parts[half]);
        for (unsigned i = 0; i < event.base.descriptor->n_fields; i++) {
            const ProtobufCFieldDescriptor *field = &event.base.descriptor->fields[i];
            bool open = field->id < 16 || (field->id >= 40 && field->id < 60);
            assert_true(is_set(&event, field));
            assert_int_equal(is_set(back, field), open == (half == 0));
        }
    }
    uint8_t *joined = arena_alloc(arena, sizes[0] + sizes[1]);
    memcpy(joined, parts[0], sizes[0]);
    memcpy(joined + sizes[0], parts[1], sizes[1]);
    Touchbus__Event *whole = NULL;
    const char *why = NULL;
    assert_int_equal(envelope_unpack_event(joined, sizes[0] + sizes[1], false, arena, &whole, &why),
                     0);
    const uint8_t *again;
    assert_int_equal(envelope_pack(&event.base, arena, &parts[2], &sizes[2]), 0);
    size_t size;
    assert_int_equal(envelope_pack(&whole->base, arena, &again, &size), 0);
    assert_int_equal(size, sizes[2]);
    assert_memory_equal(again, parts[2], size);
}

// Through chunks of the arena that are too small for it, and for what comes behind.
static void test_a_half_has_room_behind_it(void **state) {
    (void)state;
    enum { BEHIND = 16, TIMES = 64 };
    Touchbus__Event event;
    fill_all(&event);
    const uint8_t *half;
    uint8_t *halves[TIMES];
    size_t size;
    assert_int_equal(envelope_pack_sealed(&event, arena, &half, &size), 0);
    struct arena *small = arena_new(1 << 20);
    for (size_t i = 0; i < TIMES; i++) {
        size_t packed_size;
        assert_int_equal(envelope_pack_to_seal(&event, BEHIND, small, &halves[i], &packed_size), 0);
        assert_int_equal(packed_size, size);
        memset(halves[i] + size, (int)i, BEHIND);
        assert_non_null(arena_alloc(small, i));
    }
    for (size_t i = 0; i < TIMES; i++) {
        assert_memory_equal(halves[i], half, size);
        assert_int_equal(halves[i][size], i);
        assert_int_equal(halves[i][size + BEHIND - 1], i);
    }
    arena_free(small);
}

static void test_unknown_fields_of_an_event_are_sealed(void **state) {
    (void)state;
    static const char bytes[] = "\x0a\x01i\x12\x01s\x1a\x01t\xfa\x06\x06secret"; // field 111
    Touchbus__Event *event = NULL;
    const char *why = NULL;
    assert_int_equal(envelope_unpack_event(bytes, sizeof(bytes) - 1, true, arena, &event, &why), 0);
    const uint8_t *half;
    size_t size;
    assert_int_equal(envelope_pack_open(event, arena, &half, &size), 0);
    assert_null(memmem(half, size, "secret", 6));
    assert_int_equal(envelope_pack_sealed(event, arena, &half, &size), 0);
    assert_non_null(memmem(half, size, "secret", 6));
}

static void test_globs(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool fits;
    } rows[] = {
        {"*", "", true},
        {"*", "order.placed", true},
        {"order.*", "order.placed", true},
        {"order.*", "order", false},
        {"order.placed", "order.placed", true},
        {"order.placed", "order.place", false},
        {"*.changed", "order.changed", true},
        {"*.changed", "a.b.changed", true},
        {"o*r.*d", "order.placed", true},
        {"o*x*d", "order.placed", false},
        {"", "", true},
        {"", "a", false},
        {"a**b", "ab", true},
        {"a?b", "axb", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(envelope_glob(rows[i].pattern, rows[i].text), rows[i].fits);
    }
}

static void test_customers_have_one_spelling(void **state) {
    (void)state;
    uint64_t customer = 5;
    char text[24];
    static const char *const wrong[] = {"",    "c",   "c0", "c01", "42",
                                        "c-1", "c1x", "C1", "c+1", "c18446744073709551616"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(envelope_parse_customer(wrong[i], &customer), -EINVAL);
        assert_int_equal(customer, 5);
    }
    assert_int_equal(envelope_parse_customer("c18446744073709551615", &customer), 0);
    assert_true(customer == UINT64_MAX);
    assert_string_equal(envelope_format_customer(customer, text), "c18446744073709551615");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_malformed_frames_are_refused),
        TEST(test_versions_are_checked_by_name),
        TEST(test_a_singular_field_stands_once),
        TEST(test_unknown_fields_pass_where_well_formed),
        TEST(test_amplification_is_refused_before_unpacking),
        TEST(test_a_full_arena_is_a_refusal),
        TEST(test_limits_name_the_fields_they_are_for),
        TEST(test_an_event_has_its_own_rules),
        TEST(test_attributes_hold_no_control_characters),
        TEST(test_lengths_are_limited_by_field),
        TEST(test_clients_do_not_stamp),
        TEST(test_an_event_over_its_size_is_refused),
        TEST(test_an_arena_that_ends_anywhere_is_a_refusal),
        TEST(test_halves_split_by_number_and_join_again),
        TEST(test_a_half_has_room_behind_it),
        TEST(test_unknown_fields_of_an_event_are_sealed),
        TEST(test_globs),
        TEST(test_customers_have_one_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
