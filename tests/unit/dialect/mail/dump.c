// SPDX-License-Identifier: Apache-2.0
// Prints what the mail dialect makes of each file named, as one line of JSON a file: what judge.py
// holds against Python's own parser. The texts pass jansson, which takes valid UTF-8 alone.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/dialect/mail.h"
#include "schemas/base/cleanup.h"

enum { FILE_BYTES_MAX = 80 << 20 };

static const uint8_t key[MAIL_KEY_BYTES] = {1, 2, 3};
static const struct mail_conf conf = {
    .domain = "mail.touchbus.example",
    .source = "/email",
    .purpose = "marketing",
    .unsubscribe_address = "unsubscribe@touchbus.example",
    .key = key,
};

static json_t *text_or_null(const char *text) {
    json_t *json = text == NULL ? json_null() : json_string(text);
    if (json == NULL) {
        fprintf(stderr, "a text is not UTF-8\n");
        exit(2);
    }
    return json;
}

static json_t *addresses_json(const struct mail_addresses *addresses) {
    json_t *list = json_array();
    for (size_t i = 0; i < addresses->n; i++) {
        json_array_append_new(list, json_pack("[o, o]", text_or_null(addresses->list[i].name),
                                              text_or_null(addresses->list[i].address)));
    }
    return list;
}

static json_t *attachments_json(const struct mail *mail) {
    json_t *list = json_array();
    for (size_t i = 0; i < mail->n_attachments; i++) {
        const struct mail_attachment *one = &mail->attachments[i];
        json_array_append_new(list,
                              json_pack("{s:o, s:o, s:I, s:s}", "name", text_or_null(one->name),
                                        "type", text_or_null(one->type), "size",
                                        (json_int_t)one->size, "sha256", one->sha256));
    }
    return list;
}

static json_t *reports_json(const struct mail *mail) {
    json_t *list = json_array();
    for (size_t i = 0; i < mail->n_reports; i++) {
        const struct mail_report *one = &mail->reports[i];
        json_array_append_new(list, json_pack("{s:o, s:s, s:s, s:o}", "recipient",
                                              text_or_null(one->recipient), "outcome", one->outcome,
                                              "status", one->status, "original_recipient",
                                              text_or_null(one->original_recipient)));
    }
    return list;
}

static json_t *events_json(const struct mail *mail) {
    struct mail_events events = {.n = 0};
    json_t *list = json_array();
    if (mail_events(&conf, mail, "INBOX", INT64_C(1772438400000000), &events) != 0) {
        fprintf(stderr, "no events\n");
        exit(2);
    }
    for (size_t i = 0; i < events.n; i++) {
        _cleanup_free_ char *data = touchbus_event_data_json(events.list[i]);
        json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "type",
                                              touchbus_event_get(events.list[i], "type"), "id",
                                              touchbus_event_get(events.list[i], "id"), "data",
                                              json_loads(data, 0, NULL)));
    }
    mail_events_clear(&events);
    return list;
}

static json_t *mail_json(const struct mail *mail) {
    static const char *const kinds[] = {"message", "bounce", "unsubscribe"};
    json_t *references = json_array();
    for (size_t i = 0; i < mail->n_references; i++) {
        json_array_append_new(references, text_or_null(mail->references[i]));
    }
    json_t *json = json_pack("{s:s, s:o, s:[o, o], s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "kind",
                             kinds[mail->kind], "automatic", text_or_null(mail->automatic), "from",
                             text_or_null(mail->from.name), text_or_null(mail->from.address), "to",
                             addresses_json(&mail->to), "cc", addresses_json(&mail->cc), "reply_to",
                             addresses_json(&mail->reply_to), "delivered_to",
                             addresses_json(&mail->delivered_to), "subject",
                             text_or_null(mail->subject), "tag", text_or_null(mail->tag),
                             "language", text_or_null(mail->language), "references", references);
    json_object_set_new(json, "date",
                        mail->has_date ? json_integer(mail->date_us / 1000000) : json_null());
    json_object_set_new(json, "message_id", text_or_null(mail->message_id));
    json_object_set_new(json, "in_reply_to", text_or_null(mail->in_reply_to));
    json_object_set_new(json, "thread", text_or_null(mail->thread));
    json_object_set_new(json, "contact_id", text_or_null(mail->contact_id));
    json_object_set_new(json, "original", text_or_null(mail->original));
    json_object_set_new(json, "text", text_or_null(mail->text));
    json_object_set_new(json, "text_cut", json_boolean(mail->text_cut));
    json_object_set_new(json, "attachments", attachments_json(mail));
    json_object_set_new(json, "reports", reports_json(mail));
    json_object_set_new(json, "events", events_json(mail));
    return json;
}

static void dump(const char *path) {
    _cleanup_free_ char *bytes = malloc(FILE_BYTES_MAX);
    FILE *file = fopen(path, "re");
    if (file == NULL || bytes == NULL) {
        perror(path);
        exit(2);
    }
    size_t size = fread(bytes, 1, FILE_BYTES_MAX, file);
    fclose(file);
    _cleanup_(cleanup_mail) struct mail *mail = NULL;
    const char *why = NULL;
    int r = mail_parse(&conf, bytes, size, &mail, &why);
    json_t *json = r == 0 ? mail_json(mail) : json_pack("{s:i, s:s}", "error", r, "why", why);
    _cleanup_free_ char *line = json_dumps(json, JSON_SORT_KEYS);
    json_decref(json);
    if (line == NULL) {
        fprintf(stderr, "%s: not UTF-8\n", path);
        exit(2);
    }
    puts(line);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        dump(argv[i]);
    }
    return 0;
}
