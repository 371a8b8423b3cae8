// SPDX-License-Identifier: Apache-2.0
// One request's body: either a call, or {"batch": [calls], "sentAt", "writeKey", "context"}. Each
// call is parsed by itself, so that one that is malformed is told from the others.
#include "connectors/dialect/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#include "connectors/dialect/json_walk.h"
#include "connectors/dialect/segment_types.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/body.h"

struct batch {
    const struct segment_request *request;
    json_t *sent_at, *context, *write_key; // of the whole batch; NULL: none
};

static void cleanup_json(json_t **json) {
    json_decref(*json);
}
#define _cleanup_json_ _cleanup_(cleanup_json)

// ---- one call

static bool parse_time(const json_t *value, int64_t *ret_us) {
    return json_is_string(value) && clock_parse_rfc3339(json_string_value(value), ret_us) == 0;
}

// received - (sentAt - originalTimestamp) where the clocks differ by more than a minute. By whole
// seconds, so that a repeat of the same call, a little later, gives the same event.
static int set_time(const struct batch *batch, json_t *call, touchbus_event *event) {
    int64_t time_us, sent_us;
    json_t *sent_at = segment_find(call, "sentAt");
    if (!parse_time(segment_find(call, "originalTimestamp|timestamp"), &time_us)) {
        return 0;
    }
    if (parse_time(sent_at != NULL ? sent_at : batch->sent_at, &sent_us)) {
        int64_t ahead_us = batch->request->received_us - sent_us;
        int64_t half_us = ahead_us < 0 ? -CLOCK_US_PER_S / 2 : CLOCK_US_PER_S / 2;
        int64_t ahead_s = (ahead_us + half_us) / CLOCK_US_PER_S;
        if (ahead_us > SEGMENT_CLOCK_SLACK_S * CLOCK_US_PER_S ||
            ahead_us < -SEGMENT_CLOCK_SLACK_S * CLOCK_US_PER_S) {
            time_us += ahead_s * CLOCK_US_PER_S;
        }
    }
    time_us = time_us < CLOCK_US_MIN ? CLOCK_US_MIN : time_us;
    return touchbus_event_set_time(event, time_us > CLOCK_US_MAX ? CLOCK_US_MAX : time_us);
}

// A missing id is made. From the call itself where it or its batch says when it was: then a repeat
// has the same one; else at random, since the same call may well be made twice.
static void make_id(const struct batch *batch, json_t *call, const struct item *item, size_t index,
                    char ret[static SEGMENT_NUMBER_BYTES]) {
    uint64_t halves[2];
    const char *sent = json_string_value(batch->sent_at);
    if (sent != NULL || segment_find(call, "originalTimestamp|timestamp|sentAt") != NULL) {
        uint64_t seed = sent == NULL ? 0 : XXH3_64bits_withSeed(sent, strlen(sent), index);
        XXH128_hash_t hash = XXH3_128bits_withSeed(item->raw, item->raw_size, seed);
        halves[0] = hash.high64;
        halves[1] = hash.low64;
    } else if (getrandom(halves, sizeof(halves), 0) != sizeof(halves)) {
        halves[0] = (uint64_t)batch->request->received_us;
        halves[1] = XXH3_64bits_withSeed(item->raw, item->raw_size, index);
    }
    snprintf(ret, SEGMENT_NUMBER_BYTES, "%016" PRIx64 "%016" PRIx64, halves[0], halves[1]);
}

static const char no_memory[] = "no memory";

