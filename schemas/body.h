// SPDX-License-Identifier: Apache-2.0
// The body codec: an event's data is one msgpack value. Bodies from outside are checked (depth,
// counts, lengths against the bytes left, UTF-8, string keys, no duplicate keys) before any is
// parsed into memory.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A cheap walk over the bytes without allocation. 0; -EBADMSG where it is malformed or over a
// limit; *ret_why (static text, may be NULL) says which. must_be_map: an empty body or any other
// value than a map is malformed. Also malformed: what JSON could not hold (extension types,
// integers beyond int64, numbers that are not finite) and text with a NUL.
int body_check(const void *data, size_t size, bool must_be_map, const char **ret_why);

// msgpack -> jansson; the caller owns *ret. Bin becomes {"$binary": base64}; an empty body becomes
// null. -EBADMSG where body_check would refuse it; -ENOMEM.
int body_to_json(const void *data, size_t size, json_t **ret);
// jansson -> msgpack; *ret is malloc'ed and passes body_check. Whole numbers stay integers, reals
// doubles, {"$binary": base64} becomes bin again. -E2BIG over EVENT_BYTES_MAX; -EBADMSG over
// another limit of body_check; -ENOMEM.
int body_from_json(const json_t *json, void **ret, size_t *ret_size);
// Bytes as a body: one msgpack bin. *ret is malloc'ed. -E2BIG; -ENOMEM.
int body_from_bytes(const void *data, size_t size, void **ret, size_t *ret_size);

// A value inside a checked map, found without parsing the rest: a cursor over the bytes.
enum body_kind {
    BODY_NIL,
    BODY_BOOL,
    BODY_INTEGER,
    BODY_REAL,
    BODY_TEXT,
    BODY_BINARY,
    BODY_LIST,
    BODY_MAP
};
struct body_value {
    enum body_kind kind;
    const uint8_t *raw; // the value's own msgpack bytes, header included; borrowed from the body
    size_t raw_size;
    int64_t integer;  // BODY_INTEGER (saturated), BODY_BOOL 0 or 1
    double real;      // BODY_REAL
    const char *text; // BODY_TEXT, BODY_BINARY: not terminated
    size_t text_size;
    size_t count; // BODY_LIST, BODY_MAP: members
};
// Reads the value at data (checked before). Returns false at the end or where it is malformed;
// safe on any bytes. Costs a walk over a container's members.
bool body_read(const void *data, size_t size, struct body_value *ret);
// A member of a map by name. False where the value is no map or has no such member.
bool body_find(const void *data, size_t size, const char *name, struct body_value *ret);
// Iterates over a list's or map's members; *position starts at 0. ret_name is a map member's name
// and may be NULL; a list leaves it alone. False at the end.
bool body_next(const struct body_value *container, size_t *position, struct body_value *ret_name,
               struct body_value *ret);

// The members of a body that is a map, walked once for all who ask for some of them. Borrows the
// body.
enum { BODY_MEMBERS_MAX = 24 };
struct body_members {
    const uint8_t *data; // the body
    size_t size;
    bool is_map;
    bool is_large; // more than BODY_MEMBERS_MAX: they are looked for in the body one by one
    size_t n;
    struct {
        const char *name; // not terminated; "" where it is no text
        size_t name_size;
        struct body_value value;
    } rows[BODY_MEMBERS_MAX];
};
void body_members_read(const void *data, size_t size, struct body_members *ret);
// As body_find in the body.
bool body_members_find(const struct body_members *members, const char *name,
                       struct body_value *ret);
