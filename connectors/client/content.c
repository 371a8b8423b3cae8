// SPDX-License-Identifier: Apache-2.0
// What an event carries besides attributes: identities, keys and data, and the event as CloudEvents
// JSON. The codecs are those of schemas; nothing is parsed here.
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/client/event.h"
#include "schemas/base/cleanup.h"
#include "schemas/body.h"
#include "schemas/cloudevents.h"
#include "schemas/limits.h"

enum { JSON_ARENA_BYTES_MAX = 8 << 20 };

static void cleanup_json(json_t **json) {
    json_decref(*json);
}

int touchbus_event_add_identity(touchbus_event *event, const char *kind, const char *value,
                                bool verified) {
    int r = event_check_name(kind);
    r = r != 0 ? r : event_check_text(value, IDENTITY_VALUE_BYTES_MAX);
    if (r != 0) {
        return r;
    }
    Touchbus__Event *message = event_change(event);
    if (message == NULL) {
        return -ENOMEM;
    }
    size_t n = message->n_identities;
    if (n >= EVENT_IDENTITIES_MAX) {
        return -E2BIG;
    }
    Touchbus__Identity *identity = arena_alloc(event->arena, sizeof(*identity));
    Touchbus__Identity **list = arena_calloc(event->arena, n + 1, sizeof(void *));
    char *own_kind = arena_strdup(event->arena, kind);
    char *own_value = arena_strdup(event->arena, value);
    if (identity == NULL || list == NULL || own_kind == NULL || own_value == NULL) {
        return -ENOMEM;
    }
    touchbus__identity__init(identity);
    identity->kind = own_kind;
    identity->value = own_value;
    identity->verified = verified;
    for (size_t i = 0; i < n; i++) {
        list[i] = message->identities[i];
    }
    list[n] = identity;
    message->identities = list;
    message->n_identities = n + 1;
    return 0;
}

bool touchbus_event_identity(const touchbus_event *event, size_t index, const char **ret_kind,
                             const char **ret_value, bool *ret_verified) {
    const Touchbus__Event *message = event_message(event);
    if (message == NULL || index >= message->n_identities) {
        return false;
    }
    *ret_kind = message->identities[index]->kind;
    *ret_value = message->identities[index]->value;
    *ret_verified = message->identities[index]->verified;
    return true;
}

bool touchbus_event_key(const touchbus_event *event, size_t index, const char **ret_kind,
                        const char **ret_value) {
    const Touchbus__Event *message = event_message(event);
    if (message == NULL || index >= message->n_keys) {
        return false;
    }
    *ret_kind = message->keys[index]->kind;
    *ret_value = message->keys[index]->value;
    return true;
}

int touchbus_event_set_data(touchbus_event *event, const void *msgpack, size_t size) {
    if (size > EVENT_BYTES_MAX) {
        return -E2BIG;
    }
    if (size > 0 && body_check(msgpack, size, false, NULL) != 0) {
        return -EBADMSG;
    }
    Touchbus__Event *message = event_change(event);
    void *data = message == NULL ? NULL : arena_copy(event->arena, msgpack, size);
    if (data == NULL) {
        return -ENOMEM;
    }
    message->data = (ProtobufCBinaryData){.len = size, .data = data};
    return 0;
}

int touchbus_event_set_data_json(touchbus_event *event, const char *json, size_t size) {
    _cleanup_(cleanup_json) json_t *parsed = json_loadb(json, size, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(parsed)) {
        return -EBADMSG;
    }
    _cleanup_free_ void *data = NULL;
    size_t data_size;
    int r = body_from_json(parsed, &data, &data_size);
    if (r != 0) {
        return r == -E2BIG || r == -ENOMEM ? r : -EBADMSG;
    }
    return touchbus_event_set_data(event, data, data_size);
}

const void *touchbus_event_data(const touchbus_event *event, size_t *ret_size) {
    const Touchbus__Event *message = event_message(event);
    *ret_size = message == NULL ? 0 : message->data.len;
    return message == NULL || message->data.len == 0 ? NULL : message->data.data;
}

// Into a buffer of the size that a first pass tells: json_dumps leaves pieces out, and says
// nothing, where its own cannot grow (jansson 2.14).
char *event_json_text(const json_t *json) {
    const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
    size_t size = json_dumpb(json, NULL, 0, flags);
    char *text = size == 0 ? NULL : malloc(size + 1);
    if (text == NULL || json_dumpb(json, text, size, flags) != size) {
        free(text);
        return NULL;
    }
    text[size] = '\0';
    return text;
}

char *touchbus_event_data_json(const touchbus_event *event) {
    size_t size;
    const void *data = touchbus_event_data(event, &size);
    _cleanup_(cleanup_json) json_t *json = NULL;
    if (data == NULL || body_to_json(data, size, &json) != 0) {
        return NULL;
    }
    return event_json_text(json);
}

int touchbus_event_from_json(const char *text, size_t size, touchbus_event **ret,
                             const char **ret_why) {
    const char *why = "not a JSON object";
    _cleanup_(cleanup_json) json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    _cleanup_(cleanup_arena) struct arena *arena = arena_new(JSON_ARENA_BYTES_MAX);
    if (arena == NULL) {
        return -ENOMEM;
    }
    Touchbus__Event *message;
    if (!json_is_object(json) || cloudevents_from_json(json, false, arena, &message, &why) != 0) {
        if (ret_why != NULL) {
            *ret_why = why;
        }
        return -EBADMSG;
    }
    touchbus_event *event = event_from_message(STEAL(arena), message);
    if (event == NULL) {
        return -ENOMEM;
    }
    *ret = event;
    return 0;
}

char *touchbus_event_to_json(const touchbus_event *event) {
    const Touchbus__Event *message = event_message(event);
    _cleanup_(cleanup_json) json_t *json = message == NULL ? NULL : cloudevents_to_json(message);
    return json == NULL ? NULL : event_json_text(json);
}