static const char *add_identities(json_t *call, touchbus_event *event) {
    static const struct {
        const char *from, *kind, *why; // why: it is refused for it; NULL: it is just left out
    } keys[] = {
        {"userId", "user_id", "userId is no text of 1 to 256 bytes"},
        {"anonymousId", "anonymous_id", "anonymousId is no text of 1 to 256 bytes"},
        {"traits.email|context.traits.email", "email", NULL},
        {"traits.phone|context.traits.phone", "phone", NULL},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char buffer[SEGMENT_NUMBER_BYTES];
        const json_t *value = segment_find(call, keys[i].from);
        const char *text = segment_text(value, buffer);
        if (value == NULL) {
            continue;
        }
        int r =
            text == NULL ? -EINVAL : touchbus_event_add_identity(event, keys[i].kind, text, false);
        if (r == -ENOMEM || (r != 0 && keys[i].why != NULL)) {
            return r == -ENOMEM ? no_memory : keys[i].why;
        }
    }
    if (strcmp(json_string_value(json_object_get(call, "type")), "alias") == 0) {
        char buffer[SEGMENT_NUMBER_BYTES];
        const char *previous = segment_text(segment_find(call, "previousId"), buffer);
        if (previous != NULL &&
            touchbus_event_add_identity(event, "anonymous_id", previous, false) == -ENOMEM) {
            return no_memory;
        }
    }
    return NULL;
}

static const char *set_data(const struct segment_type *type, json_t *call, touchbus_event *event) {
    _cleanup_json_ json_t *data = segment_type_data(type, call);
    _cleanup_free_ void *bytes = NULL;
    size_t size;
    int r = data == NULL ? -ENOMEM : body_from_json(data, &bytes, &size);
    r = r != 0 ? r : touchbus_event_set_data(event, bytes, size);
    return r == 0         ? NULL
           : r == -E2BIG  ? "larger than an event may be"
           : r == -ENOMEM ? "out of memory"
                          : "nested too deep, or with too many values";
}

static const char *set_rest(const struct batch *batch, const struct segment_type *type,
                            json_t *call, touchbus_event *event) {
    const char *channel = type->channel != NULL ? type->channel : batch->request->channel;
    const char *why = add_identities(call, event);
    if (why == NULL && (touchbus_event_set(event, "channel", channel) != 0 ||
                        (type->direction != NULL &&
                         touchbus_event_set(event, "direction", type->direction) != 0) ||
                        set_time(batch, call, event) != 0)) {
        why = "an attribute is not acceptable";
    }
    return why != NULL ? why : set_data(type, call, event);
}

static const char *make_event(const struct batch *batch, json_t *call, struct item *item,
                              size_t index) {
    char buffer[SEGMENT_NUMBER_BYTES], made[SEGMENT_NUMBER_BYTES], name[SEGMENT_TYPE_BYTES_MAX];
    if (!json_is_object(call)) {
        return "not a JSON object";
    }
    const char *id = segment_text(json_object_get(call, "messageId"), buffer);
    if (id != NULL) {
        if (item_set_id(item, id) != 0) {
            return no_memory;
        }
    }
    if (strcmp(batch->request->call, "batch") != 0) {
        json_object_set_new(call, "type", json_string(batch->request->call));
    }
    if (json_object_get(call, "context") == NULL && batch->context != NULL) {
        json_object_set(call, "context", batch->context);
    }
    const char *kind = json_string_value(json_object_get(call, "type"));
    const char *event_name = json_string_value(json_object_get(call, "event"));
    const struct segment_type *type = kind == NULL ? NULL : segment_type_find(kind, event_name);
    if (type == NULL) {
        return "type is none of identify, track, page, screen, alias, group";
    }
    if (type->type == NULL && event_name == NULL) {
        return "a track call without an event name";
    }
    if (id == NULL) {
        make_id(batch, call, item, index, made);
        id = made;
    }
    segment_type_name(event_name != NULL ? event_name : "", name);
    touchbus_event *event =
        touchbus_event_new(type->type != NULL ? type->type : name, batch->request->source, id);
    if (event == NULL) {
        return "messageId is no text of 1 to 256 bytes";
    }
    const char *why = set_rest(batch, type, call, event);
    if (why != NULL) {
        touchbus_event_free(event);
        return why;
    }
    item->event = event;
    return NULL;
}

static int add_call(const struct batch *batch, const struct json_span *span, struct items *items) {
    struct item *item = items_add(items, span->text, span->size);
    if (item == NULL) {
        return items->n == ITEMS_MAX ? -E2BIG : -ENOMEM;
    }
    _cleanup_json_ json_t *call = json_span_load(span, &item->why);
    if (call != NULL) {
        item->why = make_event(batch, call, item, items->n - 1);
    }
    return 0;
}

