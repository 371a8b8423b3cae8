// SPDX-License-Identifier: Apache-2.0
// The three content modes become the JSON form, which the client library reads: binary content puts
// together the JSON object that structured content would have been.
#include "connectors/dialect/cloudevents_http.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "connectors/dialect/http.h"
#include "connectors/dialect/json_walk.h"
#include "schemas/base/base64.h"
#include "schemas/base/cleanup.h"

static const char structured_type[] = "application/cloudevents+json";
static const char batch_type[] = "application/cloudevents-batch+json";
static const char prefix[] = "ce-";

static void cleanup_json(json_t **json) {
    json_decref(*json);
}
#define _cleanup_json_ _cleanup_(cleanup_json)

static void take_event(const struct cloudevents_request *request, json_t *json, struct item *item) {
    const char *id = json_string_value(json_object_get(json, "id"));
    _cleanup_free_ char *text = json_dumps(json, JSON_COMPACT);
    touchbus_event *event = NULL;
    item->why = "not acceptable as a CloudEvent";
    if (id != NULL && item_set_id(item, id) != 0) {
        item->why = "no memory";
        return;
    }
    if (text == NULL || touchbus_event_from_json(text, strlen(text), &event, &item->why) != 0) {
        return;
    }
    if (request->channel != NULL && touchbus_event_get(event, "channel") == NULL &&
        touchbus_event_set(event, "channel", request->channel) == -ENOMEM) {
        touchbus_event_free(event);
        item->why = "no memory";
        return;
    }
    item->event = event;
    item->why = NULL;
}

static int only_item(struct items *items, const char **ret_why) {
    if (items->list[0].why == NULL) {
        return 0;
    }
    *ret_why = items->list[0].why;
    return -EBADMSG;
}

// ---- structured and batched

static unsigned depth_of(const char *body, size_t size) {
    struct json_walk walk;
    struct json_span name, value;
    unsigned depth = 1;
    if (json_walk_open(body, size, &walk) == 0) {
        while (json_walk_next(&walk, &name, &value) == JSON_WALK_MEMBER) {
            depth = value.depth + 1 > depth ? value.depth + 1 : depth;
        }
    }
    return depth;
}

static int parse_structured(const struct cloudevents_request *request, const char *body,
                            size_t size, struct items *items, const char **ret_why) {
    struct json_span span = {.text = body, .size = size, .depth = depth_of(body, size)};
    _cleanup_json_ json_t *json = json_span_load(&span, ret_why);
    struct item *item = items_add(items, body, size);
    if (json == NULL || item == NULL) {
        return json == NULL ? -EBADMSG : -ENOMEM;
    }
    take_event(request, json, item);
    return only_item(items, ret_why);
}

static int parse_batch(const struct cloudevents_request *request, const char *body, size_t size,
                       struct items *items, const char **ret_why) {
    struct json_walk walk;
    struct json_span name, value;
    int r = json_walk_open(body, size, &walk);
    if (r == 0 && walk.close != ']') {
        *ret_why = "no batch";
        return -EBADMSG;
    }
    while (r == 0 && (r = json_walk_next(&walk, &name, &value)) == JSON_WALK_MEMBER) {
        struct item *item = items_add(items, value.text, value.size);
        if (item == NULL) {
            return items->n == ITEMS_MAX ? -E2BIG : -ENOMEM;
        }
        _cleanup_json_ json_t *json = json_span_load(&value, &item->why);
        if (json != NULL) {
            take_event(request, json, item);
        }
        r = 0;
    }
    return r;
}

// ---- binary

