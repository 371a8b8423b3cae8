// SPDX-License-Identifier: Apache-2.0
// Asking the contact policy: contact.requested goes out like any event, the verdict comes back in
// its ack. Asked again under the same contact_id the broker answers the same, so a lost reply is
// asked for again; nothing is ever kept for later.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "connectors/client/answer.h"
#include "connectors/client/event.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

enum {
    CONTACT_ID_RANDOM_BYTES = 12,
    CONTACT_CHANNELS_MAX = 32,
    ASKED_MAX = 3, // a reply was lost, and what came instead has no verdict
};

static void cleanup_json(json_t **json) {
    json_decref(*json);
}

static void cleanup_event(touchbus_event **event) {
    touchbus_event_free(*event);
}

// ---- the event

static int set_text(json_t *data, const char *name, const char *text) {
    if (text == NULL) {
        return 0;
    }
    int r = event_check_text(text, ID_BYTES_MAX);
    return r != 0 ? -EINVAL : json_object_set_new(data, name, json_string(text)) != 0 ? -ENOMEM : 0;
}

static int set_contact_id(json_t *data, const char *given) {
    uint8_t random[CONTACT_ID_RANDOM_BYTES];
    char text[2 * CONTACT_ID_RANDOM_BYTES + 1];
    if (given != NULL) {
        return set_text(data, "contact_id", given);
    }
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return -EIO;
    }
    for (size_t i = 0; i < sizeof(random); i++) {
        snprintf(text + 2 * i, 3, "%02x", random[i]);
    }
    return set_text(data, "contact_id", text);
}

static int set_channels(json_t *data, const char *const *channels) {
    json_t *list = json_array();
    if (json_object_set_new(data, "channels", list) != 0) {
        return -ENOMEM;
    }
    for (size_t i = 0; channels != NULL && channels[i] != NULL; i++) {
        if (i == CONTACT_CHANNELS_MAX || event_check_name(channels[i]) != 0) {
            return -EINVAL;
        }
        if (json_array_append_new(list, json_string(channels[i])) != 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

static int contact_data(const touchbus_contact *contact, char **ret) {
    _cleanup_(cleanup_json) json_t *data = json_object();
    int r = data == NULL ? -ENOMEM : set_contact_id(data, contact->contact_id);
    r = r != 0 ? r : set_text(data, "content_id", contact->content_id);
    r = r != 0 ? r : set_text(data, "purpose", contact->purpose);
    r = r != 0 ? r : set_channels(data, contact->channels);
    r = r != 0 ? r : set_text(data, "customer", contact->customer);
    r = r != 0 ? r : set_text(data, "address", contact->address);
    r = r != 0 ? r : set_text(data, "not_after", contact->not_after);
    if (r == 0 && contact->priority != 0 &&
        json_object_set_new(data, "priority", json_integer(contact->priority)) != 0) {
        r = -ENOMEM;
    }
    if (r == 0) {
        *ret = event_json_text(data);
        r = *ret == NULL ? -ENOMEM : 0;
    }
    return r;
}

int touchbus_contact_event(const touchbus_contact *contact, touchbus_event **ret) {
    _cleanup_free_ char *data = NULL;
    if (contact->content_id == NULL || contact->purpose == NULL ||
        (contact->kind == NULL) != (contact->value == NULL)) {
        return -EINVAL;
    }
    int r = contact_data(contact, &data);
    if (r != 0) {
        return r;
    }
    _cleanup_(cleanup_event) touchbus_event *event =
        touchbus_event_new("contact.requested", NULL, NULL);
    if (event == NULL) {
        return -ENOMEM;
    }
    r = touchbus_event_set_data_json(event, data, strlen(data));
    r = r != 0 ? r : touchbus_event_set_time(event, clock_now_us());
    if (r == 0 && contact->kind != NULL) {
        r = touchbus_event_add_identity(event, contact->kind, contact->value, false);
    }
    if (r == 0) {
        *ret = STEAL(event);
    }
    return r;
}

// ---- asking

struct asked {
    int error;
    touchbus_answer *answer;
};

static void on_ack(const touchbus_ack *ack, void *user) {
    struct asked *asked = user;
    touchbus_answer *answer = answer_new();
    Touchbus__Answer *message =
        answer == NULL ? NULL : arena_alloc(answer->arena, sizeof(*message));
    asked->error = message == NULL ? -ENOMEM : 0;
    if (message != NULL) {
        touchbus__answer__init(message);
        message->code = ack->code == REASON_DUPLICATE ? REASON_OK : ack->code;
        message->detail = arena_strdup(answer->arena, ack->detail);
        message->as_of = ack->sequence;
        answer->message = message;
        answer->json = ack->verdict == NULL ? NULL : strdup(ack->verdict);
        if (message->detail == NULL || (ack->verdict != NULL && answer->json == NULL)) {
            asked->error = -ENOMEM;
        }
    }
    if (asked->error != 0) {
        answer = touchbus_answer_free(answer);
    }
    touchbus_answer_free(asked->answer);
    asked->answer = answer;
}

// Whether there is something to tell: a verdict, or a refusal.
static bool is_answered(const struct asked *asked) {
    return asked->answer != NULL &&
           (asked->answer->json != NULL || asked->answer->message->code != REASON_OK);
}

static int ask(touchbus_publisher *publisher, struct asked *asked, const touchbus_event *event,
               int timeout_ms) {
    int64_t end_us = clock_monotonic_us() + timeout_ms * CLOCK_US_PER_MS;
    int r = 0;
    for (int i = 0; r == 0 && i < ASKED_MAX && !is_answered(asked); i++) {
        int64_t left_ms = (end_us - clock_monotonic_us()) / CLOCK_US_PER_MS;
        r = touchbus_publisher_publish(publisher, event, NULL);
        r = r != 0 ? r : touchbus_publisher_flush(publisher, (int)(left_ms > 0 ? left_ms : 0));
        r = r != 0 ? r : asked->error;
    }
    return r != 0 ? r : is_answered(asked) ? 0 : -ETIMEDOUT;
}

int touchbus_contact_ask(const touchbus_publisher_options *options, const touchbus_contact *contact,
                         int timeout_ms, touchbus_answer **ret) {
    struct asked asked = {.error = 0};
    touchbus_publisher_options own = options == NULL ? (touchbus_publisher_options){0} : *options;
    own.on_ack = on_ack;
    own.user = &asked;
    _cleanup_(cleanup_event) touchbus_event *event = NULL;
    touchbus_publisher *publisher = NULL;
    int r = touchbus_contact_event(contact, &event);
    r = r != 0 ? r : touchbus_publisher_new(&own, &publisher);
    r = r != 0 ? r : ask(publisher, &asked, event, timeout_ms);
    touchbus_publisher_free(publisher);
    if (r != 0) {
        touchbus_answer_free(asked.answer);
        return r;
    }
    *ret = asked.answer;
    return 0;
}