// ---- the body

static bool span_is(const struct json_span *name, const char *text) {
    return name->size == strlen(text) + 2 && memcmp(name->text + 1, text, name->size - 2) == 0;
}

// The members of a batch request that say something about all of its calls.
static int read_members(const char *body, size_t size, struct batch *batch,
                        struct json_span *ret_list, const char **ret_why) {
    struct {
        const char *name;
        json_t **to; // NULL: the list itself
        bool seen;
    } members[] = {{"batch", NULL, false},
                   {"sentAt", &batch->sent_at, false},
                   {"context", &batch->context, false},
                   {"writeKey", &batch->write_key, false}};
    struct json_walk walk;
    struct json_span name, value;
    int r = json_walk_open(body, size, &walk);
    *ret_list = (struct json_span){0};
    while (r == 0 && (r = json_walk_next(&walk, &name, &value)) == JSON_WALK_MEMBER) {
        r = 0;
        for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
            if (!span_is(&name, members[i].name)) {
                continue;
            }
            if (members[i].seen) {
                *ret_why = "a key stands twice";
                return -EBADMSG;
            }
            members[i].seen = true;
            if (members[i].to == NULL) {
                *ret_list = value;
            } else {
                *members[i].to = json_span_load(&value, NULL);
            }
        }
    }
    if (r == 0 && (ret_list->size == 0 || ret_list->text[0] != '[')) {
        *ret_why = "no batch";
        return -EBADMSG;
    }
    return r;
}

static int parse_batch(struct batch *batch, const char *body, size_t size, struct items *ret,
                       const char **ret_why) {
    struct json_span list, name, value;
    struct json_walk walk;
    int r = read_members(body, size, batch, &list, ret_why);
    r = r != 0 ? r : json_walk_open(list.text, list.size, &walk);
    while (r == 0 && (r = json_walk_next(&walk, &name, &value)) == JSON_WALK_MEMBER) {
        r = add_call(batch, &value, ret);
    }
    return r;
}

// A single call is the whole body: what cannot be read is refused, not put aside.
static int parse_single(struct batch *batch, const char *body, size_t size, struct items *ret,
                        const char **ret_why) {
    struct json_span span = {.text = body, .size = size};
    struct json_span name, value;
    struct json_walk walk;
    int r = json_walk_open(body, size, &walk);
    while (r == 0 && (r = json_walk_next(&walk, &name, &value)) == JSON_WALK_MEMBER) {
        span.depth = value.depth + 1 > span.depth ? value.depth + 1 : span.depth;
        r = 0;
    }
    if (r != 0) {
        return r;
    }
    _cleanup_json_ json_t *call = json_span_load(&span, ret_why);
    if (!json_is_object(call)) {
        return -EBADMSG;
    }
    batch->write_key = json_incref(json_object_get(call, "writeKey"));
    struct item *item = items_add(ret, body, size);
    if (item == NULL) {
        return -ENOMEM;
    }
    item->why = make_event(batch, call, item, 0);
    return 0;
}

int segment_parse(const struct segment_request *request, const char *body, size_t size,
                  struct items *ret, char write_key[static SEGMENT_KEY_BYTES_MAX],
                  const char **ret_why) {
    struct batch batch = {.request = request};
    struct items items = {0};
    *ret_why = "malformed JSON";
    write_key[0] = '\0';
    json_memory_begin();
    int r = strcmp(request->call, "batch") == 0 ? parse_batch(&batch, body, size, &items, ret_why)
                                                : parse_single(&batch, body, size, &items, ret_why);
    if (r == 0 && json_is_string(batch.write_key)) {
        snprintf(write_key, SEGMENT_KEY_BYTES_MAX, "%s", json_string_value(batch.write_key));
    }
    json_decref(batch.sent_at);
    json_decref(batch.context);
    json_decref(batch.write_key);
    r = json_memory_ended() ? -ENOMEM : r;
    if (r != 0) {
        items_clear(&items);
        return r;
    }
    *ret = items;
    return 0;
}
