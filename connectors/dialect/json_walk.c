// SPDX-License-Identifier: Apache-2.0
#include "connectors/dialect/json_walk.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/guards.h"

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct json_walk *walk) {
    while (walk->at < walk->end && is_space(*walk->at)) {
        walk->at++;
    }
}

int json_walk_open(const void *text, size_t size, struct json_walk *ret) {
    struct json_walk walk = {.at = text, .end = (const char *)text + size};
    skip_space(&walk);
    if (walk.at == walk.end || (*walk.at != '{' && *walk.at != '[')) {
        return -EBADMSG;
    }
    walk.close = *walk.at == '{' ? '}' : ']';
    walk.at++;
    *ret = walk;
    return 0;
}

// From an opening quote to behind the closing one.
static int skip_string(struct json_walk *walk) {
    for (walk->at++; walk->at < walk->end; walk->at++) {
        if (*walk->at == '\\') {
            walk->at++;
        } else if (*walk->at == '"') {
            walk->at++;
            return 0;
        }
    }
    walk->at = walk->end; // an escape may have led beyond it
    return -EBADMSG;
}

// Brackets are only counted here; that they match is for the parser.
static int skip_nested(struct json_walk *walk, unsigned *ret_depth) {
    unsigned depth = 0, deepest = 0;
    while (walk->at < walk->end) {
        char c = *walk->at;
        if (c == '"') {
            if (skip_string(walk) != 0) {
                return -EBADMSG;
            }
            continue;
        }
        walk->at++;
        if (c == '{' || c == '[') {
            depth++;
            deepest = depth > deepest ? depth : deepest;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            *ret_depth = deepest;
            return 0;
        }
    }
    return -EBADMSG;
}

static int skip_value(struct json_walk *walk, struct json_span *ret) {
    skip_space(walk);
    *ret = (struct json_span){.text = walk->at};
    int r = 0;
    if (walk->at == walk->end) {
        return -EBADMSG;
    }
    if (*walk->at == '"') {
        r = skip_string(walk);
    } else if (*walk->at == '{' || *walk->at == '[') {
        r = skip_nested(walk, &ret->depth);
    } else {
        while (walk->at < walk->end && !is_space(*walk->at) && strchr(",]}:", *walk->at) == NULL) {
            walk->at++;
        }
        r = walk->at == ret->text ? -EBADMSG : 0;
    }
    ret->size = (size_t)(walk->at - ret->text);
    return r;
}

static int skip_end(struct json_walk *walk) {
    walk->at++;
    skip_space(walk);
    return walk->at == walk->end ? 0 : -EBADMSG;
}

int json_walk_next(struct json_walk *walk, struct json_span *ret_name,
                   struct json_span *ret_value) {
    skip_space(walk);
    if (walk->at == walk->end) {
        return -EBADMSG;
    }
    if (*walk->at == walk->close) {
        return skip_end(walk);
    }
    if (walk->started) {
        if (*walk->at != ',') {
            return -EBADMSG;
        }
        walk->at++;
        skip_space(walk);
    }
    walk->started = true;
    if (walk->close == '}') {
        if (walk->at == walk->end || *walk->at != '"' || skip_value(walk, ret_name) != 0) {
            return -EBADMSG;
        }
        skip_space(walk);
        if (walk->at == walk->end || *walk->at++ != ':') {
            return -EBADMSG;
        }
    }
    return skip_value(walk, ret_value) == 0 ? JSON_WALK_MEMBER : -EBADMSG;
}

// jansson's reader loses a byte, and says nothing, where its buffer cannot grow (2.14, lex_save).
static _Thread_local bool memory_ended;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void *allocate(size_t size) {
    void *memory = malloc(size);
    memory_ended = memory_ended || memory == NULL;
    return memory;
}

static void watch_memory(void) {
    json_set_alloc_funcs(allocate, free);
}

void json_memory_begin(void) {
    pthread_once(&once, watch_memory);
    memory_ended = false;
}

bool json_memory_ended(void) {
    return GUARD(json_memory) && memory_ended;
}

json_t *json_span_load(const struct json_span *span, const char **ret_why) {
    const char *why = "nested too deep";
    json_t *json = NULL;
    if (!GUARD(json_depth) || span->depth <= JSON_WALK_DEPTH_MAX) {
        json_error_t error;
        json = json_loadb(span->text, span->size,
                          (GUARD(json_duplicates) ? JSON_REJECT_DUPLICATES : 0) | JSON_DECODE_ANY,
                          &error);
        if (json == NULL) {
            why = json_error_code(&error) == json_error_duplicate_key    ? "a key stands twice"
                  : json_error_code(&error) == json_error_invalid_utf8   ? "not UTF-8"
                  : json_error_code(&error) == json_error_null_character ? "a NUL character"
                                                                         : "malformed JSON";
        }
    }
    if (json == NULL && ret_why != NULL) {
        *ret_why = why;
    }
    return json;
}
