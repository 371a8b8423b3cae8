// SPDX-License-Identifier: Apache-2.0
// The envelope codec: protobuf messages from outside, checked and read in one pass. The scan walks
// the bytes against the message's descriptor: field counts, lengths against the bytes left, wire
// types, UTF-8, no repeated singular field, depth. What passes goes into an arena whose bound caps
// what a message can become.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schemas/base/arena.h"
#include "touchbus.pb-c.h"

// Scans and unpacks any message of touchbus.proto. 0 and *ret (in the arena); a positive reason
// code (REASON_BAD_FRAME, REASON_TOO_LARGE, REASON_BAD_VERSION) with *ret_why a static text. Never
// partial. `version` of a request message is checked here.
int envelope_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t size,
                    struct arena *arena, ProtobufCMessage **ret, const char **ret_why);
// The same for an Event, plus its own limits (limits.h), charset of names, and body_check of its
// data. Stamped fields (sequence, received_us, customer, lanes, rank, keys, references, created)
// are refused where from_client is true.
int envelope_unpack_event(const void *data, size_t size, bool from_client, struct arena *arena,
                          Touchbus__Event **ret, const char **ret_why);
// Whether an event of our own making would pass envelope_unpack_event: 0, or its reason code with
// *ret_why. Uses the arena for the serialised form.
int envelope_check_event(const Touchbus__Event *event, bool from_client, struct arena *arena,
                         const char **ret_why);

// Serialises; *ret in the arena. -ENOMEM where the arena is full.
int envelope_pack(const ProtobufCMessage *message, struct arena *arena, const uint8_t **ret,
                  size_t *ret_size);
// The two halves of a stamped event, each a serialised Event (touchbus.proto, Event): first the
// open fields, then the sealed ones.
int envelope_pack_open(const Touchbus__Event *event, struct arena *arena, const uint8_t **ret,
                       size_t *ret_size);
int envelope_pack_sealed(const Touchbus__Event *event, struct arena *arena, const uint8_t **ret,
                         size_t *ret_size);
// The same with room for `behind` more bytes behind it, for who seals it where it lies.
int envelope_pack_to_seal(const Touchbus__Event *event, size_t behind, struct arena *arena,
                          uint8_t **ret, size_t *ret_size);

// Type globs as in filters: '*' matches any run of characters, '.' included; everything else
// itself.
bool envelope_glob(const char *pattern, const char *text);
// "c42" <-> 42. 0 or -EINVAL; buffer at least 24 bytes.
int envelope_parse_customer(const char *text, uint64_t *ret);
char *envelope_format_customer(uint64_t customer, char buffer[static 24]);
