// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/recipient.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/reasons.h"

static void cleanup_json(json_t **json) {
    json_decref(*json);
}

static void cleanup_answer(touchbus_answer **answer) {
    touchbus_answer_free(*answer);
}

static void take(const json_t *value, char ret[static RECIPIENT_TEXT_BYTES]) {
    const char *text = json_string_value(value);
    if (text != NULL && strlen(text) < RECIPIENT_TEXT_BYTES) {
        snprintf(ret, RECIPIENT_TEXT_BYTES, "%s", text);
    }
}

static void take_attribute(const json_t *body, const char *name, char *ret) {
    take(json_object_get(json_object_get(json_object_get(body, "attributes"), name), "value"), ret);
}

static void read_sheet(const json_t *body, struct recipient *ret) {
    const json_t *keys = json_object_get(body, "keys");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        const char *kind = json_string_value(json_object_get(key, "kind"));
        if (kind != NULL && strcmp(kind, "email") == 0) {
            take(json_object_get(key, "value"), ret->address);
        }
    }
    take_attribute(body, "name", ret->name);
    take_attribute(body, "language", ret->language);
    take(json_object_get(json_object_get(body, "preferences"), "language"), ret->language);
}

int recipient_ask(touchbus_client *client, const char *customer, uint64_t sequence,
                  struct recipient *ret) {
    _cleanup_(cleanup_answer) touchbus_answer *answer = NULL;
    *ret = (struct recipient){0};
    int r = touchbus_client_customer(client, customer, sequence, RECIPIENT_MS_MAX, &answer);
    if (r != 0) {
        return r == -EACCES ? r : -EAGAIN;
    }
    switch (touchbus_answer_code(answer)) {
    case REASON_OK:
        break;
    case REASON_FORBIDDEN:
        return -EACCES;
    case REASON_NOT_FOUND:
        return 1;
    default:
        return -EAGAIN;
    }
    _cleanup_(cleanup_json) json_t *body = json_loads(touchbus_answer_json(answer), 0, NULL);
    read_sheet(body, ret);
    return 0;
}
