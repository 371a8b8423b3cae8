// SPDX-License-Identifier: Apache-2.0
// POST /v1/contact: a contact.requested goes out, and the verdict of its ack is the answer. It is
// never spooled: who asks wants to know now, and asks again under the same contact_id.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/web/web.h"
#include "schemas/base/cleanup.h"
#include "schemas/reasons.h"

enum { CONTACT_CHANNELS_MAX = 32, CONTACT_BODY_BYTES_MAX = 64 << 10 };

static void cleanup_json(json_t **json) {
    json_decref(*json);
}

// ---- the question

// The members that are texts; all others are named in read_body.
static const struct {
    const char *name;
    size_t offset;
    bool required;
} texts[] = {
    {"contact_id", offsetof(touchbus_contact, contact_id), false},
    {"content_id", offsetof(touchbus_contact, content_id), true},
    {"purpose", offsetof(touchbus_contact, purpose), true},
    {"customer", offsetof(touchbus_contact, customer), false},
    {"address", offsetof(touchbus_contact, address), false},
    {"not_after", offsetof(touchbus_contact, not_after), false},
};

static const char *read_texts(const json_t *body, touchbus_contact *ret, size_t *ret_n) {
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const json_t *value = json_object_get(body, texts[i].name);
        const char *text = json_string_value(value);
        if (value == NULL && !texts[i].required) {
            continue;
        }
        if (text == NULL || *text == '\0') {
            return "content_id, purpose: expected texts; contact_id, customer, address and "
                   "not_after are texts where they are there";
        }
        *(const char **)(void *)((char *)ret + texts[i].offset) = text;
        *ret_n += 1;
    }
    return NULL;
}

static const char *read_channels(const json_t *body, const char *channels[], size_t *ret_n) {
    const json_t *list = json_object_get(body, "channels");
    size_t n = json_array_size(list);
    *ret_n += list != NULL;
    if (list != NULL && (!json_is_array(list) || n > CONTACT_CHANNELS_MAX)) {
        return "channels: expected a list of at most 32 names";
    }
    for (size_t i = 0; i < n; i++) {
        channels[i] = json_string_value(json_array_get(list, i));
        if (channels[i] == NULL) {
            return "channels: expected a list of names";
        }
    }
    channels[n] = NULL;
    return NULL;
}

// "keys": {"email": "ana@klant.example"}; none, where the customer or an address says who it is.
static const char *read_keys(const json_t *body, touchbus_contact *ret, size_t *ret_n) {
    const json_t *keys = json_object_get(body, "keys");
    const char *kind;
    json_t *value;
    *ret_n += keys != NULL;
    if (keys != NULL && json_object_size(keys) != 1) {
        return "keys: expected one, such as {\"email\": \"ana@klant.example\"}";
    }
    json_object_foreach((json_t *)(uintptr_t)keys, kind, value) {
        ret->kind = kind;
        ret->value = json_string_value(value);
        if (ret->value == NULL) {
            return "keys: expected a text";
        }
    }
    return ret->kind == NULL && ret->customer == NULL && ret->address == NULL
               ? "who? expected keys, customer or address"
               : NULL;
}

// Fills ret, which borrows from body. Returns what is wrong, or NULL.
static const char *read_body(const json_t *body, touchbus_contact *ret, const char *channels[]) {
    size_t n = 0;
    const json_t *priority = json_object_get(body, "priority");
    const char *why = read_texts(body, ret, &n);
    why = why != NULL ? why : read_channels(body, channels, &n);
    why = why != NULL ? why : read_keys(body, ret, &n);
    if (why == NULL && priority != NULL && !json_is_integer(priority)) {
        why = "priority: expected a whole number";
    }
    if (why == NULL && n + (priority != NULL) != json_object_size(body)) {
        why = "expected content_id, purpose, keys, customer, address, channels, contact_id, "
              "priority, not_after and no others";
    }
    ret->channels = channels;
    ret->priority = json_integer_value(priority);
    return why;
}

static touchbus_event *read_contact(struct request *request) {
    const char *channels[CONTACT_CHANNELS_MAX + 1];
    touchbus_contact contact = {0};
    touchbus_event *event = NULL;
    _cleanup_(cleanup_json) json_t *body =
        request->size > CONTACT_BODY_BYTES_MAX
            ? NULL
            : json_loadb(request->body != NULL ? request->body : "", request->size,
                         JSON_REJECT_DUPLICATES, NULL);
    const char *why = json_is_object(body) ? read_body(body, &contact, channels)
                                           : "expected a JSON object of at most 64 KiB";
    if (why == NULL && touchbus_contact_event(&contact, &event) != 0) {
        why = "a member is too long or not acceptable";
    }
    if (why == NULL && touchbus_event_set(event, "source", request->web->conf->source) != 0) {
        event = touchbus_event_free(event);
        why = "the source is not acceptable";
    }
    if (why != NULL) {
        answer_error(request, MHD_HTTP_BAD_REQUEST, why);
    }
    return event;
}

void contact_ask(struct request *request) {
    if (!ingest_allowed(request, "", WEB_CONTACT) || !ingest_decode(request)) {
        return;
    }
    touchbus_event *event = read_contact(request);
    if (event == NULL) {
        return;
    }
    if (!kit_connected(request->web->kit)) {
        touchbus_event_free(event);
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the broker is away");
        return;
    }
    kit_count(request->web->kit, WEB_QUESTIONS, 1);
    submit_one(request, event, KIT_NEVER_SPOOL);
}

// ---- the answer

void contact_finish(struct request *request) {
    const struct kit_ack *ack = &request->acks[0];
    const char *detail = request->details[0] != NULL ? request->details[0] : "";
    if (request->verdict != NULL) {
        request->answer = (struct answer){.status = MHD_HTTP_OK, .text = request->verdict};
        request->verdict = NULL;
    } else if (ack->code == REASON_FORBIDDEN) {
        answer_error(request, MHD_HTTP_FORBIDDEN, "the connector's own key may not ask for it");
    } else if (ack->code == REASON_OK || ack->code == REASON_DUPLICATE || ack->retryable) {
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "no verdict: ask again");
    } else {
        answer_error(request, MHD_HTTP_BAD_REQUEST, *detail != '\0' ? detail : ack->reason);
    }
    request->answer.no_store = true;
}
