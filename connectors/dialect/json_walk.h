// SPDX-License-Identifier: Apache-2.0
// Walks over the outermost members of a JSON text without parsing them, so that one member that is
// malformed can be told from the others. What it gives out is the bytes of a value; whether they
// are JSON is for jansson to say.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { JSON_WALK_DEPTH_MAX = 64 }; // of a member, for json_member_load

struct json_span {
    const char *text; // borrowed
    size_t size;
    unsigned depth; // of nesting, 0: a scalar
};

struct json_walk {
    const char *at, *end;
    char close; // '}' or ']'
    bool started;
};

enum { JSON_WALK_MEMBER = 1 };

// At the start of the text's object or array ('{' or '['). 0; -EBADMSG where it is neither.
int json_walk_open(const void *text, size_t size, struct json_walk *ret);
// JSON_WALK_MEMBER and the next member (ret_name, with its quotes, in objects only); 0 at the end
// of the text; -EBADMSG where its brackets do not close or something follows them.
int json_walk_next(struct json_walk *walk, struct json_span *ret_name, struct json_span *ret_value);
// What a parser makes of a body passes through jansson in many small steps, and jansson itself does
// not always say where memory ends (json_walk.c): a parser begins, and in the end asks whether all
// of it was there, on its thread.
void json_memory_begin(void);
bool json_memory_ended(void);
// Parses a span strictly: no duplicate keys, no NUL, no deeper than JSON_WALK_DEPTH_MAX. A new
// reference, or NULL with *ret_why (static, may be NULL).
json_t *json_span_load(const struct json_span *span, const char **ret_why);