// Attributes are text in headers; those of the JSON form that are numbers or booleans there are
// extensions, and stay text.
static int take_attributes(const struct cloudevents_request *request, json_t *json,
                           const char **ret_why) {
    size_t n = 0;
    for (size_t i = 0; i < request->n_headers; i++) {
        const struct cloudevents_header *header = &request->headers[i];
        char name[64];
        if (strncasecmp(header->name, prefix, strlen(prefix)) != 0) {
            continue;
        }
        const char *from = header->name + strlen(prefix);
        size_t length = strlen(from);
        _cleanup_free_ char *value = strdup(header->value);
        if (value == NULL) {
            return -ENOMEM;
        }
        if (length == 0 || length >= sizeof(name) || ++n > CLOUDEVENTS_ATTRIBUTES_MAX ||
            http_percent_decode(value) != 0) {
            *ret_why = "a ce- header is malformed";
            return -EBADMSG;
        }
        for (size_t j = 0; j <= length; j++) {
            name[j] = (char)(from[j] >= 'A' && from[j] <= 'Z' ? from[j] + 32 : from[j]);
        }
        if (json_object_get(json, name) != NULL ||
            json_object_set_new(json, name, json_string(value)) != 0) {
            *ret_why = "a ce- header stands twice or is not UTF-8";
            return -EBADMSG;
        }
    }
    return 0;
}

static bool is_json(const char *content_type) {
    const char *end = content_type == NULL ? NULL : content_type + strcspn(content_type, "; \t");
    return content_type == NULL || http_type_is(content_type, "application/json") ||
           http_type_is(content_type, "text/json") ||
           (end - content_type > 5 && strncasecmp(end - 5, "+json", 5) == 0);
}

static int take_data(const struct cloudevents_request *request, const char *body, size_t size,
                     json_t *json, const char **ret_why) {
    if (request->content_type != NULL) {
        json_object_set_new(json, "datacontenttype", json_string(request->content_type));
    }
    if (size == 0) {
        return 0;
    }
    if (is_json(request->content_type)) {
        struct json_span span = {.text = body, .size = size, .depth = depth_of(body, size)};
        json_t *data = json_span_load(&span, ret_why);
        return data == NULL ? -EBADMSG : json_object_set_new(json, "data", data);
    }
    json_t *text =
        http_type_is(request->content_type, "text/plain") ? json_stringn(body, size) : NULL;
    if (text != NULL) {
        return json_object_set_new(json, "data", text);
    }
    _cleanup_free_ char *base64 = base64_encode(body, size);
    return base64 == NULL ? -ENOMEM : json_object_set_new(json, "data_base64", json_string(base64));
}

static int parse_binary(const struct cloudevents_request *request, const char *body, size_t size,
                        struct items *items, const char **ret_why) {
    _cleanup_json_ json_t *json = json_object();
    int r = json == NULL ? -ENOMEM : take_attributes(request, json, ret_why);
    if (r == 0 && json_object_get(json, "specversion") == NULL) {
        *ret_why = "no CloudEvent: neither its content type nor ce- headers";
        return -EPROTO;
    }
    r = r != 0 ? r : take_data(request, body, size, json, ret_why);
    if (r != 0) {
        return r == -1 ? -ENOMEM : r;
    }
    struct item *item = items_add(items, body, size);
    if (item == NULL) {
        return -ENOMEM;
    }
    take_event(request, json, item);
    return only_item(items, ret_why);
}

int cloudevents_http_parse(const struct cloudevents_request *request, const char *body, size_t size,
                           struct items *ret, const char **ret_why) {
    static const struct {
        const char *type;
        int (*parse)(const struct cloudevents_request *request, const char *body, size_t size,
                     struct items *items, const char **ret_why);
    } modes[] = {{batch_type, parse_batch}, {structured_type, parse_structured}};
    struct items items = {0};
    *ret_why = "malformed JSON";
    int r = 1;
    json_memory_begin();
    for (size_t i = 0; r == 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (http_type_is(request->content_type, modes[i].type)) {
            r = modes[i].parse(request, body, size, &items, ret_why);
        }
    }
    if (r == 1) {
        r = parse_binary(request, body, size, &items, ret_why);
    }
    r = json_memory_ended() ? -ENOMEM : r;
    if (r != 0) {
        items_clear(&items);
        return r;
    }
    *ret = items;
    return 0;
}
