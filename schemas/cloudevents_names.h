// SPDX-License-Identifier: Apache-2.0
// Names that reading and writing of CloudEvents share.
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "schemas/base/arena.h"
#include "touchbus.pb-c.h"

extern const char *const cloudevents_directions[4]; // by Touchbus__Direction; UNSET is ""

// Whether CloudEvents or touchbus give this attribute name a meaning: no extension may have it.
bool cloudevents_is_attribute(const char *name);
// Whose event a subject makes it where there are no keys: kind:value, or a bare user_id. In the
// arena, NULL where that is full.
Touchbus__Identity *cloudevents_subject_identity(const char *subject, struct arena *arena);
// The attribute `scores` of an event with this stamp: a new reference, text. NULL where memory is
// short.
json_t *cloudevents_scores(const Touchbus__Stamp *stamp);
