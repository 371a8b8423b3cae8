// SPDX-License-Identifier: Apache-2.0
// The table of calls and track events: which type each becomes and where the type's fields come
// from. Private to the Segment dialect.
#pragma once

#include <jansson.h>

enum { SEGMENT_TYPE_BYTES_MAX = 80 };

enum segment_value {
    VALUE_TEXT,     // a text; numbers are written out
    VALUE_NUMBER,   // a number; texts are read
    VALUE_DECIMAL,  // money: a text, from a number or a text
    VALUE_MAP,      // an object, {} where there is none
    VALUE_LINES,    // Segment's products -> lines
    VALUE_LINE,     // the properties themselves are the one product
    VALUE_REVISION, // a whole number, else the sender's time in milliseconds
};

struct segment_field {
    const char *name; // in the event's data
    enum segment_value value;
    const char *from;      // paths into the call, the first that is there: "properties.sku|userId"
    const char *otherwise; // a text for when none is; NULL: it stays missing
};

enum { SEGMENT_FIELDS_MAX = 5 };

struct segment_type {
    const char *call;                // "track", "page", ...
    const char *event;               // track's event name, matched without case; NULL: any
    const char *type;                // NULL: track.<name>
    const char *channel, *direction; // NULL: the request's, the type's
    const char *base;                // the object whose members data starts with; NULL: none
    struct segment_field fields[SEGMENT_FIELDS_MAX];
};

// NULL: no such call.
const struct segment_type *segment_type_find(const char *call, const char *event);
// The data of an event; a new reference. NULL: no memory.
json_t *segment_type_data(const struct segment_type *type, json_t *call);
// "track." and the event's name in [a-z0-9_].
void segment_type_name(const char *event, char ret[static SEGMENT_TYPE_BYTES_MAX]);
// The first of the paths that is there and not null; borrowed.
json_t *segment_find(json_t *call, const char *paths);
// A text or number as text; NULL where it is neither (or an empty text). *buffer, of
// SEGMENT_NUMBER_BYTES, serves a number.
enum { SEGMENT_NUMBER_BYTES = 40 };
const char *segment_text(const json_t *value, char buffer[static SEGMENT_NUMBER_BYTES]);
