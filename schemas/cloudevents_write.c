// SPDX-License-Identifier: Apache-2.0
// An Event as CloudEvents JSON: what is unset is left out, so that reading it again gives the same
// event. Stamped attributes are written where they are there.
#include <stdio.h>
#include <string.h>

#include "schemas/base/base64.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/body.h"
#include "schemas/cloudevents.h"
#include "schemas/cloudevents_names.h"
#include "schemas/envelope.h"

// Enough for the type, the keys and the subject of an event within its limits.
enum { SCRATCH_BYTES_MAX = 64 << 10, NUMBER_TEXT_BYTES = 24 };

// Sticky: after the first failure nothing more is written.
struct writing {
    json_t *json;
    bool failed;
};

// Takes value.
static void put(struct writing *writing, const char *name, json_t *value) {
    if (value == NULL || json_object_set_new(writing->json, name, value) != 0) {
        writing->failed = true;
    }
}

static void put_text(struct writing *writing, const char *name, const char *text) {
    if (text == NULL) {
        writing->failed = true;
    } else if (text[0] != '\0') {
        put(writing, name, json_string(text));
    }
}

static void put_number(struct writing *writing, const char *name, uint64_t number) {
    char text[NUMBER_TEXT_BYTES];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    if (number != 0) {
        put(writing, name, json_string(text));
    }
}

static void put_time(struct writing *writing, const char *name, int64_t time_us) {
    char text[CLOCK_TEXT_BYTES];
    put(writing, name, json_string(clock_format_rfc3339(time_us, text)));
}

static bool equal_identities(const Touchbus__Identity *a, const Touchbus__Identity *b) {
    return strcmp(a->kind, b->kind) == 0 && strcmp(a->value, b->value) == 0 &&
           a->verified == b->verified;
}

// Keys are left out where the subject alone says the same, and written empty where it would say too
// much.
static void put_keys(struct writing *writing, const Touchbus__Event *event, struct arena *scratch) {
    bool has_subject = event->subject[0] != '\0';
    if (event->n_identities == 0) {
        if (has_subject) {
            put(writing, "keys", json_string(""));
        }
        return;
    }
    if (has_subject && event->n_identities == 1) {
        const Touchbus__Identity *implied = cloudevents_subject_identity(event->subject, scratch);
        if (implied != NULL && equal_identities(implied, event->identities[0])) {
            return;
        }
    }
    put_text(writing, "keys",
             cloudevents_format_keys(event->identities, event->n_identities, scratch));
}

static void put_extension(struct writing *writing, const Touchbus__Extension *extension) {
    switch (extension->value_case) {
    case TOUCHBUS__EXTENSION__VALUE_TEXT:
        put(writing, extension->name, json_string(extension->text));
        break;
    case TOUCHBUS__EXTENSION__VALUE_NUMBER:
        put(writing, extension->name, json_integer(extension->number));
        break;
    case TOUCHBUS__EXTENSION__VALUE_FLAG:
        put(writing, extension->name, json_boolean(extension->flag));
        break;
    case TOUCHBUS__EXTENSION__VALUE__NOT_SET:
    case _TOUCHBUS__EXTENSION__VALUE__CASE_IS_INT_SIZE:
        break;
    }
}

static void put_data(struct writing *writing, const ProtobufCBinaryData *data) {
    struct body_value value;
    if (data->len == 0) {
        return;
    }
    if (body_read(data->data, data->len, &value) && value.kind == BODY_BINARY) {
        _cleanup_free_ char *text = base64_encode(value.text, value.text_size);
        put(writing, "data_base64", text == NULL ? NULL : json_string(text));
        return;
    }
    json_t *json = NULL;
    put(writing, "data", body_to_json(data->data, data->len, &json) == 0 ? json : NULL);
}

static void put_stamps(struct writing *writing, const Touchbus__Event *event) {
    char customer[NUMBER_TEXT_BYTES];
    put_number(writing, "sequence", event->sequence);
    if (event->received_us != 0) {
        put_time(writing, "received", event->received_us);
    }
    if (event->customer != 0) {
        put_text(writing, "customer", envelope_format_customer(event->customer, customer));
    }
    if (event->redacted) {
        put(writing, "redacted", json_true());
    }
    if (event->stamp != NULL && event->stamp->n_scores > 0) {
        put(writing, "scores", cloudevents_scores(event->stamp));
    }
}

static void put_event(struct writing *writing, const Touchbus__Event *event,
                      struct arena *scratch) {
    put(writing, "specversion", json_string("1.0"));
    put_text(writing, "id", event->id);
    put_text(writing, "source", event->source);
    put_text(writing, "type", cloudevents_type_outside(event->type, scratch));
    if (event->has_time) {
        put_time(writing, "time", event->time_us);
    }
    put_text(writing, "subject", event->subject);
    put_text(writing, "dataschema", event->dataschema);
    put_text(writing, "datacontenttype", event->datacontenttype);
    put_stamps(writing, event);
    put_text(writing, "channel", event->channel);
    put_text(writing, "direction",
             event->direction < 4 ? cloudevents_directions[event->direction] : NULL);
    put_text(writing, "actor", event->actor);
    put_text(writing, "case", event->case_id);
    put_number(writing, "cause", event->cause);
    put_text(writing, "cost", event->cost);
    put_text(writing, "traceparent", event->traceparent);
    put_keys(writing, event, scratch);
    for (size_t i = 0; i < event->n_extensions; i++) {
        put_extension(writing, event->extensions[i]);
    }
    put_data(writing, &event->data);
}

json_t *cloudevents_to_json(const Touchbus__Event *event) {
    _cleanup_(cleanup_arena) struct arena *scratch = arena_new(SCRATCH_BYTES_MAX);
    struct writing writing = {.json = json_object()};
    if (scratch == NULL || writing.json == NULL) {
        json_decref(writing.json);
        return NULL;
    }
    put_event(&writing, event, scratch);
    if (writing.failed) {
        json_decref(writing.json);
        return NULL;
    }
    return writing.json;
}
