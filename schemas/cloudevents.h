// SPDX-License-Identifier: Apache-2.0
// CloudEvents 1.0 JSON <-> Event, lossless both ways (time to the microsecond, in UTC). `type` is
// org.touchbus.<name>.v1 outside and <name> inside; a type under somebody else's domain
// (com.example.thing) or of another alphabet stays as it is. Our attributes are extensions:
// sequence, received, customer, scores, channel, direction, actor, case, cause, cost, traceparent,
// and keys, the identities form-encoded (`!` before `=` marks a verified one).
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "schemas/base/arena.h"
#include "touchbus.pb-c.h"

// Event in the arena, or 1 with *ret_why (static): it passes envelope_check_event. Stamped
// attributes (sequence, received, customer) are read where `stamped` is true and ignored otherwise.
// subject stands for identities where keys is missing: kind:value, or a bare user_id. A null
// attribute is one that is not there; data_base64, and data that is {"$binary": base64}, is bytes.
int cloudevents_from_json(const json_t *json, bool stamped, struct arena *arena,
                          Touchbus__Event **ret, const char **ret_why);
// A new reference, the caller's. NULL where memory is short or data is malformed.
json_t *cloudevents_to_json(const Touchbus__Event *event);

// `kind=value&kind!=value` form-encoded. 0 or 1 (malformed or too many).
int cloudevents_parse_keys(const char *text, struct arena *arena, Touchbus__Identity ***ret,
                           size_t *ret_n);
char *cloudevents_format_keys(Touchbus__Identity *const *identities, size_t n, struct arena *arena);
// The name inside for a type outside, and back; both in the arena.
const char *cloudevents_type_inside(const char *outside, struct arena *arena);
const char *cloudevents_type_outside(const char *inside, struct arena *arena);
